package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The load: so many consoles are open, and so many requests a second come on top.
const (
	consoles    = 200
	askedEvery  = 20 * time.Millisecond
	shop        = 2000 // indicators
	consolePath = "/events/console"
)

// requested are the pages and lists that the requests are for, in turn.
var requested = []string{"/", "/api/v1/status", "/flags", "/health", "/api/v1/flags", "/api/v1/upgrades", "/flags/receipts?variant=off", "/upgrades/shop-2"}

// newShop serves the counters of two thousand routes, which rise with the time.
func newShop(t *testing.T) (address string) {
	t.Helper()
	began := time.Now()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := int(time.Since(began).Seconds()*100) + 1
		fmt.Fprintln(w, "# TYPE http_requests_total counter")
		for route := range shop {
			fmt.Fprintf(w, "http_requests_total{http_route=\"/r/%d\",code=\"200\"} %d\n", route, n*(1+route%7))
			fmt.Fprintf(w, "http_requests_total{http_route=\"/r/%d\",code=\"500\"} %d\n", route, n*(1+route%7)/100)
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// load is what the requests came to.
type load struct {
	mu     sync.Mutex
	took   []time.Duration
	faults []string
}

func (l *load) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// ask asks for a page, and counts it.
func (l *load) ask(c *http.Client, url string) {
	began := time.Now()
	resp, err := c.Get(url)
	if err != nil {
		l.fault("%v", err)
		return
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || n == 0 {
		l.fault("%s: %d, %d bytes, %v", url, resp.StatusCode, n, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, time.Since(began))
}

// keepOpen is one console on a connection of its own, until ctx ends: the stream that tells
// it of changes, or, where there is none, a page that is loaded again and again.
func (l *load) keepOpen(ctx context.Context, url string, opened func()) {
	c := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+consolePath, http.NoBody)
	if err != nil {
		l.fault("%v", err)
		return
	}
	resp, err := c.Do(req)
	opened()
	if err != nil {
		l.fault("open a console: %v", err)
		return
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		if ctx.Err() == nil {
			l.fault("a stream ended: %v", err)
		}
		return
	}
	var pages load
	for ctx.Err() == nil {
		pages.ask(c, url+"/health")
		select {
		case <-ctx.Done():
		case <-time.After(15 * time.Second):
		}
	}
	for _, f := range pages.faults {
		l.fault("%s", f)
	}
}

// lags looks for a while how far the last step that was judged lies back.
func lags(p *process, during time.Duration) (all []time.Duration) {
	p.t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		all = append(all, time.Since(must[statusAnswer](p, "/api/v1/status").Watch.Time))
	}
	return all
}

// share is the least of all that so large a share lies at or below.
func share(all []time.Duration, of float64) time.Duration {
	slices.Sort(all)
	return all[min(int(of*float64(len(all))), len(all)-1)].Round(100 * time.Microsecond)
}

// TestConsolesBesideTheWatch: two hundred open consoles and fifty requests a second, beside a
// daemon that watches an upgrade over two thousand indicators, meet no error.
// CONSOLE_SECONDS has it measure for longer (make bench-console).
func TestConsolesBesideTheWatch(t *testing.T) {
	during := 5 * time.Second
	if long := os.Getenv("CONSOLE_SECONDS"); long != "" {
		d, err := time.ParseDuration(long + "s")
		if err != nil {
			t.Fatal(err)
		}
		during = d
	}
	h := newHome(t, strings.Replace(config("", `  scrape: {interval: 2s, retention: 1d, targets: [{targets: ["`+newShop(t)+`"], labels: {service: shop}}]}`, "[]"),
		fastWatch, "{step: 2s, day: 60s, lag: 2s, baseline: 60s, duration: 1h, warmup: 4s}", 1))
	h.file("flags.json", definitions)
	p := h.start()
	wait(t, time.Minute, "all indicators", func() error {
		if n := must[statusAnswer](p, "/api/v1/status").Watch.Indicators; n < shop {
			return fmt.Errorf("%d are known", n)
		}
		return nil
	})
	upgrade := map[string]any{"id": "shop-2", "started_at": time.Now().UTC(), "binaries": []any{map[string]any{"name": "shop", "selector": map[string]string{"service": "shop"}}}}
	if err := p.do(http.MethodPost, "/api/v1/upgrades", upgrade, nil); err != nil {
		t.Fatal(err)
	}
	wait(t, time.Minute, "the upgrade", func() error { return p.get("/api/v1/upgrades/shop-2", nil) })
	before := lags(p, max(during/4, 4*time.Second))

	var l load
	ctx, cancel := context.WithCancel(t.Context())
	var all, opened sync.WaitGroup
	opened.Add(consoles)
	for range consoles {
		all.Go(func() { l.keepOpen(ctx, p.url, opened.Done) })
	}
	opened.Wait()
	all.Go(func() {
		c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 50}}
		defer c.CloseIdleConnections()
		tick := time.NewTicker(askedEvery)
		defer tick.Stop()
		for n := range int(during / askedEvery) {
			<-tick.C
			all.Go(func() { l.ask(c, p.url+requested[n%len(requested)]) })
		}
		cancel()
	})
	meanwhile := lags(p, during)
	all.Wait()
	for _, f := range l.faults {
		t.Error(f)
	}
	if want := int(during/askedEvery) * 9 / 10; len(l.took) < want {
		t.Errorf("%d requests in %s, want %d", len(l.took), during, want)
	}
	t.Logf("%d consoles, %d requests in %s, %d errors: median %s, p99 %s, longest %s", consoles, len(l.took), during, len(l.faults),
		share(l.took, 0.5), share(l.took, 0.99), share(l.took, 1))
	t.Logf("the last step judged lies back, before: median %s, longest %s; meanwhile: median %s, longest %s",
		share(before, 0.5), share(before, 1), share(meanwhile, 0.5), share(meanwhile, 1))
	if n := p.metric(`aftershock_watch_failures_total`); n != 0 {
		t.Errorf("the watch failed %v times", n)
	}
}
