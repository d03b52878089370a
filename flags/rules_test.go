package flags

import (
	"testing"

	"aftershock/detector"
	"aftershock/flags/policy"
)

// Reloaded rules hold for what comes and for plans that wait, which never need less
// than they were made with.
func TestSetRules(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet), Policy: fourEyes("one")})
	before := s.Rules()
	if s.SetRules(nil, fourEyes("one")) || s.Rules() != before {
		t.Error("the same rules are others")
	}
	wait := func(variant string) detector.Toggle {
		t.Helper()
		got, err := s.Set(t.Context(), request("other", variant))
		if err != nil || got.State != detector.ToggleWaiting {
			t.Fatalf("got %+v, %v", got, err)
		}
		return got
	}
	approve := func(id, actor string, want detector.ToggleState) {
		t.Helper()
		if got, err := s.Approve(t.Context(), id, "", actor); err != nil || got.State != want {
			t.Errorf("approved by %s: got %s, %v, want %s", actor, got.State, err, want)
		}
	}
	first := wait("on")
	gate := Gate{Flag: "other", Binary: "dten-other", Safe: "off", Tunes: &Tunes{Service: "a", Peer: "b"}}
	if !s.SetRules([]Gate{gate}, fourEyes("two")) {
		t.Error("other rules are the same")
	}
	if v, err := s.Show("other"); err != nil || !v.Tunable() || v.Policy.Approval != "two" {
		t.Errorf("shown as %+v, %v", v, err)
	}
	approve(first.ID, "bob", detector.ToggleWaiting)
	approve(first.ID, "cyd", detector.ToggleVerified)
	second := wait("off")
	s.SetRules(nil, policy.Config{})
	approve(second.ID, "bob", detector.ToggleWaiting)
	approve(second.ID, "cyd", detector.ToggleVerified)
	if got, err := s.Set(t.Context(), request("other", "on")); err != nil || got.State != detector.ToggleVerified {
		t.Errorf("without approvals: got %+v, %v", got, err)
	}
}
