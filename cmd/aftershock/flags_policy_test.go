package main

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/flags/policy"
	"aftershock/web/webtest"
)

// asked is a daemon whose policy asks for one approval of the one flag.
func asked(t *testing.T) *webtest.Server {
	t.Helper()
	s := webtest.StartFlags(t, policy.Config{Flags: map[string]policy.Rule{"payments-backoff": {Approval: "one"}}})
	t.Setenv("AFTERSHOCK_SERVER", s.URL)
	t.Setenv("AFTERSHOCK_TOKEN", webtest.Token)
	return s
}

func TestFlagsOfAPolicy(t *testing.T) {
	s := asked(t)
	words := func(text string) []string { return strings.Fields(text) }
	set := call(t, "", append(words("flags set checkout-banner on --percent 25% --region eu-1 --instance a,b --expires 8h --on-expiry undo --actor ana --reason"), "try it")...)
	if set.status != 0 || !strings.Contains(set.out, "in scope (25% of the callers in region eu-1 on instances a, b) and out of it") {
		t.Fatalf("set: %+v", set)
	}
	show := call(t, "", "flags", "show", "checkout-banner")
	for _, want := range []string{"on for 25% of the callers in region eu-1 on instances a, b, ", ", expires at ", " and is undone then", "approval none, automation propose"} {
		if !strings.Contains(show.out, want) {
			t.Errorf("show lacks %q:\n%s", want, show.out)
		}
	}
	dry := call(t, "", words("flags set payments-backoff legacy --percent 25 --reason x --dry-run")...)
	if dry.status != 0 || !strings.Contains(dry.out, `25% of the callers will get "legacy" instead of "new"; everybody else keeps what they get; one person other than the planner must approve it`) {
		t.Errorf("dry run: %+v", dry)
	}
	plan := call(t, "", words("flags set payments-backoff legacy --actor ana --reason p99")...)
	if plan.status != 0 || !strings.Contains(plan.out, "It waits for another person's approval") || !strings.Contains(plan.out, "aftershock flags approve ") {
		t.Fatalf("plan: %+v", plan)
	}
	waiting, err := s.Board.Waiting(t.Context())
	if err != nil || len(waiting) != 1 {
		t.Fatalf("waiting: %v, %v", waiting, err)
	}
	id := waiting[0].ID
	if got := call(t, "", "flags", "freeze", "--reason", "game day", "--actor", "ana"); got.status != 0 || !strings.Contains(got.out, "is frozen, over restarts") {
		t.Errorf("freeze: %+v", got)
	}
	list := call(t, "", "flags", "list")
	for _, want := range []string{"The automation is frozen by ana since ", ": game day\n", "payments-backoff -> legacy for everyone: planned, waits for approval by one person on call other than ana\n  by ana: p99\n  aftershock flags approve " + id + "\n"} {
		if !strings.Contains(list.out, want) {
			t.Errorf("list lacks %q:\n%s", want, list.out)
		}
	}
	if got := call(t, "", "flags", "unfreeze", "--actor", "ana"); got.status != 0 || !strings.Contains(got.out, "goes on") {
		t.Errorf("unfreeze: %+v", got)
	}
	if got := call(t, "", "flags", "approve", id, "--actor", "ana"); got.status != exitUsage || !strings.Contains(got.errors, "somebody else has to") {
		t.Errorf("approved by its planner: %+v", got)
	}
	if got := call(t, "", "flags", "approve", id, "--actor", "bob"); got.status != 0 || !strings.Contains(got.out, "payments-backoff: new -> legacy, verified") {
		t.Errorf("approve: %+v", got)
	}
	if got := call(t, "", "flags", "reject", id, "--actor", "bob"); got.status != exitUsage || !strings.Contains(got.errors, "it is verified") {
		t.Errorf("reject: %+v", got)
	}
	if got := call(t, "", words("flags set payments-backoff tuned --actor ana --reason p99 --emergency alone")...); got.status != 0 || !strings.Contains(got.out, "verified") {
		t.Errorf("emergency: %+v", got)
	}
	if got := call(t, "", words("flags extend checkout-banner --expires 2h --reason longer")...); got.status != 0 || !strings.Contains(got.out, "extended by") {
		t.Errorf("extend: %+v", got)
	}
	if got := call(t, "", words("flags acknowledge checkout-banner --reason seen")...); got.status != 0 || !strings.Contains(got.out, "acknowledged by") {
		t.Errorf("acknowledge: %+v", got)
	}
	exports(t)
}

// exports looks at the audit's exports.
func exports(t *testing.T) {
	t.Helper()
	text := call(t, "", "flags", "history")
	if text.status != 0 || !strings.Contains(text.out, "25% of the callers") {
		t.Errorf("history: %+v", text)
	}
	var lines []detector.Toggle
	got := call(t, "", "flags", "history", "--format", "json", "--since", "1h")
	if err := json.Unmarshal([]byte(got.out), &lines); err != nil || len(lines) < 12 || lines[0].State != detector.TogglePlanned {
		t.Fatalf("json: %v, %d lines, %+v", err, len(lines), got.errors)
	}
	var last time.Time
	for _, l := range lines {
		if l.Updated.Before(last) || l.Reason == "" || l.Actor == "" {
			t.Errorf("line %+v", l)
		}
		last = l.Updated
	}
	got = call(t, "", "flags", "history", "payments-backoff", "--format", "csv")
	rows, err := csv.NewReader(strings.NewReader(got.out)).ReadAll()
	if err != nil || len(rows) < 8 || rows[0][0] != "id" {
		t.Fatalf("csv: %v\n%s", err, got.out)
	}
	for _, r := range rows[1:] {
		if r[1] != "payments-backoff" {
			t.Errorf("row of another flag: %q", r)
		}
	}
	if got := call(t, "", "flags", "history", "--since", "2999-01-01T00:00:00Z", "--format", "json"); strings.TrimSpace(got.out) != "[]" {
		t.Errorf("of the future: %+v", got)
	}
}

func TestFlagsOfAPolicyRefuse(t *testing.T) {
	s := asked(t)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"set", "checkout-banner", "on", "--reason", "x", "--percent", "NaN"}, "no number between 0 and 100"},
		{[]string{"set", "checkout-banner", "on", "--reason", "x", "--percent", "0"}, "no number between 0 and 100"},
		{[]string{"set", "checkout-banner", "on", "--reason", "x", "--percent", "1e-5"}, "no percentage from 0.01"},
		{[]string{"set", "checkout-banner", "on", "--reason", "x", "--percent", ""}, "--percent was given with nothing in it"},
		{[]string{"set", "checkout-banner", "on", "--reason", "x", "--instance", ""}, "--instance was given with nothing in it"},
		{[]string{"set", "checkout-banner", "on", "--reason", "x", "--region", " "}, "--region was given with nothing in it"},
		{[]string{"set", "checkout-banner", "on", "--reason", "x", "--instance", "a,,b"}, "is no UTF-8 text of 1 to"},
		{[]string{"set", "checkout-banner", "on", "--reason", "x", "--expires", "soon"}, "no duration"},
		{[]string{"set", "checkout-banner", "on", "--reason", "x", "--expires", "-1h"}, "no duration"},
		{[]string{"set", "checkout-banner", "on", "--reason", "x", "--expires", "10000h"}, "can't expire in"},
		{[]string{"set", "checkout-banner", "on", "--reason", "x", "--on-expiry", "restore"}, "none of remind, undo"},
		{[]string{"extend", "checkout-banner", "--reason", "x"}, "--expires and --reason are needed"},
		{[]string{"extend", "checkout-banner", "--expires", "1h", "--reason", "x"}, "no toggle of it is in force"},
		{[]string{"acknowledge", "checkout-banner"}, "--reason is needed"},
		{[]string{"approve", "nope"}, "not declared"},
		{[]string{"approve"}, "can't make sense"},
		{[]string{"freeze", "--reason", strings.Repeat("x", 3000)}, "at most 2000 bytes"},
		{[]string{"history", "--since", "yesterday"}, "neither an RFC 3339 time"},
		{[]string{"history", "--format", "xml"}, "none of text, json, csv"},
		{[]string{"list", "--format", "csv"}, "none of text, json"},
	} {
		got := call(t, "", append([]string{"flags"}, tc.args...)...)
		if got.status != exitUsage || strings.Count(got.errors, "\n") != 1 || !strings.Contains(got.errors, tc.want) {
			t.Errorf("%.100q: %.500v", tc.args, got)
		}
	}
	if s.Board.Revision() != 1 {
		t.Error("something was changed")
	}
}

func TestPlainCells(t *testing.T) {
	for in, want := range map[string]string{"": "", "p99": "p99", "=1+1": "'=1+1", "@x": "'@x", "-2": "'-2", "\x1b[31m=x": "[31m=x", "a\nb": "a b"} {
		if got := plainCell(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// The commands read as the pages do: what a plan may lose, which toggle is in force, by
// which another was replaced.
func TestFlagsReadAsThePagesDo(t *testing.T) {
	s := webtest.Start(t)
	t.Setenv("AFTERSHOCK_SERVER", s.URL)
	t.Setenv("AFTERSHOCK_TOKEN", webtest.Token)
	now := time.Now()
	tick := webtest.Story(now)
	gain := tick.Verdicts[1]
	gain.Indicator = webtest.Indicator(detector.Error, "http_requests_total", "service", "payments", "http_route", "/pay")
	gain.State, gain.Direction = detector.Improved, detector.Better
	gain.Effect = &detector.Effect{What: "share of failed requests", Before: 0.03, After: 0.01, Ratio: 0.33, Low: 0.25, High: 0.45}
	tick.Verdicts = append(tick.Verdicts, gain)
	s.Tell(t, tick)
	const lose = "errors of payments /pay, share of failed requests: 3% → 1%, ×0.33 (0.25–0.45), put down to dten-payments (93%)\n"
	plan := call(t, "", "flags", "plan", "payments-backoff", "legacy")
	if plan.status != 0 || !strings.Contains(plan.out, "payments-backoff would go from new to legacy for everyone; nothing was changed.") || !strings.Contains(plan.out, "may be lost: "+lose) {
		t.Errorf("plan: %+v", plan)
	}
	if got := call(t, "", "flags", "plan", "payments-backoff", "legacy", "--emergency", "x"); got.status != exitUsage || !strings.Contains(got.errors, "plan takes no --emergency") {
		t.Errorf("plan in an emergency: %+v", got)
	}
	for variant, want := range map[string]string{"legacy": "May be lost with it: " + lose} {
		if got := call(t, "", "flags", "set", "payments-backoff", variant, "--reason", "x", "--upgrade", webtest.UpgradeID); got.status != 0 || !strings.Contains(got.out, want) {
			t.Errorf("set: %+v", got)
		}
	}
	if got := call(t, "", "flags", "set", "payments-backoff", "tuned", "--reason", "x"); got.status != 0 {
		t.Fatalf("set: %+v", got)
	}
	show := call(t, "", "flags", "show", "payments-backoff")
	if !strings.Contains(show.out, "1 in force") || !strings.Contains(show.out, "tuned for everyone, ") || strings.Contains(show.out, "legacy for everyone") {
		t.Errorf("show:\n%s", show.out)
	}
	if history := call(t, "", "flags", "history", "payments-backoff"); !strings.Contains(history.out, "verified, then replaced by tuned") {
		t.Errorf("history:\n%s", history.out)
	}
	tick.Verdicts[len(tick.Verdicts)-1].State, tick.Verdicts[len(tick.Verdicts)-1].Recovered = detector.Clear, now
	s.Tell(t, tick)
	if verdicts := call(t, "", "upgrades", "show", webtest.UpgradeID); !strings.Contains(verdicts.out, "clear, lost again") || strings.Contains(verdicts.out, "clear, recovered") {
		t.Errorf("verdicts:\n%s", verdicts.out)
	}
}
