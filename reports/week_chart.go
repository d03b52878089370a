package reports

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// Bounds of the week's overview.
const (
	maxWeekLanes = 40
	maxFlagLanes = 8
	weekLane     = 30
)

// overview draws the week on one time axis: each upgrade with its window, its watch,
// when it had shifts for the worse and its alerts, what the flags were on, and where
// nothing was judged.
func (w Week) overview() template.HTML {
	over := span{w.From, w.To}
	byStart := slices.Clone(w.Upgrades)
	slices.SortStableFunc(byStart, func(a, b WeekUpgrade) int { return a.Upgrade.StartedAt.Compare(b.Upgrade.StartedAt) })
	byStart = byStart[:min(len(byStart), maxWeekLanes)]
	flags := w.flags()
	if len(byStart)+len(flags) == 0 {
		return ""
	}
	height := float64((len(byStart) + len(flags)) * weekLane)
	p := newPicture(height+26, "Week "+w.Name+": what happened when")
	for _, g := range w.Data.Gaps {
		p.rect("blind", over.at(g.From), over.at(g.To), 0, height, "not judged: "+words.Range(g.From, g.To))
	}
	w.days(p, over, height)
	for n, u := range byStart {
		w.upgradeLane(p, over, u, float64(n*weekLane))
	}
	for n, f := range flags {
		w.flagLane(p, over, f, float64((len(byStart)+n)*weekLane))
	}
	return p.done()
}

// days draws a line where each day begins, and names it.
func (w Week) days(p *picture, over span, height float64) {
	// A week with a change of the clocks isn't seven times 24 hours.
	day := w.To.Sub(w.From) / 7
	for n := range 7 {
		t := w.From.Add(time.Duration(n) * day).Round(time.Hour)
		p.line("grid", over.at(t), 0, over.at(t), height+2)
		p.text("label", "start", over.at(t), 3, height+17, t.Add(day/2).Format("Mon 2"))
	}
}

func (w Week) upgradeLane(p *picture, over span, u WeekUpgrade, y float64) {
	until := func(t time.Time) time.Time {
		if t.IsZero() || t.After(w.Now) {
			return w.Now
		}
		return t
	}
	watch, window := until(u.Upgrade.ClosedAt), until(u.Upgrade.FinishedAt)
	p.caption(over.at(u.Upgrade.StartedAt), y+12, words.UpgradeShort(u.Upgrade))
	bar := func(class string, from, to time.Time, dy, height float64, title string) {
		if to.After(over.from) && from.Before(over.to) {
			p.rect(class, over.at(from), over.at(to), y+dy, height, title)
		}
	}
	bar("watch", u.Upgrade.StartedAt, watch, 17, 9, "watched "+words.Range(u.Upgrade.StartedAt, watch))
	for _, s := range u.review.Shifts {
		if from := s.begun(); s.Worse() && !from.IsZero() {
			bar("bar worse", from, until(s.Verdict.Recovered), 17, 9, words.Indicator(s.Verdict.Indicator)+", "+s.State())
		}
	}
	bar("bar upgrade", u.Upgrade.StartedAt, window, 15, 13, "window "+words.Range(u.Upgrade.StartedAt, window))
	for _, a := range u.review.Alerts {
		if over.holds(a.StartsAt) {
			p.circle("found", over.at(a.StartsAt), y+21, 4.5, words.Time(a.StartsAt)+" "+words.Headline(a))
		}
	}
}

// begun is when a shift began, or was found where that isn't known.
func (s Shift) begun() time.Time {
	if s.Verdict.Onset != nil {
		return s.Verdict.Onset.At
	}
	return s.FoundAt
}

// lane is what a flag was on.
type lane struct {
	flag string
	acts []detector.Toggle
}

// flags are those that were toggled in the week, in order of their first toggle.
func (w Week) flags() []lane {
	var out []lane
	seen := map[string]bool{}
	add := func(t detector.Toggle) {
		if !applied(t) || seen[t.ID] {
			return
		}
		seen[t.ID] = true
		at := slices.IndexFunc(out, func(l lane) bool { return l.flag == t.Flag })
		if at < 0 {
			out, at = append(out, lane{flag: t.Flag}), len(out)
		}
		out[at].acts = append(out[at].acts, t)
	}
	for _, u := range w.Upgrades {
		for _, t := range u.review.Toggles {
			add(t)
		}
	}
	for _, t := range w.On {
		add(t)
	}
	for i := range out {
		slices.SortStableFunc(out[i].acts, func(a, b detector.Toggle) int { return a.Began().Compare(b.Began()) })
	}
	slices.SortStableFunc(out, func(a, b lane) int { return strings.Compare(a.flag, b.flag) })
	return out[:min(len(out), maxFlagLanes)]
}

func (w Week) flagLane(p *picture, over span, l lane, y float64) {
	p.caption(over.at(l.acts[0].Began()), y+12, "flag "+words.Name(l.flag))
	for n, t := range l.acts {
		end := w.Now
		if n+1 < len(l.acts) {
			end = l.acts[n+1].Began()
		} else if t.State == detector.ToggleUndone || t.State == detector.ToggleReverted {
			end = t.Updated
		}
		if end.After(over.from) && t.Began().Before(over.to) {
			p.rect(fmt.Sprintf("bar flag%d", n%2), over.at(t.Began()), over.at(end), y+16, 11, words.Name(t.After)+", "+words.Range(t.Began(), end))
		}
	}
}

// Cards are the shifts shown at length.
func (w Week) Cards() []card {
	var out []card
	for _, s := range w.Shifts[:min(len(w.Shifts), maxCards)] {
		c := card{Shift: s.Shift, Review: s.review, Anchor: w.anchor(s.Upgrade), Acts: s.Acts}
		for _, u := range w.Upgrades {
			if u.Upgrade.ID != s.Upgrade && len(c.others) < maxWeekLanes {
				c.others = append(c.others, u.Upgrade)
			}
		}
		out = append(out, c)
	}
	return out
}

// anchor is the place of an upgrade on the page.
func (w Week) anchor(upgrade string) string {
	return fmt.Sprintf("u%d", 1+slices.IndexFunc(w.Upgrades, func(u WeekUpgrade) bool { return u.Upgrade.ID == upgrade }))
}

// called is what people call the upgrade within a sentence.
func (w Week) called(upgrade string) string {
	if u, ok := w.upgrade(upgrade); ok {
		return words.TheUpgrade(u)
	}
	return words.Name(upgrade)
}

func (w Week) upgrade(id string) (detector.Upgrade, bool) {
	n := slices.IndexFunc(w.Upgrades, func(u WeekUpgrade) bool { return u.Upgrade.ID == id })
	if n < 0 {
		return detector.Upgrade{}, false
	}
	return w.Upgrades[n].Upgrade, true
}

// Upgraded is the upgrade that the shift is seen after.
func (s WeekShift) Upgraded() detector.Upgrade { return s.review.Upgrade }

// Rest are the shifts beyond the cards.
func (w Week) Rest() []WeekShift { return w.Shifts[min(len(w.Shifts), maxCards):] }
