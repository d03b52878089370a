package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftershock/detector"
)

// Blame is a firing alert that puts a regression down to a binary, as it stands
// now.
type Blame struct {
	// Key is the alert's, Since when it began.
	Key     string
	Since   time.Time
	Upgrade string
	// Verdict is the present one of the indicator that the alert is told by, Cause
	// its leading cause, Indicator its name.
	Verdict   detector.State
	Cause     detector.Cause
	Indicator string
	// Regressed is since when each regressed indicator of the upgrade is so.
	Regressed []time.Time
}

// Gate says that a flag gates something in a binary, and which variant is safe.
type Gate struct{ Flag, Binary, Safe string }

// Flag is a flag as it is served.
type Flag struct {
	// Serving is what a caller gets whom no limited toggle reaches.
	Serving  string
	Variants []string
	// Unusable says why it can't be toggled, "" if it can.
	Unusable string
	// Top is the toggle in force that was made last, "" where none is.
	Top string
}

// Situation is all that is known.
type Situation struct {
	Now time.Time
	// Frozen says why the automation must not act, "" where it may: the kill
	// switch, or that something couldn't be read.
	Frozen string
	Blames []Blame
	Gates  []Gate
	Flags  map[string]Flag
	// Toggles are the latest states of the last toggles of all flags.
	Toggles []detector.Toggle
}

// Kind is what there is to do.
type Kind string

// Kinds of actions.
const (
	None     Kind = "none"
	Proposal Kind = "propose"  // put down a plan that waits for a person
	Toggle   Kind = "toggle"   // toggle by itself
	NoHelp   Kind = "no-help"  // say that it didn't help
	PutBack  Kind = "put-back" // undo the toggle that didn't help
	Withdraw Kind = "withdraw" // a plan that is of no use any more
)

// Action is what to do about one flag, and why.
type Action struct {
	Kind    Kind
	Flag    string
	Variant string
	Upgrade string
	Scope   detector.Scope
	// Decision is the identity of what is done: the same situation gives the same,
	// so that it is done once.
	Decision string
	// Toggle is the toggle that NoHelp, PutBack and Withdraw are about.
	Toggle string
	Why    string
}

// run names all that the automation does with one flag because of one alert.
func run(alert, flag string) string {
	sum := sha256.Sum256([]byte(alert + "\x00" + flag))
	return "auto-" + hex.EncodeToString(sum[:6])
}

// proposed ends the identity of a proposal.
const proposed = "proposal"

// automatic says whether a toggle is an automatic act, rather than a person's or a
// proposal, and was at least begun.
func automatic(t detector.Toggle) bool {
	return t.Decision != "" && !strings.HasSuffix(t.Decision, "-"+proposed) &&
		t.State != detector.ToggleWaiting && t.State != detector.ToggleRejected && t.State != detector.ToggleLapsed
}

// Decide says what to do, in order of the blames and gates.
func (c *Config) Decide(s Situation) []Action {
	var actions []Action
	wanted := map[string]bool{}
	for _, b := range s.Blames {
		for _, g := range s.Gates {
			if !detector.SameBinary(g.Binary, b.Cause.Name) {
				continue
			}
			a := c.decide(s, b, g)
			a.Flag, a.Upgrade = g.Flag, b.Upgrade
			wanted[run(b.Key, g.Flag)] = true
			// One act is a change of the situation for those after it.
			if a.Kind == Toggle {
				s.Toggles = append(slices.Clone(s.Toggles), detector.Toggle{
					ID: a.Decision, Flag: a.Flag, At: s.Now, Decision: a.Decision, State: detector.TogglePlanned,
				})
			}
			actions = append(actions, a)
		}
	}
	if s.Frozen != "" {
		return actions
	}
	for _, t := range s.Toggles {
		of, _ := cutLast(t.Decision)
		if t.Decision == "" || t.State != detector.ToggleWaiting {
			continue
		}
		switch {
		case !wanted[of]:
			actions = append(actions, Action{Kind: Withdraw, Flag: t.Flag, Toggle: t.ID, Why: "the alert that it answered is over"})
		case t.Scope.Everyone() && s.Flags[t.Flag].Serving == t.After:
			actions = append(actions, Action{Kind: Withdraw, Flag: t.Flag, Toggle: t.ID, Why: fmt.Sprintf("%q is served by now", t.After)})
		}
	}
	return actions
}

// cutLast cuts a decision into its run and the rest.
func cutLast(decision string) (run, rest string) {
	i := strings.LastIndexByte(decision, '-')
	if i < 0 {
		return decision, ""
	}
	return decision[:i], decision[i+1:]
}

func none(format string, args ...any) Action {
	return Action{Kind: None, Why: fmt.Sprintf(format, args...)}
}

// decide weighs one flag that gates the blamed binary.
func (c *Config) decide(s Situation, b Blame, g Gate) Action {
	rule := c.For(g.Flag)
	if why := c.barred(s, b, g, rule); why != "" {
		return none("%s", why)
	}
	id := run(b.Key, g.Flag)
	steps, proposal := past(s.Toggles, id)
	if len(steps) > 0 {
		return c.goOn(s, b, g, rule, steps, proposal)
	}
	f := s.Flags[g.Flag]
	switch {
	case f.Serving == g.Safe:
		return none("it serves %q already", g.Safe)
	case proposal:
		return none("it was proposed already")
	}
	why := fmt.Sprintf("%s regressed, put down to %s (%.0f%%), which it gates", b.Indicator, b.Cause.Name, 100*b.Cause.Probability)
	if rule.Automation == Auto {
		held := c.held(s, g.Flag, rule)
		if held == "" {
			return step(id, g, rule, 0, why)
		}
		why += "; not toggled automatically: " + held
	}
	return propose(id, g, why)
}

// barred says why the automation must keep its hands off, "" if it may act.
func (c *Config) barred(s Situation, b Blame, g Gate, rule Rule) string {
	f, known := s.Flags[g.Flag]
	switch {
	case s.Frozen != "":
		return s.Frozen
	case rule.Automation != Auto && rule.Automation != Propose:
		return "the automation is off for this flag"
	case b.Verdict != detector.Regressed:
		return fmt.Sprintf("the verdict is %s, not regressed", b.Verdict)
	case b.Cause.Kind != detector.CauseBinary || b.Cause.Name == "":
		return "no binary is blamed by name"
	case !(b.Cause.Probability >= c.Sure):
		return fmt.Sprintf("%s is blamed with %.0f%%, and %.0f%% are asked for", b.Cause.Name, 100*b.Cause.Probability, 100*c.Sure)
	case g.Safe == "":
		return "no safe variant was declared"
	case !known:
		return "the flag isn't defined"
	case f.Unusable != "":
		return f.Unusable
	case !slices.Contains(f.Variants, g.Safe):
		return fmt.Sprintf("the safe variant %q isn't declared in the flag", g.Safe)
	}
	for _, t := range s.Toggles {
		if t.Flag == g.Flag && t.Decision == "" && t.Actor != Actor && t.State.TookEffect() && !t.Began().Before(b.Since) {
			return fmt.Sprintf("%s has toggled it since", t.Actor)
		}
	}
	return ""
}

// held says why a first step has to wait for a person, "" if it hasn't.
func (c *Config) held(s Situation, flag string, rule Rule) string {
	for _, t := range s.Toggles {
		if t.Flag == flag && automatic(t) && s.Now.Sub(t.Began()) < rule.Cooldown {
			return fmt.Sprintf("it was at %s, and %s have to lie between", t.Began().UTC().Format(time.RFC3339), rule.Cooldown)
		}
	}
	if n := c.lately(s); n >= c.PerHour {
		return fmt.Sprintf("there were %d automatic toggles in the last hour, and %d are allowed", n, c.PerHour)
	}
	return ""
}

// lately is the number of automatic toggles within the last hour.
func (c *Config) lately(s Situation) int {
	n := 0
	for _, t := range s.Toggles {
		if automatic(t) && s.Now.Sub(t.Began()) < time.Hour {
			n++
		}
	}
	return n
}

// past finds what a run did before: its steps in order, and whether it proposed.
func past(toggles []detector.Toggle, id string) (steps []detector.Toggle, proposal bool) {
	for _, t := range toggles {
		of, rest := cutLast(t.Decision)
		switch {
		case of != id:
		case rest == proposed:
			proposal = true
		default:
			steps = append(steps, t)
		}
	}
	slices.SortFunc(steps, func(a, b detector.Toggle) int { return number(a) - number(b) })
	return steps, proposal
}

func number(t detector.Toggle) int {
	_, rest := cutLast(t.Decision)
	n, _ := strconv.Atoi(rest)
	return n
}

func step(id string, g Gate, rule Rule, n int, why string) Action {
	return Action{Kind: Toggle, Variant: g.Safe, Scope: scope(rule, n), Decision: id + "-" + strconv.Itoa(n+1), Why: why}
}

// scope is whom a step is for.
func scope(rule Rule, n int) (s detector.Scope) {
	if p := rule.Steps[n]; p < 100 {
		s.Percent = p
	}
	return s
}

func propose(id string, g Gate, why string) Action {
	return Action{Kind: Proposal, Variant: g.Safe, Decision: id + "-" + proposed, Why: why}
}
