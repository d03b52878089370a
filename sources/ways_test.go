package sources

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"aftershock/detector"
	"aftershock/internal/servers"
	"aftershock/sources/scrape"
	"aftershock/sources/series"
	"aftershock/sources/tsdbdir"
)

// exporter is a service whose counters grow with every scrape and start anew
// once, as after a restart.
func exporter(t *testing.T) string {
	t.Helper()
	var scrapes atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := scrapes.Add(1)
		if n > 6 {
			n -= 6
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, `# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.1"} %d
http_request_duration_seconds_bucket{le="0.5"} %d
http_request_duration_seconds_bucket{le="+Inf"} %d
http_request_duration_seconds_sum %d
http_request_duration_seconds_count %d
# TYPE tp_requests_total counter
tp_requests_total{peer="p"} %d
# TYPE tp_retries_total counter
tp_retries_total{peer="p"} %d
# TYPE s_build_info gauge
s_build_info{version="1.%d"} 1
`, 7*n, 9*n, 10*n, 3*n, 10*n, 20*n, 3*n, scrapes.Load()/7)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// One recording, made by own scraping, gives equal frames in all four ways.
func TestAllWaysGiveEqualFrames(t *testing.T) {
	ctx, stop := context.WithTimeout(context.Background(), 13*time.Second)
	defer stop()
	dir := t.TempDir()
	cfg := Config{Scrape: &scrape.Config{
		Interval: model.Duration(time.Second), Timeout: model.Duration(900 * time.Millisecond),
		Targets: []scrape.Group{{Targets: []string{exporter(t)}, Labels: map[string]string{"service": "s", "instance": "s-0"}}},
	}}
	own, err := Open(ctx, cfg, dir, quiet(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now().Truncate(time.Second)
	if err := own.Run(ctx); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Truncate(time.Second)
	want := collect(t, own, start, end, time.Second)
	points := 0
	for _, f := range want {
		points += len(f.Points)
	}
	if points < 12 {
		t.Fatalf("own scraping gave %d points in %d frames, want at least 12", points, len(want))
	}
	if err := own.Close(); err != nil {
		t.Fatal(err)
	}
	raw := samples(t, filepath.Join(dir, "tsdb"), start.Add(-time.Second), end.Add(time.Second))

	text := filepath.Join(t.TempDir(), "recording.om")
	if err := os.WriteFile(text, openMetrics(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	server := servers.Prometheus(t, servers.PrometheusOptions{Major: 3})
	server.Write(remoteWrite(raw))
	for way, where := range map[string]string{
		"TSDB directory": filepath.Join(dir, "tsdb"), "OpenMetrics file": text, "Prometheus API": server.URL,
	} {
		at, err := At(where)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(context.Background(), at, t.TempDir(), quiet(), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		got := collect(t, s, start, end, time.Second)
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 1e-9), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(detector.Frame{})); diff != "" {
			t.Errorf("%s differs from own scraping (-own +%s):\n%s", way, way, diff)
		}
		_ = s.Close()
	}
}

// samples reads everything that the directory holds.
func samples(t *testing.T, dir string, start, end time.Time) []series.Series {
	t.Helper()
	d, err := tsdbdir.Open(tsdbdir.Config{Path: dir}, slogTo(quiet()))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var out []series.Series
	err = d.Series(context.Background(), start, end, func(s series.Series) error {
		s.Times, s.Values = append([]int64(nil), s.Times...), append([]float64(nil), s.Values...)
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func openMetrics(all []series.Series) []byte {
	var b strings.Builder
	for _, s := range all {
		var pairs []string
		s.Labels.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel {
				pairs = append(pairs, fmt.Sprintf("%s=%q", l.Name, l.Value))
			}
		})
		for i := range s.Times {
			if s.Values[i] == s.Values[i] { // stale markers have no text form
				fmt.Fprintf(&b, "%s{%s} %v %d.%03d\n", s.Labels.Get(model.MetricNameLabel), strings.Join(pairs, ","), s.Values[i], s.Times[i]/1000, s.Times[i]%1000)
			}
		}
	}
	b.WriteString("# EOF\n")
	return []byte(b.String())
}

func remoteWrite(all []series.Series) []prompb.TimeSeries {
	var out []prompb.TimeSeries
	for _, s := range all {
		var one prompb.TimeSeries
		s.Labels.Range(func(l labels.Label) {
			one.Labels = append(one.Labels, prompb.Label{Name: l.Name, Value: l.Value})
		})
		for i := range s.Times {
			one.Samples = append(one.Samples, prompb.Sample{Timestamp: s.Times[i], Value: s.Values[i]})
		}
		out = append(out, one)
	}
	return out
}
