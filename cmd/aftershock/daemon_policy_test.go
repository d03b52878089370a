package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/flags/policy"
)

// withPolicy adds a policy to a configuration's flags.
func withPolicy(config, policy string) string {
	return strings.Replace(config, "\nflags:\n", "\nflags:\n  check: 100ms\n  policy: "+policy+"\n", 1)
}

// What people decided survives kill -9: plans that wait, the kill switch, and
// reminders, which go out once.
func TestDaemonKeepsDecisions(t *testing.T) {
	t.Parallel()
	f, h := newFleet(t), newHook(t)
	home := newHome(t, withPolicy(config("", f.scraped(), h.receivers()), "{flags: {receipts: {approval: one}}}"))
	home.file("flags.json", definitions)
	p := home.start()
	again := func() {
		p.kill()
		p = home.start()
	}
	put := func(flag string, body map[string]any) (x detector.Toggle) {
		t.Helper()
		if err := p.do(http.MethodPut, "/api/v1/flags/"+flag, body, &x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	plan := put("receipts", map[string]any{"variant": "off", "reason": "try", "actor": "ana", "percent": 25})
	short := put("payments-backoff", map[string]any{"variant": "tuned", "reason": "try", "actor": "ana", "region": "eu-1", "expires_in": 4, "on_expiry": "undo"})
	if plan.State != detector.ToggleWaiting || short.State != detector.ToggleVerified {
		t.Fatalf("got %+v and %+v", plan, short)
	}
	again()
	if got := must[items[detector.Toggle]](p, "/api/v1/toggles/waiting").Items; len(got) != 1 || got[0].ID != plan.ID {
		t.Errorf("waiting after a crash: %+v", got)
	}
	var freeze detector.Freeze
	if err := p.do(http.MethodPost, "/api/v1/automation/freeze", map[string]any{"reason": "game day", "actor": "ana"}, &freeze); err != nil {
		t.Fatal(err)
	}
	again()
	if p.metric("aftershock_automation_frozen") != 1 {
		wait(t, 10*time.Second, "the metric to say that the automation is frozen", func() error {
			if p.metric("aftershock_automation_frozen") != 1 {
				return errors.New("not yet")
			}
			return nil
		})
	}
	wait(t, 20*time.Second, "the reminder", func() error {
		if n := len(h.receipts()); n < 2 { // of the plan, and of the expiry
			return fmt.Errorf("%d receipts", n)
		}
		return nil
	})
	backoff := func() (all []detector.Toggle) {
		return must[items[detector.Toggle]](p, "/api/v1/flags/payments-backoff/history").Items
	}
	if got := backoff(); len(got) != 1 {
		t.Errorf("undone while frozen: %+v", got)
	}
	if err := p.do(http.MethodPost, "/api/v1/automation/unfreeze", map[string]any{"actor": "ana"}, &freeze); err != nil {
		t.Fatal(err)
	}
	wait(t, 20*time.Second, "the expired toggle to be undone", func() error {
		if got := backoff(); len(got) != 2 || got[0].State != detector.ToggleVerified || got[0].Actor != policy.Actor {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	var done detector.Toggle
	if err := p.do(http.MethodPost, "/api/v1/toggles/"+plan.ID+"/approve", map[string]any{"actor": "bob"}, &done); err != nil || done.State != detector.ToggleVerified {
		t.Errorf("approve: %+v, %v", done, err)
	}
	again()
	// A crash may repeat a delivery, under the same key, but makes no other notice.
	stories := map[string]bool{}
	for _, r := range h.receipts() {
		stories[r.story] = true
	}
	if len(stories) != 3 {
		t.Errorf("told of %d things, want the plan, and the expiry before and then: %+v", len(stories), h.receipts())
	}
	p.stop()
}

// The automation toggles step by step what it may, by gates that a reload brought and
// that alerts name, is killed meanwhile, and what it did helps.
func TestDaemonTogglesByItself(t *testing.T) {
	t.Parallel()
	f, h := newFleet(t), newHook(t)
	whole := withPolicy(config("", f.scraped(), h.receivers()), "{automation: auto, steps: [25, 100], step_wait: 3s, every: 200ms}")
	home := newHome(t, strings.Replace(whole, "gates: [{flag: payments-backoff, binary: dten-payments, safe: legacy}]", "gates: []", 1))
	home.file("flags.json", definitions)
	p := home.start()
	time.Sleep(20 * time.Second) // the baseline
	home.file("aftershock.yml", whole)
	if err := p.do(http.MethodPost, "/-/reload", nil, nil); err != nil {
		t.Fatal(err)
	}
	f.upgrade(1500 * time.Millisecond)
	acts := func() []detector.Toggle {
		all := must[items[detector.Toggle]](p, "/api/v1/flags/payments-backoff/history").Items
		slices.Reverse(all)
		return all
	}
	await := func(what string, within time.Duration, ok func(all []detector.Toggle) bool) {
		t.Helper()
		wait(t, within, what, func() error {
			if all := acts(); !ok(all) {
				return fmt.Errorf("%+v", all)
			}
			return nil
		})
	}
	await("the first step", 60*time.Second, func(all []detector.Toggle) bool { return len(all) == 1 })
	firing := must[items[detector.Alert]](p, "/api/v1/alerts?state=firing").Items
	if !slices.ContainsFunc(firing, func(a detector.Alert) bool { return slices.Equal(a.Flags, []string{"payments-backoff"}) }) {
		t.Errorf("no alert names the flag of the reload: %+v", firing)
	}
	p.kill()
	p = home.start()
	await("the second step", 60*time.Second, func(all []detector.Toggle) bool {
		return len(all) == 2 && all[0].State.TookEffect() && all[1].State.TookEffect()
	})
	f.cure()
	await("the recovery", 90*time.Second, func(all []detector.Toggle) bool { return all[len(all)-1].State == detector.ToggleRecovered })
	all := acts()
	if len(all) != 2 || all[0].Scope.Percent != 25 || !all[1].Scope.Everyone() {
		t.Fatalf("got %+v", all)
	}
	for _, x := range all {
		if x.Actor != policy.Actor || x.After != "legacy" || x.Upgrade == "" || !strings.Contains(x.Reason, "put down to dten-payments") {
			t.Errorf("got %+v", x)
		}
	}
	p.stop()
}

// A reload puts policy and gates in force as a whole, and lifts no freeze.
func TestDaemonReloadsPolicy(t *testing.T) {
	t.Parallel()
	first := config("", "  prometheus: {url: http://"+closedPort(t)+", tries: 1}", "[]")
	home := newHome(t, first)
	home.file("flags.json", strings.Replace(definitions, `"on": true, "off": false`,
		`"on": {"strategy": "constant", "base_ms": 50, "max_attempts": 5}, "off": {"strategy": "constant", "base_ms": 100, "max_attempts": 3}`, 1))
	p := home.start()
	var freeze detector.Freeze
	if err := p.do(http.MethodPost, "/api/v1/automation/freeze", map[string]any{"reason": "game day", "actor": "ana"}, &freeze); err != nil {
		t.Fatal(err)
	}
	tune := func() error { return p.get("/api/v1/flags/receipts/tuning", nil) }
	if err := tune(); err == nil || !strings.Contains(err.Error(), "tunes") {
		t.Fatalf("before: got %v", err)
	}
	second := withPolicy(first, "{automation: auto, flags: {receipts: {approval: one}}}")
	second = strings.Replace(second, "gates: [", `gates: [{flag: receipts, binary: dten-receipts, safe: "off", tunes: {service: a, peer: b}}, `, 1)
	second = strings.Replace(second, "  check: 100ms\n", "", 1)
	home.file("aftershock.yml", second)
	if err := p.do(http.MethodPost, "/-/reload", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := tune(); err == nil || strings.Contains(err.Error(), "nothing under tunes") {
		t.Errorf("after: got %v", err)
	}
	var x detector.Toggle
	if err := p.do(http.MethodPut, "/api/v1/flags/receipts", map[string]any{"variant": "off", "reason": "try", "actor": "ana"}, &x); err != nil || x.State != detector.ToggleWaiting {
		t.Errorf("the new policy doesn't hold: %+v, %v", x, err)
	}
	if got := p.metric("aftershock_automation_frozen"); got != 1 {
		t.Error("a reload lifted the freeze")
	}
	if got := p.log.lines("hold from the next start on"); len(got) != 0 {
		t.Errorf("the log on what waits: %q", got)
	}
	p.stop()
}
