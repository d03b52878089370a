package web

import (
	"context"
	"net/http"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/journal"
)

// maxEvidence bounds the indicators that a toggle's page shows.
const maxEvidence = 4

// ToggleDetail is a toggle with all states that it had, and what became of the indicators
// that were worse after its upgrade.
type ToggleDetail struct {
	detector.Toggle
	States []detector.Toggle `json:"states"`
	// Indicators are the verdicts on those indicators as they stand, the worst first.
	Indicators []detector.Verdict `json:"indicators"`
}

// Moving says whether the toggle's state may still change by itself.
func (d ToggleDetail) Moving() bool {
	switch d.State {
	case detector.TogglePlanned, detector.ToggleWaiting, detector.ToggleApproved, detector.ToggleApplied, detector.ToggleVerified:
		return true
	}
	return false
}

func (s *Server) toggle(ctx context.Context, id string) (d ToggleDetail, err error) {
	states, err := s.o.Journal.ToggleHistory(ctx, id)
	if err != nil {
		return d, err
	}
	d = ToggleDetail{Toggle: states[len(states)-1], States: states, Indicators: []detector.Verdict{}}
	if d.Upgrade == "" {
		return d, nil
	}
	all, err := s.o.Journal.Summaries(ctx, d.Upgrade)
	if err != nil {
		return d, err
	}
	shifted, _ := split(all)
	for _, short := range shifted {
		if len(d.Indicators) == maxEvidence {
			break
		}
		if !answered(short, d.Began()) {
			continue
		}
		v, err := s.o.Journal.VerdictOn(ctx, d.Upgrade, short.Indicator)
		if err != nil {
			return d, err
		}
		d.Indicators = append(d.Indicators, v)
	}
	return d, nil
}

// answered says whether an indicator is one that a toggle may mend: it is worse, or was when
// the toggle took effect.
func answered(v journal.Summary, began time.Time) bool {
	worse := v.State == detector.Regressed || !v.Recovered.IsZero() && v.Direction != detector.Better
	return worse && (v.Recovered.IsZero() || began.IsZero() || v.Recovered.After(began))
}

func (s *Server) showToggle(w http.ResponseWriter, r *http.Request) error {
	d, err := s.toggle(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, d)
}

// togglePage shows how far a toggle has come, and what the indicators do meanwhile.
func (s *Server) togglePage(w http.ResponseWriter, r *http.Request) error {
	d, err := s.toggle(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	t := d.Toggle
	data := map[string]any{"Title": t.Flag + ": " + t.Before + " → " + t.After, "Toggle": t, "States": d.States, "InForce": s.inForce(t)}
	if len(d.Indicators) > 0 {
		u, err := s.o.Journal.Upgrade(r.Context(), t.Upgrade)
		if err != nil {
			return err
		}
		marks, err := s.marks(r.Context(), u)
		if err != nil {
			return err
		}
		var shifts []shift
		for _, v := range d.Indicators {
			v.Course = thinned(words.Counted(v.Course), maxPoints)
			shifts = append(shifts, shift{Verdict: v, Binaries: u.Binaries, Marks: marks, Chart: course(u, v, marks)})
		}
		data["Evidence"] = shifts
	}
	switch {
	case d.Moving():
		data["Refresh"] = 5
	case t.State == detector.ToggleFailed || t.State == detector.ToggleNoHelp || t.State == detector.ToggleReverted:
		data["Bad"] = true
	}
	return s.render(w, r, http.StatusOK, "toggle.html", data)
}
