package flags

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"

	"aftershock/detector"
	"aftershock/flags/ofrep"
)

func TestToggleAndUndo(t *testing.T) {
	store := &memory{}
	var flips []detector.Flip
	s, url := start(t, store, Config{Definitions: writeFile(t, fleet), OnFlip: func(f detector.Flip) { flips = append(flips, f) }})
	p, err := ofrep.New(ofrep.Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	api := isolated.NewAPI()
	if err := api.SetProviderAndWait(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	served := func() string {
		d, err := api.NewClient().ObjectValueDetails(t.Context(), "payments-backoff", nil, openfeature.NewEvaluationContext("payments-1", nil))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(d.Variant, d.Value, d.FlagMetadata["version"], d.FlagMetadata["fleet"])
	}
	if got, want := served(), "newmap[strategy:exponential]1demo"; got != want {
		t.Fatalf("before: got %s, want %s", got, want)
	}
	original := s.serving.Load().document.Flags["payments-backoff"]

	first, err := s.Set(t.Context(), request("payments-backoff", "legacy"))
	if err != nil {
		t.Fatal(err)
	}
	if first.State != detector.ToggleVerified || first.Before != "new" || first.After != "legacy" || first.Revision != "2" ||
		string(first.Value) != `{"strategy":"fixed"}` || !strings.Contains(first.Evidence, "6 of 6 evaluations") {
		t.Errorf("toggle: got %+v", first)
	}
	if got, want := served(), "legacymap[strategy:fixed]2demo"; got != want {
		t.Errorf("after: got %s, want %s", got, want)
	}
	if d := cmp.Diff([]detector.ToggleState{"planned", "applied", "verified"}, store.states(first.ID)); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
	after := s.serving.Load().document.Flags["payments-backoff"]

	second, err := s.Set(t.Context(), request("payments-backoff", "tuned"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := served(), "tunedmap[base_ms:50 jitter:true strategy:exponential]3demo"; got != want {
		t.Errorf("tuned: got %s, want %s", got, want)
	}
	undo, err := s.Undo(t.Context(), "payments-backoff", "wrong one", "bob")
	if err != nil {
		t.Fatal(err)
	}
	if undo.State != detector.ToggleVerified || undo.Before != "tuned" || undo.After != "legacy" || undo.Actor != "bob" ||
		!strings.HasPrefix(undo.Evidence, "undoes "+second.ID+"; seen through OpenFeature") {
		t.Errorf("undo: got %+v", undo)
	}
	if got := s.serving.Load().document.Flags["payments-backoff"]; string(got) != string(after) {
		t.Errorf("after the first undo: got %s, want %s", got, after)
	}
	if _, err := s.Undo(t.Context(), "payments-backoff", "all back", "bob"); err != nil {
		t.Fatal(err)
	}
	if got := s.serving.Load().document.Flags["payments-backoff"]; string(got) != string(original) {
		t.Errorf("after the second undo: got %s, want %s", got, original)
	}
	if _, err := s.Undo(t.Context(), "payments-backoff", "once more", "bob"); !errors.Is(err, ErrUnchanged) {
		t.Errorf("third undo: got %v, want ErrUnchanged", err)
	}
	history, err := s.History(t.Context(), "payments-backoff")
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, h := range history {
		states = append(states, h.After+" "+string(h.State))
	}
	if d := cmp.Diff([]string{"new verified", "legacy verified", "tuned undone", "legacy undone"}, states); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
	var variants []string
	for _, f := range flips {
		variants = append(variants, f.Before+">"+f.Variant)
		if !f.Ours {
			t.Errorf("flip %+v isn't ours", f)
		}
	}
	want := []string{"new>legacy", "legacy>tuned", "tuned>legacy", "legacy>new"}
	if d := cmp.Diff(want, variants); d != "" {
		t.Errorf("flips (-want +got):\n%s", d)
	}
	listed, err := s.Flips(t.Context())
	if err != nil || len(listed) != 4 || listed[0].Variant != "legacy" {
		t.Errorf("Flips: got %v, %v", listed, err)
	}
}

func TestToggleBeatsTargeting(t *testing.T) {
	s, _ := start(t, &memory{}, Config{Definitions: writeFile(t, fleet)})
	original := s.serving.Load().document.Flags["masked"]
	p, err := s.Plan(request("masked", "off"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Before != "on" || len(p.Warnings) != 1 || !strings.Contains(p.Diff, "+ ") {
		t.Errorf("plan: got %+v", p)
	}
	if got, err := s.Set(t.Context(), request("masked", "off")); err != nil || got.State != detector.ToggleVerified {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got, err := s.Set(t.Context(), request("masked", "on")); err != nil || got.State != detector.ToggleVerified {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got := string(s.serving.Load().document.Flags["masked"]); strings.Count(got, `"if":[true`) != 1 {
		t.Errorf("toggles are nested: %s", got)
	}
	for range 2 {
		if got, err := s.Undo(t.Context(), "masked", "over", "ada"); err != nil || got.State != detector.ToggleVerified {
			t.Fatalf("undo: got %+v, %v", got, err)
		}
	}
	if got := s.serving.Load().document.Flags["masked"]; string(got) != string(original) {
		t.Errorf("got %s, want %s", got, original)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet)})
	r := request("payments-backoff", "legacy")
	r.DryRun = true
	got, err := s.Set(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != "" || got.State != detector.TogglePlanned || !strings.Contains(got.Evidence, "-   \"defaultVariant\": \"new\"") ||
		!strings.Contains(got.Evidence, "+   \"defaultVariant\": \"legacy\"") {
		t.Errorf("got %+v", got)
	}
	if store.revision != 1 || len(store.audit) != 0 {
		t.Errorf("the store was written: %v", store)
	}
}

func TestSetRefuses(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet)})
	for _, tt := range []struct {
		name   string
		change func(*Request)
		err    error
		text   string
	}{
		{"unknown flag", func(r *Request) { r.Flag = "payment-backoff" }, ErrUnknown, "(declared: broken, disabled, masked, other, payments-backoff)"},
		{"unknown variant", func(r *Request) { r.Variant = "old" }, ErrUnknown, "it has legacy, new, tuned"},
		{"no flag", func(r *Request) { r.Flag = "" }, ErrInvalid, "no flag"},
		{"no reason", func(r *Request) { r.Reason = " " }, ErrInvalid, "a reason is required"},
		{"no actor", func(r *Request) { r.Actor = "" }, ErrInvalid, "actor"},
		{"long reason", func(r *Request) { r.Reason = strings.Repeat("x", maxText+1) }, ErrInvalid, "at most 2000 bytes"},
		{"reason is no text", func(r *Request) { r.Reason = "\xff" }, ErrInvalid, "UTF-8"},
		{"disabled", func(r *Request) { r.Flag, r.Variant = "disabled", "on" }, ErrInvalid, "is disabled"},
		{"broken", func(r *Request) { r.Flag, r.Variant = "broken", "on" }, ErrInvalid, `operator "frobnicate" is unknown`},
		{"as it is", func(r *Request) { r.Variant = "new" }, ErrUnchanged, `everyone gets "new" already`},
		{"old revision", func(r *Request) { r.Revision = 7 }, ErrConflict, "you saw revision 7, it is 1"},
	} {
		r := request("payments-backoff", "legacy")
		tt.change(&r)
		if _, err := s.Set(t.Context(), r); !errors.Is(err, tt.err) || !strings.Contains(fmt.Sprint(err), tt.text) {
			t.Errorf("%s: got %v, want %v with %q", tt.name, err, tt.err, tt.text)
		}
	}
	if _, err := s.Undo(t.Context(), "nope", "x", "ada"); !errors.Is(err, ErrUnknown) {
		t.Errorf("undo of an unknown flag: got %v", err)
	}
	if store.revision != 1 || len(store.audit) != 0 {
		t.Errorf("the store was written: %v", store)
	}
}

func TestSetBeforeConnect(t *testing.T) {
	s, err := New(Config{Definitions: writeFile(t, fleet)}, &memory{}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Set(t.Context(), request("other", "on")); !errors.Is(err, ErrNotReady) {
		t.Errorf("got %v, want ErrNotReady", err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, ErrNotReady) {
		t.Errorf("Run: got %v, want ErrNotReady", err)
	}
}

// A backend that answers but doesn't change: what is verified is somebody
// else's listener.
func TestNotSeen(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet), VerifyTimeout: 200 * time.Millisecond})
	stale, err := New(Config{Definitions: writeFile(t, fleet)}, &memory{}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := stale.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(stale.Handler())
	defer server.Close()
	if err := s.Connect(t.Context(), ofrep.Config{BaseURL: server.URL}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Set(t.Context(), request("other", "on"))
	if !errors.Is(err, ErrNotVerified) || got.State != detector.ToggleFailed || !strings.Contains(got.Evidence, "served at revision 1, before revision 2") {
		t.Errorf("got %+v, %v; want a failed toggle", got, err)
	}
	server.Close()
	got, err = s.Undo(t.Context(), "other", "never mind", "ada")
	if !errors.Is(err, ErrNotVerified) || !strings.Contains(got.Evidence, "evaluation failed") {
		t.Errorf("listener down: got %+v, %v; want a failed toggle", got, err)
	}
}

func TestTwoOperatorsAtOnce(t *testing.T) {
	store := &memory{}
	file := writeFile(t, fleet)
	a, _ := start(t, store, Config{Definitions: file})
	b, _ := start(t, store, Config{Definitions: file})
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := map[string]int{}
	for i := range 16 {
		wg.Go(func() {
			s, variant := []*Switchboard{a, b}[i%2], []string{"legacy", "tuned"}[i/2%2]
			got, err := s.Set(context.Background(), request("payments-backoff", variant))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && got.State == detector.ToggleVerified:
				done["verified"]++
			case errors.Is(err, ErrConflict):
				done["conflict"]++
				if !strings.Contains(err.Error(), `ada set it to "`) {
					t.Errorf("conflict doesn't say by whom: %v", err)
				}
			case errors.Is(err, ErrUnchanged):
				done["unchanged"]++
			case errors.Is(err, ErrNotVerified) && strings.Contains(got.Evidence, "superseded"):
				done["superseded"]++
			default:
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	if done["verified"]+done["superseded"] == 0 {
		t.Errorf("nobody got through: %v", done)
	}
	// Each act that was applied saw the one before it.
	before := "new"
	for _, x := range store.audit {
		if x.State != detector.ToggleApplied {
			continue
		}
		if x.Before != before {
			t.Errorf("toggle %s says it replaced %q, but that was %q", x.ID, x.Before, before)
		}
		before = x.After
	}
	for _, s := range []*Switchboard{a, b} {
		if err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Show("payments-backoff"); err != nil || v.Serving != before {
			t.Errorf("serves %q (%v), but %q was applied last", v.Serving, err, before)
		}
	}
	all, _ := store.Toggles(t.Context(), "", 100)
	for _, x := range all {
		if x.State != detector.ToggleVerified && x.State != detector.ToggleFailed {
			t.Errorf("toggle %s ends as %s", x.ID, x.State)
		}
	}
}

func TestOtherFlagsDontConflict(t *testing.T) {
	store := &memory{}
	file := writeFile(t, fleet)
	a, _ := start(t, store, Config{Definitions: file})
	b, _ := start(t, store, Config{Definitions: file})
	if _, err := a.Set(t.Context(), request("other", "on")); err != nil {
		t.Fatal(err)
	}
	// b hasn't heard of it.
	if got, err := b.Set(t.Context(), request("payments-backoff", "legacy")); err != nil || got.Revision != "3" {
		t.Errorf("got %+v, %v; want revision 3", got, err)
	}
	if _, err := a.Set(t.Context(), request("payments-backoff", "tuned")); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want a conflict: a planned on what b changed since", err)
	}
	if got, err := a.Set(t.Context(), request("payments-backoff", "tuned")); err != nil || got.Before != "legacy" {
		t.Errorf("after looking again: got %+v, %v", got, err)
	}
}

func TestOutcomes(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet)})
	toggle, err := s.Set(t.Context(), request("other", "on"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := s.NotRecovered(t.Context(), toggle.ID, "still 2.1 times"); err != nil || got.State != detector.ToggleNoHelp {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if got, err := s.Recovered(t.Context(), toggle.ID, "1.02 times"); err != nil || got.State != detector.ToggleRecovered || got.Evidence != "1.02 times" {
		t.Errorf("got %+v, %v", got, err)
	}
	want := []detector.ToggleState{"planned", "applied", "verified", "not-recovered", "recovered"}
	if d := cmp.Diff(want, store.states(toggle.ID)); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
	if _, err := s.Undo(t.Context(), "other", "fixed", "ada"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recovered(t.Context(), toggle.ID, ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("recovered after undo: got %v, want ErrInvalid", err)
	}
	if _, err := s.Recovered(t.Context(), "nope", ""); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown toggle: got %v, want ErrUnknown", err)
	}
}

// A flag's toggles in force are bounded by a refusal: none is ever dropped.
func TestManyStandingToggles(t *testing.T) {
	s, _ := start(t, &memory{}, Config{Definitions: writeFile(t, fleet)})
	var made []string
	for i := range maxStanding {
		r := request("other", []string{"on", "off"}[i%2])
		if p, err := s.Plan(r); err != nil || strings.Contains(fmt.Sprint(p.Warnings), "128 may be") != (i >= 96) {
			t.Fatalf("plan %d: got %v, %v", i, p.Warnings, err)
		}
		got, err := s.Set(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, got.ID)
	}
	before := s.serving.Load().document.Flags["other"]
	for name, r := range map[string]Request{
		"everyone": request("other", "on"),
		"a part":   {Flag: "other", Variant: "on", Reason: "r", Actor: "ada", Scope: detector.Scope{Percent: 5}},
		"dry run":  {Flag: "other", Variant: "on", Reason: "r", Actor: "ada", DryRun: true},
	} {
		if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "128 of it are, one over the other; undo some of them first") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	v, err := s.Show("other")
	if err != nil {
		t.Fatal(err)
	}
	var in []string
	for _, x := range v.Standing {
		in = append(in, x.Toggle)
	}
	if d := cmp.Diff(made, in); d != "" || string(s.serving.Load().document.Flags["other"]) != string(before) {
		t.Errorf("in force (-want +got):\n%s", d)
	}
	if _, err := s.Undo(t.Context(), "other", "one less", "ada"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Set(t.Context(), request("other", "off")); err != nil {
		t.Errorf("after an undo: %v", err)
	}
}
