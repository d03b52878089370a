package sources

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"aftershock/detector"
	"aftershock/internal/servers"
	"aftershock/sources/promapi"
)

// Servers give the same frames as a TSDB directory with the same recording.
func TestServersGiveTheSameFrames(t *testing.T) {
	all := recording()
	var written []prompb.TimeSeries
	for _, s := range all {
		var one prompb.TimeSeries
		s.Labels.Range(func(l labels.Label) {
			one.Labels = append(one.Labels, prompb.Label{Name: l.Name, Value: l.Value})
		})
		for n := range s.Times {
			one.Samples = append(one.Samples, prompb.Sample{Timestamp: s.Times[n], Value: s.Values[n]})
		}
		written = append(written, one)
	}
	start, end := epoch.Add(10*time.Minute), epoch.Add(110*time.Minute)
	frames := func(where string, way promapi.Way) []detector.Frame {
		cfg, err := At(where)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Prometheus != nil {
			cfg.Prometheus.Way = way
		}
		s, err := Open(context.Background(), cfg, t.TempDir(), quiet(), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return collect(t, s, start, end, time.Minute)
	}
	want := frames(asTSDB(t, all), "")
	if len(want) != 100 {
		t.Fatalf("got %d frames from the directory, want 100", len(want))
	}
	server := servers.Prometheus(t, servers.PrometheusOptions{})
	server.Write(written)
	approx := cmp.Options{cmpopts.EquateApprox(1e-9, 1e-9), cmpopts.EquateEmpty()}
	for _, way := range []promapi.Way{promapi.RemoteRead, promapi.Steps, promapi.JSON} {
		opts := approx
		if way == promapi.Steps {
			// Without a stale marker, steps take an instance for gone at the
			// first step without it; raw samples wait for its next scrapes.
			opts = append(slices.Clone(opts), cmpopts.IgnoreFields(detector.Frame{}, "Builds"))
		}
		if diff := cmp.Diff(want, frames(server.URL, way), opts); diff != "" {
			t.Errorf("%s (-directory +server):\n%s", way, diff)
		}
	}
}
