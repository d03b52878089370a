package promapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/sirupsen/logrus"

	"aftershock/internal/servers"
	"aftershock/sources/series"
)

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// open makes a source that reads in one way.
func open(t *testing.T, url string, way Way) *Source {
	t.Helper()
	s, err := Open(context.Background(), Config{URL: url, Way: way}, quiet(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// point is one sample in a form to compare.
type point struct {
	T int64
	V string
}

// collect reads all series and joins their pieces.
func collect(t *testing.T, s *Source, start, end time.Time) map[string][]point {
	t.Helper()
	got := map[string][]point{}
	err := s.Series(context.Background(), start.Add(-time.Millisecond), end, func(one series.Series) error {
		key := one.Labels.String()
		for n, at := range one.Times {
			if old := got[key]; len(old) > 0 && old[len(old)-1].T >= at {
				return fmt.Errorf("%s: pieces overlap at %d", key, at)
			}
			got[key] = append(got[key], point{at, show(one, n)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func show(one series.Series, n int) string {
	if one.Histograms != nil {
		h := one.Histograms[n]
		if value.IsStaleNaN(h.Sum) {
			return "stale"
		}
		// The hint says how a chunk was cut, not what was counted.
		h = h.Copy()
		h.CounterResetHint = histogram.UnknownCounterReset
		return h.Compact(0).String() + fmt.Sprint(" schema ", h.Schema)
	}
	if value.IsStaleNaN(one.Values[n]) {
		return "stale"
	}
	return fmt.Sprint(one.Values[n])
}

// recording is an hour of a service that restarts once: a counter that is
// reset, one that goes stale, and a native histogram.
func recording(start time.Time) []prompb.TimeSeries {
	sets := []labels.Labels{
		labels.FromStrings("__name__", "http_requests_total", "instance", "a", "job", "shop"),
		labels.FromStrings("__name__", "http_requests_total", "instance", "b", "job", "shop"),
		labels.FromStrings("__name__", "http_request_duration_seconds", "instance", "a", "job", "shop"),
	}
	out := make([]prompb.TimeSeries, len(sets))
	for n, set := range sets {
		set.Range(func(l labels.Label) {
			out[n].Labels = append(out[n].Labels, prompb.Label{Name: l.Name, Value: l.Value})
		})
	}
	for n := range 240 {
		at := start.Add(time.Duration(n)*15*time.Second + 3*time.Second).UnixMilli()
		v := float64(10 * n)
		if n >= 130 {
			v = float64(n - 130)
		}
		out[0].Samples = append(out[0].Samples, prompb.Sample{Timestamp: at, Value: v})
		switch {
		case n < 100:
			out[1].Samples = append(out[1].Samples, prompb.Sample{Timestamp: at, Value: float64(n * n)})
		case n == 100:
			out[1].Samples = append(out[1].Samples, prompb.Sample{Timestamp: at, Value: math.Float64frombits(value.StaleNaN)})
		}
		h := &histogram.Histogram{
			Schema: 3, Count: uint64(6*n + 7), Sum: float64(n), ZeroThreshold: 1e-128, ZeroCount: 1,
			PositiveSpans:   []histogram.Span{{Offset: -20, Length: 2}, {Offset: 3, Length: 1}},
			PositiveBuckets: []int64{int64(n + 1), int64(n), int64(n + 1)},
		}
		h.Count = uint64(1 + (n + 1) + (2*n + 1) + (3*n + 2))
		out[2].Histograms = append(out[2].Histograms, prompb.FromIntHistogram(at, h))
	}
	return out
}

func TestEveryWayReadsWhatWasWritten(t *testing.T) {
	start := time.Now().Add(-26 * time.Hour).Truncate(time.Hour)
	end := start.Add(time.Hour)
	// What a way leaves out: stale markers aren't in Prometheus' JSON and are
	// any NaN in VictoriaMetrics', which has no native histograms.
	full := expected(recording(start), func(string, point) bool { return true })
	noStale := expected(recording(start), func(_ string, p point) bool { return p.V != "stale" })
	lessHist := expected(recording(start)[:2], func(string, point) bool { return true })
	for _, points := range lessHist {
		for n := range points {
			points[n].V = strings.Replace(points[n].V, "stale", "NaN", 1)
		}
	}
	tests := []struct {
		name  string
		start func(testing.TB) *servers.Server
		want  map[Way]map[string][]point
		best  Way
	}{
		{
			"prometheus 2", func(t testing.TB) *servers.Server { return servers.Prometheus(t, servers.PrometheusOptions{}) },
			map[Way]map[string][]point{RemoteRead: full, JSON: noStale},
			RemoteRead,
		},
		{
			"prometheus 3", func(t testing.TB) *servers.Server {
				return servers.Prometheus(t, servers.PrometheusOptions{Major: 3})
			},
			map[Way]map[string][]point{RemoteRead: full, JSON: noStale},
			RemoteRead,
		},
		{"victoriametrics", servers.VictoriaMetrics, map[Way]map[string][]point{JSON: lessHist}, Steps},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := test.start(t)
			if test.best == Steps {
				server.Write(recording(start)[:2])
				server.Flush()
			} else {
				server.Write(recording(start))
			}
			got, err := open(t, server.URL, "").Way(context.Background())
			if err != nil || got != test.best {
				t.Errorf("found the way %q, %v; want %q", got, err, test.best)
			}
			for way, want := range test.want {
				if diff := cmp.Diff(want, collect(t, open(t, server.URL, way), start, end)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", way, diff)
				}
			}
		})
	}
}

func expected(written []prompb.TimeSeries, keep func(string, point) bool) map[string][]point {
	want := map[string][]point{}
	for _, one := range written {
		b := labels.NewScratchBuilder(len(one.Labels))
		for _, l := range one.Labels {
			b.Add(l.Name, l.Value)
		}
		key := b.Labels().String()
		add := func(p point) {
			if keep(key, p) {
				want[key] = append(want[key], p)
			}
		}
		for _, sample := range one.Samples {
			add(point{sample.Timestamp, show(series.Series{Values: []float64{sample.Value}}, 0)})
		}
		for _, h := range one.Histograms {
			add(point{h.Timestamp, show(series.Series{Histograms: []*histogram.FloatHistogram{h.ToIntHistogram().ToFloat(nil)}}, 0)})
		}
	}
	return want
}

func TestSeriesKeepsToTheRange(t *testing.T) {
	server := servers.Prometheus(t, servers.PrometheusOptions{})
	start := time.Now().Add(-3 * time.Hour).Truncate(time.Hour)
	server.Write(recording(start))
	from, to := start.Add(3*time.Second+15*time.Second), start.Add(3*time.Second+30*time.Second)
	for _, way := range []Way{RemoteRead, JSON} {
		for key, points := range collect(t, open(t, server.URL, way), from, to) {
			if len(points) != 2 || points[0].T != from.UnixMilli() || points[1].T != to.UnixMilli() {
				t.Errorf("%s: %s: got %v, want one sample at %d and one at %d", way, key, points, from.UnixMilli(), to.UnixMilli())
			}
		}
	}
}

func TestReceiverStopsTheReading(t *testing.T) {
	server := servers.Prometheus(t, servers.PrometheusOptions{})
	start := time.Now().Add(-3 * time.Hour).Truncate(time.Hour)
	server.Write(recording(start))
	enough := errors.New("enough")
	for _, way := range []Way{RemoteRead, JSON} {
		calls := 0
		err := open(t, server.URL, way).Series(context.Background(), start, start.Add(time.Hour), func(series.Series) error {
			calls++
			return enough
		})
		if !errors.Is(err, enough) || calls != 1 {
			t.Errorf("%s: got %v after %d series, want the receiver's error after 1", way, err, calls)
		}
	}
}
