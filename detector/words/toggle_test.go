package words

import (
	"strings"
	"testing"
	"time"

	"aftershock/detector"
)

func TestToggleInWords(t *testing.T) {
	noon := time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)
	person := detector.Toggle{Actor: "ana", Needs: 1}
	auto := detector.Toggle{Actor: "aftershock (automation)", Decision: "auto-1-proposal", Needs: 1}
	in := func(x detector.Toggle, state detector.ToggleState) detector.Toggle { x.State = state; return x }
	two := in(person, detector.ToggleWaiting)
	two.Needs = 3
	two.Approvals = []detector.Approval{{Actor: "bob"}}
	rejected := in(auto, detector.ToggleRejected)
	rejected.By = "bob\n\u202e"
	replaced := in(person, detector.ToggleRecovered)
	replaced.ReplacedBy = &detector.Replacement{Toggle: "2", Variant: "tuned"}
	written := in(person, detector.ToggleFailed)
	written.Applied = noon
	for _, tt := range []struct {
		toggle       detector.Toggle
		acted, stand string
	}{
		{in(auto, detector.ToggleWaiting), "proposed to set", "proposed, waits for approval by one person on call"},
		{in(person, detector.ToggleWaiting), "planned to set", "planned, waits for approval by one person on call other than ana"},
		{two, "planned to set", "planned, waits for approval by 2 people on call other than ana"},
		{rejected, "proposed to set", "proposed, rejected by bob"},
		{in(person, detector.ToggleRejected), "planned to set", "planned, rejected"},
		{in(auto, detector.ToggleLapsed), "proposed to set", "proposed, lapsed"},
		{in(auto, detector.ToggleApproved), "proposed to set", "approved, not yet applied"},
		{in(detector.Toggle{}, detector.TogglePlanned), "planned to set", "planned, not yet applied"},
		{in(auto, detector.ToggleVerified), "set", "verified"},
		{in(person, detector.ToggleNoHelp), "set", "not-recovered"},
		{in(person, detector.ToggleFailed), "tried to set", "failed"},
		{written, "set", "failed"},
		{replaced, "set", "recovered, then replaced by tuned"},
	} {
		if got := Acted(tt.toggle); got != tt.acted {
			t.Errorf("%s: acted %q, want %q", tt.stand, got, tt.acted)
		}
		if got := Stand(tt.toggle); got != tt.stand {
			t.Errorf("stands %q, want %q", got, tt.stand)
		}
	}
}

// What had improved and is back hasn't recovered.
func TestLostIsNotRecovered(t *testing.T) {
	noon := time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		v             detector.Verdict
		verdict, back string
	}{
		{detector.Verdict{State: detector.Clear, Direction: detector.Better, Recovered: noon}, "lost again", "lost again: it is back at its old level"},
		{detector.Verdict{State: detector.Undecided, Direction: detector.Worse, Recovered: noon}, "recovered", "back within the margin"},
		{detector.Verdict{State: detector.Improved, Direction: detector.Better}, "improved", "back within the margin"},
	} {
		if got := Verdict(tt.v); got != tt.verdict {
			t.Errorf("got %q, want %q", got, tt.verdict)
		}
		if got := Back(tt.v); got != tt.back {
			t.Errorf("got %q, want %q", got, tt.back)
		}
	}
}

func TestGain(t *testing.T) {
	g := detector.Gain{
		Indicator: detector.Indicator{Kind: detector.Error, Metric: "m", Labels: map[string]string{"service": "checkout", "http_route": "/pay"}},
		Effect:    &detector.Effect{What: "share of failed requests", Before: 0.03, After: 0.011, Ratio: 0.37, Low: 0.3, High: 0.5}, Binary: "dten-payments", Probability: 0.97,
	}
	want := "errors of checkout /pay, share of failed requests: 3% → 1.1%, ×0.37 (0.30–0.50), put down to dten-payments (97%)"
	if got := Gain(g); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	g.Effect, g.Binary = nil, "x\x1b[31m\n"+strings.Repeat("y", 1000)
	if got := Gain(g); strings.ContainsAny(got, "\n\x1b") || len(got) > 300 {
		t.Errorf("got %q", got)
	}
}
