package detector

import (
	"fmt"
	"math"
	"time"

	"aftershock/detector/hist"
	"aftershock/detector/stat"
)

// decide brings the verdict of one indicator up to date and answers what is
// new about it. worse and better say whether "within the margin" is rejected
// in that direction, with all indicators of the upgrade taken together.
func (j *Judge) decide(w *Watch, s *scene, m moved, worse, better bool) []Event {
	tr, v := m.trial, &m.trial.Verdict
	before := v.State
	temper := j.temper(v.Indicator.Kind)
	v.Control = fmt.Sprintf("the same indicator before the upgrade, adjusted for load and time of day (%d steps of history)", m.track.Steps)
	v.Warnings = j.warnings(w, m)
	p := j.placebos[v.Indicator.Kind]
	v.FalseAlarms = &FalseAlarms{Fired: p.Alarm[p.temper()], Placebos: p.Count}
	v.Missing, v.DecidedIn = "", 0
	var events []Event
	shifted := before == Regressed || before == Improved
	switch {
	case shifted && (tr.recovered(j.last, temper, &j.cfg) || tr.faded(j.last, temper, &j.cfg)):
		v.Recovered = j.last
		v.State = Undecided
		if tr.proven(&j.cfg) {
			v.State = Clear
		}
		tr.Lead = ""
		events = append(events, v.event(j.last, EventRecovered))
	case worse && before != Regressed && tr.beyond(1, &j.cfg) && tr.lasting(j.last, temper, 1, &j.cfg):
		events = append(events, j.shift(s, m, Regressed, Worse))
	case better && before != Improved && tr.beyond(-1, &j.cfg) && tr.lasting(j.last, temper, -1, &j.cfg):
		events = append(events, j.shift(s, m, Improved, Better))
	case shifted:
		if tr.treated() || !tr.Faded.IsZero() || tr.strength() < tr.Peak/2 {
			break
		}
		if tr.strength() >= tr.Peak {
			tr.Peak = tr.strength()
			tr.Shift, tr.From = tr.effect(&j.cfg), tr.start
			v.Effect = tr.Shift
		}
		if lead := tr.explain(s, m); lead != tr.Lead {
			tr.Lead = lead
			events = append(events, v.event(j.last, EventShift))
		}
	default:
		j.settle(w, tr)
	}
	if v.State != before {
		v.Since = j.last
		events = append(events, v.event(j.last, EventVerdict))
	}
	return events
}

// strength is the evidence for a shift in the direction of the verdict.
func (tr *Trial) strength() float64 {
	if tr.Verdict.Direction == Better {
		return tr.ev.better
	}
	return tr.ev.worse
}

// faded says whether a shift that nobody treated is over: it hasn't shown in
// the last fifth of the window for a while.
func (tr *Trial) faded(now time.Time, temper float64, cfg *Config) bool {
	sign := 1.0
	if tr.Verdict.Direction == Better {
		sign = -1
	}
	if tr.treated() || !tr.fresh(now, cfg) || tr.lasting(now, temper, sign, cfg) {
		tr.Faded = time.Time{}
		return false
	}
	if tr.Faded.IsZero() {
		tr.Faded = now
	}
	return now.Sub(tr.Faded) >= max(10*cfg.Step, cfg.Day/96)
}

// fresh says whether there has been data of late: no data proves nothing.
func (tr *Trial) fresh(now time.Time, cfg *Config) bool {
	return tr.Blocks.since(now.Add(-fewSteps*cfg.Step)).Steps > 0
}

// shift puts down a shift that was just found.
func (j *Judge) shift(s *scene, m moved, state State, direction string) Event {
	tr, v := m.trial, &m.trial.Verdict
	v.State, v.Direction, v.Recovered = state, direction, time.Time{}
	tr.Peak, tr.Faded = tr.strength(), time.Time{}
	tr.Shift, tr.From = tr.effect(&j.cfg), tr.start
	v.Effect = tr.Shift
	tr.Lead = tr.explain(s, m)
	return v.event(j.last, EventShift)
}

// explain weighs the causes anew and answers the leading one.
func (tr *Trial) explain(s *scene, m moved) string {
	v := &tr.Verdict
	v.Causes, v.Onset = s.causes(m)
	v.Quantiles = quantiles(tr.Before, tr.After)
	return v.Causes[0].Kind + "/" + v.Causes[0].Name
}

// settle says of an indicator without a shift whether it is clear, or what is
// missing.
func (j *Judge) settle(w *Watch, tr *Trial) {
	v := &tr.Verdict
	v.State = Undecided
	if v.Recovered.IsZero() {
		v.Effect = tr.effect(&j.cfg)
		if v.Effect != nil && v.Effect.High > maxSpread*v.Effect.Low {
			v.Effect = nil
		}
	}
	k := tr.ev.lead
	switch {
	case w.Steps > 0 && w.Down*2 > w.Steps:
		v.Missing = "most targets have been silent since the upgrade"
	case tr.Models[0].Seen < burnIn:
		v.Missing = "there is no baseline: the indicator was hardly seen before the upgrade"
	case !tr.ev.have[k] && tr.Warm > 0 && tr.Blocks.since(w.Upgrade.StartedAt).Steps < fewSteps:
		v.Missing = fmt.Sprintf("restarted instances are warming up: the first %s are left out, and %d steps are needed after that",
			j.cfg.Warmup, fewSteps)
	case !tr.ev.have[k]:
		v.Missing = "no comparable data since the upgrade"
	case tr.proven(&j.cfg):
		v.State = Clear
	case v.Effect == nil && v.Recovered.IsZero():
		w := tr.Blocks.since(tr.start)
		v.Missing = fmt.Sprintf("too few of them: %.0f of %.0f requests, where %.1f were expected", w.Obs[k], w.Total, w.Exp[k])
		v.DecidedIn = tr.decidedIn(&j.cfg)
	default:
		v.Missing = fmt.Sprintf("a margin of %.0f%% can't be told yet", j.cfg.Margin*100)
		v.DecidedIn = tr.decidedIn(&j.cfg)
	}
}

// maxSpread is the widest interval, as high over low, that is worth showing.
const maxSpread = 50

// decidedIn is about how many seconds it takes at present traffic until the
// interval is narrow enough to tell; 0 where that can't be said, as when the
// baseline itself is known too poorly.
func (tr *Trial) decidedIn(cfg *Config) float64 {
	k := tr.ev.lead
	w := tr.Blocks.since(tr.start)
	if w.Steps == 0 || !(w.Exp[k] > 0) {
		return 0
	}
	d := math.Log1p(cfg.Margin)
	room := d - math.Min(math.Abs(tr.ev.at[k].logRatio()), d/2)
	need := 1 / stat.InformationFor(room, mixScale, cfg.alpha())
	base := tr.base()[k]
	if need <= base {
		return 0
	}
	// With n steps the variance is about phi(n)/(rate n) + base.
	rate := float64(w.Exp[k]) / float64(w.Steps)
	for n := float64(w.Steps); n < 1e7; n *= 1.25 {
		if tr.Spread[k].phi(n)/(rate*n)+base <= need {
			return (n - float64(w.Steps)) * cfg.Step.Seconds()
		}
	}
	return 0
}

func (j *Judge) warnings(w *Watch, m moved) []string {
	var out []string
	if m.trial.Gaps > 0 {
		out = append(out, "the bucket layout changed at the upgrade: only bounds that both layouts have are compared")
	}
	if m.trial.Warm > 0 {
		out = append(out, fmt.Sprintf("%d steps of warm-up after restarts were left out", m.trial.Warm))
	}
	if m.track.First.Add(j.cfg.Day).After(w.Upgrade.StartedAt) {
		out = append(out, "less than a day of history: the time of day is hardly known")
	}
	if w.Down > 0 {
		out = append(out, fmt.Sprintf("in %d of %d steps most targets were silent", w.Down, w.Steps))
	}
	if len(j.watches) > 1 {
		out = append(out, fmt.Sprintf("%d upgrades are being watched at once", len(j.watches)))
	}
	return out
}

// quantiles shows p50, p95 and p99 before and after, each as the bucket that
// holds it.
func quantiles(before, after hist.Histogram) []QuantileRange {
	var out []QuantileRange
	for _, q := range []float64{0.5, 0.95, 0.99} {
		bl, bu, ok1 := before.Quantile(q)
		al, au, ok2 := after.Quantile(q)
		if ok1 && ok2 {
			out = append(out, QuantileRange{q, Interval{bl, bu}, Interval{al, au}})
		}
	}
	return out
}

func (v *Verdict) event(at time.Time, name string) Event {
	i := v.Indicator
	return Event{
		Time: at.UTC(), Event: name, Upgrade: v.Upgrade, Indicator: &i, Verdict: v.State,
		Direction: v.Direction, Effect: v.Effect, Quantiles: v.Quantiles, Onset: v.Onset,
		Causes: v.Causes, Control: v.Control, Warnings: v.Warnings, FalseAlarms: v.FalseAlarms,
		Missing: v.Missing, DecidedIn: v.DecidedIn,
	}
}

// Verdicts are the verdicts over all indicators after one upgrade, in order of
// indicator, with the course of those that shifted.
func (j *Judge) Verdicts(upgrade string) []Verdict {
	var out []Verdict
	for _, w := range j.watches {
		if w.Upgrade.ID != upgrade {
			continue
		}
		for _, t := range j.order {
			tr := w.Trials[t.key]
			if tr == nil {
				continue
			}
			v := tr.Verdict
			if tr.Shift != nil {
				v.Course = tr.course()
			}
			out = append(out, v)
		}
	}
	return out
}

// Summary is the last line of a backtest: every indicator's verdict.
func (j *Judge) Summary(upgrade string) Event {
	e := Event{Time: j.last.UTC(), Event: EventSummary, Upgrade: upgrade, Verdicts: j.Verdicts(upgrade)}
	for i := range e.Verdicts {
		e.Verdicts[i].Course = nil
	}
	return e
}

// course is the share at the shift's bound over time, next to what was expected
// of it with a band of two standard deviations.
func (tr *Trial) course() []CoursePoint {
	k := tr.shiftBound()
	out := make([]CoursePoint, 0, len(tr.Blocks.List))
	for _, b := range tr.Blocks.List {
		if !(b.Exp[k] > 0) {
			continue
		}
		exp := float64(b.Exp[k] / b.Total)
		sd := math.Sqrt(tr.Spread[k].phi(float64(b.Steps))/float64(b.Exp[k]) + tr.base()[k])
		out = append(out, CoursePoint{
			Time: b.End, Bad: float64(b.Obs[k]), Total: float64(b.Total),
			Expected: exp, Low: exp * math.Exp(-2*sd), High: exp * math.Exp(2*sd),
		})
	}
	return out
}
