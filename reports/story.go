package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// head is the review in five lines: what came out, the size, the cause, what was
// done, what is open.
func head(r Review) []string {
	return []string{r.result(), r.size(), r.blame(), r.done(), r.open()}
}

// result is what came out, with what of the upgrade's good is gone again.
func (r Review) result() string {
	text := r.verdict()
	if n := r.Counts.Lost; n > 0 {
		text = strings.TrimSuffix(text, ".") + fmt.Sprintf("; %s that had improved %s lost again.", words.Plural(n, "indicator"), isAre(n))
	}
	return text
}

func (r Review) verdict() string {
	c, name := r.Counts, words.TheUpgrade(r.Upgrade)
	some := func(n int) string { return fmt.Sprintf("%d of %s", n, words.Plural(c.Indicators, "indicator")) }
	switch r.Outcome {
	case Blind:
		return fmt.Sprintf("No data: nothing can be said of %s, since no indicator was seen.", name)
	case Regressed:
		s := fmt.Sprintf("Regressed: %s got worse after %s and %s still.", some(c.Regressed+c.Recovered), name, isAre(c.Regressed+c.Recovered))
		if c.Recovered > 0 && c.Regressed == 1 {
			return fmt.Sprintf("Regressed: %s got worse after %s; %d recovered, %s did not.", some(c.Regressed+c.Recovered), name, c.Recovered, words.Indicator(r.Shifts[0].Verdict.Indicator))
		}
		if c.Recovered > 0 {
			s = fmt.Sprintf("Regressed: %s got worse after %s; %d recovered, %d did not.", some(c.Regressed+c.Recovered), name, c.Recovered, c.Regressed)
		}
		return s
	case Accepted:
		s := fmt.Sprintf("Accepted: %s got worse with a toggle after %s, within what was accepted", some(c.Accepted), name)
		if c.Recovered > 0 {
			s += fmt.Sprintf("; %d more recovered", c.Recovered)
		}
		return s + "."
	case Recovered:
		return fmt.Sprintf("Recovered: %s got worse after %s, and all came back within the margin.", some(c.Recovered), name)
	case Undecided:
		return fmt.Sprintf("Undecided: nothing is known to be worse after %s; %s clear, %d can't be told yet.", name, some(c.Clear+c.Improved), c.Undecided)
	}
	return fmt.Sprintf("Clear: all %s proven to be within the margin after %s.", words.Plural(c.Indicators, "indicator"), name)
}

// main is the shift that the review is told by: the root of the first alert where
// there is one, else the worst.
func (r Review) main() (Shift, bool) {
	for _, a := range r.Alerts {
		for _, s := range r.Shifts {
			if s.Worse() && s.Verdict.Indicator.Key() == a.Root.Indicator.Key() {
				return s, true
			}
		}
	}
	if len(r.Shifts) > 0 {
		return r.Shifts[0], true
	}
	return Shift{}, false
}

func (r Review) size() string {
	s, ok := r.main()
	if !ok {
		return "No indicator has shifted by more than the margin."
	}
	text := words.Capital(words.Indicator(s.Verdict.Indicator))
	if e := s.Verdict.Effect; e != nil {
		text += ", " + words.Change(*e)
	}
	if o := s.Verdict.Onset; o != nil {
		text += ", since " + words.Onset(*o)
	}
	if others := r.Counts.Regressed + r.Counts.Recovered - 1; s.Worse() && others > 0 {
		text += fmt.Sprintf("; and %d more", others)
	}
	return text + "."
}

func (r Review) blame() string {
	s, ok := r.main()
	if !ok || len(s.Verdict.Causes) == 0 {
		return "Nothing is blamed."
	}
	first := s.Verdict.Causes[0]
	if first.Kind == detector.CauseUnknown {
		return "The cause is unknown."
	}
	text := fmt.Sprintf("Put down to %s (%s)", words.Suspect(first, r.Upgrade.Binaries), words.Probability(first.Probability))
	if len(s.Verdict.Causes) > 1 {
		next := s.Verdict.Causes[1]
		text += fmt.Sprintf("; next would be %s (%s)", words.Suspect(next, r.Upgrade.Binaries), words.Probability(next.Probability))
	}
	return text + "."
}

func (r Review) done() string {
	var acts []string
	for _, t := range r.Toggles {
		if applied(t) {
			acts = append(acts, fmt.Sprintf("%s set %s to %s%s at %s", words.Name(t.Actor), words.Name(t.Flag), words.Name(t.After), whom(t), words.Clock(t.Began())))
		}
	}
	var text string
	switch {
	case len(acts) == 0 && r.Counts.Regressed+r.Counts.Recovered == 0:
		return "Nothing had to be done."
	case len(acts) == 0:
		text = "No flag was toggled"
	case len(acts) > 3:
		text = fmt.Sprintf("Done: %s; %d more toggles; %s", acts[0], len(acts)-2, acts[len(acts)-1])
	default:
		text = "Done: " + strings.Join(acts, "; ")
	}
	if t := r.Times.Recover; t != nil {
		text += "; back within the margin " + words.Duration(seconds(*t)) + " after the first act"
		if r.Times.Decide == nil {
			text = "No flag was toggled; back within the margin " + words.Duration(seconds(*t)) + " after it was found"
		}
	}
	return text + "."
}

func (r Review) open() string {
	if r.Outcome == Blind {
		return "Open: everything, until an indicator is seen."
	}
	var open []string
	if n := r.Counts.Regressed; n > 0 {
		open = append(open, words.Plural(n, "indicator")+" still worse")
	}
	if n := r.Counts.Accepted; n > 0 {
		open = append(open, words.Plural(n, "indicator")+" worse within what was accepted")
	}
	if n := r.Counts.Undecided; n > 0 {
		text := fmt.Sprintf("%d undecided", n)
		longest := 0.0
		for _, v := range r.Undecided {
			longest = max(longest, v.DecidedIn)
		}
		if longest > 0 {
			text += ", the last decided " + words.DecidedIn(detector.Verdict{DecidedIn: longest})
		}
		open = append(open, text)
	}
	for n, t := range r.On {
		if n == 3 {
			open = append(open, fmt.Sprintf("%d more flags set", len(r.On)-n))
			break
		}
		text := fmt.Sprintf("%s still on %s%s", words.Name(t.Flag), words.Name(t.After), whom(t))
		switch {
		case t.Expires.IsZero():
		case t.Expires.After(r.Now):
			text += ", due for a look at " + words.Time(t.Expires)
		default:
			text += ", due for a look since " + words.Time(t.Expires)
		}
		open = append(open, text)
	}
	if len(open) == 0 {
		return "Nothing is open."
	}
	return "Open: " + strings.Join(open, "; ") + "."
}

// whom says for whom a toggle was, "" for everyone.
func whom(t detector.Toggle) string {
	if t.Scope.Everyone() {
		return ""
	}
	return " for " + words.Line(t.Scope.String())
}

// timeline is what happened when, in order of time and, at one instant, in the
// order in which things lead to one another.
func timeline(r Review) []Moment {
	var all []Moment
	add := func(at time.Time, kind, format string, args ...any) {
		if !at.IsZero() && !at.After(r.Now) {
			all = append(all, Moment{at.UTC(), kind, fmt.Sprintf(format, args...)})
		}
	}
	add(r.Upgrade.StartedAt, "upgrade", "upgrade began")
	for _, b := range r.Upgrade.Binaries {
		add(r.Upgrade.Time(b), "upgrade", "%s on its first instance", words.Versions(b))
	}
	add(r.Upgrade.FinishedAt, "upgrade", "upgrade finished")
	for _, s := range r.Shifts {
		what := words.Indicator(s.Verdict.Indicator)
		if o := s.Verdict.Onset; o != nil {
			add(o.At, "onset", "%s began to shift (between %s and %s)", what, words.Clock(o.Earliest), words.Clock(o.Latest))
		}
		size := ""
		if e := s.Verdict.Effect; e != nil {
			size = ", " + words.Ratio(*e)
		}
		if a := s.Verdict.Accepted; a != nil {
			size += ", " + words.Accepted(*a)
		}
		add(s.FoundAt, "shift", "shift found: %s%s", what, size)
		over := "recovered"
		if s.Verdict.Lost() {
			over = "lost"
		}
		add(s.Verdict.Recovered, over, "%s %s", what, words.Back(s.Verdict))
	}
	for _, a := range r.Alerts {
		add(a.StartsAt, "alert", "alert: %s", words.Suspect(a.Cause, a.Binaries))
		if a.State == detector.AlertResolved {
			add(a.EndsAt, "resolved", "alert resolved: %s", words.Suspect(a.Cause, a.Binaries))
		}
	}
	for _, t := range r.Toggles {
		reason := ""
		if t.Reason != "" {
			reason = ": " + words.Line(t.Reason)
		}
		acted := words.Acted(t)
		if n := len(t.Approvals); n > 0 && acted == "set" {
			// It was planned then, and done when the last of them let it.
			acted = words.Acted(detector.Toggle{State: detector.ToggleWaiting, Decision: t.Decision, Needs: t.Needs})
			add(t.Began(), "toggle", "%s let it be done: %s went from %s to %s%s", words.Name(t.Approvals[n-1].Actor), words.Name(t.Flag), words.Name(t.Before), words.Name(t.After), whom(t))
		}
		add(t.At, "toggle", "%s %s %s from %s to %s%s%s", words.Name(t.Actor), acted, words.Name(t.Flag), words.Name(t.Before), words.Name(t.After), whom(t), reason)
		evidence := ""
		if t.Evidence != "" {
			evidence = ": " + words.Line(t.Evidence)
		}
		if t.State != detector.TogglePlanned {
			what := "toggle"
			if words.Acted(t) != "set" {
				what = "plan"
			}
			add(t.Updated, "toggle", "%s of %s %s%s", what, words.Name(t.Flag), words.Name(string(t.State)), evidence)
		}
	}
	for _, f := range r.Flips {
		add(f.At, "flip", "%s changed from %s to %s by %s, not through the switchboard", words.Name(f.Flag), words.Name(f.Before), words.Name(f.Variant), words.Name(f.Actor))
	}
	rank := map[string]int{"upgrade": 0, "onset": 1, "shift": 2, "alert": 3, "flip": 4, "toggle": 5, "recovered": 6, "lost": 6, "resolved": 7}
	slices.SortStableFunc(all, func(a, b Moment) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(rank[a.Kind], rank[b.Kind]))
	})
	return all[:min(len(all), maxTimeline)]
}

// maxTimeline bounds the timeline's lines.
const maxTimeline = 500

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
