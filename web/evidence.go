package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/flags"
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
	// Gains are what an upgrade had improved and what may be, or is, lost with the toggle.
	Gains []Held `json:"gains"`
}

// Held is what an upgrade improved, and what became of it.
type Held struct {
	detector.Gain
	// Lost is when it was seen to be back at its old level, zero while it isn't.
	Lost time.Time `json:"lost_at,omitzero"`
}

// Moving says whether the toggle's state may still change by itself.
func (d ToggleDetail) Moving() bool {
	switch d.State {
	case detector.ToggleApplied, detector.ToggleVerified:
		return d.ReplacedBy == nil
	case detector.TogglePlanned, detector.ToggleWaiting, detector.ToggleApproved:
		return true
	}
	return false
}

func (s *Server) toggle(ctx context.Context, id string) (d ToggleDetail, err error) {
	states, err := s.o.Journal.ToggleHistory(ctx, id)
	if err != nil {
		return d, err
	}
	d = ToggleDetail{States: states, Indicators: []detector.Verdict{}}
	d.Toggle = s.o.Switchboard.Replaced(states[len(states)-1])[0]
	if d.State == detector.ToggleWaiting {
		if now := s.o.Switchboard.MayLose(ctx, d.Toggle); len(now) > 0 {
			d.MayLose = now
		}
	}
	if d.Gains, err = s.held(ctx, d.Toggle); err != nil {
		return d, err
	}
	upgrades, err := s.meant(ctx, d.Toggle)
	if err != nil {
		return d, err
	}
	for _, upgrade := range upgrades {
		all, err := s.o.Journal.Summaries(ctx, upgrade)
		if err != nil {
			return d, err
		}
		shifted, _ := split(all)
		for _, short := range shifted {
			if len(d.Indicators) == maxEvidence {
				return d, nil
			}
			if !answered(short, d.Began()) {
				continue
			}
			v, err := s.o.Journal.VerdictOn(ctx, upgrade, short.Indicator)
			if err != nil {
				return d, err
			}
			d.Indicators = append(d.Indicators, v)
		}
	}
	return d, nil
}

// meant are the upgrades that a toggle answers: the one that it names, else those under
// watch when it began of which its flag gates a binary, the latest first.
func (s *Server) meant(ctx context.Context, t detector.Toggle) (out []string, err error) {
	switch {
	case t.Upgrade != "":
		return []string{t.Upgrade}, nil
	case t.Undoes():
		return nil, nil // it takes an answer back
	}
	all, err := s.o.Journal.UpgradesWithin(ctx, t.Began(), t.Began().Add(time.Microsecond))
	if err != nil {
		return nil, err
	}
	gates := s.o.Switchboard.Rules().Gates
	for _, u := range slices.Backward(all) {
		if slices.ContainsFunc(gates, func(g flags.Gate) bool {
			return g.Flag == t.Flag && slices.ContainsFunc(u.Binaries, func(b detector.Binary) bool { return detector.SameBinary(b.Name, g.Binary) })
		}) {
			out = append(out, u.ID)
		}
	}
	return out, nil
}

// held says what became of the indicators that the plan of a toggle named as what may be
// lost, and of others that had improved and were lost after it.
func (s *Server) held(ctx context.Context, t detector.Toggle) ([]Held, error) {
	out := []Held{}
	at := map[string]int{}
	upgrades := []string{}
	if t.Upgrade != "" {
		upgrades = append(upgrades, t.Upgrade)
	}
	for _, g := range t.MayLose {
		at[g.Upgrade+" "+g.Indicator.Key()] = len(out)
		out = append(out, Held{Gain: g})
		if !slices.Contains(upgrades, g.Upgrade) {
			upgrades = append(upgrades, g.Upgrade)
		}
	}
	if !t.State.TookEffect() {
		return out, nil
	}
	for _, u := range upgrades {
		all, err := s.o.Journal.Summaries(ctx, u)
		if err != nil {
			return nil, err
		}
		for _, v := range all {
			if v.Direction != detector.Better || !v.Recovered.After(t.Began()) {
				continue
			}
			n, foreseen := at[u+" "+v.Indicator.Key()]
			if !foreseen {
				if len(out) == detector.MaxGains || u != t.Upgrade || t.Undoes() {
					continue
				}
				n, out = len(out), append(out, Held{Gain: detector.Gain{Upgrade: u, Indicator: v.Indicator, Effect: v.Effect}})
			}
			out[n].Lost = v.Recovered
		}
	}
	return out, nil
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
	return s.toggleAs(w, r, http.StatusOK, d, "")
}

// toggleAs is the toggle's page, with why what was decided on it wasn't done.
func (s *Server) toggleAs(w http.ResponseWriter, r *http.Request, status int, d ToggleDetail, problem string) error {
	t := d.Toggle
	data := map[string]any{
		"Title": t.Flag + ": " + t.Before + " → " + t.After, "Toggle": t, "States": d.States, "InForce": s.inForce(t), "Gains": d.Gains, "Error": problem,
	}
	if t.ReplacedBy != nil {
		states, err := s.o.Journal.ToggleHistory(r.Context(), t.ReplacedBy.Toggle)
		if err != nil {
			return err
		}
		data["Over"] = states[len(states)-1]
	}
	shifts, err := s.shown(r.Context(), d.Indicators)
	if err != nil {
		return err
	}
	if len(shifts) > 0 {
		data["Evidence"] = shifts
	}
	switch {
	case d.Moving():
		data["Refresh"] = 5
	case t.State == detector.ToggleFailed || t.State == detector.ToggleNoHelp || t.State == detector.ToggleReverted:
		data["Bad"] = true
	}
	return s.render(w, r, status, "toggle.html", data)
}

// shown are verdicts as a page shows them, each with the course of its upgrade.
func (s *Server) shown(ctx context.Context, verdicts []detector.Verdict) (shifts []shift, err error) {
	var u detector.Upgrade
	var marks []mark
	for _, v := range verdicts {
		if v.Upgrade != u.ID {
			if u, err = s.o.Journal.Upgrade(ctx, v.Upgrade); err != nil {
				return nil, err
			}
			if marks, err = s.marks(ctx, u); err != nil {
				return nil, err
			}
		}
		v.Course = thinned(words.Counted(v.Course), maxPoints)
		shifts = append(shifts, shift{Verdict: v, Binaries: u.Binaries, Marks: marks, Chart: course(u, v, marks)})
	}
	return shifts, nil
}
