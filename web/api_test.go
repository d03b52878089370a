package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"aftershock/detector"
	"aftershock/flags/feed"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/webtest"
)

// reply is an answer, read.
type reply struct {
	*http.Response
	body string
}

func (r reply) decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), v); err != nil {
		t.Fatalf("%s is no JSON: %v", r.body, err)
	}
}

var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// ask sends a request; headers are names and values in turn.
func ask(t testing.TB, method, url, body string, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp, string(b)}
}

const bearer = "Bearer " + webtest.Token

func story(t testing.TB, change ...func(*web.Options)) *webtest.Server {
	s := webtest.Start(t, change...)
	s.Tell(t, webtest.Story(time.Now()))
	return s
}

func TestAPI(t *testing.T) {
	s := story(t, func(o *web.Options) {
		o.Reload = func() error { return errors.New("alerts.receivers[1].url: missing") }
	})
	record := `{"id":"next","started_at":"` + time.Now().UTC().Format(time.RFC3339) + `","binaries":[{"name":"dten-cart"}]}`
	future := `{"id":"later","started_at":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `","binaries":[{"name":"dten-cart"}]}`
	upgrade := "/api/v1/upgrades/" + webtest.UpgradeID
	for _, tc := range []struct {
		name, method, path, body, auth string
		status                         int
		want                           string // part of the body
	}{
		{"status", "GET", "/api/v1/status", "", "", 200, `"version":"1.2.3"`},
		{"health", "GET", "/api/v1/health", "", "", 200, `"targets":[]`},
		{"description", "GET", "/api/v1/openapi.yaml", "", "", 200, "openapi: 3.1.0"},
		{"upgrades", "GET", "/api/v1/upgrades", "", "", 200, `"id":"dten-4.2.0"`},
		{"upgrades, wrong limit", "GET", "/api/v1/upgrades?limit=-1", "", "", 400, "limit"},
		{"upgrades, huge limit", "GET", "/api/v1/upgrades?limit=9223372036854775807", "", "", 200, `"next":""`},
		{"upgrades, wrong cursor", "GET", "/api/v1/upgrades?after=%21", "", "", 400, "cursor"},
		{"upgrades, unknown parameter", "GET", "/api/v1/upgrades?upgarde=x", "", "", 400, `upgarde`},
		{"upgrades, twice the same", "GET", "/api/v1/upgrades?limit=1&limit=2", "", "", 400, "2 times"},
		{"upgrades, broken parameters", "GET", "/api/v1/upgrades?limit=%zz", "", "", 400, "escape"},
		{"record", "POST", "/api/v1/upgrades", record, bearer, 202, `"source":"record"`},
		{"record, bearer in small letters", "POST", "/api/v1/upgrades", record, "bearer " + webtest.Token, 202, `"next"`},
		{"record, no token", "POST", "/api/v1/upgrades", record, "", 401, "AFTERSHOCK_TOKEN"},
		{"record, wrong token", "POST", "/api/v1/upgrades", record, "Bearer wrong", 401, "AFTERSHOCK_TOKEN"},
		{"record, basic", "POST", "/api/v1/upgrades", record, "Basic " + webtest.Token, 401, "AFTERSHOCK_TOKEN"},
		{"record, unknown field", "POST", "/api/v1/upgrades", `{"binarys":[]}`, bearer, 400, "binarys"},
		{"record, later", "POST", "/api/v1/upgrades", future, bearer, 400, "future"},
		{"record, too big", "POST", "/api/v1/upgrades", strings.Repeat(" ", 1<<20+1), bearer, 413, "1048576"},
		{"upgrade", "GET", upgrade, "", "", 200, `"package":"Full-upgrade-package-dten.zip"`},
		{"upgrade, unknown", "GET", "/api/v1/upgrades/nope", "", "", 404, "nope"},
		{"close", "POST", upgrade + "/close", "", bearer, 202, webtest.UpgradeID},
		{"close, no token", "POST", upgrade + "/close", "", "", 401, "token"},
		{"close, unknown", "POST", "/api/v1/upgrades/nope/close", "", bearer, 404, "nope"},
		{"close, closed", "POST", "/api/v1/upgrades/dten-4.1.3/close", "", bearer, 409, "closed already"},
		{"verdicts", "GET", upgrade + "/verdicts", "", "", 200, `"verdict":"regressed"`},
		{"verdicts, unknown", "GET", "/api/v1/upgrades/nope/verdicts", "", "", 404, "nope"},
		{"report", "GET", upgrade + "/report", "", "", 200, "<!doctype html>"},
		{"report, md", "GET", upgrade + "/report?format=md", "", "", 200, "# "},
		{"report, json", "GET", upgrade + "/report?format=json", "", "", 200, "{"},
		{"report, wrong format", "GET", upgrade + "/report?format=pdf", "", "", 400, "pdf"},
		{"report, unknown", "GET", "/api/v1/upgrades/nope/report", "", "", 404, "nope"},
		{"events", "GET", "/api/v1/events?upgrade=dten-4.2.0", "", "", 200, `"event":"shift"`},
		{"events, wrong after", "GET", "/api/v1/events?after=x", "", "", 400, "after"},
		{"alerts", "GET", "/api/v1/alerts?state=firing", "", "", 200, `"state":"firing"`},
		{"alerts, none", "GET", "/api/v1/alerts?state=resolved", "", "", 200, `"items":[]`},
		{"alerts, pending", "GET", "/api/v1/alerts?state=pending", "", "", 200, `"items":[]`},
		{"alerts, wrong state", "GET", "/api/v1/alerts?state=fireing", "", "", 400, "fireing"},
		{"flags", "GET", "/api/v1/flags", "", "", 200, `"serving":"new"`},
		{"flag", "GET", "/api/v1/flags/payments-backoff", "", "", 200, `"safe":"legacy"`},
		{"flag, unknown", "GET", "/api/v1/flags/nope", "", "", 404, "payments-backoff"},
		{"set, no token", "PUT", "/api/v1/flags/payments-backoff", `{}`, "", 401, "token"},
		{"set, unknown flag", "PUT", "/api/v1/flags/nope", `{"variant":"x","reason":"y"}`, bearer, 404, "payments-backoff"},
		{"set, unknown variant", "PUT", "/api/v1/flags/payments-backoff", `{"variant":"x","reason":"y"}`, bearer, 400, "legacy"},
		{"set, no reason", "PUT", "/api/v1/flags/payments-backoff", `{"variant":"legacy"}`, bearer, 400, "reason"},
		{"set, unknown field", "PUT", "/api/v1/flags/payments-backoff", `{"varient":"legacy"}`, bearer, 400, "varient"},
		{"set, no body", "PUT", "/api/v1/flags/payments-backoff", ``, bearer, 400, "empty"},
		{"set, no JSON", "PUT", "/api/v1/flags/payments-backoff", `variant=legacy`, bearer, 400, "read the body"},
		{"set, two bodies", "PUT", "/api/v1/flags/payments-backoff", `{} {}`, bearer, 400, "after the JSON"},
		{"set, too big", "PUT", "/api/v1/flags/payments-backoff", `{"reason":"` + strings.Repeat("x", 1<<20) + `"}`, bearer, 413, "1048576"},
		{"set, old revision", "PUT", "/api/v1/flags/payments-backoff", `{"variant":"legacy","reason":"x","revision":99}`, bearer, 409, "revision"},
		{"set, disabled flag", "PUT", "/api/v1/flags/retired", `{"variant":"on","reason":"x"}`, bearer, 400, "disabled"},
		{"set, as it is", "PUT", "/api/v1/flags/payments-backoff", `{"variant":"new","reason":"x"}`, bearer, 400, "already"},
		{"set, dry run", "PUT", "/api/v1/flags/payments-backoff", `{"variant":"legacy","reason":"x","dry_run":true}`, bearer, 200, `"state":"planned"`},
		{"history, none", "GET", "/api/v1/flags/payments-backoff/history", "", "", 200, `"items":[]`},
		{"undo, nothing in force", "POST", "/api/v1/flags/payments-backoff/undo", `{"reason":"x"}`, bearer, 400, "in force"},
		{"undo, unknown", "POST", "/api/v1/flags/nope/undo", `{"reason":"x"}`, bearer, 404, "nope"},
		{"history, unknown", "GET", "/api/v1/flags/nope/history", "", "", 404, "nope"},
		{"set, a value", "PUT", "/api/v1/flags/payments-backoff", `{"variant":"tuned","value":{"attempts":4},"reason":"x","dry_run":true}`, bearer, 200, `"value":{"attempts":4}`},
		{"set, a value of another kind", "PUT", "/api/v1/flags/payments-backoff", `{"variant":"tuned","value":7,"reason":"x"}`, bearer, 400, "another kind"},
		{"tuning", "GET", "/api/v1/flags/payments-backoff/tuning?hours=2", "", "", 200, `"retries_per_call":{"value":0.07`},
		{"tuning, with a candidate", "GET", "/api/v1/flags/payments-backoff/tuning?candidates=%5B%7B%22base_ms%22%3A1%7D%5D", "", "", 200, `"name":"candidate 1"`},
		{"tuning, the chart", "GET", "/api/v1/flags/payments-backoff/tuning?format=svg", "", "", 200, `<svg xmlns`},
		{"tuning, unknown", "GET", "/api/v1/flags/nope/tuning", "", "", 404, "nope"},
		{"tuning of no constants", "GET", "/api/v1/flags/checkout-banner/tuning", "", "", 400, "tunes"},
		{"tuning, wrong hours", "GET", "/api/v1/flags/payments-backoff/tuning?hours=NaN", "", "", 400, "hours"},
		{"tuning, endless hours", "GET", "/api/v1/flags/payments-backoff/tuning?hours=1e300", "", "", 400, "hours"},
		{"tuning, wrong candidates", "GET", "/api/v1/flags/payments-backoff/tuning?candidates=7", "", "", 400, "candidates"},
		{"tuning, absurd candidates", "GET", "/api/v1/flags/payments-backoff/tuning?candidates=%5B%7B%22base_ms%22%3A-1%7D%5D", "", "", 400, "candidate 1"},
		{"tuning, wrong format", "GET", "/api/v1/flags/payments-backoff/tuning?format=pdf", "", "", 400, "pdf"},
		{"unknown path", "GET", "/api/v1/nope", "", "", 404, "/api/v1/nope"},
		{"wrong method", "DELETE", "/api/v1/flags", "", bearer, 405, "GET"},
		{"reload, no token", "POST", "/-/reload", "", "", 401, "token"},
		{"reload fails", "POST", "/-/reload", "", bearer, 400, "alerts.receivers[1].url"},
	} {
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
	recorded, closed := s.Loop.Told()
	if len(recorded) != 2 || recorded[0].ID != "next" || len(closed) != 1 || closed[0] != webtest.UpgradeID {
		t.Errorf("the watch was told of %v and %v", recorded, closed)
	}
}

func TestToggleByAPI(t *testing.T) {
	s := story(t)
	path := s.URL + "/api/v1/flags/payments-backoff"
	var set, undone detector.Toggle
	ask(t, "PUT", path, `{"variant":"legacy","reason":"p99 is up","actor":"ana","incident":"INC-42","upgrade":"dten-4.2.0","revision":1}`, "Authorization", bearer).decode(t, &set)
	if set.State != detector.ToggleVerified || set.Before != "new" || set.After != "legacy" || set.Actor != "ana" || set.Incident != "INC-42" || set.Upgrade != "dten-4.2.0" {
		t.Errorf("toggled: %+v", set)
	}
	ofrep := ask(t, "POST", s.URL+"/ofrep/v1/evaluate/flags/payments-backoff", `{"context":{}}`)
	if ofrep.StatusCode != 200 || !strings.Contains(ofrep.body, `"variant":"legacy"`) {
		t.Errorf("evaluation after the toggle: %d %s", ofrep.StatusCode, ofrep.body)
	}
	if got := ask(t, "PUT", path, `{"variant":"tuned","reason":"x","revision":1}`, "Authorization", bearer); got.StatusCode != 409 {
		t.Errorf("a toggle on an old revision: %d %s", got.StatusCode, got.body)
	}
	ask(t, "POST", path+"/undo", `{"reason":"done"}`, "Authorization", bearer).decode(t, &undone)
	if undone.State != detector.ToggleVerified || undone.After != "new" || undone.Actor != "someone with the token" {
		t.Errorf("undone: %+v", undone)
	}
	var history struct{ Items []detector.Toggle }
	ask(t, "GET", path+"/history", "").decode(t, &history)
	var states []string
	for _, x := range history.Items {
		states = append(states, x.After+" "+string(x.State))
	}
	if diff := cmp.Diff([]string{"new verified", "legacy undone"}, states); diff != "" {
		t.Error(diff)
	}
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

// Those that nobody was told of are shown when they are asked for.
func TestAlertsByState(t *testing.T) {
	s := webtest.Start(t)
	var tick journal.Tick
	for n, state := range []detector.AlertState{detector.AlertInactive, detector.AlertPending, detector.AlertFiring, detector.AlertResolved} {
		tick.Alerts = append(tick.Alerts, detector.Alert{Key: string(state), Upgrade: "u", State: state, StartsAt: time.Unix(int64(1e9-n), 0), Revision: 1})
	}
	s.Tell(t, tick)
	for query, want := range map[string]string{
		"": "firing resolved", "?state=all": "inactive pending firing resolved", "?state=inactive": "inactive", "?state=pending": "pending", "?state=resolved": "resolved",
	} {
		var list struct{ Items []detector.Alert }
		ask(t, "GET", s.URL+"/api/v1/alerts"+query, "").decode(t, &list)
		var got []string
		for _, a := range list.Items {
			got = append(got, string(a.State))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("alerts%s: got %v, want %s", query, got, want)
		}
	}
}

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

func TestServeLetsRequestsFinish(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	s := webtest.Start(t, func(o *web.Options) {
		o.Review = func(ctx context.Context, _, _ string, w http.ResponseWriter) error {
			close(begun)
			<-finish
			_, _ = io.WriteString(w, "whole")
			return ctx.Err()
		}
	})
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Get(s.URL + "/upgrades/x/report")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answered <- string(b)
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	for { // until the listener is closed, and the end thus under way
		resp, err := direct.Get(s.URL + "/-/healthy")
		if err != nil {
			break
		}
		resp.Body.Close()
	}
	close(finish)
	if got := <-answered; got != "whole" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestNewRefusesATakenPort(t *testing.T) {
	s := webtest.Start(t)
	o := web.Options{Config: web.Config{Listen: s.Addr()}, Registry: nil}
	if _, err := web.New(o); err == nil || !strings.Contains(err.Error(), "web.listen") {
		t.Errorf("got %v", err)
	}
}

func TestConfig(t *testing.T) {
	var c web.Config
	c.SetDefaults()
	if errs := c.Validate("web"); len(errs) != 0 || c.Listen != "127.0.0.1:8787" {
		t.Errorf("%+v: %v", c, errs)
	}
	c = web.Config{Listen: "nowhere", ExternalURL: "ftp://x"}
	got := fmt.Sprint(c.Validate("web"))
	if !strings.Contains(got, "web.listen") || !strings.Contains(got, "web.external_url") {
		t.Error(got)
	}
}

// TestOpenAPI holds the description against the routes, both ways.
func TestOpenAPI(t *testing.T) {
	source, err := os.ReadFile("routes.go")
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	for _, m := range regexp.MustCompile(`"(GET|POST|PUT|DELETE|PATCH) (/api/v1/[^"]*)"`).FindAllSubmatch(source, -1) {
		routes = append(routes, string(m[1])+" "+string(m[2]))
	}
	routes = append(routes, "POST /ofrep/v1/evaluate/flags", "POST /ofrep/v1/evaluate/flags/{key}", "GET "+feed.EventsPath, "GET "+feed.DefinitionsPath)
	b, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, methods := range doc.Paths {
		for method := range methods {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(described)
	if diff := cmp.Diff(routes, described); diff != "" || len(routes) < 10 {
		t.Errorf("routes and openapi.yaml differ (-routes +described):\n%s", diff)
	}
	for _, ref := range regexp.MustCompile(`#/components/(\w+)/(\w+)`).FindAllSubmatch(b, -1) {
		if !bytes.Contains(b, append([]byte("\n    "), append(ref[2], ':')...)) {
			t.Errorf("%s is nowhere defined", ref[0])
		}
	}
}
