package flags

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
)

// improved is a gain that was found at an instant.
func improved(service string, since time.Time) detector.Gain {
	return detector.Gain{
		Upgrade: "dten-4.2.0", Indicator: detector.Indicator{Kind: detector.Error, Metric: "requests", Labels: map[string]string{"service": service}},
		Effect: &detector.Effect{What: "share of failed requests", Before: 0.03, After: 0.01, Ratio: 0.33, Low: 0.2, High: 0.5},
		Binary: "dten-payments", Probability: 0.97, Since: since,
	}
}

func names(all []detector.Gain) (services []string) {
	for _, g := range all {
		services = append(services, g.Indicator.Service())
	}
	return services
}

// A plan says what may be lost with it, and the audit keeps that: not of a flag that gates
// nothing, nor of going back to the variant under which it was gained.
func TestPlanNamesWhatMayBeLost(t *testing.T) {
	store := &memory{}
	var asked []string
	gains := []detector.Gain{improved("pay", time.Now().Add(-time.Minute))}
	s, _ := start(t, store, Config{
		Definitions: writeFile(t, fleet), Gates: []Gate{{Flag: "payments-backoff", Binary: "dten-payments", Safe: "legacy"}},
		Gains: func(_ context.Context, upgrade string, binaries []string) ([]detector.Gain, error) {
			asked = append(asked, upgrade+" "+strings.Join(binaries, ","))
			return slices.Clone(gains), nil
		},
	})
	plan, err := s.Preview(t.Context(), request("payments-backoff", "legacy"))
	if err != nil || !slices.Equal(names(plan.MayLose), []string{"pay"}) || asked[0] != "dten-4.2.0 dten-payments" {
		t.Fatalf("got %+v, %v, asked %q", plan.MayLose, err, asked)
	}
	if p, err := s.Preview(t.Context(), request("other", "on")); err != nil || len(p.MayLose) != 0 || len(asked) != 1 {
		t.Errorf("a flag that gates nothing: got %+v, %v, asked %q", p.MayLose, err, asked)
	}
	dry := request("payments-backoff", "legacy")
	dry.DryRun = true
	const line = "  may be lost: errors of pay, share of failed requests: 3% → 1%, ×0.33 (0.20–0.50), put down to dten-payments (97%)\n"
	if got, err := s.Set(t.Context(), dry); err != nil || !strings.Contains(got.Evidence, line) || len(got.MayLose) != 1 {
		t.Errorf("dry run: got %q and %+v, %v", got.Evidence, got.MayLose, err)
	}
	legacy, err := s.Set(t.Context(), request("payments-backoff", "legacy"))
	if err != nil || len(legacy.MayLose) != 1 {
		t.Fatalf("got %+v, %v", legacy, err)
	}
	if kept, err := store.Toggle(t.Context(), legacy.ID); err != nil || !slices.Equal(names(kept.MayLose), []string{"pay"}) {
		t.Errorf("the audit has %+v, %v", kept.MayLose, err)
	}
	// What was found under "new" isn't lost by going back there, but may be with others;
	// what was found since, under "legacy", may be lost with "new".
	gains = append(gains, improved("since", time.Now().Add(time.Second)))
	for variant, want := range map[string][]string{"new": {"since"}, "tuned": {"pay", "since"}} {
		if p, err := s.Preview(t.Context(), request("payments-backoff", variant)); err != nil || !slices.Equal(names(p.MayLose), want) {
			t.Errorf("to %s: got %q, %v, want %q", variant, names(p.MayLose), err, want)
		}
	}
	other := request("payments-backoff", "new")
	other.Value = json.RawMessage(`{"strategy":"exponential","base_ms":7}`)
	if p, err := s.Preview(t.Context(), other); err != nil || !slices.Equal(names(p.MayLose), []string{"pay", "since"}) {
		t.Errorf("to new with another value: got %q, %v", names(p.MayLose), err)
	}
	for n := range 3 * detector.MaxGains {
		gains = append(gains, improved(fmt.Sprint("more", n), time.Now()))
	}
	if p, _ := s.Preview(t.Context(), request("payments-backoff", "tuned")); len(p.MayLose) != detector.MaxGains {
		t.Errorf("%d are named, at most %d should be", len(p.MayLose), detector.MaxGains)
	}
}

// A journal that can't be read doesn't keep anybody from toggling, and isn't taken for
// nothing to lose.
func TestWhatMayBeLostIsNotKnown(t *testing.T) {
	s, _ := start(t, &memory{}, Config{
		Definitions: writeFile(t, fleet), Gates: []Gate{{Flag: "payments-backoff", Binary: "dten-payments", Safe: "legacy"}},
		Gains: func(context.Context, string, []string) ([]detector.Gain, error) {
			return nil, errors.New("the disk is gone")
		},
	})
	dry := request("payments-backoff", "legacy")
	dry.DryRun = true
	got, err := s.Set(t.Context(), dry)
	if err != nil || !strings.Contains(got.Evidence, "what may be lost with it couldn't be read") || strings.Contains(got.Evidence, "disk") {
		t.Errorf("dry run: got %q, %v", got.Evidence, err)
	}
	if got, err := s.Set(t.Context(), request("payments-backoff", "legacy")); err != nil || got.State != detector.ToggleVerified {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Of toggles one over the other one is in force: the others say which replaced them, until
// it is undone.
func TestReplacedToggles(t *testing.T) {
	s, _ := start(t, &memory{}, Config{Definitions: writeFile(t, fleet)})
	set := func(variant string, scope detector.Scope) string {
		t.Helper()
		r := request("payments-backoff", variant)
		r.Scope = scope
		got, err := s.Set(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return got.ID
	}
	first := set("legacy", detector.Scope{})
	second := set("tuned", detector.Scope{})
	third := set("legacy", detector.Scope{Percent: 25})
	stands := func(want map[string]string, inForce ...string) {
		t.Helper()
		v, err := s.Show("payments-backoff")
		if err != nil {
			t.Fatal(err)
		}
		history, err := s.History(t.Context(), "payments-backoff")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, in := range v.InForce() {
			got = append(got, in.Toggle)
		}
		if !slices.Equal(got, inForce) {
			t.Errorf("in force are %q, want %q", got, inForce)
		}
		audit := map[string]*detector.Replacement{}
		for _, x := range detector.Replaced(history) {
			audit[x.ID] = x.ReplacedBy
		}
		for _, x := range history {
			by := ""
			if x.ReplacedBy != nil {
				by = x.ReplacedBy.Toggle + " " + x.ReplacedBy.Variant
			}
			if by != want[x.ID] {
				t.Errorf("%s to %s is replaced by %q, want %q", x.ID, x.After, by, want[x.ID])
			}
			// The reviews, which have the audit alone, say the same.
			if a := audit[x.ID]; (a == nil) != (x.ReplacedBy == nil) || a != nil && *a != *x.ReplacedBy {
				t.Errorf("%s by the audit: %+v, by what is served: %+v", x.ID, a, x.ReplacedBy)
			}
		}
	}
	stands(map[string]string{first: second + " tuned"}, second, third)
	if v, _ := s.Show("payments-backoff"); v.Toggles != 3 || v.Beneath() != nil {
		t.Errorf("%d stand, %+v beneath the last, which is for some", v.Toggles, v.Beneath())
	}
	for range 2 {
		if v, _ := s.Show("payments-backoff"); v.Toggles == 2 && (v.Beneath() == nil || v.Beneath().Toggle != first) {
			t.Errorf("beneath the second is %+v, want the first", v.Beneath())
		}
		if _, err := s.Undo(t.Context(), "payments-backoff", "enough", "ada"); err != nil {
			t.Fatal(err)
		}
	}
	stands(map[string]string{}, first)
}
