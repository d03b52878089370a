package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
)

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

// auto is a policy that toggles by itself.
func auto() *Config {
	c := &Config{Rule: Rule{Automation: Auto}}
	c.SetDefaults()
	return c
}

// regressed is a situation in which the automation acts.
func regressed() Situation {
	return Situation{
		Now: noon,
		Blames: []Blame{{
			Key: "dten-4.2.0/dten-payments/1", Since: noon.Add(-50 * time.Minute), Upgrade: "dten-4.2.0", Verdict: detector.Regressed,
			Cause:     detector.Cause{Kind: detector.CauseBinary, Name: "dten-payments", Probability: 0.97},
			Indicator: "retries of acme-pay", Regressed: []time.Time{noon.Add(-50 * time.Minute)},
		}},
		Gates: []Gate{{"payments-backoff", "dten-payments", "legacy"}},
		Flags: map[string]Flag{"payments-backoff": {Serving: "new", Variants: []string{"legacy", "new"}}},
	}
}

var id = run("dten-4.2.0/dten-payments/1", "payments-backoff")

// did is a step of the automation at an earlier time.
func did(n int, state detector.ToggleState, ago time.Duration) detector.Toggle {
	d := fmt.Sprintf("%s-%d", id, n)
	return detector.Toggle{ID: d, Decision: d, Flag: "payments-backoff", Actor: Actor, State: state, At: noon.Add(-ago), After: "legacy"}
}

func elsewhere(n int, ago time.Duration) detector.Toggle {
	d := fmt.Sprintf("auto-000000000000-%d", n)
	return detector.Toggle{ID: d, Decision: d, Flag: "another", Actor: Actor, State: detector.ToggleVerified, At: noon.Add(-ago)}
}

func TestFirstStep(t *testing.T) {
	got := auto().Decide(regressed())
	if len(got) != 1 {
		t.Fatalf("got %+v", got)
	}
	want := Action{
		Kind: Toggle, Flag: "payments-backoff", Variant: "legacy", Upgrade: "dten-4.2.0", Scope: detector.Scope{Percent: 25}, Decision: id + "-1",
		Why: "retries of acme-pay regressed, put down to dten-payments (97%), which it gates",
	}
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if again := auto().Decide(regressed()); again[0].Decision != got[0].Decision {
		t.Error("the same situation gives another decision")
	}
}

// Each guardrail alone keeps the automation from its first step.
func TestGuardrails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(c *Config, s *Situation)
		kind   Kind
		why    string
	}{
		{"frozen", func(_ *Config, s *Situation) { s.Frozen = "ann froze it" }, None, "ann froze it"},
		{"off", func(c *Config, _ *Situation) { c.Automation = Off }, None, "off"},
		{"off for the flag", func(c *Config, _ *Situation) { c.Flags = map[string]Rule{"payments-backoff": {Automation: Off}} }, None, "off"},
		{"no known mode", func(c *Config, _ *Situation) { c.Automation = "full" }, None, "off"},
		{"propose", func(c *Config, _ *Situation) { c.Automation = Propose }, Proposal, "which it gates"},
		{"undecided", func(_ *Config, s *Situation) { s.Blames[0].Verdict = detector.Undecided }, None, "undecided, not regressed"},
		{"clear", func(_ *Config, s *Situation) { s.Blames[0].Verdict = detector.Clear }, None, "not regressed"},
		{"improved", func(_ *Config, s *Situation) { s.Blames[0].Verdict = detector.Improved }, None, "not regressed"},
		{"no verdict", func(_ *Config, s *Situation) { s.Blames[0].Verdict = "" }, None, "not regressed"},
		{"unknown cause", func(_ *Config, s *Situation) { s.Blames[0].Cause.Kind = detector.CauseUnknown }, None, "no binary is blamed"},
		{"third party of the same name", func(_ *Config, s *Situation) { s.Blames[0].Cause.Kind = detector.CauseThirdParty }, None, "no binary is blamed"},
		{"unsure", func(_ *Config, s *Situation) { s.Blames[0].Cause.Probability = 0.89 }, None, "89%"},
		{"probability is no number", func(_ *Config, s *Situation) { s.Blames[0].Cause.Probability = math.NaN() }, None, "90% are asked for"},
		{"nameless binary", func(_ *Config, s *Situation) { s.Blames[0].Cause.Name, s.Gates[0].Binary = "", "" }, None, "by name"},
		{"no safe variant", func(_ *Config, s *Situation) { s.Gates[0].Safe = "" }, None, "no safe variant"},
		{"safe isn't a variant", func(_ *Config, s *Situation) { s.Gates[0].Safe = "old" }, None, `"old" isn't declared`},
		{"no flag", func(_ *Config, s *Situation) { delete(s.Flags, "payments-backoff") }, None, "isn't defined"},
		{"unusable", func(_ *Config, s *Situation) {
			s.Flags["payments-backoff"] = Flag{Unusable: "the flag is DISABLED", Variants: []string{"legacy"}}
		}, None, "DISABLED"},
		{"safe already", func(_ *Config, s *Situation) {
			s.Flags["payments-backoff"] = Flag{Serving: "legacy", Variants: []string{"legacy"}}
		}, None, "already"},
		{"somebody toggled", func(_ *Config, s *Situation) {
			s.Toggles = []detector.Toggle{{ID: "t", Flag: "payments-backoff", Actor: "ann", State: detector.ToggleVerified, At: noon.Add(-time.Minute)}}
		}, None, "ann has toggled it since"},
		{"cooldown", func(_ *Config, s *Situation) {
			last := did(1, detector.ToggleUndone, 59*time.Minute)
			last.ID, last.Decision = "auto-ffffffffffff-1", "auto-ffffffffffff-1"
			s.Toggles = []detector.Toggle{last}
		}, Proposal, "1h0m0s have to lie between"},
		{"cap an hour", func(_ *Config, s *Situation) {
			for n := range 4 {
				s.Toggles = append(s.Toggles, elsewhere(n, 59*time.Minute))
			}
		}, Proposal, "4 automatic toggles in the last hour"},
		{"proposed", func(c *Config, s *Situation) {
			c.Automation = Propose
			s.Toggles = []detector.Toggle{{ID: id + "-proposal", Decision: id + "-proposal", Flag: "payments-backoff", State: detector.ToggleRejected, At: noon}}
		}, None, "proposed already"},
		{"proposed before auto", func(_ *Config, s *Situation) {
			s.Toggles = []detector.Toggle{{ID: id + "-proposal", Decision: id + "-proposal", Flag: "payments-backoff", State: detector.ToggleLapsed, At: noon}}
		}, None, "proposed already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s := auto(), regressed()
			tt.change(c, &s)
			got := c.Decide(s)
			if len(got) != 1 || got[0].Kind != tt.kind || !strings.Contains(got[0].Why, tt.why) {
				t.Fatalf("got %+v, want %s because of %q", got, tt.kind, tt.why)
			}
			if got[0].Kind == Proposal && (got[0].Variant != "legacy" || !got[0].Scope.Everyone() || got[0].Decision != id+"-proposal") {
				t.Errorf("proposed %+v", got[0])
			}
		})
	}
	// And what isn't within them doesn't.
	for _, tt := range []struct {
		name   string
		change func(c *Config, s *Situation)
	}{
		{"sure enough", func(_ *Config, s *Situation) { s.Blames[0].Cause.Probability = 0.9 }},
		{"toggled before the alert", func(_ *Config, s *Situation) {
			s.Toggles = []detector.Toggle{{ID: "t", Flag: "payments-backoff", Actor: "ann", State: detector.ToggleVerified, At: noon.Add(-time.Hour)}}
		}},
		{"a plan that wasn't made", func(_ *Config, s *Situation) {
			s.Toggles = []detector.Toggle{{ID: "t", Flag: "payments-backoff", Actor: "ann", State: detector.ToggleFailed, At: noon}}
		}},
		{"cooled down", func(_ *Config, s *Situation) {
			last := did(1, detector.ToggleUndone, time.Hour)
			last.ID, last.Decision = "auto-ffffffffffff-1", "auto-ffffffffffff-1"
			s.Toggles = []detector.Toggle{last}
		}},
		{"below the cap", func(_ *Config, s *Situation) {
			s.Toggles = []detector.Toggle{elsewhere(1, 0), elsewhere(2, 0), elsewhere(3, 0), elsewhere(4, time.Hour)}
		}},
	} {
		c, s := auto(), regressed()
		tt.change(c, &s)
		if got := c.Decide(s); got[0].Kind != Toggle {
			t.Errorf("%s: got %+v, want a toggle", tt.name, got)
		}
	}
	c, s := auto(), regressed()
	s.Gates[0].Binary = "dten-cart"
	if got := c.Decide(s); len(got) != 0 {
		t.Errorf("the flag gates another binary: got %+v", got)
	}
}

// What follows a step.
func TestGoOn(t *testing.T) {
	steps := func(ago time.Duration, states ...detector.ToggleState) func(*Config, *Situation) {
		return func(_ *Config, s *Situation) {
			for n, state := range states {
				s.Toggles = append(s.Toggles, did(n+1, state, ago+time.Duration(len(states)-n)*time.Minute))
			}
			f := s.Flags["payments-backoff"]
			f.Top = s.Toggles[len(s.Toggles)-1].ID
			s.Flags["payments-backoff"] = f
		}
	}
	v, all := detector.ToggleVerified, 31*time.Minute
	also := func(first func(*Config, *Situation), then func(*Config, *Situation)) func(*Config, *Situation) {
		return func(c *Config, s *Situation) { first(c, s); then(c, s) }
	}
	putBack := func(c *Config, _ *Situation) { yes := true; c.PutBack = &yes }
	for _, tt := range []struct {
		name   string
		change func(*Config, *Situation)
		kind   Kind
		why    string
	}{
		{"everyone", steps(5*time.Minute, v), Toggle, "nothing regressed after it"},
		{"recovered by its watch", steps(5*time.Minute, detector.ToggleRecovered), Toggle, "still regressed"},
		{"too early", steps(3*time.Minute, v), None, "12:01:00Z"},
		{"not verified yet", steps(9*time.Minute, detector.ToggleApplied), None, "step 1 is applied"},
		{"planned", steps(9*time.Minute, detector.TogglePlanned), None, "step 1 is planned"},
		{"waits for approval", steps(9*time.Minute, detector.ToggleWaiting), None, "step 1 is waiting"},
		{"rejected", steps(9*time.Minute, detector.ToggleRejected), None, "step 1 is rejected"},
		{"withdrawn after a crash", also(steps(9*time.Minute, detector.ToggleRejected), func(_ *Config, s *Situation) {
			s.Toggles[0].By, s.Toggles[0].Evidence = Actor, "withdrawn: other steps"
		}), Proposal, "step 1 of the automatic toggle was withdrawn: other steps"},
		{"put back by somebody", steps(9*time.Minute, detector.ToggleReverted), None, "step 1 is reverted"},
		{"undone by a person", steps(9*time.Minute, detector.ToggleUndone), None, "step 1 was undone"},
		{"failed", steps(9*time.Minute, detector.ToggleFailed), Proposal, "failed"},
		{"failed, and proposed", also(steps(9*time.Minute, detector.ToggleFailed), func(_ *Config, s *Situation) {
			s.Toggles = append(s.Toggles, detector.Toggle{ID: id + "-proposal", Decision: id + "-proposal", State: detector.ToggleWaiting})
		}), None, "a person was asked"},
		{"no longer auto", also(steps(9*time.Minute, v), func(c *Config, _ *Situation) { c.Automation = Propose }), None, "no longer auto"},
		{"frozen", also(steps(9*time.Minute, v), func(_ *Config, s *Situation) { s.Frozen = "frozen" }), None, "frozen"},
		{"undecided by now", also(steps(9*time.Minute, v), func(_ *Config, s *Situation) { s.Blames[0].Verdict = detector.Undecided }), None, "undecided"},
		{"something else lies over it", also(steps(9*time.Minute, v), func(_ *Config, s *Situation) {
			s.Flags["payments-backoff"] = Flag{Variants: []string{"legacy"}, Top: "t"}
		}), None, "isn't the last"},
		{"more regressed", also(steps(9*time.Minute, v), func(_ *Config, s *Situation) {
			s.Blames[0].Regressed = append(s.Blames[0].Regressed, noon.Add(-time.Minute))
		}), Proposal, "1 more indicators regressed"},
		{"more regressed, and proposed", also(steps(9*time.Minute, v), func(_ *Config, s *Situation) {
			s.Blames[0].Regressed = append(s.Blames[0].Regressed, noon.Add(-time.Minute))
			s.Toggles = append(s.Toggles, detector.Toggle{ID: id + "-proposal", Decision: id + "-proposal", State: detector.ToggleRejected})
		}), None, "a person was asked"},
		{"cap", also(steps(9*time.Minute, v), func(_ *Config, s *Situation) {
			s.Toggles = append(s.Toggles, elsewhere(1, 0), elsewhere(2, 0), elsewhere(3, 0))
		}), None, "4 are allowed"},
		{"its effect is watched", steps(20*time.Minute, v, v), None, "is watched until"},
		{"it helped", steps(all, v, detector.ToggleRecovered), None, "it helped"},
		{"it didn't help", steps(all, v, v), NoHelp, "still fires"},
		{"it is known that it didn't", steps(all, v, detector.ToggleNoHelp), None, "leaves it as it is"},
		{"known earlier", also(steps(time.Minute, v, detector.ToggleNoHelp), putBack), PutBack, "put it back"},
		{"put back", also(steps(all, v, detector.ToggleNoHelp), putBack), PutBack, "put it back"},
		{"put back, but somebody else toggled", also(also(steps(all, v, detector.ToggleNoHelp), putBack), func(_ *Config, s *Situation) {
			s.Flags["payments-backoff"] = Flag{Variants: []string{"legacy"}, Top: "t"}
		}), None, "no step of it is the last"},
		{"frozen before it was put back", also(also(steps(all, v, detector.ToggleNoHelp), putBack), func(_ *Config, s *Situation) { s.Frozen = "frozen" }), None, "frozen"},
		{"put back by half", also(also(steps(all, v, detector.ToggleUndone), putBack), func(_ *Config, s *Situation) {
			s.Toggles[1].Evidence = "undone by " + Actor + " with x: it didn't help"
			s.Flags["payments-backoff"] = Flag{Variants: []string{"legacy"}, Top: id + "-1"}
		}), PutBack, "put it back"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s := auto(), regressed()
			tt.change(c, &s)
			got := c.Decide(s)[0]
			if got.Kind != tt.kind || !strings.Contains(got.Why, tt.why) {
				t.Fatalf("got %+v, want %s because of %q", got, tt.kind, tt.why)
			}
			if got.Kind == Toggle && (got.Variant != "legacy" || !got.Scope.Everyone() || got.Decision != id+"-2") {
				t.Errorf("got %+v, want everyone", got)
			}
			if got.Kind == PutBack && got.Toggle != s.Flags["payments-backoff"].Top {
				t.Errorf("puts back %q", got.Toggle)
			}
		})
	}
}

// Two alerts at once count for the cap together, and two for one flag act once.
func TestSeveralAtOnce(t *testing.T) {
	c, s := auto(), regressed()
	c.PerHour = 1
	second := s.Blames[0]
	second.Key, second.Cause.Name = "other", "dten-cart"
	s.Blames = append(s.Blames, second)
	s.Gates = append(s.Gates, Gate{"cart-cache", "dten-cart", "off"})
	s.Flags["cart-cache"] = Flag{Serving: "on", Variants: []string{"on", "off"}}
	if got := c.Decide(s); len(got) != 2 || got[0].Kind != Toggle || got[1].Kind != Proposal {
		t.Errorf("cap of 1: got %+v", got)
	}
	c, s = auto(), regressed()
	second = s.Blames[0]
	second.Key = "another alert"
	s.Blames = append(s.Blames, second)
	if got := c.Decide(s); len(got) != 2 || got[0].Kind != Toggle || got[1].Kind != Proposal {
		t.Errorf("two alerts for one flag: got %+v", got)
	}
}

func TestWithdraw(t *testing.T) {
	c, s := auto(), regressed()
	s.Toggles = []detector.Toggle{
		{ID: id + "-proposal", Decision: id + "-proposal", Flag: "payments-backoff", State: detector.ToggleWaiting, At: noon},
		{ID: "person", Flag: "payments-backoff", State: detector.ToggleWaiting, At: noon},
	}
	if got := c.Decide(s); len(got) != 1 || got[0].Kind != None {
		t.Errorf("while the alert fires: got %+v", got)
	}
	// What a person did meanwhile, the automation needn't ask for any more.
	s.Toggles[0].After = "legacy"
	now := s.Flags["payments-backoff"]
	now.Serving = "legacy"
	s.Flags = map[string]Flag{"payments-backoff": now}
	if got := c.Decide(s); len(got) != 2 || got[1].Kind != Withdraw || got[1].Toggle != id+"-proposal" || got[1].Why != `"legacy" is served by now` {
		t.Errorf("when it was done by hand: got %+v", got)
	}
	s.Blames = nil
	if got := c.Decide(s); len(got) != 1 || got[0].Kind != Withdraw || got[0].Toggle != id+"-proposal" {
		t.Errorf("when it is over: got %+v", got)
	}
	s.Frozen = "frozen"
	if got := c.Decide(s); len(got) != 0 {
		t.Errorf("frozen: got %+v", got)
	}
}

func TestValidate(t *testing.T) {
	if errs := auto().Validate("p"); len(errs) > 0 {
		t.Errorf("the defaults: %v", errs)
	}
	second := time.Millisecond
	for _, tt := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Approval = "three" }, "p.approval"},
		{func(c *Config) { c.Automation = "on" }, "p.automation"},
		{func(c *Config) { c.OnExpiry = "restore" }, "p.on_expiry"},
		{func(c *Config) { c.Steps = []float64{50, 25} }, "p.steps[1]"},
		{func(c *Config) { c.Steps = []float64{math.NaN()} }, "p.steps[0]"},
		{func(c *Config) { c.Steps = []float64{0.001} }, "p.steps[0]"},
		{func(c *Config) { c.Steps = []float64{101} }, "p.steps[0]"},
		{func(c *Config) { c.Steps = []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} }, "p.steps: has 11"},
		{func(c *Config) { c.Cooldown = -1 }, "p.cooldown"},
		{func(c *Config) { c.StepWait = 200 * time.Hour }, "p.step_wait"},
		{func(c *Config) { c.Recovery = 1 }, "p.recovery"},
		{func(c *Config) { c.Expires = &second }, "p.expires"},
		{func(c *Config) { c.PerHour = -1 }, "p.per_hour"},
		{func(c *Config) { c.Sure = 0.4 }, "p.sure"},
		{func(c *Config) { c.Sure = math.NaN() }, "p.sure"},
		{func(c *Config) { c.ApproveWithin = 1 }, "p.approve_within"},
		{func(c *Config) { c.RemindBefore = -1 }, "p.remind_before"},
		{func(c *Config) { c.Every = 1 }, "p.every"},
		{func(c *Config) { c.Flags = map[string]Rule{"f": {Approval: "x"}} }, "p.flags.f.approval"},
	} {
		c := auto()
		tt.change(c)
		if errs := c.Validate("p"); len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), tt.want) {
			t.Errorf("got %v, want one of %s", errs, tt.want)
		}
	}
	// A mistake in the default isn't told once more for each flag that takes it.
	c := auto()
	c.Approval, c.StepWait = "three", -1
	c.Flags = map[string]Rule{"f": {Automation: Off}, "g": {Cooldown: -1}}
	var paths []string
	for _, err := range c.Validate("p") {
		path, _, _ := strings.Cut(err.Error(), ":")
		paths = append(paths, path)
	}
	slices.Sort(paths)
	if got := strings.Join(paths, " "); got != "p.approval p.flags.g.cooldown p.step_wait" {
		t.Errorf("got %s", got)
	}
}

func TestFor(t *testing.T) {
	never, day := time.Duration(0), 24*time.Hour
	c := &Config{Rule: Rule{Approval: "one", Expires: &day}, Flags: map[string]Rule{"f": {Approval: "none", Expires: &never, Automation: Auto}}}
	c.SetDefaults()
	if r := c.For("f"); r.Approvals() != 0 || *r.Expires != 0 || r.Automation != Auto || r.Cooldown != time.Hour {
		t.Errorf("of the flag: %+v", r)
	}
	if r := c.For("g"); r.Approvals() != 1 || *r.Expires != day || r.Automation != Propose {
		t.Errorf("of others: %+v", r)
	}
}
