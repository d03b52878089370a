package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
)

// goOn decides what follows the steps that were made.
func (c *Config) goOn(s Situation, b Blame, g Gate, rule Rule, steps []detector.Toggle, proposal bool) Action {
	last := steps[len(steps)-1]
	id := run(b.Key, g.Flag)
	switch last.State {
	case detector.ToggleVerified, detector.ToggleRecovered, detector.ToggleNoHelp:
	case detector.ToggleFailed:
		if proposal || rule.Automation == Off {
			return none("step %d failed, and a person was asked", len(steps))
		}
		return propose(id, g, fmt.Sprintf("step %d of the automatic toggle failed: %s", len(steps), last.Evidence))
	case detector.ToggleRejected:
		if last.By != Actor || proposal {
			return none("step %d is %s", len(steps), last.State)
		}
		return propose(id, g, fmt.Sprintf("step %d of the automatic toggle was %s", len(steps), last.Evidence))
	case detector.ToggleUndone:
		if strings.HasPrefix(last.Evidence, "undone by "+Actor) {
			return c.putBack(s, rule, steps) // a crash may have come in between
		}
		return none("step %d was undone", len(steps))
	default:
		return none("step %d is %s", len(steps), last.State)
	}
	if len(steps) >= len(rule.Steps) {
		return c.recovery(s, rule, steps, last)
	}
	switch {
	case rule.Automation != Auto:
		return none("the automation is no longer auto for this flag")
	case s.Flags[g.Flag].Top != last.ID:
		return none("step %d isn't the last toggle in force", len(steps))
	case s.Now.Sub(last.Began()) < rule.StepWait:
		return none("step %d is looked at until %s", len(steps), last.Began().Add(rule.StepWait).UTC().Format(time.RFC3339))
	}
	if n := newer(b, last.Began()); n > 0 {
		if proposal {
			return none("%d indicators regressed after step %d, and a person was asked", n, len(steps))
		}
		return propose(id, g, fmt.Sprintf("step %d of the automatic toggle held, but %d more indicators regressed after it", len(steps), n))
	}
	if n := c.lately(s); n >= c.PerHour {
		return none("there were %d automatic toggles in the last hour, and %d are allowed", n, c.PerHour)
	}
	why := fmt.Sprintf("%s is still regressed, put down to %s (%.0f%%); step %d is verified and nothing regressed after it",
		b.Indicator, b.Cause.Name, 100*b.Cause.Probability, len(steps))
	return step(id, g, rule, len(steps), why)
}

// Withdraws says why a step of an automatic toggle that was decided before, maybe under
// another policy, may not be made any more, "" if it may.
func (c *Config) Withdraws(t detector.Toggle, gates []Gate) string {
	rule := c.For(t.Flag)
	n := number(t)
	switch {
	case rule.Automation != Auto:
		return fmt.Sprintf("the automation is %s for this flag by now", rule.Automation)
	case rule.Approvals() > 0:
		return "the policy asks for approval by now"
	case !slices.ContainsFunc(gates, func(g Gate) bool { return g.Flag == t.Flag && g.Safe == t.After }):
		return fmt.Sprintf("%q is no safe variant of it by now", t.After)
	case n < 1 || n > len(rule.Steps):
		return fmt.Sprintf("the policy has no step %d by now", n)
	}
	if now := scope(rule, n-1); now.Percent != t.Scope.Percent {
		return fmt.Sprintf("step %d is for %s by now, not for %s", n, now, t.Scope)
	}
	return ""
}

// newer is the number of indicators that regressed after at.
func newer(b Blame, at time.Time) (n int) {
	for _, since := range b.Regressed {
		if since.After(at) {
			n++
		}
	}
	return n
}

// recovery watches the whole toggle: the alert still fires.
func (c *Config) recovery(s Situation, rule Rule, steps []detector.Toggle, last detector.Toggle) Action {
	late := s.Now.Sub(last.Began())
	switch {
	case last.State == detector.ToggleRecovered:
		return none("it helped")
	case late < rule.Recovery && last.State != detector.ToggleNoHelp:
		return none("its effect is watched until %s", last.Began().Add(rule.Recovery).UTC().Format(time.RFC3339))
	case last.State != detector.ToggleNoHelp:
		return Action{
			Kind: NoHelp, Toggle: last.ID, Decision: last.Decision,
			Why: fmt.Sprintf("the alert still fires %s after the toggle of everyone", late.Round(time.Second)),
		}
	}
	return c.putBack(s, rule, steps)
}

// putBack undoes the steps from the last on.
func (c *Config) putBack(s Situation, rule Rule, steps []detector.Toggle) Action {
	if !*rule.PutBack {
		return none("it didn't help; the policy leaves it as it is")
	}
	top := s.Flags[steps[0].Flag].Top
	for _, t := range steps {
		if t.ID == top {
			return Action{Kind: PutBack, Toggle: top, Decision: t.Decision, Why: "it didn't help, and the policy says to put it back"}
		}
	}
	return none("it didn't help, and no step of it is the last toggle in force")
}
