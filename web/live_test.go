package web_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"aftershock/detector"
	"aftershock/internal/servers"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/access"
	"aftershock/web/webtest"
)

const livePath = "/events/console"

// within waits for one event.
func within(t *testing.T, events <-chan string) string {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the stream ended")
		}
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was told")
	}
	return ""
}

// TestChangesAreTold: a stream begins with the revision that a page has which was read
// meanwhile, and tells the next.
func TestChangesAreTold(t *testing.T) {
	s := story(t)
	page := ask(t, "GET", s.URL+"/", "").body
	events := listen(t, s.URL+livePath)
	first := within(t, events)
	if !strings.Contains(page, `<meta name="revision" content="`+first+`">`) {
		t.Errorf("the page isn't at revision %q", first)
	}
	s.Tell(t, journal.Tick{Time: time.Now(), Upgrades: []detector.Upgrade{{ID: "next", StartedAt: time.Now().UTC()}}})
	second := within(t, events)
	if page := ask(t, "GET", s.URL+"/", "").body; second == first || !strings.Contains(page, `content="`+second+`"`) || !strings.Contains(page, "/upgrades/next") {
		t.Errorf("after %q came %q, which the page isn't at", first, second)
	}
	other := webtest.Start(t)
	if got := within(t, listen(t, other.URL+livePath)); got == first || got == second {
		t.Error("two runs have the same revision")
	}
}

// TestPagesRenewThemselves: by a script where there are any, else by reloading.
func TestPagesRenewThemselves(t *testing.T) {
	s := story(t)
	for _, path := range []string{"/", "/upgrades/" + webtest.UpgradeID, "/health", pageOf(webtest.Story(time.Now()).Verdicts[0])} {
		got := ask(t, "GET", s.URL+path, "").body
		if !strings.Contains(got, `<noscript><meta http-equiv="refresh" content="15"></noscript>`) || !strings.Contains(got, `<script src="/live.js" defer></script>`) {
			t.Errorf("%s doesn't renew itself", path)
		}
	}
	if got := ask(t, "GET", s.URL+"/flags/payments-backoff", "").body; strings.Contains(got, "live.js") {
		t.Error("a page with a form renews itself")
	}
	if got := ask(t, "GET", s.URL+"/live.js", ""); got.StatusCode != 200 || got.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || len(got.body) > 8000 {
		t.Errorf("the script: %d, %v, %d bytes", got.StatusCode, got.Header, len(got.body))
	}
}

// TestLiveTakesAViewer where reading does.
func TestLiveTakesAViewer(t *testing.T) {
	path, tokens := people(t)
	s := story(t, func(o *web.Options) { o.Config.Access = access.Config{TokensFile: path, Read: "viewer"} })
	if got := ask(t, "GET", s.URL+livePath, ""); got.StatusCode != 401 {
		t.Errorf("nobody: %d", got.StatusCode)
	}
	within(t, listen(t, s.URL+livePath, "Authorization", "Bearer "+tokens[access.Viewer]))
}

// TestManyLiveStreams: those beyond the bound are refused, and may come when others left.
func TestManyLiveStreams(t *testing.T) {
	s := story(t)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	open := func(ctx context.Context) int {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+livePath, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.Header.Get("Retry-After") == "" {
				t.Error("a refusal doesn't say when to come again")
			}
		}
		return resp.StatusCode
	}
	for n := range 500 {
		if got := open(ctx); got != 200 {
			t.Fatalf("stream %d: %d", n, got)
		}
	}
	if got := open(t.Context()); got != 503 {
		t.Errorf("stream 501: %d, want 503", got)
	}
	if got := ask(t, "GET", s.URL+"/", ""); got.StatusCode != 200 {
		t.Errorf("the page beside them: %d", got.StatusCode)
	}
	leave()
	for until := time.Now().Add(20 * time.Second); open(t.Context()) != 200; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("no stream is free after all were left")
		}
	}
}

// TestStopEndsLiveStreams: they don't hold up the daemon's stop.
func TestStopEndsLiveStreams(t *testing.T) {
	s := story(t)
	events := listen(t, s.URL+livePath)
	within(t, events)
	began := time.Now()
	if err := s.Stop(); err != nil || time.Since(began) > 4*time.Second {
		t.Errorf("the stop: %v after %s", err, time.Since(began))
	}
	if e, ok := <-events; ok {
		t.Errorf("the stream went on with %s", e)
	}
}

// opened is a page in a real browser.
func opened(t *testing.T, url string) context.Context {
	t.Helper()
	ctx := servers.Chromium(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// TestRenewedInBrowser: the main part changes under the reader's eyes, who loses neither
// the focus nor what is open; and a daemon that is gone is told.
func TestRenewedInBrowser(t *testing.T) {
	s := story(t)
	tick := webtest.Story(time.Now())
	v := tick.Verdicts[0]
	page := opened(t, s.URL+pageOf(v))
	run := func(script string) string {
		t.Helper()
		got, err := chromedp.Run(page, chromedp.Evaluate[string](script))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	until := func(script, want string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			got := run(script)
			if strings.Contains(got, want) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s gives %q, and never %q", script, got, want)
			}
		}
	}
	run(`window.same = 'yes'; document.getElementById('arithmetic').open = true; document.querySelector('main a[href="/upgrades/dten-4.2.0"]').focus(); ''`)
	v.Warnings = []string{"a gap of 7 steps"}
	s.Tell(t, journal.Tick{Time: time.Now(), Verdicts: []detector.Verdict{v}})
	until(`document.getElementById('main').textContent`, "a gap of 7 steps")
	if got := run(`[window.same, document.getElementById('arithmetic').open, document.getElementById('buckets').open, document.activeElement.getAttribute('href')].join()`); got != "yes,true,false,/upgrades/dten-4.2.0" {
		t.Errorf("after the renewal: %s", got)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	run(`document.dispatchEvent(new Event('visibilitychange')); ''`)
	until(`document.getElementById('live').textContent`, "can't be renewed")
	if got := run(`document.getElementById('main').textContent`); !strings.Contains(got, "a gap of 7 steps") {
		t.Error("the page is gone with the daemon")
	}
}
