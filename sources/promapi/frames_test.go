package promapi

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"aftershock/detector"
	"aftershock/internal/servers"
	"aftershock/sources/series"
)

// fleet is two hours of a service of three instances, scraped every 15 s: b is
// upgraded in the middle (another process under the same address: its counters
// are reset in the middle of a step), c goes away.
func fleet(start time.Time) []prompb.TimeSeries {
	var names []string
	series := map[string]*prompb.TimeSeries{}
	put := func(at time.Time, v float64, pairs ...string) {
		l := labels.FromStrings(pairs...)
		key := l.String()
		if series[key] == nil {
			series[key] = &prompb.TimeSeries{}
			l.Range(func(l labels.Label) {
				series[key].Labels = append(series[key].Labels, prompb.Label{Name: l.Name, Value: l.Value})
			})
			names = append(names, key)
		}
		series[key].Samples = append(series[key].Samples, prompb.Sample{Timestamp: at.UnixMilli(), Value: v})
	}
	bounds := []string{"0.05", "0.1", "0.5", "1", "+Inf"}
	for n := range 480 {
		for i, instance := range []string{"a:1", "b:1", "c:1"} {
			at := start.Add(time.Duration(n)*15*time.Second + time.Duration(2+3*i)*time.Second)
			version, since := "4.1.3", n
			if i == 1 && n >= 242 {
				version, since = "4.2.0", n-242
			}
			stale := math.Float64frombits(value.StaleNaN)
			gone := i == 2 && n >= 300
			set := func(v float64, pairs ...string) {
				switch {
				case gone && n == 300:
					put(at, stale, append(pairs, "job", "shop", "instance", instance)...)
				case !gone:
					put(at, v, append(pairs, "job", "shop", "instance", instance)...)
				}
			}
			for k, le := range bounds {
				set(float64((k+1)*since*(7+i)+since%3*k), "__name__", "http_request_duration_seconds_bucket", "route", "/place", "le", le)
			}
			set(float64(5*since*(7+i)+since%3*4), "__name__", "http_request_duration_seconds_count", "route", "/place")
			set(float64(since)*1.5, "__name__", "http_request_duration_seconds_sum", "route", "/place")
			set(float64(9*since), "__name__", "http_requests_total", "code", "200")
			set(float64(since/7), "__name__", "http_requests_total", "code", "500")
			set(float64(4*since), "__name__", "client_calls_total", "peer", "acme-pay")
			set(float64(since/2), "__name__", "client_retries_total", "peer", "acme-pay")
			if i == 1 && n == 242 {
				put(at, stale, "__name__", "shop_build_info", "version", "4.1.3", "job", "shop", "instance", instance)
			}
			set(1, "__name__", "shop_build_info", "version", version)
			up := 1.0
			if gone {
				up = 0
			}
			put(at, up, "__name__", "up", "job", "shop", "instance", instance)
		}
	}
	out := make([]prompb.TimeSeries, 0, len(names))
	for _, key := range slices.Sorted(maps.Keys(series)) {
		out = append(out, *series[key])
	}
	return out
}

// direct folds what was written, without a server in between.
func direct(t *testing.T, written []prompb.TimeSeries, start, end time.Time, step time.Duration) []detector.Frame {
	t.Helper()
	fold, err := series.New(series.Config{Start: start, Step: step})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range written {
		b := labels.NewScratchBuilder(len(one.Labels))
		for _, l := range one.Labels {
			b.Add(l.Name, l.Value)
		}
		s := series.Series{Labels: b.Labels()}
		for _, sample := range one.Samples {
			s.Times = append(s.Times, sample.Timestamp)
			s.Values = append(s.Values, sample.Value)
		}
		if err := fold.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	var frames []detector.Frame
	if err := fold.Emit(end, keep(&frames)); err != nil {
		t.Fatal(err)
	}
	return frames
}

// folded reads so many steps at a time and folds them.
func folded(t *testing.T, s *Source, start, end time.Time, step time.Duration, steps int) []detector.Frame {
	t.Helper()
	fold, err := series.New(series.Config{Start: start, Step: step})
	if err != nil {
		t.Fatal(err)
	}
	var frames []detector.Frame
	for from := start.Add(-series.Lookback(step)); fold.At().Before(end); from = fold.At() {
		to := fold.At().Add(time.Duration(steps) * step)
		if to.After(end) {
			to = end
		}
		if err := s.Steps(context.Background(), from, to, step, fold.Add); err != nil {
			t.Fatal(err)
		}
		if err := fold.Emit(to, keep(&frames)); err != nil {
			t.Fatal(err)
		}
	}
	return frames
}

func keep(frames *[]detector.Frame) func(detector.Frame) error {
	return func(f detector.Frame) error {
		*frames = append(*frames, f)
		return nil
	}
}

var sameFrames = cmp.Options{
	cmpopts.EquateApprox(1e-9, 1e-9), cmpopts.EquateEmpty(),
	cmpopts.SortSlices(func(a, b detector.Point) bool {
		return a.Indicator.Key()+"\x00"+a.Instance+"\x00"+a.Version < b.Indicator.Key()+"\x00"+b.Instance+"\x00"+b.Version
	}),
	cmpopts.SortSlices(func(a, b detector.Build) bool { return fmt.Sprint(a) < fmt.Sprint(b) }),
}

func TestEveryWayGivesTheSameFrames(t *testing.T) {
	start := time.Now().Add(-28 * time.Hour).Truncate(time.Hour)
	written := fleet(start)
	from, to := start.Add(10*time.Minute), start.Add(110*time.Minute)
	want := direct(t, written, from, to, time.Minute)
	if len(want) != 100 || len(want[50].Points) < 9 {
		t.Fatalf("the recording has %d frames, the first with %d points", len(want), len(want[0].Points))
	}
	tests := []struct {
		name  string
		start func(testing.TB) *servers.Server
		ways  []Way
	}{
		{"prometheus 2", func(t testing.TB) *servers.Server { return servers.Prometheus(t, servers.PrometheusOptions{}) }, ways[:]},
		{"prometheus 3", func(t testing.TB) *servers.Server {
			return servers.Prometheus(t, servers.PrometheusOptions{Major: 3})
		}, ways[:]},
		{"victoriametrics", servers.VictoriaMetrics, ways[1:]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := test.start(t)
			server.Write(written)
			if test.ways[0] == Steps {
				server.Flush()
			}
			for _, way := range test.ways {
				got := folded(t, open(t, server.URL, way), from, to, time.Minute, 40)
				if diff := cmp.Diff(want, got, sameFrames); diff != "" {
					t.Errorf("%s (-want +got):\n%s", way, diff)
				}
				// Step by step, as the daemon reads, comes to the same.
				piecemeal := folded(t, open(t, server.URL, way), from, to, time.Minute, 1)
				if diff := cmp.Diff(want, piecemeal, sameFrames); diff != "" {
					t.Errorf("%s, a step at a time (-want +got):\n%s", way, diff)
				}
			}
		})
	}
}
