package flags

import (
	"encoding/json"
	"testing"

	"aftershock/detector"
	"aftershock/flags/remote"
)

// The audit names what is in force after each act, also where a toggle brought a
// value of its own: a set without one, and an undo, are held to what is served.
func TestAuditOfOwnValues(t *testing.T) {
	s, _ := start(t, &memory{}, Config{Definitions: writeFile(t, fleet)})
	inForce := func() (string, string) {
		e := s.serving.Load().set.Evaluate("payments-backoff", probe(0), s.now())
		b, err := json.Marshal(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		return e.Variant, string(b)
	}
	act := func(name string, do func() (detector.Toggle, error)) {
		t.Helper()
		before, _ := inForce()
		got, err := do()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		after, value := inForce()
		if got.State != detector.ToggleVerified || got.Before != before || got.After != after || !remote.Same(got.Value, json.RawMessage(value)) {
			t.Errorf("%s: audited %s -> %s %s, in force is %s -> %s %s", name, got.Before, got.After, got.Value, before, after, value)
		}
	}
	set := func(r Request) func() (detector.Toggle, error) {
		return func() (detector.Toggle, error) { return s.Set(t.Context(), r) }
	}
	undo := func() (detector.Toggle, error) { return s.Undo(t.Context(), "payments-backoff", "back", "ada") }
	own := request("payments-backoff", "tuned")
	own.Value = json.RawMessage(`{"strategy":"exponential","base_ms":75}`)
	act("own value", set(own))
	act("plain set of the same variant", set(request("payments-backoff", "tuned")))
	act("undo of that", undo)
	act("another variant", set(request("payments-backoff", "legacy")))
	act("undo of that", undo)
	act("undo of the own value", undo)
}

// The same holds for a flag that lives elsewhere, from the first line of the audit on.
func TestAuditOfOwnValuesAway(t *testing.T) {
	store := &memory{}
	s := afar(t, store, newFar(), true, Config{})
	own := request("far-backoff", "new")
	own.Value = json.RawMessage(`{"base_ms":7}`)
	for _, tc := range []struct {
		name, want string
		do         func() (detector.Toggle, error)
	}{
		{"own value", `{"base_ms":7}`, func() (detector.Toggle, error) { return s.Set(t.Context(), own) }},
		{"plain set of the same variant", `{"base_ms":5}`, func() (detector.Toggle, error) { return s.Set(t.Context(), request("far-backoff", "new")) }},
		{"undo of that", `{"base_ms":7}`, func() (detector.Toggle, error) { return s.Undo(t.Context(), "far-backoff", "back", "ada") }},
	} {
		done, err := tc.do()
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		for _, line := range store.audit {
			if line.ID == done.ID && !remote.Same(line.Value, json.RawMessage(tc.want)) {
				t.Errorf("%s: audited as %s with %s, want %s", tc.name, line.State, line.Value, tc.want)
			}
		}
	}
}
