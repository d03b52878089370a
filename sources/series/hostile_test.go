package series

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"aftershock/detector"
)

// TestLimits holds that a label with a value for each user is bounded, counted,
// and pushes nothing else out.
func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cfg    Config
		reason string
	}{
		{"indicators of a metric", Config{MaxPerMetric: 10}, "too many indicators"},
		{"indicators", Config{MaxIndicators: 11}, "too many indicators"},
		{"series", Config{MaxSeries: 21}, "too many series"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.Start, tc.cfg.Step = epoch, time.Minute
			f, err := New(tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			add := func(s Series) {
				if err := f.Add(s); err != nil {
					t.Fatal(err)
				}
			}
			add(floats("other_requests_total", l("code", "200"), 0, 1, 60, 3))
			for user := range 1000 {
				for _, le := range []string{"1", "+Inf"} {
					add(floats(base+"_bucket", l("user", fmt.Sprint(user), "le", le), 0, 1, 60, 2))
				}
			}
			kinds := map[detector.Kind]int{}
			if err := f.Emit(epoch.Add(time.Minute), func(fr detector.Frame) error {
				for _, p := range fr.Points {
					kinds[p.Indicator.Kind]++
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if kinds[detector.Error] != 1 || kinds[detector.Latency] != 10 {
				t.Errorf("%v points, want 1 of errors and 10 of latency", kinds)
			}
			if f.Len() != 21 {
				t.Errorf("%d series are remembered, want 21", f.Len())
			}
			if d := f.Dropped(); d[tc.reason] != 1980 || len(f.Dropped()) != 0 {
				t.Errorf("dropped %v, want 1980 for %q, and nothing twice", d, tc.reason)
			}
		})
	}
}

// TestForgetting holds that churning pods don't add up.
func TestForgetting(t *testing.T) {
	f, err := New(Config{Start: epoch, Step: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	most, points := 0, 0
	for minute := range 60 * 24 {
		pod := fmt.Sprint("pod-", minute/30)
		at := float64(minute*60 + 30)
		for _, s := range []Series{
			floats(base+"_bucket", l("service", "s", "instance", pod, "route", pod, "le", "1"), at, float64(minute)),
			floats(base+"_bucket", l("service", "s", "instance", pod, "route", pod, "le", "+Inf"), at, float64(minute)),
			floats("tp_requests_total", l("service", "s", "instance", pod), at, float64(minute)),
			floats("tp_retries_total", l("service", "s", "instance", pod), at, float64(minute)),
			floats("tp_requests_created", l("service", "s", "instance", pod), at, float64(epoch.Unix())+at),
			floats("up", l("instance", pod), at, 1),
			floats("s_build_info", l("instance", pod, "version", pod), at, 1),
			floats(edgeMetric, l("client", pod, "server", "s"), at, 1),
		} {
			if err := f.Add(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Emit(epoch.Add(time.Duration(minute+1)*time.Minute), func(fr detector.Frame) error {
			points += len(fr.Points)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		most = max(most, f.Len())
	}
	if points < 2*60*24-100 {
		t.Errorf("%d points, want about %d", points, 2*60*24)
	}
	// 8 series a pod; an hour's memory and a quarter, two pods an hour.
	if most > 8*5 || len(f.cells) > 2*5 || len(f.indicators) > 6 || len(f.instances) > 6 || len(f.edges) > 5 || len(f.ups) > 5 || len(f.starts) > 5 {
		t.Errorf("remembers %d series, %d cells, %d indicators, %d instances, %d edges, %d ups, %d starts after a day",
			most, len(f.cells), len(f.indicators), len(f.instances), len(f.edges), len(f.ups), len(f.starts))
	}
}

func TestAddErrors(t *testing.T) {
	f, err := New(Config{Start: epoch, Step: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ls := labels.FromStrings(model.MetricNameLabel, "a_requests_total")
	for name, s := range map[string]Series{
		"time stands still": {Labels: ls, Times: []int64{1, 1}, Values: []float64{1, 2}},
		"too few values":    {Labels: ls, Times: []int64{1, 2}, Values: []float64{1}},
		"too few starts":    {Labels: ls, Times: []int64{1, 2}, Values: []float64{1, 2}, Starts: []int64{0}},
		"two forms":         {Labels: ls, Times: []int64{1}, Values: []float64{1}, Histograms: []*histogram.FloatHistogram{{}}},
	} {
		if err := f.Add(s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(Config{Start: epoch}); err == nil {
		t.Error("no step: no error")
	}
	if _, err := New(Config{Step: time.Minute}); err == nil {
		t.Error("no start: no error")
	}
}

// TestNativeHistograms follows a native histogram through a lowered schema, a
// restart and an invalid sample, with the classic one beside it.
func TestNativeHistograms(t *testing.T) {
	h := func(schema int32, buckets ...float64) *histogram.FloatHistogram {
		fh := &histogram.FloatHistogram{Schema: schema, PositiveSpans: []histogram.Span{{Offset: 1, Length: uint32(len(buckets))}}, PositiveBuckets: buckets}
		for _, b := range buckets {
			fh.Count += b
		}
		return fh
	}
	broken := h(1, 30, 30)
	broken.PositiveSpans[0].Length = 9
	s := Series{Labels: labels.FromStrings(model.MetricNameLabel, base, "instance", "a")}
	for i, fh := range []*histogram.FloatHistogram{
		h(1, 1, 1, 1, 1), h(1, 2, 1, 1, 3), // (1, 1.41], (1.41, 2], (2, 2.83], (2.83, 4]
		h(0, 4, 5),         // (1, 2], (2, 4]: the same at half the resolution
		broken, h(0, 5, 5), // the sample between is skipped
		h(0, 1, 0), // a restart
	} {
		s.Times = append(s.Times, epoch.Add(time.Duration(i)*time.Minute).UnixMilli())
		s.Histograms = append(s.Histograms, fh)
	}
	got := briefs(frames(t, 5, s,
		floats(base+"_bucket", l("instance", "a", "le", "1"), 0, 0, 60, 7, 120, 9),
		floats(base+"_bucket", l("instance", "a", "le", "+Inf"), 0, 0, 60, 7, 120, 9),
		floats(base+"_count", l("instance", "a"), 0, 0, 60, 7, 120, 9)))
	root := math.Sqrt2
	key := "latency|" + base + "|"
	want := []brief{
		{1, key, "a", "", 3, 0, []float64{1, root, 2 * root, 4}, []float64{0, 1, 0, 2}},
		{2, key, "a", "", 2, 0, []float64{1, 2, 4}, []float64{0, 1, 1}},
		{4, key, "a", "", 1, 0, []float64{1, 2}, []float64{0, 1}},
		{5, key, "a", "", 1, 0, []float64{1, 2}, []float64{0, 1}},
	}
	if diff := cmp.Diff(want, got, near); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

// FuzzFold holds that no samples, however absurd, make the fold panic or count
// less than nothing.
func FuzzFold(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}, uint8(3))
	f.Add(binary.LittleEndian.AppendUint64(nil, math.Float64bits(stale)), uint8(1))
	names := []string{
		base + "_bucket", base + "_count", base, "a_requests_total", "a_retries_total", "a_requests_created",
		"a_build_info", startName, "up", edgeMetric, "a_p99_seconds", "rpc_seconds",
	}
	f.Fuzz(func(t *testing.T, data []byte, pieces uint8) {
		fold, err := New(Config{Start: epoch, Step: time.Second, MaxIndicators: 50})
		if err != nil {
			t.Fatal(err)
		}
		next := func() byte {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return b
		}
		at := epoch.UnixMilli() - 3000
		for range min(int(pieces), 20) {
			s := Series{Labels: labels.FromStrings(model.MetricNameLabel, names[int(next())%len(names)],
				"instance", fmt.Sprint(next()%3), "le", fmt.Sprint(int8(next())), "code", fmt.Sprint(next()))}
			native := next()%4 == 0
			for range next() % 8 {
				at += int64(next())*16 + 1
				s.Times = append(s.Times, at)
				var raw [8]byte
				for i := range raw {
					raw[i] = next()
				}
				v := math.Float64frombits(binary.LittleEndian.Uint64(raw[:]))
				if !native {
					s.Values = append(s.Values, v)
					continue
				}
				s.Histograms = append(s.Histograms, &histogram.FloatHistogram{
					Schema: int32(int8(next())) % 10, Count: float64(next()), Sum: v, ZeroCount: float64(next()), ZeroThreshold: math.Abs(v),
					PositiveSpans:   []histogram.Span{{Offset: int32(int8(next())), Length: uint32(next() % 4)}},
					PositiveBuckets: []float64{float64(next()), float64(next())},
				})
			}
			if len(s.Times) == 0 {
				continue
			}
			if err := fold.Add(s); err != nil {
				t.Fatal(err)
			}
			err := fold.Emit(time.UnixMilli(at), func(fr detector.Frame) error {
				for _, p := range fr.Points {
					ok := p.Total >= 0 && p.Bad >= 0 && !math.IsInf(p.Total, 0)
					for _, c := range p.Hist.Counts {
						ok = ok && c >= 0
					}
					if !ok {
						t.Fatalf("%+v", p)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
