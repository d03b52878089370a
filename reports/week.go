package reports

import (
	"context"
	"fmt"
	"time"

	"aftershock/detector"
)

// WeekJournal is what the review of a week is made from.
type WeekJournal interface {
	Journal
	// UpgradesWithin gives the upgrades that were under watch at some time from an
	// instant to another, in order of their start.
	UpgradesWithin(ctx context.Context, from, to time.Time) ([]detector.Upgrade, error)
	// AlertsWithin gives the alerts that began from an instant to another, in order of
	// their start.
	AlertsWithin(ctx context.Context, from, to time.Time) ([]detector.Alert, error)
	// Coverage gives how much of each hour was judged.
	Coverage(ctx context.Context, from, to time.Time) ([]detector.Coverage, error)
	// ChoresAt gives the clean-up ledgers of all upgrades as they stood at an instant.
	ChoresAt(ctx context.Context, at time.Time) ([]detector.LedgerEntry, error)
	// Marks gives what people said of alerts: by their key, whether it was a false one.
	Marks(ctx context.Context, keys []string) (map[string]bool, error)
}

// Span is a week: seven days from a Monday's midnight in a time zone.
type Span struct {
	// Name is the week by ISO 8601, like 2026-W47.
	Name     string
	From, To time.Time
}

// WeekOf is the week that an instant lies in.
func WeekOf(t time.Time, zone *time.Location) Span {
	t = t.In(zone)
	year, week := t.ISOWeek()
	days := (int(t.Weekday()) + 6) % 7 // since Monday
	from := time.Date(t.Year(), t.Month(), t.Day()-days, 0, 0, 0, 0, zone)
	return Span{
		Name: fmt.Sprintf("%04d-W%02d", year, week), From: from,
		To: time.Date(from.Year(), from.Month(), from.Day()+7, 0, 0, 0, 0, zone),
	}
}

// Before is the week n weeks earlier.
func (s Span) Before(n int) Span {
	f := s.From
	return WeekOf(time.Date(f.Year(), f.Month(), f.Day()-7*n, 12, 0, 0, 0, f.Location()), f.Location())
}

// ParseWeek reads a week by ISO 8601, like 2026-W47.
func ParseWeek(text string, zone *time.Location) (Span, error) {
	var year, week int
	if n, err := fmt.Sscanf(text, "%4d-W%2d", &year, &week); err != nil || n != 2 || year < 1 || fmt.Sprintf("%04d-W%02d", year, week) != text {
		return Span{}, fmt.Errorf("%.20q is no week like 2026-W47", text)
	}
	// January the 4th is in the first week of each year.
	s := WeekOf(time.Date(year, 1, 4+7*(week-1), 12, 0, 0, 0, zone), zone)
	if s.Name != text {
		return Span{}, fmt.Errorf("%s has no week %d", text[:4], week)
	}
	return s, nil
}

// Week is a week in retrospect.
type Week struct {
	Name string    `json:"week"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Now is the instant that it looks back from: its end, or earlier while it lasts.
	Now time.Time `json:"now"`
	// Head is the week in five lines.
	Head []string `json:"head"`
	// Upgrades are those under watch in the week, those that need people first.
	Upgrades []WeekUpgrade `json:"upgrades"`
	// Shifts are those of all upgrades, the worst first.
	Shifts []WeekShift `json:"shifts"`
	// Times are over the shifts for the worse that were found in the week.
	Times WeekTimes `json:"times"`
	// On are the toggles that are in force at the end.
	On []detector.Toggle `json:"toggles_on"`
	// Undecided are the indicators of which nothing can be said yet, at most
	// maxUndecided; UndecidedMore is how many there are besides.
	Undecided     []detector.Verdict `json:"undecided"`
	UndecidedMore int                `json:"undecided_more,omitempty"`
	// Near are the indicators that would have fired at a smaller margin.
	Near []NearMiss `json:"near_misses"`
	// Alerts are those that began in the week, with what people said of them.
	Alerts []WeekAlert    `json:"alerts"`
	False  detector.Tally `json:"false_alarms"`
	// Past are the weeks before, the latest first.
	Past []PastWeek `json:"weeks_before"`
	// Chores is what is left to clean up.
	Chores []string `json:"open_work"`
	// Ledger counts the chores in the clean-up ledgers of all upgrades.
	Ledger detector.ChoreCount `json:"ledger"`
	// Foreseen are the findings of packages' inspections that came true in the week, of
	// Looked that telemetry can show.
	Foreseen []string `json:"came_true"`
	Looked   int      `json:"looked_for"`
	Data     WeekData `json:"data"`

	flips  []detector.Flip
	ledger []detector.LedgerEntry
}

// WeekUpgrade is an upgrade in the week.
type WeekUpgrade struct {
	Upgrade detector.Upgrade `json:"upgrade"`
	Outcome string           `json:"outcome"`
	Counts  Counts           `json:"counts"`
	Times   Times            `json:"times"`
	// Carried says that it began before the week.
	Carried bool `json:"carried,omitempty"`

	review Review
}

// WeekShift is a shift with the upgrade that it is seen after and what was done.
type WeekShift struct {
	Upgrade string `json:"upgrade"`
	Shift
	Acts []detector.Toggle `json:"acts"`

	review *Review
}

// Spread is the median, the least and the most of lengths in seconds, of N.
type Spread struct {
	N      int     `json:"n"`
	Median float64 `json:"median_seconds"`
	Least  float64 `json:"least_seconds"`
	Most   float64 `json:"most_seconds"`
}

// WeekTimes are how long the steps of the week's stories took.
type WeekTimes struct {
	Detect  Spread `json:"detect"`
	Decide  Spread `json:"decide"`
	Recover Spread `json:"recover"`
}

// NearMiss is an indicator that stayed within the margin and whose interval lies over
// a smaller one: Margin is the largest whole percentage at which it would have fired.
type NearMiss struct {
	Verdict detector.Verdict `json:"verdict"`
	Margin  float64          `json:"margin"`
}

// WeekAlert is an alert with a person's word on it: "false", "true" or "".
type WeekAlert struct {
	Alert detector.Alert `json:"alert"`
	Mark  string         `json:"mark,omitempty"`
}

// PastWeek is an earlier week in figures.
type PastWeek struct {
	Name     string         `json:"week"`
	Upgrades int            `json:"upgrades"`
	Alerts   detector.Tally `json:"alerts"`
	Toggles  int            `json:"toggles"`
	// Detect is from the onset to the alert, Recover from there until it was resolved.
	Detect  Spread `json:"detect"`
	Recover Spread `json:"recover"`
}

// Gap is a time of which no telemetry was judged, to the hour.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Steps are missing of it.
	Steps int `json:"steps"`
}

// WeekData is what the review of a week rests on.
type WeekData struct {
	// Steps were judged of Expected; in Silent of them most targets didn't answer.
	Steps    int   `json:"steps"`
	Expected int   `json:"expected"`
	Silent   int   `json:"silent"`
	Gaps     []Gap `json:"gaps"`
	// Since is when the journal's first step of the week was judged: there is no
	// coverage to speak of before the daemon ran.
	Since time.Time `json:"since,omitzero"`
	// Placebos, Controls and Warnings are as in a review.
	Placebos []Placebo `json:"placebos"`
	Controls []Tally   `json:"controls"`
	Warnings []Tally   `json:"warnings"`
}

// pastWeeks is how many earlier weeks a week is compared with.
const pastWeeks = 4

// BuildWeek makes the review of a week as it stood in the journal at its end, or at now
// while it lasts.
func BuildWeek(ctx context.Context, j WeekJournal, s Span, now time.Time) (Week, error) {
	now = now.UTC().Truncate(time.Second)
	if end := s.To.UTC(); now.After(end) {
		now = end
	}
	w := Week{Name: s.Name, From: s.From.UTC(), To: s.To.UTC(), Now: now}
	fail := func(what string, err error) (Week, error) {
		return Week{}, fmt.Errorf("review week %s: read %s: %w", s.Name, what, err)
	}
	all, err := j.UpgradesWithin(ctx, w.From, now)
	if err != nil {
		return fail("the upgrades", err)
	}
	for _, u := range all {
		r, err := Build(ctx, j, u.ID, now)
		if err != nil {
			return Week{}, fmt.Errorf("review week %s: %w", s.Name, err)
		}
		w.take(r)
	}
	toggles, err := j.Toggles(ctx, "", maxToggles)
	if err != nil {
		return fail("the toggles", err)
	}
	if w.flips, err = j.Flips(ctx, w.From); err != nil {
		return fail("the changes of flags", err)
	}
	coverage, err := j.Coverage(ctx, w.From, now)
	if err != nil {
		return fail("the coverage", err)
	}
	if err := w.judgeAlerts(ctx, j); err != nil {
		return fail("the alerts", err)
	}
	for n := range pastWeeks {
		p, err := past(ctx, j, s.Before(n+1), toggles)
		if err != nil {
			return fail("the weeks before", err)
		}
		w.Past = append(w.Past, p)
	}
	if w.ledger, err = j.ChoresAt(ctx, now); err != nil {
		return fail("the clean-up ledgers", err)
	}
	w.Ledger = detector.CountChores(w.ledger, now)
	w.finish(toggles, coverage)
	return w, nil
}
