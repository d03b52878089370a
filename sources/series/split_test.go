package series

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"aftershock/detector"
)

// fleet makes the series of a few processes that restart, change their build,
// miss scrapes and leave stale markers, from before epoch to minutes after it;
// with outages, some are silent for longer than the lookback.
func fleet(rng *rand.Rand, minutes int, outages bool) []Series {
	byKey := map[string]*Series{}
	var order []string
	put := func(t int64, v float64, h *histogram.FloatHistogram, metric string, lbls ...string) {
		ls := labels.FromStrings(append([]string{model.MetricNameLabel, metric}, lbls...)...)
		k := fmt.Sprint(ls.String(), h != nil)
		s := byKey[k]
		if s == nil {
			s = &Series{Labels: ls}
			byKey[k], order = s, append(order, k)
		}
		s.Times = append(s.Times, t)
		if h != nil {
			s.Histograms = append(s.Histograms, h)
		} else {
			s.Values = append(s.Values, v)
		}
	}
	for inst := range 3 {
		process(rng, fmt.Sprint("i", inst), minutes, outages, put)
	}
	out := make([]Series, 0, len(order))
	for _, k := range order {
		out = append(out, *byKey[k])
	}
	return out
}

// process is one instance of the fleet.
func process(rng *rand.Rand, inst string, minutes int, outages bool, put func(int64, float64, *histogram.FloatHistogram, string, ...string)) {
	les := []string{"0.1", "0.5", "1", "+Inf"}
	counts := make([]float64, len(les))
	native := &histogram.FloatHistogram{PositiveSpans: []histogram.Span{{Offset: -2, Length: 4}}, PositiveBuckets: make([]float64, 4)}
	retries, requests, failed := 0.0, 0.0, 0.0
	version, start := 1, float64(epoch.Unix())-9000
	phase := int64(rng.IntN(15_000))
	silent := 0
	for at := epoch.UnixMilli() - 400_000 + phase; at < epoch.UnixMilli()+int64(minutes)*60_000; at += 15_000 {
		if rng.IntN(60) == 0 {
			clear(counts)
			native = &histogram.FloatHistogram{Schema: int32(rng.IntN(2)), PositiveSpans: []histogram.Span{{Offset: -2, Length: 4}}, PositiveBuckets: make([]float64, 4)}
			retries, requests, failed, start = 0, 0, 0, float64(at/1000-5)
			version += rng.IntN(2)
		}
		for range rng.IntN(20) {
			b := rng.IntN(len(les))
			for i := b; i < len(les); i++ {
				counts[i]++
			}
			native = native.Copy()
			native.PositiveBuckets[b]++
			native.Count++
			requests++
			retries += float64(rng.IntN(2))
			failed += float64(rng.IntN(20) / 19)
		}
		if outages && rng.IntN(100) == 0 {
			silent = 10 + rng.IntN(20)
		}
		if silent--; silent >= 0 {
			continue
		}
		switch rng.IntN(12) {
		case 0:
			continue // a missed scrape
		case 1:
			put(at, stale, nil, "thirdparty_requests_total", "instance", inst)
			continue
		}
		for i, le := range les {
			put(at, counts[i], nil, "http_request_duration_seconds_bucket", "instance", inst, "le", le)
		}
		put(at, counts[len(les)-1], nil, "http_request_duration_seconds_count", "instance", inst)
		put(at, 0, native, "rpc_duration_seconds", "instance", inst)
		put(at, requests, nil, "thirdparty_requests_total", "instance", inst)
		put(at, retries, nil, "thirdparty_retries_total", "instance", inst)
		put(at, requests-failed, nil, "http_requests_total", "instance", inst, "code", "200")
		if failed > 0 {
			put(at, failed, nil, "http_requests_total", "instance", inst, "code", "500")
		}
		put(at, 1, nil, "app_build_info", "instance", inst, "version", fmt.Sprint(version))
		put(at, start, nil, startName, "instance", inst)
		put(at, 1, nil, "up", "instance", inst)
	}
}

// cut is the part of a series in (from, to] in milliseconds.
func cut(s Series, from, to int64) Series {
	out := Series{Labels: s.Labels}
	for i, t := range s.Times {
		if t > from && t <= to {
			out.Times = append(out.Times, t)
			if s.Histograms != nil {
				out.Histograms = append(out.Histograms, s.Histograms[i])
			} else {
				out.Values = append(out.Values, s.Values[i])
			}
		}
	}
	return out
}

// run folds the series from start on, reading up to each of ends in turn.
func run(t *testing.T, all []Series, start time.Time, from int64, ends ...time.Time) []detector.Frame {
	t.Helper()
	f, err := New(Config{Start: start, Step: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var out []detector.Frame
	for _, end := range ends {
		for _, s := range all {
			if err := f.Add(cut(s, from, end.UnixMilli())); err != nil {
				t.Fatal(err)
			}
		}
		err := f.Emit(end, func(fr detector.Frame) error {
			out = append(out, fr)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		from = end.UnixMilli()
	}
	return out
}

var near = cmp.Options{cmpopts.EquateApprox(0, 1e-9), cmpopts.EquateNaNs(), cmpopts.EquateEmpty()}

// seeds runs a property on many fleets. AFTERSHOCK_SEEDS asks for more of them
// than each test run should take.
func seeds(t *testing.T, property func(t *testing.T, seed uint64)) {
	n, err := strconv.Atoi(os.Getenv("AFTERSHOCK_SEEDS"))
	if err != nil {
		n = 15
	}
	for seed := range uint64(n) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { property(t, seed) })
	}
}

// TestSplit holds that frames are the same whether the input comes at once or
// in pieces, cut wherever, and however the series are ordered.
func TestSplit(t *testing.T) {
	const minutes = 15
	seeds(t, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		all := fleet(rng, minutes, true)
		end := epoch.Add(minutes * time.Minute)
		want := run(t, all, epoch, math.MinInt64, end)
		var ends []time.Time
		for s := range minutes * 60 {
			if rng.IntN(90) == 0 {
				ends = append(ends, epoch.Add(time.Duration(s)*time.Second))
			}
		}
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		got := run(t, all, epoch, math.MinInt64, append(ends, end)...)
		if diff := cmp.Diff(want, got, near); diff != "" {
			t.Fatalf("split at %v (-whole +split):\n%s", ends, diff)
		}
	})
}

// TestPrime holds that a fold that begins in the middle, primed with the
// lookback, goes on with the very same frames.
func TestPrime(t *testing.T) {
	const minutes, middle = 16, 8
	seeds(t, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 2))
		all := fleet(rng, minutes, false)
		end := epoch.Add(minutes * time.Minute)
		want := run(t, all, epoch, math.MinInt64, end)
		mid := epoch.Add(middle * time.Minute)
		got := run(t, all, mid, mid.Add(-Lookback(time.Minute)).UnixMilli(), end)
		if diff := cmp.Diff(want[len(want)-len(got):], got, near); diff != "" {
			t.Fatalf("(-whole +primed):\n%s", diff)
		}
	})
}

// TestNothingFromTheFuture holds that what comes after a frame's end doesn't
// change the frame.
func TestNothingFromTheFuture(t *testing.T) {
	const minutes = 15
	seeds(t, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 3))
		all := fleet(rng, minutes, true)
		n := 1 + rng.IntN(minutes)
		at := epoch.Add(time.Duration(n) * time.Minute)
		var known []Series
		for _, s := range all {
			known = append(known, cut(s, math.MinInt64, at.UnixMilli()))
		}
		want := run(t, known, epoch, math.MinInt64, at)
		got := run(t, all, epoch, math.MinInt64, epoch.Add(minutes*time.Minute))
		if diff := cmp.Diff(want, got[:len(want)], near); diff != "" {
			t.Fatalf("up to %v (-known +all):\n%s", at, diff)
		}
	})
}

// TestConserved holds that nothing is lost or counted twice: the sum over all
// frames is what the processes counted between their first and last scrapes.
func TestConserved(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 4))
		s := Series{Labels: labels.FromStrings(model.MetricNameLabel, "a_requests_total", "code", "200", "instance", "i")}
		want, v := 0.0, float64(rng.IntN(100))
		for i := range 200 {
			if i > 0 {
				gain := float64(rng.IntN(10))
				if rng.IntN(30) == 0 && v > 10 {
					v, gain = 0, float64(rng.IntN(int(v)))
				}
				v += gain
				want += gain
			}
			s.Times = append(s.Times, epoch.UnixMilli()+int64(i)*15_000)
			s.Values = append(s.Values, v)
		}
		got := 0.0
		for _, fr := range run(t, []Series{s}, epoch.Add(-time.Minute), math.MinInt64, epoch.Add(time.Hour)) {
			for _, p := range fr.Points {
				got += p.Total
			}
		}
		if got != want {
			t.Fatalf("counted %v, want %v", got, want)
		}
	})
}
