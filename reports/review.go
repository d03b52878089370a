package reports

import (
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// Outcomes of an upgrade.
const (
	// Regressed: something got worse and still is.
	Regressed = "regressed"
	// Accepted: what is worse still is within what somebody took as a toggle's price.
	Accepted = "accepted"
	// Recovered: something got worse, and everything that did is back.
	Recovered = "recovered"
	// Lost is the state of a shift for the better that is over.
	Lost = "lost again"
	// Undecided: nothing is known to be worse, and not all is proven.
	Undecided = "undecided"
	// Clear: every indicator is proven to be within the margin, or better.
	Clear = "clear"
	// Blind: there is no indicator to judge by.
	Blind = "no data"
)

// Review is one upgrade in retrospect.
type Review struct {
	Upgrade detector.Upgrade `json:"upgrade"`
	// Now is the instant that the review looks back from.
	Now time.Time `json:"now"`
	// Outcome is one of the constants above, Head the whole in five lines.
	Outcome string   `json:"outcome"`
	Head    []string `json:"head"`
	Counts  Counts   `json:"counts"`
	// Times are those of the upgrade as a whole.
	Times Times `json:"times"`
	// Shifts got worse or better, the worst first; Undecided, Clear are the
	// verdicts of the rest, in order of indicator.
	Shifts    []Shift            `json:"shifts"`
	Undecided []detector.Verdict `json:"undecided"`
	Clear     []detector.Verdict `json:"clear"`
	// Alerts in order of their start.
	Alerts []detector.Alert `json:"alerts"`
	// Toggles that answered this upgrade, in order of time; On are those whose
	// effect lasts.
	Toggles []detector.Toggle `json:"toggles"`
	On      []detector.Toggle `json:"toggles_on"`
	// Flips are changes of flags in the watch that others made.
	Flips []detector.Flip `json:"flips"`
	// Timeline is what happened when.
	Timeline []Moment `json:"timeline"`
	// Placebos says how often the rules fired where nothing was upgraded, by
	// kind of indicator.
	Placebos []Placebo `json:"placebos"`
	Data     Data      `json:"data"`
}

// Counts of indicators. Regressed are those that are worse now, Recovered those
// that were, Accepted those that are worse within what somebody took as a toggle's price,
// Improved those that are better, and Lost those that were and are back at their old level.
type Counts struct {
	Indicators int `json:"indicators"`
	Regressed  int `json:"regressed"`
	Recovered  int `json:"recovered"`
	Accepted   int `json:"accepted,omitempty"`
	Improved   int `json:"improved"`
	Lost       int `json:"lost,omitempty"`
	Clear      int `json:"clear"`
	Undecided  int `json:"undecided"`
}

// Times are lengths in seconds; nil where the step hasn't been taken.
type Times struct {
	// Detect is from the onset until the shift was found.
	Detect *float64 `json:"detect_seconds"`
	// Decide is from then until the first toggle.
	Decide *float64 `json:"decide_seconds"`
	// Recover is from the first toggle (or, without one, from the finding) until
	// the indicator was seen to be back within the margin.
	Recover *float64 `json:"recover_seconds"`
}

// Shift is an indicator that has moved, or had.
type Shift struct {
	Verdict detector.Verdict `json:"verdict"`
	// FoundAt is when the shift was first announced; zero where the journal
	// doesn't say.
	FoundAt time.Time `json:"found_at,omitzero"`
	Times   Times     `json:"times"`
}

// Worse says whether the shift was for the worse.
func (s Shift) Worse() bool {
	return s.Verdict.State == detector.Regressed || s.Verdict.Direction == detector.Worse
}

// State is "regressed", "improved", "recovered", "lost again" or "accepted".
func (s Shift) State() string {
	if s.Verdict.Accepted != nil {
		return Accepted
	}
	return words.Verdict(s.Verdict)
}

// Moment is one line of the timeline. Kind is "upgrade", "onset", "shift",
// "alert", "toggle", "flip", "recovered", "lost" or "resolved".
type Moment struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	Text string    `json:"text"`
}

// Placebo is a rule's measured rate of false alarms.
type Placebo struct {
	Kind detector.Kind `json:"kind"`
	detector.FalseAlarms
}

// Data is what the review rests on.
type Data struct {
	// From and To are the first and last of the courses' and events' instants.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Events is the number of events; Requests and Calls what the courses of the
	// shifted indicators count (latency and errors; retries).
	Events   int     `json:"events"`
	Requests float64 `json:"requests"`
	Calls    float64 `json:"calls"`
	// Controls and Warnings are how often each stands with a verdict, the most
	// frequent first.
	Controls []Tally `json:"controls"`
	Warnings []Tally `json:"warnings"`
	// NoPlacebo is the number of indicators without a placebo figure.
	NoPlacebo int `json:"no_placebo"`
}

// Tally is a text with the number of indicators that it stands with.
type Tally struct {
	Text  string `json:"text"`
	Count int    `json:"count"`
}
