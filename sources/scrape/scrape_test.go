package scrape

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aftershock/sources/series"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/value"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
)

// page is a server whose metrics page can be changed.
type page struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	accept atomic.Pointer[string]
}

func newPage(t testing.TB, h http.HandlerFunc) *page {
	t.Helper()
	p := &page{}
	p.set(h)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := r.Header.Get("Accept")
		p.accept.Store(&a)
		(*p.answer.Load())(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *page) set(h http.HandlerFunc) { p.answer.Store(&h) }

func (p *page) addr() string { return strings.TrimPrefix(p.URL, "http://") }

func text(body string) http.HandlerFunc { return typed("text/plain; version=0.0.4", body) }

func typed(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

// quiet is a logger whose lines a test can look at.
func quiet() (*logrus.Logger, *logtest.Hook) { return logtest.NewNullLogger() }

func testConfig(addrs ...string) Config {
	// Tests that scrape by hand aren't held up by a busy machine.
	c := Config{Interval: model.Duration(time.Minute), Timeout: model.Duration(time.Minute), Targets: []Group{{Targets: addrs, Labels: map[string]string{"service": "checkout"}}}}
	c.SetDefaults()
	return c
}

func open(t testing.TB, c Config, dir string) (*Scraper, *logtest.Hook) {
	t.Helper()
	log, hook := quiet()
	s, err := Open(t.Context(), c, dir, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	s.wanted = func(string) bool { return true } // the tests' metrics have short names
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, hook
}

// loops makes the loops of the configuration without running them, so that a
// test scrapes when it wants to.
func loops(t testing.TB, s *Scraper) []*loop {
	t.Helper()
	var ls []*loop
	for _, g := range s.plan.Targets {
		for _, e := range s.plan.endpoints(g) {
			l := s.newLoop(e)
			l.set = s.plan.set
			ls = append(ls, l)
		}
	}
	return ls
}

// dump reads all that is stored, as "name{labels}" to its samples in words.
func dump(t testing.TB, s *Scraper) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := s.Series(context.Background(), time.Unix(0, 0), time.Now().Add(time.Hour), func(se series.Series) error {
		name := se.Labels.String()
		for i := range se.Times {
			var w string
			switch {
			case se.Histograms != nil && value.IsStaleNaN(se.Histograms[i].Sum):
				w = "stale"
			case se.Histograms != nil:
				w = fmt.Sprintf("hist(%g)", se.Histograms[i].Count)
			case value.IsStaleNaN(se.Values[i]):
				w = "stale"
			default:
				w = fmt.Sprintf("%g", se.Values[i])
			}
			out[name] = append(out[name], w)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pick keeps the series whose metric name begins with prefix, without instance.
func pick(all map[string][]string, prefix, instance string) map[string][]string {
	out := map[string][]string{}
	for k, v := range all {
		if strings.HasPrefix(k, `{__name__="`+prefix) {
			out[strings.ReplaceAll(k, instance, "INST")] = v
		}
	}
	return out
}

var base = time.UnixMilli(time.Now().Add(-10 * time.Minute).UnixMilli())

func at(i int) time.Time { return base.Add(time.Duration(i) * time.Second) }

func TestStaleMarkersWhereSeriesAndTargetsEnd(t *testing.T) {
	p := newPage(t, text("a 1\nb{x=\"1\",service=\"own\"} 2\n"))
	s, hook := open(t, testConfig(p.addr()), t.TempDir())
	l := loops(t, s)[0]
	l.scrape(t.Context(), at(1))
	p.set(text("a 2\n"))
	l.scrape(t.Context(), at(2))
	p.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	l.scrape(t.Context(), at(3))
	l.scrape(t.Context(), at(4))
	p.set(text("a 3\n"))
	l.scrape(t.Context(), at(5))
	if err := l.retire(t.Context(), at(6)); err != nil {
		t.Fatal(err)
	}
	got := dump(t, s)
	want := map[string][]string{
		`{__name__="a", instance="INST", job="aftershock", service="checkout"}`:                                {"1", "2", "stale", "3", "stale"},
		`{__name__="b", exported_service="own", instance="INST", job="aftershock", service="checkout", x="1"}`: {"2", "stale"},
	}
	if d := cmp.Diff(want, merge(pick(got, `a"`, p.addr()), pick(got, `b"`, p.addr()))); d != "" {
		t.Errorf("series (-want +got):\n%s", d)
	}
	wantUp := map[string][]string{`{__name__="up", instance="INST", job="aftershock", service="checkout"}`: {"1", "1", "0", "0", "1", "stale"}}
	if d := cmp.Diff(wantUp, pick(got, "up", p.addr())); d != "" {
		t.Errorf("up (-want +got):\n%s", d)
	}
	wantSamples := []string{"2", "1", "0", "0", "1", "stale"}
	for _, v := range pick(got, "scrape_samples_scraped", p.addr()) {
		if d := cmp.Diff(wantSamples, v); d != "" {
			t.Errorf("scrape_samples_scraped (-want +got):\n%s", d)
		}
	}
	wantLog := []string{"Target can't be scraped: target answers with status 503 Service Unavailable: see the target's own log", "Target is scraped again"}
	if d := cmp.Diff(wantLog, lines(hook)); d != "" {
		t.Errorf("log (-want +got):\n%s", d)
	}
}

func merge(ms ...map[string][]string) map[string][]string {
	out := map[string][]string{}
	for _, m := range ms {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// lines are the log's lines from info up with their errors.
func lines(hook *logtest.Hook) []string {
	var out []string
	for _, e := range hook.AllEntries() {
		if e.Level > logrus.InfoLevel {
			continue
		}
		line := e.Message
		if err, ok := e.Data[logrus.ErrorKey].(error); ok {
			line += ": " + err.Error()
		}
		out = append(out, line)
	}
	return out
}

// TestSeriesBounds reads (start, end] of what the fold wants alone.
func TestSeriesBounds(t *testing.T) {
	p := newPage(t, text("request_duration_seconds_count 1\ngo_goroutines 7\n"))
	s, _ := open(t, testConfig(p.addr()), t.TempDir())
	s.wanted = series.Wanted
	l := loops(t, s)[0]
	for i := range 5 {
		l.scrape(t.Context(), at(i))
	}
	got := map[string][]int64{}
	err := s.Series(t.Context(), at(1), at(3), func(se series.Series) error {
		name := se.Labels.Get("__name__")
		got[name] = append(got[name], se.Times...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	times := []int64{at(2).UnixMilli(), at(3).UnixMilli()}
	if d := cmp.Diff(map[string][]int64{"request_duration_seconds_count": times, "up": times}, got); d != "" {
		t.Errorf("times by metric (-want +got):\n%s", d)
	}
}

// TestFormats scrapes a client_golang exporter in each format.
func TestFormats(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "request_duration_seconds", Buckets: []float64{.1, 1}, NativeHistogramBucketFactor: 1.1,
	})
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "calls_total"})
	reg.MustRegister(h, c)
	for _, v := range []float64{.05, .5, 5} {
		h.Observe(v)
		c.Inc()
	}
	created := time.Now()
	handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true})
	for _, tt := range []struct {
		name, accept string
		native       bool
		starts       bool
	}{
		{"protobuf", acceptProto, true, true},
		{"openmetrics", acceptText, false, true},
		{"text", "text/plain", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPage(t, handler.ServeHTTP)
			s, _ := open(t, testConfig(p.addr()), t.TempDir())
			l := loops(t, s)[0]
			set := *l.set
			set.accept = tt.accept
			l.set = &set
			l.scrape(t.Context(), time.Now())
			if got := s.targetError(l); got != "" {
				t.Fatal(got)
			}
			if !strings.HasPrefix(*p.accept.Load(), tt.accept) {
				t.Errorf("Accept = %q", *p.accept.Load())
			}
			counts := map[string]float64{}
			err := s.Series(t.Context(), created.Add(-time.Minute), time.Now().Add(time.Minute), func(se series.Series) error {
				name := se.Labels.Get("__name__") + se.Labels.Get("le")
				own := !strings.HasPrefix(name, "scrape_") && name != "up"
				if se.Histograms != nil {
					counts["native "+name] = se.Histograms[0].Count
				} else if own {
					counts[name] = se.Values[0]
				}
				switch {
				case own && tt.starts:
					if len(se.Starts) != 1 || math.Abs(float64(se.Starts[0]-created.UnixMilli())) > 5000 {
						t.Errorf("starts of %s = %v, want about %d", name, se.Starts, created.UnixMilli())
					}
				case se.Starts != nil:
					t.Errorf("starts of %s = %v, want none", name, se.Starts)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]float64{
				"calls_total": 3, "request_duration_seconds_bucket0.1": 1, "request_duration_seconds_bucket1.0": 2,
				"request_duration_seconds_bucket+Inf": 3, "request_duration_seconds_count": 3, "request_duration_seconds_sum": 5.55,
			}
			if tt.native {
				want["native request_duration_seconds"] = 3
			}
			if d := cmp.Diff(want, counts); d != "" {
				t.Errorf("samples (-want +got):\n%s", d)
			}
		})
	}
}

func (s *Scraper) targetError(l *loop) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.Error
}

// TestRun scrapes by itself, follows a file of targets and a reload, and ends.
func TestRun(t *testing.T) {
	var n atomic.Int64
	p := newPage(t, func(w http.ResponseWriter, r *http.Request) {
		text(fmt.Sprintf("hits_total %d\n", n.Add(1)))(w, r)
	})
	dir := t.TempDir()
	file := dir + "/targets.json"
	writeFile(t, file, fmt.Sprintf(`[{"targets": [%q], "labels": {"service": "file", "instance": "pod-1"}}]`, p.addr()))
	c := testConfig(p.addr())
	c.Interval, c.Timeout = model.Duration(100*time.Millisecond), model.Duration(100*time.Millisecond)
	c.Files = []string{file}
	s, _ := open(t, c, dir)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()

	services := func() (up []string) {
		for _, st := range s.Targets() {
			if st.Up {
				up = append(up, st.Labels["service"]+"/"+strings.ReplaceAll(st.Labels["instance"], p.addr(), "INST"))
			}
		}
		sort.Strings(up)
		return up
	}
	eventually(t, "both targets up", func() bool { return cmp.Equal(services(), []string{"checkout/INST", "file/pod-1"}) })

	writeFile(t, file+".new", fmt.Sprintf("[{\"targets\": [%q], \"labels\": {\"service\": \"other\"}}]", p.addr()))
	rename(t, file+".new", file)
	eventually(t, "the file's new target", func() bool { return cmp.Equal(services(), []string{"checkout/INST", "other/INST"}) })

	c.Files = nil
	if err := s.Reload(c); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first target alone", func() bool { return cmp.Equal(services(), []string{"checkout/INST"}) })
	if err := s.Reload(Config{Interval: model.Duration(time.Second), Scheme: "ftp"}); err == nil || !strings.Contains(err.Error(), "sources.scrape.scheme") {
		t.Errorf("reload of a wrong configuration: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := s.Reload(c); err != nil {
		t.Errorf("reload while nothing runs: %v", err)
	}
	for k, v := range pick(dump(t, s), "hits_total", p.addr()) {
		last := v[len(v)-1]
		if wantStale := !strings.Contains(k, `service="checkout"`); (last == "stale") != wantStale {
			t.Errorf("%s ends with %s, want stale: %t", k, last, wantStale)
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("didn't see within 10 s: %s", what)
		}
	}
}

func writeFile(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
