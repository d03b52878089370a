package reports

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// Bounds of a week's lists.
const (
	maxUndecided = 100
	maxNear      = 50
	maxChores    = 50
	maxGaps      = 50
)

// nearest is the smallest margin that a near miss is told of.
const nearest = 0.05

// take adds the review of an upgrade. What is clear is counted and let go.
func (w *Week) take(r Review) {
	u := WeekUpgrade{Upgrade: r.Upgrade, Outcome: r.Outcome, Counts: r.Counts, Times: r.Times, Carried: r.Upgrade.StartedAt.Before(w.From)}
	for _, list := range [][]detector.Verdict{r.Clear, r.Undecided} {
		for _, v := range list {
			v.Upgrade = r.Upgrade.ID
			if m := missedAt(v); m >= nearest {
				w.Near = append(w.Near, NearMiss{v, m})
			}
		}
	}
	for _, v := range r.Undecided {
		v.Upgrade = r.Upgrade.ID
		if len(w.Undecided) < maxUndecided {
			w.Undecided = append(w.Undecided, v)
		} else {
			w.UndecidedMore++
		}
	}
	w.Data.Placebos = more(w.Data.Placebos, r.Placebos)
	w.Data.Controls = sum(w.Data.Controls, r.Data.Controls)
	w.Data.Warnings = sum(w.Data.Warnings, r.Data.Warnings)
	r.Clear, r.Undecided = nil, nil
	u.review = r
	w.Upgrades = append(w.Upgrades, u)
}

// missedAt is the largest margin, to the percent, that the whole interval of an
// indicator for the worse lies over; 0 where there is none.
func missedAt(v detector.Verdict) float64 {
	if v.Effect == nil || v.Direction != "" || !(v.Effect.Low > 1) {
		return 0
	}
	return math.Floor(100*(v.Effect.Low-1)+1e-9) / 100
}

// more keeps of each kind the figure that rests on the most placebos.
func more(a, b []Placebo) []Placebo {
	out := slices.Clone(a)
	for _, p := range b {
		at := slices.IndexFunc(out, func(q Placebo) bool { return q.Kind == p.Kind })
		switch {
		case at < 0:
			out = append(out, p)
		case p.Placebos > out[at].Placebos:
			out[at] = p
		}
	}
	slices.SortFunc(out, func(a, b Placebo) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}

func sum(a, b []Tally) []Tally {
	counts := map[string]int{}
	for _, t := range slices.Concat(a, b) {
		counts[t.Text] += t.Count
	}
	return tally(counts)
}

// judgeAlerts reads the alerts of the week and what people said of them.
func (w *Week) judgeAlerts(ctx context.Context, j WeekJournal) error {
	all, rate, err := alertsOf(ctx, j, w.From, w.Now)
	w.Alerts, w.False = all, rate
	return err
}

func alertsOf(ctx context.Context, j WeekJournal, from, to time.Time) (out []WeekAlert, rate detector.Tally, err error) {
	all, err := j.AlertsWithin(ctx, from, to)
	if err != nil {
		return nil, rate, err
	}
	all = slices.DeleteFunc(all, func(a detector.Alert) bool {
		return a.State != detector.AlertFiring && a.State != detector.AlertResolved || a.Notice != nil
	})
	keys := make([]string, 0, len(all))
	for _, a := range all {
		keys = append(keys, a.Key)
	}
	marks, err := j.Marks(ctx, keys)
	if err != nil {
		return nil, rate, err
	}
	for _, a := range all {
		wrong, marked := marks[a.Key]
		one := WeekAlert{Alert: a}
		switch rate.Fired++; {
		case marked && wrong:
			one.Mark = "false"
			rate.Marked, rate.False = rate.Marked+1, rate.False+1
		case marked:
			one.Mark = "true"
			rate.Marked++
		}
		out = append(out, one)
	}
	return out, rate, nil
}

// past sums up an earlier week.
func past(ctx context.Context, j WeekJournal, s Span, toggles []detector.Toggle) (PastWeek, error) {
	p := PastWeek{Name: s.Name}
	upgrades, err := j.UpgradesWithin(ctx, s.From, s.To)
	if err != nil {
		return p, err
	}
	for _, u := range upgrades {
		if !u.StartedAt.Before(s.From) {
			p.Upgrades++
		}
	}
	alerts, rate, err := alertsOf(ctx, j, s.From, s.To)
	if err != nil {
		return p, err
	}
	p.Alerts = rate
	var detect, recover []float64
	for _, a := range alerts {
		if o := a.Alert.Root.Onset; o != nil {
			detect = append(detect, max(0, a.Alert.StartsAt.Sub(o.At).Seconds()))
		}
		if a.Alert.State == detector.AlertResolved {
			recover = append(recover, a.Alert.EndsAt.Sub(a.Alert.StartsAt).Seconds())
		}
	}
	p.Detect, p.Recover = spreadOf(detect), spreadOf(recover)
	for _, t := range toggles {
		if applied(t) && !t.At.Before(s.From) && t.At.Before(s.To) {
			p.Toggles++
		}
	}
	return p, nil
}

func spreadOf(all []float64) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	slices.Sort(all)
	n := len(all)
	return Spread{n, (all[(n-1)/2] + all[n/2]) / 2, all[0], all[n-1]}
}

// finish puts in order what was taken, and sums it up.
func (w *Week) finish(toggles []detector.Toggle, coverage []detector.Coverage) {
	rank := []string{Regressed, Blind, Accepted, Undecided, Recovered, Clear}
	slices.SortStableFunc(w.Upgrades, func(a, b WeekUpgrade) int {
		return cmp.Or(cmp.Compare(slices.Index(rank, a.Outcome), slices.Index(rank, b.Outcome)), a.Upgrade.StartedAt.Compare(b.Upgrade.StartedAt))
	})
	var detect, decide, recover []float64
	for i := range w.Upgrades {
		u := &w.Upgrades[i]
		for _, s := range u.review.Shifts {
			w.Shifts = append(w.Shifts, WeekShift{Upgrade: u.Upgrade.ID, Shift: s, Acts: acts(u.review, s), review: &u.review})
			if s.FoundAt.Before(w.From) {
				continue
			}
			for to, t := range map[*[]float64]*float64{&detect: s.Times.Detect, &decide: s.Times.Decide, &recover: s.Times.Recover} {
				if t != nil {
					*to = append(*to, *t)
				}
			}
		}
	}
	slices.SortStableFunc(w.Shifts, func(a, b WeekShift) int { return order(a.Shift, b.Shift) })
	w.Times = WeekTimes{spreadOf(detect), spreadOf(decide), spreadOf(recover)}
	slices.SortStableFunc(w.Near, func(a, b NearMiss) int { return cmp.Compare(b.Margin, a.Margin) })
	w.Near = w.Near[:min(len(w.Near), maxNear)]
	m := material{toggles: toggles}.until(w.Now)
	for i, t := range m.toggles {
		if t.Updated.After(w.Now) && (t.State == detector.ToggleUndone || t.State == detector.ToggleReverted) {
			m.toggles[i].State = detector.ToggleApplied // as it was then
		}
	}
	w.On = stillOn(m.toggles)
	w.flips = slices.DeleteFunc(w.flips, func(f detector.Flip) bool { return f.At.After(w.Now) })
	w.cover(coverage)
	w.Chores, w.Foreseen, w.Looked = w.chores(), w.cameTrue(), w.looked()
	w.Head = w.head()
}

// acts are the toggles that answer a shift: of the flags that gate what it is put down
// to, between its finding and its recovery.
func acts(r Review, s Shift) []detector.Toggle {
	var out []detector.Toggle
	if s.FoundAt.IsZero() || !s.Worse() {
		return out
	}
	gates := material{upgrade: r.Upgrade, alerts: r.Alerts}.gates(s.Verdict)
	for _, t := range r.Toggles {
		within := !t.At.Before(s.FoundAt) && (s.Verdict.Recovered.IsZero() || !t.At.After(s.Verdict.Recovered))
		if applied(t) && within && gates(t.Flag) {
			out = append(out, t)
		}
	}
	return out
}

// cover sums up how much was judged, and where nothing was.
func (w *Week) cover(hours []detector.Coverage) {
	d := &w.Data
	if len(hours) == 0 {
		return
	}
	d.Since = hours[0].Hour
	step := hours[0].Step
	at := map[time.Time]detector.Coverage{}
	for _, c := range hours {
		at[c.Hour.UTC()] = c
	}
	for hour := d.Since; hour.Before(w.Now); hour = hour.Add(time.Hour) {
		c, seen := at[hour]
		if seen && c.Step > 0 {
			step = c.Step
		}
		whole := min(w.Now.Sub(hour), time.Hour).Seconds()
		due := int(whole / max(step, 1e-3))
		if hour.Equal(d.Since) {
			due = min(due, c.Steps) // it began when the daemon did
		}
		d.Expected, d.Steps, d.Silent = d.Expected+due, d.Steps+min(c.Steps, due), d.Silent+c.Silent
		// The last hour may lag behind.
		missing := due - c.Steps
		if whole < 3600 || missing <= max(due/60, 1) {
			continue
		}
		if n := len(d.Gaps); n > 0 && d.Gaps[n-1].To.Equal(hour) {
			d.Gaps[n-1].To, d.Gaps[n-1].Steps = hour.Add(time.Hour), d.Gaps[n-1].Steps+missing
		} else if n < maxGaps {
			d.Gaps = append(d.Gaps, Gap{hour, hour.Add(time.Hour), missing})
		}
	}
}

// chores are what is left to clean up.
func (w *Week) chores() []string {
	var out []string
	for _, t := range w.On {
		text := fmt.Sprintf("%s is on %s%s since %s (%s)", words.Name(t.Flag), words.Name(t.After), whom(t), words.Time(t.Began()), words.Name(t.Actor))
		switch {
		case !t.Expires.IsZero() && !t.Expires.After(w.Now):
			text += ", expired " + words.Time(t.Expires) + ": undo it, or extend it with a reason"
		case t.Expires.IsZero():
			text += ", and never expires: mend the binary, or make it the default"
		default:
			text += ", expires " + words.Time(t.Expires)
		}
		out = append(out, text)
	}
	for _, u := range w.Upgrades {
		if u.Upgrade.FinishedAt.IsZero() && w.Now.Sub(u.Upgrade.StartedAt) > 24*time.Hour {
			out = append(out, fmt.Sprintf("%s began %s and isn't finished: some instances still run the old build", words.OfUpgrade(u.Upgrade), words.Time(u.Upgrade.StartedAt)))
		}
	}
	out = append(out, w.uncleaned()...)
	unmarked := 0
	for _, a := range w.Alerts {
		if a.Mark == "" && a.Alert.State == detector.AlertResolved {
			unmarked++
		}
	}
	if unmarked > 0 {
		out = append(out, words.Plural(unmarked, "resolved alert")+" nobody has judged: aftershock alerts mark KEY true|false")
	}
	return out[:min(len(out), maxChores)]
}

// uncleaned says of each upgrade what of its clean-up is still to be done.
func (w *Week) uncleaned() (out []string) {
	by := map[string][]detector.LedgerEntry{}
	var order []string
	for _, e := range w.ledger {
		if e.State != detector.ChoreOpen {
			continue
		}
		if by[e.Upgrade] == nil {
			order = append(order, e.Upgrade)
		}
		by[e.Upgrade] = append(by[e.Upgrade], e)
	}
	for _, id := range order {
		const most = 3
		var names []string
		overdue := 0
		for _, e := range by[id] {
			if e.Overdue(w.Now) {
				overdue++
			}
			if name := e.Kind + " " + words.Name(e.Name); len(names) < most {
				names = append(names, name)
			}
		}
		if more := len(by[id]) - most; more > 0 {
			names = append(names, fmt.Sprintf("%d more", more))
		}
		of := "upgrade " + words.Name(id)
		if u, ok := w.upgrade(id); ok {
			of = words.OfUpgrade(u)
		}
		text := fmt.Sprintf("after %s: %s", of, strings.Join(names, ", "))
		if overdue > 0 {
			text += fmt.Sprintf("; %d overdue", overdue)
		}
		out = append(out, text)
	}
	return out
}

// looked counts the findings of the upgrades' inspections that telemetry can show.
func (w *Week) looked() (n int) {
	for _, u := range w.Upgrades {
		for _, f := range u.Upgrade.Findings {
			if len(f.Hypotheses) > 0 {
				n++
			}
		}
	}
	return n
}

// cameTrue are the findings that the leading causes of the week's shifts had foreseen, and
// those of what its upgrades left behind.
func (w *Week) cameTrue() []string {
	out := []string{}
	for _, e := range w.ledger {
		text := words.Line(e.Foreseen)
		ours := func(u WeekUpgrade) bool { return u.Upgrade.ID == e.Upgrade }
		if text != "" && slices.ContainsFunc(w.Upgrades, ours) && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, s := range w.Shifts {
		c := leading(s.Verdict)
		if text := words.Line(c.Foreseen); text != "" && c.Probability >= 0.5 && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out[:min(len(out), maxChores)]
}
