package web_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
)

func TestFlagsByAPI(t *testing.T) {
	answers(t, story(t), []apiCase{
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
	})
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
