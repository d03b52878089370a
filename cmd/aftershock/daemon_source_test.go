package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aftershock/internal/servers"
)

// flaky stands between the daemon and a real Prometheus.
type flaky struct {
	server *httptest.Server
	to     string
	mode   atomic.Value // string
	asked  atomic.Int64
}

// Modes of flaky.
const (
	passing    = "passing"
	refusing   = "refusing"
	failing    = "failing"
	hanging    = "hanging"
	truncating = "truncating"
	lying      = "lying"
)

func newFlaky(t testing.TB, to string) *flaky {
	f := &flaky{to: to}
	f.mode.Store(refusing)
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	t.Cleanup(f.server.CloseClientConnections)
	return f
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	mode := f.mode.Load().(string)
	// Only who has read the request learns that its sender has gone.
	asked, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch mode {
	case refusing:
		panic(http.ErrAbortHandler)
	case failing:
		http.Error(w, "out of memory", http.StatusInternalServerError)
		return
	case hanging:
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Second):
		}
		return
	case lying:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>Please sign in</html>")
		return
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, f.to+r.URL.RequestURI(), bytes.NewReader(asked))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	out.Header = r.Header.Clone()
	resp, err := httpClient.Do(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	if mode == truncating {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(body)
}

// scrapedByPrometheus is a real Prometheus that has scraped the fleet so often.
func (f *fleet) scrapedByPrometheus(t testing.TB, times int) *servers.Server {
	t.Helper()
	text := "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n  - job_name: fleet\n    static_configs:\n"
	for _, p := range f.instances {
		text += fmt.Sprintf("      - {targets: [%q], labels: {service: %s, instance: %s}}\n", p.server.Listener.Addr(), p.service, p.name)
	}
	s := servers.Prometheus(t, servers.PrometheusOptions{Config: text})
	wait(t, 30*time.Second, "Prometheus to scrape", func() error {
		for _, p := range f.instances {
			if p.seen() < times {
				return fmt.Errorf("%s was scraped %d times", p.name, p.seen())
			}
		}
		return nil
	})
	return s
}

// A telemetry server that isn't there, fails, hangs, cuts its answers off or
// tells something else makes the daemon blind and says so; when it is back,
// every step that was missed is judged.
func TestDaemonCatchesUpWithItsServer(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	real := f.scrapedByPrometheus(t, 3)
	server := newFlaky(t, real.URL)
	h := newHome(t, config("", "  prometheus: {url: "+server.server.URL+", timeout: 2s, tries: 2}", "[]"))
	h.file("flags.json", definitions)
	p := h.start()
	began := time.Now()
	if err := p.get("/-/ready", nil); err != nil {
		t.Errorf("without its server the daemon isn't there for people: %v", err)
	}
	blind := func(word string) {
		t.Helper()
		wait(t, 20*time.Second, "the status to say "+word, func() error {
			s := must[statusAnswer](p, "/api/v1/status")
			if !strings.Contains(s.Watch.Blind, word) || strings.Contains(s.Watch.Blind, "\n") {
				return fmt.Errorf("it says %q", s.Watch.Blind)
			}
			return nil
		})
	}
	sees := func() time.Time {
		t.Helper()
		var s statusAnswer
		wait(t, 20*time.Second, "the daemon to see the present", func() error {
			s = must[statusAnswer](p, "/api/v1/status")
			if s.Watch.Blind != "" || time.Since(s.Watch.Time) > 5*time.Second || s.Watch.Indicators != 4 {
				return fmt.Errorf("status %+v", s)
			}
			return nil
		})
		return s.Watch.Time
	}
	blind(server.server.URL)
	server.mode.Store(passing)
	// The instant and the number of steps are of one moment: the daemon may be catching up.
	steady := func() (at time.Time, frames float64) {
		t.Helper()
		for {
			before := p.metric("aftershock_watch_frames_total")
			at = sees()
			if frames = p.metric("aftershock_watch_frames_total"); frames == before {
				return at, frames
			}
		}
	}
	from, frames := steady()
	for _, trouble := range []struct{ mode, word string }{
		{failing, "500"}, {hanging, ""}, {truncating, server.server.URL}, {lying, server.server.URL},
	} {
		server.mode.Store(trouble.mode)
		if trouble.mode == hanging {
			time.Sleep(6 * time.Second)
		}
		blind(trouble.word)
		if err := p.get("/api/v1/flags", nil); err != nil {
			t.Errorf("flags while the server is %s: %v", trouble.mode, err)
		}
		server.mode.Store(passing)
		sees()
	}
	to, all := steady()
	judged := all - frames
	if want := to.Sub(from).Seconds(); judged < want-1 || judged > want+2 {
		t.Errorf("%g steps were judged over %g seconds: want all of them, and none twice", judged, want)
	}
	// Both logs, of blindness and of sight, come once for each trouble.
	if n := len(p.log.lines("a step could not be read or put down")); n != 5 {
		t.Errorf("%d lines about 5 troubles in %s:\n%s", n, time.Since(began), p.log)
	}
	// The end comes soon, also while the server hangs.
	server.mode.Store(hanging)
	time.Sleep(1500 * time.Millisecond)
	p.stop()
}

// What the server has of the time before the start is judged as well, after a
// crash as at the first start.
func TestDaemonCatchesUpOnItsOwnAbsence(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	real := f.scrapedByPrometheus(t, 8)
	h := newHome(t, config("", "  prometheus: {url: "+real.URL+"}", "[]"))
	h.file("flags.json", definitions)
	began := time.Now()
	p := h.start()
	p.watching(4)
	wait(t, 15*time.Second, "the time before the start to be judged", func() error {
		if s := must[statusAnswer](p, "/api/v1/status"); s.Watch.Time.Before(began) {
			return fmt.Errorf("judged up to %s", s.Watch.Time)
		}
		return nil
	})
	if got := p.metric("aftershock_watch_frames_total"); got < 6 {
		t.Errorf("%g steps of the time before the start were judged, want at least 6", got)
	}
	last := must[statusAnswer](p, "/api/v1/status").Watch.Time
	p.kill()
	// The upgrade happens while nobody looks.
	f.upgrade(time.Second)
	time.Sleep(4 * time.Second)
	p = h.start()
	wait(t, 10*time.Second, "the upgrade of the meantime", func() error {
		all := must[items[struct {
			StartedAt time.Time `json:"started_at"`
		}]](p, "/api/v1/upgrades").Items
		if len(all) != 1 {
			return fmt.Errorf("%d upgrades", len(all))
		}
		if at := all[0].StartedAt; at.Before(last.Add(-2*time.Second)) || time.Since(at) < 3*time.Second {
			t.Errorf("the upgrade started at %s, want while the daemon was away", at)
		}
		return nil
	})
	if s := must[statusAnswer](p, "/api/v1/status"); s.Watch.Time.Before(last) {
		t.Error(errors.New("the status went back"), s, last)
	}
	p.stop()
}
