package flags

import (
	"strings"
	"testing"

	"aftershock/detector"
	"aftershock/flags/policy"
)

// An automatic toggle that a crash cut off is carried on only under a policy that
// would still make it.
func TestResumeHeedsThePolicy(t *testing.T) {
	off, rule := Gate{Flag: "masked", Binary: "b", Safe: "off"}, policy.Rule{Automation: policy.Auto, Steps: []float64{25, 100}}
	change := func(f func(*policy.Rule)) policy.Rule {
		r := rule
		f(&r)
		return r
	}
	for name, tc := range map[string]struct {
		rule  policy.Rule
		gate  Gate
		wants string // "": it is made
	}{
		"as it was":            {rule, off, ""},
		"off":                  {change(func(r *policy.Rule) { r.Automation = policy.Off }), off, "the automation is off for this flag"},
		"to propose":           {change(func(r *policy.Rule) { r.Automation = policy.Propose }), off, "the automation is propose for this flag"},
		"with approval":        {change(func(r *policy.Rule) { r.Approval = "one" }), off, "asks for approval"},
		"another safe variant": {rule, Gate{Flag: "masked", Binary: "b", Safe: "on"}, `"off" is no safe variant`},
		"no gate":              {rule, Gate{Flag: "other", Binary: "b", Safe: "off"}, `"off" is no safe variant`},
		"smaller steps":        {change(func(r *policy.Rule) { r.Steps = []float64{5, 100} }), off, "step 1 is for 5% of the callers by now, not for 25%"},
	} {
		t.Run(name, func(t *testing.T) {
			store := &memory{}
			c := Config{Definitions: writeFile(t, fleet), Policy: policy.Config{Rule: rule}, Gates: []Gate{off}}
			s, _ := start(t, store, c)
			store.fail = func(point string) error { // the daemon dies between plan and act
				if len(store.audit) > 0 {
					return errDown
				}
				return nil
			}
			r := request("masked", "off")
			r.Actor, r.Decision, r.Scope.Percent = policy.Actor, "auto-0123-1", 25
			if _, err := s.Set(t.Context(), r); err == nil || len(store.audit) != 1 {
				t.Fatalf("got %v, and the audit %+v", err, store.audit)
			}
			store.fail = nil
			c.Policy.Rule, c.Gates = tc.rule, []Gate{tc.gate}
			s, _ = start(t, store, c)
			s.grace = 0
			for range 2 { // a second look finds nothing to do
				if err := s.Resume(t.Context()); err != nil {
					t.Error(err)
				}
			}
			got, err := s.find(t.Context(), "masked", r.Decision)
			if err != nil {
				t.Fatal(err)
			}
			if tc.wants == "" {
				if got.State != detector.ToggleVerified || !s.serving.Load().stands(got) {
					t.Errorf("it isn't made: %+v", got)
				}
				return
			}
			if got.State != detector.ToggleRejected || got.By != policy.Actor || !strings.Contains(got.Evidence, tc.wants) {
				t.Errorf("got %+v", got)
			}
			if s.serving.Load().revision != 1 || len(store.states(r.Decision)) != 2 {
				t.Errorf("revision %d, audited as %v", s.serving.Load().revision, store.states(r.Decision))
			}
		})
	}
}
