package flags

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"aftershock/detector"
)

// scopes of each kind.
var scopes = []detector.Scope{
	{Percent: 25},
	{Percent: 0.5},
	{Percent: 99},
	{Region: "eu-1"},
	{Instances: []string{"payments-1"}},
	{Instances: []string{"payments-2", "payments-1"}},
	{Percent: 50, Region: "eu-1", Instances: []string{"a", "b"}},
}

func TestScopedToggle(t *testing.T) {
	for _, flag := range []string{"other", "masked"} {
		for _, scope := range scopes {
			t.Run(flag+" "+scope.String(), func(t *testing.T) {
				store := &memory{}
				s, _ := start(t, store, Config{Definitions: writeFile(t, fleet)})
				original := string(s.serving.Load().document.Flags[flag])
				served := s.serving.Load().served(flag, s)
				r := request(flag, map[string]string{"other": "on", "masked": "off"}[flag])
				r.Scope = scope
				p, err := s.Plan(r)
				if err != nil || !strings.Contains(p.Effect, scope.String()) || !strings.Contains(p.Effect, "everybody else keeps what they get") {
					t.Fatalf("plan: got %+v, %v", p, err)
				}
				got, err := s.Set(t.Context(), r)
				if err != nil || got.State != detector.ToggleVerified || got.Scope.String() != scope.String() {
					t.Fatalf("got %+v, %v", got, err)
				}
				if !strings.Contains(got.Evidence, "in scope ("+scope.String()+") and out of it") {
					t.Errorf("evidence: %s", got.Evidence)
				}
				if d := string(s.serving.Load().document.Flags[flag]); !strings.Contains(d, `"defaultVariant":"off"`) {
					t.Errorf("the default changed: %s", d)
				}
				if v, _ := s.Show(flag); len(v.Standing) != 1 || v.Standing[0].Scope != scope.String() || scope.Percent == 0 && v.Serving != served {
					t.Errorf("shown as %+v", v)
				}
				if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrUnchanged) {
					t.Errorf("again: got %v, want ErrUnchanged", err)
				}
				undo, err := s.Undo(t.Context(), flag, "over", "bob")
				if err != nil || undo.State != detector.ToggleVerified {
					t.Fatalf("undo: got %+v, %v", undo, err)
				}
				if now := string(s.serving.Load().document.Flags[flag]); now != original {
					t.Errorf("after the undo: got %s, want %s", now, original)
				}
			})
		}
	}
}

func TestScopesAreHeldInBounds(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet)})
	million := make([]string, 1_000_000)
	for n := range million {
		million[n] = "i"
	}
	for name, scope := range map[string]detector.Scope{
		"NaN": {Percent: math.NaN()}, "infinite": {Percent: math.Inf(1)}, "negative": {Percent: -5}, "all": {Percent: 100},
		"too fine": {Percent: 0.001}, "tiny": {Percent: 5e-324}, "a million": {Instances: million}, "no name": {Instances: []string{"a", ""}},
		"long name": {Instances: []string{strings.Repeat("x", 257)}}, "no text": {Instances: []string{"\xff"}},
		"long region": {Region: strings.Repeat("x", 257)}, "region is no text": {Region: "\xff"},
	} {
		r := request("other", "on")
		r.Scope = scope
		if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrInvalid) || len(err.Error()) > 500 {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	r := request("other", "on")
	r.Scope.Region, r.Variant = "eu", "green"
	if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrUnknown) {
		t.Errorf("undeclared variant: got %v", err)
	}
	if store.revision != 1 || len(store.audit) != 0 {
		t.Errorf("the store was written: %v", store)
	}
	r = request("other", "on")
	r.Scope.Region = `"}]} or true`
	if got, err := s.Set(t.Context(), r); err != nil || got.State != detector.ToggleVerified {
		t.Errorf("a strange region: got %+v, %v", got, err)
	}
}

// A scope may name the very caller that a verification takes for one out of it.
func TestScopeOfTheVerificationsOwnName(t *testing.T) {
	s, _ := start(t, &memory{}, Config{Definitions: writeFile(t, fleet)})
	r := request("payments-backoff", "legacy")
	r.Scope = detector.Scope{Instances: []string{"aftershock-outside"}}
	if got, err := s.Set(t.Context(), r); err != nil || got.State != detector.ToggleVerified {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Whatever is stacked in whatever order, each undo restores the definition from
// before, to the byte; whom no toggle reaches gets what the definition says.
func TestUndoRestoresBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 8 {
		store := &memory{}
		s, _ := start(t, store, Config{Definitions: writeFile(t, fleet)})
		flag := []string{"payments-backoff", "masked"}[round%2]
		variants := map[string][]string{"payments-backoff": {"legacy", "new", "tuned"}, "masked": {"on", "off"}}[flag]
		original := s.serving.Load()
		var stack []json.RawMessage
		everyone := 0
		for range 12 {
			before := s.serving.Load().document.Flags[flag]
			if len(stack) > 0 && rng.IntN(3) == 0 {
				undone, err := s.Undo(t.Context(), flag, "over", "bob")
				if err != nil || undone.State != detector.ToggleVerified {
					t.Fatalf("undo: %+v, %v", undone, err)
				}
				if got := s.serving.Load().document.Flags[flag]; string(got) != string(stack[len(stack)-1]) {
					t.Fatalf("got %s, want %s", got, stack[len(stack)-1])
				}
				stack = stack[:len(stack)-1]
				everyone = min(everyone, len(stack))
				continue
			}
			r := request(flag, variants[rng.IntN(len(variants))])
			if r.Scope = scopes[rng.IntN(len(scopes))]; rng.IntN(5) == 0 {
				r.Scope = detector.Scope{}
			}
			got, err := s.Set(t.Context(), r)
			if errors.Is(err, ErrUnchanged) {
				continue
			}
			if err != nil || got.State != detector.ToggleVerified {
				t.Fatalf("set %+v: %+v, %v", r, got, err)
			}
			stack = append(stack, before)
			if r.Scope.Everyone() {
				everyone = len(stack)
			}
			if n := s.serving.Load(); everyone == 0 {
				outside := map[string]any{"region": "elsewhere"} // no key, no instance
				want, is := original.set.Evaluate(flag, outside, time.Now()), n.set.Evaluate(flag, outside, time.Now())
				if want.Variant != is.Variant {
					t.Fatalf("out of all scopes: got %q, want %q", is.Variant, want.Variant)
				}
			}
		}
		for len(stack) > 0 {
			if _, err := s.Undo(t.Context(), flag, "all back", "bob"); err != nil {
				t.Fatal(err)
			}
			stack = stack[:len(stack)-1]
		}
		if got := s.serving.Load().document.Flags[flag]; string(got) != string(original.document.Flags[flag]) {
			t.Errorf("round %d: got %s, want %s", round, got, original.document.Flags[flag])
		}
	}
}

// Many limited toggles neither nest the rule nor lose what lies below.
func TestManyScopedToggles(t *testing.T) {
	s, _ := start(t, &memory{}, Config{Definitions: writeFile(t, fleet)})
	for n := range 40 {
		r := request("masked", []string{"off", "on"}[n%2])
		r.Scope.Instances = []string{fmt.Sprint("payments-", n)}
		if got, err := s.Set(t.Context(), r); err != nil || got.State != detector.ToggleVerified {
			t.Fatalf("toggle %d: %+v, %v", n, got, err)
		}
	}
	n := s.serving.Load()
	for i := range 40 {
		if got, want := n.set.Evaluate("masked", map[string]any{"instance": fmt.Sprint("payments-", i)}, time.Now()).Variant, []string{"off", "on"}[i%2]; got != want {
			t.Errorf("instance %d gets %q, want %q", i, got, want)
		}
	}
	for key, want := range map[string]string{"aftershock": "on", "x": "off"} {
		if got := n.set.Evaluate("masked", map[string]any{"targetingKey": key}, time.Now()).Variant; got != want {
			t.Errorf("out of scope, %s gets %q, want %q", key, got, want)
		}
	}
}

// Two people at once, each for a part of the callers, on two daemons: nobody's
// toggle is lost unseen, and undoing all gives back the bytes.
func TestTwoOperatorsOfScopes(t *testing.T) {
	store := &memory{}
	file := writeFile(t, fleet)
	a, _ := start(t, store, Config{Definitions: file})
	b, _ := start(t, store, Config{Definitions: file})
	original := string(a.serving.Load().document.Flags["masked"])
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			r := request("masked", []string{"on", "off"}[i%2])
			r.Scope.Instances = []string{fmt.Sprint("payments-", i)}
			got, err := []*Switchboard{a, b}[i%2].Set(context.Background(), r)
			if err != nil && !errors.Is(err, ErrConflict) && !(errors.Is(err, ErrNotVerified) && strings.Contains(got.Evidence, "superseded")) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	if err := a.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	applied := 0
	for _, x := range store.audit {
		if x.State == detector.ToggleApplied {
			applied++
			if got := a.serving.Load().set.Evaluate("masked", map[string]any{"instance": x.Scope.Instances[0]}, time.Now()).Variant; got != x.After {
				t.Errorf("%s gets %q, want %q", x.Scope, got, x.After)
			}
		}
	}
	if v, _ := a.Show("masked"); v.Toggles != applied || applied == 0 {
		t.Errorf("%d toggles in force, %d applied", v.Toggles, applied)
	}
	for range applied {
		if got, err := a.Undo(t.Context(), "masked", "over", "ada"); err != nil || got.State != detector.ToggleVerified {
			t.Fatalf("undo: %+v, %v", got, err)
		}
	}
	if got := string(a.serving.Load().document.Flags["masked"]); got != original {
		t.Errorf("got %s, want %s", got, original)
	}
}

func TestScopeWords(t *testing.T) {
	for want, s := range map[string]detector.Scope{
		"everyone": {}, "12.5% of the callers": {Percent: 12.5}, "callers in region eu-1": {Region: "eu-1"},
		"callers on instance a": {Instances: []string{"a"}}, "callers on instances a, b": {Instances: []string{"a", "b"}},
		"5% of the callers in region eu on instances a, b, c, d, e and 2 more": {Percent: 5, Region: "eu", Instances: strings.Split("abcdefg", "")},
	} {
		if got := s.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	covers := []struct {
		a, b detector.Scope
		want bool
	}{
		{detector.Scope{}, detector.Scope{Percent: 5}, true},
		{detector.Scope{Percent: 5}, detector.Scope{}, false},
		{detector.Scope{Percent: 5}, detector.Scope{Percent: 5, Region: "eu"}, true},
		{detector.Scope{Percent: 5}, detector.Scope{Percent: 6}, false},
		{detector.Scope{Region: "eu"}, detector.Scope{Region: "us"}, false},
		{detector.Scope{Instances: []string{"a", "b"}}, detector.Scope{Instances: []string{"b"}}, true},
		{detector.Scope{Instances: []string{"a", "b"}}, detector.Scope{Instances: []string{"c"}}, false},
		{detector.Scope{Instances: []string{"a"}}, detector.Scope{}, false},
	}
	for _, c := range covers {
		if got := c.a.Covers(c.b); got != c.want {
			t.Errorf("%s covers %s: got %t", c.a, c.b, got)
		}
	}
}

func TestAttributes(t *testing.T) {
	for _, tt := range []struct {
		a    Attributes
		want string
	}{
		{Attributes{}, ""},
		{Attributes{Instance: "pod", Region: "zone"}, ""},
		{Attributes{Instance: "service.instance.id"}, "p.instance"},
		{Attributes{Region: `"`}, "p.region"},
		{Attributes{Region: "targetingKey"}, "p.region"},
		{Attributes{Region: "instance"}, "p.region: is the same"},
	} {
		tt.a.SetDefaults()
		errs := tt.a.Validate("p")
		if tt.want == "" && len(errs) > 0 || tt.want != "" && (len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), tt.want)) {
			t.Errorf("%+v: got %v, want %q", tt.a, errs, tt.want)
		}
	}
}
