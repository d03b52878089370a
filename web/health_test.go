package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/webtest"
)

func TestHealthAndMetrics(t *testing.T) {
	s := webtest.Start(t, func(o *web.Options) {
		o.Targets = func() []web.Target {
			return []web.Target{{Address: "a:1", Up: true}, {Address: "b:2", Error: "refused"}}
		}
	})
	text := func(path string) string {
		r := ask(t, "GET", s.URL+path, "")
		return fmt.Sprint(r.StatusCode, " ", r.body)
	}
	s.SetReady(false)
	if got := text("/-/ready"); got != "503 not ready: starting or stopping\n" {
		t.Error(got)
	}
	if got := text("/-/healthy"); got != "200 healthy\n" {
		t.Error(got)
	}
	s.SetReady(true)
	if got := text("/-/ready"); got != "200 ready\n" {
		t.Error(got)
	}
	if got := ask(t, "POST", s.URL+"/-/reload", "", "Authorization", bearer); got.StatusCode != 200 {
		t.Errorf("reload: %d %s", got.StatusCode, got.body)
	}
	var health struct{ Targets []web.Target }
	ask(t, "GET", s.URL+"/api/v1/health", "").decode(t, &health)
	if len(health.Targets) != 2 || health.Targets[0].Address != "b:2" {
		t.Errorf("those that are down don't come first: %+v", health.Targets)
	}
	ask(t, "GET", s.URL+"/api/v1/flags/nope", "")
	got := text("/metrics")
	for _, want := range []string{
		`aftershock_http_requests_total{code="404",route="GET /api/v1/flags/{key}"} 1`, `aftershock_http_request_duration_seconds_count{route="GET /api/v1/health"} 1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// broken is a journal that fails.
type broken struct {
	web.Journal
	panics bool
}

func (b broken) Upgrades(context.Context, journal.Page) ([]detector.Upgrade, string, error) {
	if b.panics {
		panic("a secret of the inside")
	}
	return nil, "", errors.New("a secret of the inside")
}

func (b broken) Ping(context.Context) error { return errors.New("no disk") }

func TestFailuresInside(t *testing.T) {
	for _, panics := range []bool{false, true} {
		s := webtest.Start(t, func(o *web.Options) {
			o.Journal = broken{o.Journal, panics}
			o.Review = func(_ context.Context, _, _ string, w http.ResponseWriter) error {
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, "half a review")
				return errors.New("a secret of the inside")
			}
		})
		for path, kind := range map[string]string{
			"/": "text/html; charset=utf-8", "/api/v1/upgrades": "application/problem+json",
			"/upgrades/x/report": "text/html; charset=utf-8", "/api/v1/upgrades/x/report": "application/problem+json",
		} {
			got := ask(t, "GET", s.URL+path, "")
			if got.StatusCode != 500 || got.Header.Get("Content-Type") != kind || strings.Contains(got.body, "secret") || strings.Contains(got.body, "half") {
				t.Errorf("%s: %d %s %s", path, got.StatusCode, got.Header.Get("Content-Type"), got.body)
			}
		}
		if got := ask(t, "GET", s.URL+"/-/ready", ""); got.StatusCode != 503 {
			t.Errorf("ready with a broken journal: %d", got.StatusCode)
		}
	}
}
