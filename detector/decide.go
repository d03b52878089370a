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
	temper := j.temper(m.track.noiseKind())
	v.Control = j.control(w, m)
	v.Warnings = j.warnings(w, m)
	p := j.placebos[m.track.noiseKind()]
	v.FalseAlarms = &FalseAlarms{Fired: p.Alarm[p.temper()], Placebos: p.Count}
	v.Missing, v.DecidedIn = "", 0
	var events []Event
	shifted := before == Regressed || before == Improved
	over := time.Time{}
	if shifted {
		over = j.over(tr, worse, better, temper)
	}
	switch {
	case !over.IsZero():
		v.Recovered = j.last
		v.State = Undecided
		if tr.proven(&j.cfg) {
			v.State = Clear
		}
		tr.Told, tr.Since = v.told().key(), v.Onset
		tr.Was, tr.Lead, tr.Named, tr.Suspect = tr.Named, "", "", ""
		tr.Over = over
		events = append(events, v.event(j.last, EventRecovered))
	case !shifted && worse && tr.beyond(0, &j.cfg) && j.lasts(tr, 0, temper):
		events = append(events, j.shift(s, m, Regressed, Worse))
	case !shifted && better && tr.beyond(1, &j.cfg) && j.lasts(tr, 1, temper):
		events = append(events, j.shift(s, m, Improved, Better))
	case shifted:
		if tr.treated() || !tr.Faded.IsZero() || tr.side().log < tr.Peak/2 {
			break
		}
		if tr.side().log >= tr.Peak {
			tr.Peak = tr.side().log
			tr.note(&j.cfg)
		}
		if j.last.Sub(tr.Found) > explained*j.cfg.Step {
			break
		}
		if lead := j.explain(s, m); lead != tr.Lead {
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
	v.Accepted = j.taken(tr)
	for i := range events {
		events[i].Accepted = v.Accepted
	}
	return events
}

// over is since when a shift is over, zero while it stands: after a treatment it has
// recovered, or it faded, or a shift the other way brought it back. What goes back is
// no shift the other way by itself.
func (j *Judge) over(tr *Trial, worse, better bool, temper float64) time.Time {
	d := 1 - tr.Verdict.side()
	switch back := tr.ev[d].start(); {
	case tr.recovered(j.last, temper, &j.cfg):
		return j.last
	case j.faded(tr, temper):
		return tr.Faded
	case tr.treated() || !tr.known() || d == 0 && !worse || d == 1 && !better:
	case tr.beyond(d, &j.cfg) && j.lasts(tr, d, temper) && back.After(tr.From) &&
		!j.lasting(tr, tr.Bound, tr.From, back, temper, float64(2*d-1)):
		return back
	}
	return time.Time{}
}

// faded says whether a shift that nobody treated is over: it hasn't shown in
// the last fifth of the window for a while.
func (j *Judge) faded(tr *Trial, temper float64) bool {
	sign := 1.0
	if tr.Verdict.Direction == Better {
		sign = -1
	}
	if tr.treated() || !tr.fresh(j.last, &j.cfg) || j.lasting(tr, tr.Bound, tr.From, j.lately(tr.From), temper, sign) {
		tr.Faded = time.Time{}
		return false
	}
	if tr.Faded.IsZero() {
		tr.Faded = j.last
	}
	return j.last.Sub(tr.Faded) >= max(10*j.cfg.Step, j.cfg.Day/96)
}

// fresh says whether there has been data of late: no data proves nothing.
func (tr *Trial) fresh(now time.Time, cfg *Config) bool {
	return tr.Blocks.since(now.Add(-fewSteps*cfg.Step)).Steps > 0
}

// explained is for how many steps the causes of a shift are weighed anew: what is
// learnt later says little about how it began.
const explained = 180

// shift puts down a shift that was just found.
func (j *Judge) shift(s *scene, m moved, state State, direction string) Event {
	tr, v := m.trial, &m.trial.Verdict
	tr.Found = j.last
	v.State, v.Direction, v.Recovered = state, direction, time.Time{}
	tr.Peak, tr.Faded = tr.side().log, time.Time{}
	tr.note(&j.cfg)
	tr.Lead, tr.Named, tr.Suspect = "", "", ""
	tr.Lead = j.explain(s, m)
	return v.event(j.last, EventShift)
}

// note keeps the size of the shift as it now shows.
func (tr *Trial) note(cfg *Config) {
	ev := tr.side()
	tr.Shift, tr.From, tr.Bound = tr.effect(ev, cfg), ev.start(), ev.lead
	tr.Verdict.Effect = tr.Shift
}

// explain weighs the causes anew and answers the leading one.
func (j *Judge) explain(s *scene, m moved) string {
	tr, v := m.trial, &m.trial.Verdict
	causes, onset := j.causes(s, m)
	v.Quantiles, v.Distribution = quantiles(tr.Before, tr.After), distribution(tr.Before, tr.After)
	named := j.name(s, m, causes)
	switch {
	case tr.Lead == "":
	case !tr.Began.near(onset, 10*j.cfg.Step) || named && causes[0].Name != tr.Named:
		// What began at another time is another shift, which doesn't explain this
		// one; and what has a name keeps it.
		return tr.Lead
	}
	if !named {
		causes = withhold(causes)
		if tr.Lead != "" && causes[0].Kind != v.Causes[0].Kind && causes[0].Probability < changeSure {
			return tr.Lead
		}
	}
	v.Causes, v.Onset, tr.Began = causes, onset, onset
	if c := v.told(); tr.Since != nil && c.Kind == CauseBinary && c.key() == tr.Told {
		v.Onset = tr.Since
	}
	return v.Causes[0].key()
}

// near says whether two onsets may be one, with some slack.
func (o *Onset) near(p *Onset, slack time.Duration) bool {
	return o == nil || p == nil || !o.Earliest.After(p.Latest.Add(slack)) && !p.Earliest.After(o.Latest.Add(slack))
}

// settle says of an indicator without a shift whether it is clear, or what is
// missing.
func (j *Judge) settle(w *Watch, tr *Trial) {
	v := &tr.Verdict
	v.State = Undecided
	if v.Recovered.IsZero() {
		v.Effect = tr.effect(tr.leading(), &j.cfg)
		if v.Effect != nil && v.Effect.High > maxSpread*v.Effect.Low {
			v.Effect = nil
		}
	}
	ev := tr.leading()
	k := ev.lead
	switch {
	case w.Steps > 0 && w.Down*2 > w.Steps:
		v.Missing = "most targets have been silent since the upgrade"
	case tr.Lines[0].Seen < burnIn:
		v.Missing = "there is no baseline: the indicator was hardly seen before the upgrade"
	case !tr.known() && w.Steps < int(j.cfg.Warmup/j.cfg.Step)+fewSteps:
		v.Missing = fmt.Sprintf("restarted instances are warming up, which takes some %s, and %d steps are needed", j.cfg.Warmup, fewSteps)
	case !tr.known():
		v.Missing = "no comparable data since the upgrade"
	case tr.proven(&j.cfg):
		v.State = Clear
	case v.Effect == nil && v.Recovered.IsZero() && tr.Smooth == nil:
		w := tr.Blocks.since(ev.start())
		v.Missing = fmt.Sprintf("too few to tell by how much: %.0f of %.0f requests, where %.1f were expected", w.Obs[k], w.Total, w.Exp[k])
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
	ev := tr.leading()
	k := ev.lead
	w := tr.Blocks.since(ev.start())
	if w.Steps == 0 || !(w.Exp[k] > 0) {
		return 0
	}
	d := math.Log1p(cfg.Margin)
	room := d - math.Min(math.Abs(ev.at[k].log), d/2)
	need := 1 / stat.InformationFor(room, mixScale, cfg.alpha())
	// With n steps the variance is about 1/(rate n) and that of the noise's mean.
	rate := float64(w.Exp[k]) / float64(w.Steps)
	variance := func(n float64) float64 { return 1/(rate*n) + tr.Noise[k].Over(n) }
	now := float64(w.Steps)
	need *= variance(now) / ev.at[k].variance
	for n := now; n < 1e7; n *= 1.25 {
		if variance(n) <= need {
			return (n - now) * cfg.Step.Seconds()
		}
	}
	return 0
}

func (j *Judge) warnings(w *Watch, m moved) []string {
	var out []string
	switch smooth := m.trial.Smooth != nil; {
	case smooth:
		out = append(out, weaker)
	case m.trial.Gaps > 0:
		out = append(out, "the bucket layout changed at the upgrade: only bounds that both layouts have are compared")
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
			v.Accepted = j.taken(tr)
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
		e.Verdicts[i].Course, e.Verdicts[i].Distribution = nil, nil
	}
	return e
}

// course is the share at the shift's bound over time, next to what was expected
// of it with a band of two standard deviations.
func (tr *Trial) course() []CoursePoint {
	k := tr.Bound
	out := make([]CoursePoint, 0, len(tr.Blocks.List))
	for _, b := range tr.Blocks.List {
		if !(b.Exp[k] > 0) {
			continue
		}
		total, bad := float64(b.Total), float64(b.Obs[k])
		exp := float64(b.Exp[k]) / total * tr.Bias[k]
		if m := tr.Smooth; m != nil {
			// Steps for the total, and the sum of their values in seconds.
			exp = m.value(k, exp)
			bad, total = m.value(k, bad/total)*total/(rare*readings), total/(rare*readings)
		}
		sd := math.Sqrt(1/float64(b.Exp[k]) + tr.Noise[k].Over(float64(b.Steps)))
		out = append(out, CoursePoint{
			Time: b.end(), Bad: bad, Total: total,
			Expected: exp, Low: exp * math.Exp(-2*sd), High: exp * math.Exp(2*sd),
		})
	}
	return out
}
