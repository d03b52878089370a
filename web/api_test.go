package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/webtest"
)

// apiCase is a request of the API and what its answer must be.
type apiCase struct {
	name, method, path, body, auth string
	status                         int
	want                           string // part of the body
}

// answers asks for each in turn, and holds the answers against what they must be and
// against their description.
func answers(t *testing.T, s *webtest.Server, cases []apiCase) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var headers []string
			if tc.auth != "" {
				headers = []string{"Authorization", tc.auth}
			}
			got := ask(t, tc.method, s.URL+tc.path, tc.body, headers...)
			described(t, tc.method, tc.path, got)
			if got.StatusCode != tc.status || !strings.Contains(got.body, tc.want) {
				t.Fatalf("got %d %s, want %d with %q", got.StatusCode, got.body, tc.status, tc.want)
			}
			if strings.Contains(got.body, webtest.Token) || strings.Contains(got.body, "payload-of-a-job") {
				t.Error("a secret is in the answer")
			}
			if got.Header.Get("Cache-Control") != "no-store" && !strings.HasSuffix(tc.path, ".yaml") {
				t.Error("the answer may be cached")
			}
			if tc.status < 400 {
				return
			}
			var p struct {
				Type, Title, Detail string
				Status              int
			}
			got.decode(t, &p)
			if ct := got.Header.Get("Content-Type"); ct != "application/problem+json" || p.Status != tc.status || p.Title != http.StatusText(tc.status) || p.Type != "about:blank" || p.Detail == "" {
				t.Errorf("no whole problem document: %s %+v", ct, p)
			}
			if tc.status == 401 && got.Header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate with 401")
			}
			if tc.status == 405 && got.Header.Get("Allow") == "" {
				t.Error("no Allow with 405")
			}
		})
	}
}

func TestAPI(t *testing.T) {
	s := story(t, func(o *web.Options) {
		o.Reload = func() error { return errors.New("alerts.receivers[1].url: missing") }
	})
	answers(t, s, []apiCase{
		{"status", "GET", "/api/v1/status", "", "", 200, `"version":"1.2.3"`},
		{"health", "GET", "/api/v1/health", "", "", 200, `"targets":[]`},
		{"description", "GET", "/api/v1/openapi.yaml", "", "", 200, "openapi: 3.1.0"},
		{"unknown path", "GET", "/api/v1/nope", "", "", 404, "/api/v1/nope"},
		{"wrong method", "DELETE", "/api/v1/flags", "", bearer, 405, "GET"},
		{"reload, no token", "POST", "/-/reload", "", "", 401, "token"},
		{"reload fails", "POST", "/-/reload", "", bearer, 400, "alerts.receivers[1].url"},
	})
}

func TestPagination(t *testing.T) {
	s := webtest.Start(t)
	var tick journal.Tick
	start := time.Now().UTC().Truncate(time.Second)
	for n := range 7 {
		at, id := start.Add(-time.Duration(n)*time.Hour), fmt.Sprintf("u%d", n)
		i := webtest.Indicator(detector.Error, "m", "service", id)
		tick.Upgrades = append(tick.Upgrades, detector.Upgrade{ID: id, StartedAt: at, Binaries: []detector.Binary{{Name: "b"}}})
		tick.Events = append(tick.Events, detector.Event{Time: at, Event: detector.EventVerdict, Upgrade: id, Indicator: &i})
		tick.Alerts = append(tick.Alerts, detector.Alert{Key: id, Upgrade: id, State: detector.AlertFiring, StartsAt: at, Revision: 1})
	}
	s.Tell(t, tick)
	want := []string{"u0", "u1", "u2", "u3", "u4", "u5", "u6"}
	for _, list := range []string{"upgrades", "events", "alerts"} {
		var got []string
		next := ""
		for range 10 {
			var page struct {
				Items []struct{ ID, Key, Upgrade any }
				Next  string
			}
			url := s.URL + "/api/v1/" + list + "?limit=3"
			if next != "" {
				url += "&after=" + next
			}
			ask(t, "GET", url, "").decode(t, &page)
			if len(page.Items) > 3 {
				t.Fatalf("%s: %d items with limit 3", list, len(page.Items))
			}
			for _, i := range page.Items {
				id := i.ID
				if list != "upgrades" {
					id = i.Upgrade
				}
				got = append(got, fmt.Sprint(id))
			}
			if next = page.Next; next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", list, diff)
		}
	}
}
