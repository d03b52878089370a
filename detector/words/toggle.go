package words

import (
	"fmt"

	"aftershock/detector"
)

// Acted says what somebody did with the flag, so that what was only planned doesn't read
// as if it had happened: set, proposed to set, tried to set.
func Acted(t detector.Toggle) string {
	switch t.State {
	case detector.TogglePlanned, detector.ToggleWaiting, detector.ToggleApproved, detector.ToggleRejected, detector.ToggleLapsed:
		if t.Proposal() {
			return "proposed to set"
		}
		return "planned to set"
	case detector.ToggleFailed:
		if t.Applied.IsZero() {
			return "tried to set"
		}
	}
	return "set"
}

// Stand says how a toggle stands, without what was seen: verified, recovered, then
// replaced by tuned, or proposed, waits for approval by one person on call.
func Stand(t detector.Toggle) string {
	verb := "planned"
	if t.Proposal() {
		verb = "proposed"
	}
	switch t.State {
	case detector.TogglePlanned:
		return verb + ", not yet applied"
	case detector.ToggleWaiting:
		return verb + ", waits for approval by " + Approvers(t)
	case detector.ToggleApproved:
		return "approved, not yet applied"
	case detector.ToggleRejected:
		if by := Name(t.By); by != "" {
			return verb + ", rejected by " + by
		}
		return verb + ", rejected"
	case detector.ToggleLapsed:
		return verb + ", lapsed"
	}
	text := Name(string(t.State))
	if r := t.ReplacedBy; r != nil {
		text += ", then replaced by " + Name(r.Variant)
	}
	return text
}

// Approvers says whose approval a plan waits for: one person on call, 2 people on call
// other than anna.
func Approvers(t detector.Toggle) string {
	who := "one person on call"
	if n := t.Needs - len(t.Approvals); n > 1 {
		who = fmt.Sprintf("%d people on call", n)
	}
	if !t.Proposal() {
		who += " other than " + Name(t.Actor)
	}
	return who
}

// Verdict says how an indicator stands in one or two words: its verdict, or recovered or,
// where it had improved, lost again.
func Verdict(v detector.Verdict) string {
	switch {
	case v.Lost():
		return "lost again"
	case !v.Recovered.IsZero():
		return "recovered"
	}
	return Name(string(v.State))
}

// Back says that a shift is over: back within the margin, or lost again.
func Back(v detector.Verdict) string {
	if v.Lost() {
		return "lost again: it is back at its old level"
	}
	return "back within the margin"
}

// Gain says what may be lost, and what it is put down to:
// errors of checkout /pay, share of failed requests: 3% → 1.1%, ×0.37 (0.3–0.5), put down to dten-payments (97%).
func Gain(g detector.Gain) string {
	text := Indicator(g.Indicator)
	if g.Effect != nil {
		text += ", " + Change(*g.Effect)
	}
	return text + ", put down to " + Name(g.Binary) + " (" + Probability(g.Probability) + ")"
}
