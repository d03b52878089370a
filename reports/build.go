package reports

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// material is what was read from the journal.
type material struct {
	upgrade  detector.Upgrade
	verdicts []detector.Verdict
	events   []detector.Event
	alerts   []detector.Alert
	toggles  []detector.Toggle
	flips    []detector.Flip
}

func build(m material, now time.Time) Review {
	m = m.until(now)
	r := Review{Upgrade: m.upgrade, Now: now, Alerts: m.alerts, Toggles: m.answers(), Flips: m.foreign()}
	r.On = stillOn(r.Toggles)
	found := found(m.events)
	for _, v := range m.verdicts {
		switch {
		case v.State == detector.Regressed || v.State == detector.Improved || !v.Recovered.IsZero():
			s := Shift{Verdict: v, FoundAt: found[v.Indicator.Key()]}
			s.Times = times(s, r.Toggles, m.gates(v))
			r.Shifts = append(r.Shifts, s)
		case v.State == detector.Clear:
			r.Clear = append(r.Clear, v)
		default:
			r.Undecided = append(r.Undecided, v)
		}
	}
	slices.SortStableFunc(r.Shifts, order)
	r.Counts = count(r)
	r.Outcome = outcome(r.Counts)
	r.Times = overall(r)
	r.Placebos, r.Data = rests(m)
	r.Timeline = timeline(r)
	r.Head = head(r)
	return r
}

// until drops what happened after now and puts the rest into one order, so that
// the bytes don't depend on how the journal stores it.
func (m material) until(now time.Time) material {
	before := func(t time.Time) bool { return !t.After(now) }
	m.verdicts = slices.Clone(m.verdicts)
	for n := range m.verdicts {
		m.verdicts[n] = asOf(m.verdicts[n], now)
	}
	m.verdicts = byKey(m.verdicts)
	m.events = slices.DeleteFunc(slices.Clone(m.events), func(e detector.Event) bool { return !before(e.Time) })
	slices.SortStableFunc(m.events, func(a, b detector.Event) int { return a.Time.Compare(b.Time) })
	m.alerts = slices.DeleteFunc(slices.Clone(m.alerts), func(a detector.Alert) bool {
		return !before(a.StartsAt) || a.State == detector.AlertPending
	})
	slices.SortStableFunc(m.alerts, func(a, b detector.Alert) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Key, b.Key))
	})
	m.toggles = slices.DeleteFunc(slices.Clone(m.toggles), func(t detector.Toggle) bool { return !before(t.At) })
	slices.SortStableFunc(m.toggles, func(a, b detector.Toggle) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	})
	m.toggles = detector.Replaced(m.toggles)
	m.flips = slices.DeleteFunc(slices.Clone(m.flips), func(f detector.Flip) bool { return !before(f.At) })
	slices.SortStableFunc(m.flips, func(a, b detector.Flip) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Flag, b.Flag), cmp.Compare(a.Variant, b.Variant))
	})
	return m
}

// byKey puts verdicts in order of their indicator. Keys are made once: there may be
// thousands.
func byKey(verdicts []detector.Verdict) []detector.Verdict {
	type keyed struct {
		key string
		at  int
	}
	keys := make([]keyed, len(verdicts))
	for n, v := range verdicts {
		keys[n] = keyed{v.Indicator.Key(), n}
	}
	slices.SortFunc(keys, func(a, b keyed) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.at, b.at)) })
	out := make([]detector.Verdict, len(verdicts))
	for n, k := range keys {
		out[n] = verdicts[k.at]
	}
	return out
}

// asOf takes a verdict back to what was known at an instant, as far as the latest
// verdict tells: a recovery that was yet to come leaves the shift standing, and a
// state reached later wasn't known.
func asOf(v detector.Verdict, now time.Time) detector.Verdict {
	switch {
	case v.Recovered.After(now):
		v.Recovered, v.State = time.Time{}, detector.Regressed
		if v.Direction == detector.Better {
			v.State = detector.Improved
		}
	case v.Since.After(now):
		v = detector.Verdict{
			Upgrade: v.Upgrade, Indicator: v.Indicator, State: detector.Undecided,
			Missing: "it was decided after the instant of this review", Control: v.Control, FalseAlarms: v.FalseAlarms,
		}
	}
	return v
}

// flags are those that gate something in the upgrade's binaries.
func (m material) flags() map[string]bool {
	flags := make(map[string]bool)
	for _, b := range m.upgrade.Binaries {
		for _, f := range b.Flags {
			flags[f] = true
		}
	}
	for _, a := range m.alerts {
		for _, f := range a.Flags {
			flags[f] = true
		}
	}
	return flags
}

// gates says which flags answer the verdict's leading cause: those of the blamed
// binary and of the alerts with the same cause. Where a binary is blamed of
// which no flag is known, any flag may.
func (m material) gates(v detector.Verdict) func(flag string) bool {
	cause := leading(v)
	flags := make(map[string]bool)
	for _, b := range m.upgrade.Binaries {
		for _, f := range b.Flags {
			if cause.Kind == detector.CauseBinary && b.Name == cause.Name {
				flags[f] = true
			}
		}
	}
	for _, a := range m.alerts {
		for _, f := range a.Flags {
			if a.Cause.Kind == cause.Kind && a.Cause.Name == cause.Name {
				flags[f] = true
			}
		}
	}
	any := len(flags) == 0 && cause.Kind == detector.CauseBinary
	return func(flag string) bool { return any || flags[flag] }
}

func leading(v detector.Verdict) detector.Cause {
	if len(v.Causes) == 0 {
		return detector.Cause{Kind: detector.CauseUnknown}
	}
	return v.Causes[0]
}

// answers are the toggles that name the upgrade, and those of its flags during
// the watch that name none.
func (m material) answers() []detector.Toggle {
	flags := m.flags()
	var out []detector.Toggle
	for _, t := range m.toggles {
		during := !t.At.Before(m.upgrade.StartedAt) && (m.upgrade.ClosedAt.IsZero() || !t.At.After(m.upgrade.ClosedAt))
		if t.Upgrade == m.upgrade.ID || t.Upgrade == "" && flags[t.Flag] && during {
			out = append(out, t)
		}
	}
	return out
}

// foreign are the changes of flags in the watch that didn't go through the
// switchboard.
func (m material) foreign() []detector.Flip {
	var out []detector.Flip
	for _, f := range m.flips {
		if !f.Ours && !f.At.Before(m.upgrade.StartedAt) && (m.upgrade.ClosedAt.IsZero() || !f.At.After(m.upgrade.ClosedAt)) {
			out = append(out, f)
		}
	}
	return out
}

// applied says whether the toggle was really made.
func applied(t detector.Toggle) bool {
	return t.State.TookEffect()
}

// stillOn are the last toggles of each flag that nobody has taken back.
func stillOn(toggles []detector.Toggle) []detector.Toggle {
	last := make(map[string]detector.Toggle)
	for _, t := range toggles {
		switch {
		case !applied(t):
		case t.State == detector.ToggleReverted || t.State == detector.ToggleUndone:
			delete(last, t.Flag)
		default:
			last[t.Flag] = t
		}
	}
	var out []detector.Toggle
	for _, flag := range slices.Sorted(maps.Keys(last)) {
		out = append(out, last[flag])
	}
	return out
}

// found is when each indicator's shift was first announced.
func found(events []detector.Event) map[string]time.Time {
	at := make(map[string]time.Time)
	for _, e := range events {
		if e.Event != detector.EventShift || e.Indicator == nil {
			continue
		}
		if key := e.Indicator.Key(); at[key].IsZero() {
			at[key] = e.Time
		}
	}
	return at
}

func times(s Shift, toggles []detector.Toggle, gates func(flag string) bool) Times {
	var t Times
	v := s.Verdict
	if s.FoundAt.IsZero() || !s.Worse() {
		return t
	}
	if v.Onset != nil {
		t.Detect = between(v.Onset.At, s.FoundAt)
	}
	acted := s.FoundAt
	for _, toggle := range toggles {
		began := toggle.Began()
		after := !began.Before(s.FoundAt) && (v.Recovered.IsZero() || !began.After(v.Recovered))
		if applied(toggle) && after && gates(toggle.Flag) {
			t.Decide, acted = between(s.FoundAt, began), began
			break
		}
	}
	if !v.Recovered.IsZero() {
		t.Recover = between(acted, v.Recovered)
	}
	return t
}

// between is the seconds from a to b, and 0 where b is earlier.
func between(a, b time.Time) *float64 {
	s := max(b.Sub(a).Seconds(), 0)
	return &s
}

// overall are the times of the story that the review is told by: the shifts for
// the worse with the main one's cause. It takes the first finding and decision,
// and the last recovery when all of them have recovered.
func overall(r Review) Times {
	var t Times
	main, ok := r.main()
	if !ok {
		return t
	}
	cause := leading(main.Verdict)
	var first, last *Shift
	for n := range r.Shifts {
		s := &r.Shifts[n]
		c := leading(s.Verdict)
		if !s.Worse() || s.FoundAt.IsZero() || c.Kind != cause.Kind || c.Name != cause.Name {
			continue
		}
		if first == nil || s.FoundAt.Before(first.FoundAt) {
			first = s
		}
		if last == nil || last.Times.Recover != nil && (s.Times.Recover == nil || *s.Times.Recover > *last.Times.Recover) {
			last = s
		}
	}
	if first != nil {
		t.Detect, t.Decide, t.Recover = first.Times.Detect, first.Times.Decide, last.Times.Recover
	}
	return t
}

// order puts what is worse now first, then what was, then what got better and is lost
// again, then what is better, each
// by the near end of the ratio's interval.
func order(a, b Shift) int {
	class := func(s Shift) int {
		switch {
		case s.Worse() && s.Verdict.Recovered.IsZero():
			return 0
		case s.Worse():
			return 1
		case s.Verdict.Lost():
			return 2
		}
		return 3
	}
	size := func(s Shift) float64 {
		if e := s.Verdict.Effect; e != nil && e.Low > 0 && e.High > 0 {
			return max(math.Log(e.Low), -math.Log(e.High))
		}
		return math.Inf(-1)
	}
	return cmp.Or(cmp.Compare(class(a), class(b)), cmp.Compare(size(b), size(a)))
}

func count(r Review) Counts {
	c := Counts{Clear: len(r.Clear), Undecided: len(r.Undecided)}
	for _, s := range r.Shifts {
		switch {
		case s.Verdict.Accepted != nil:
			c.Accepted++
		case s.Verdict.State == detector.Regressed && s.Verdict.Recovered.IsZero():
			c.Regressed++
		case s.Worse():
			c.Recovered++
		case s.Verdict.Lost():
			c.Lost++
		default:
			c.Improved++
		}
	}
	c.Indicators = len(r.Shifts) + c.Clear + c.Undecided
	return c
}

func outcome(c Counts) string {
	switch {
	case c.Indicators == 0:
		return Blind
	case c.Regressed > 0:
		return Regressed
	case c.Accepted > 0:
		return Accepted
	case c.Recovered > 0:
		return Recovered
	case c.Undecided > 0:
		return Undecided
	}
	return Clear
}

// rests tells what the verdicts stand on.
func rests(m material) ([]Placebo, Data) {
	d := Data{Events: len(m.events)}
	see := func(t time.Time) {
		if d.From.IsZero() || t.Before(d.From) {
			d.From = t
		}
		if t.After(d.To) {
			d.To = t
		}
	}
	controls, warnings := make(map[string]int), make(map[string]int)
	placebos := make(map[detector.Kind]detector.FalseAlarms)
	for _, e := range m.events {
		see(e.Time)
	}
	for _, v := range m.verdicts {
		for _, p := range v.Course {
			see(p.Time)
			switch {
			case v.Indicator.Kind == detector.Retry:
				d.Calls += p.Total
			case v.Effect == nil || !words.IsQuantile(v.Effect.What): // whose points count steps
				d.Requests += p.Total
			}
		}
		if v.Control != "" {
			controls[v.Control]++
		}
		for _, w := range v.Warnings {
			warnings[w]++
		}
		switch f := v.FalseAlarms; {
		case f == nil || f.Placebos <= 0:
			d.NoPlacebo++
		case f.Placebos > placebos[v.Indicator.Kind].Placebos:
			placebos[v.Indicator.Kind] = *f
		}
	}
	d.Controls, d.Warnings = tally(controls), tally(warnings)
	var out []Placebo
	for _, kind := range slices.Sorted(maps.Keys(placebos)) {
		out = append(out, Placebo{kind, placebos[kind]})
	}
	return out, d
}

// maxTally bounds the lines of a tally.
const maxTally = 12

func tally(counts map[string]int) []Tally {
	clean := map[string]int{} // most of them are the same
	for text, n := range counts {
		clean[words.Line(text)] += n
	}
	var out []Tally
	for text, n := range clean {
		out = append(out, Tally{text, n})
	}
	slices.SortFunc(out, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	return out[:min(len(out), maxTally)]
}
