package detector

import (
	"math"

	"aftershock/detector/stat"
)

// mixScale is the log ratio at which the e-values and intervals are sharpest:
// about a change by a quarter.
const mixScale = 0.25

// tempers are the factors by which the variance may be inflated so that the
// rule fires no more often than promised at placebo upgrades.
var tempers = [...]float64{1, 1.3, 1.7, 2.2, 3, 4.5}

// estimate is what a window of steps says of one bound.
type estimate struct {
	logRatio, variance float64
}

func (e estimate) z() float64 { return e.logRatio / math.Sqrt(e.variance) }

// evidence is what a window of steps says of an indicator.
type evidence struct {
	at            [bounds]estimate
	have          [bounds]bool
	worse, better float64 // log e-values against "within the margin"
	// lead is the bound that says most.
	lead int
}

// weigh compares what was counted in a window with what was expected. spread is
// the dispersion measured before, base the variance of the log expectation at
// each bound, temper the inflation of the variance.
func weigh(w Block, spread *[bounds]Dispersion, base [bounds]float64, temper, margin float64) evidence {
	ev := evidence{worse: math.Inf(-1), better: math.Inf(-1)}
	var up, down, weight []float64
	top := math.Inf(-1)
	for k := range w.Exp {
		exp := float64(w.Exp[k])
		if !(exp > 0) {
			continue
		}
		e := estimate{
			logRatio: math.Log((float64(w.Obs[k]) + 0.5) / (exp + 0.5)),
			variance: temper * (spread[k].phi(float64(w.Steps))/exp + base[k]),
		}
		ev.at[k], ev.have[k] = e, true
		d := math.Log1p(margin)
		u := stat.LogEValue(e.logRatio, e.variance, d, mixScale)
		v := stat.LogEValue(-e.logRatio, e.variance, d, mixScale)
		up, down, weight = append(up, u), append(down, v), append(weight, weights[k])
		if m := math.Max(u, v); m > top {
			top, ev.lead = m, k
		}
	}
	if len(weight) > 0 {
		ev.worse, ev.better = stat.LogMeanExp(up, weight), stat.LogMeanExp(down, weight)
	}
	return ev
}

// Placebo is an upgrade that didn't happen: the very same weighing, begun at an
// instant where nothing changed, to measure how often it raises a false alarm.
type Placebo struct {
	Models [bounds]Model
	Sum    Block
	Base   [bounds]float64 // sum of the expectation's variance over the steps
	// Worst is the largest log e-value so far, for each temper.
	Worst [len(tempers)]float64
}

// Placebos counts how often placebo upgrades fired, for each temper: at the
// level promised for one indicator, and at the level that raises an alarm.
type Placebos struct {
	Count int
	Fired [len(tempers)]int
	Alarm [len(tempers)]int
}

// level is the temper that keeps false alarms to alpha, judged with an
// allowance for the number of placebos.
func (p *Placebos) level(alpha float64) int {
	if p.Count < 20 {
		return 2
	}
	n := float64(p.Count)
	for c, fired := range p.Fired {
		if float64(fired) <= alpha*n+math.Sqrt(alpha*n) {
			return c
		}
	}
	return len(tempers) - 1
}

// run lets the track's placebo see a step; x are the regressors' instants.
func (t *Track) placebo(b Block, cfg *Config, into *Placebos, alarm float64) {
	p := &t.Placebo
	length := max(10, cfg.steps(cfg.Day)/24)
	if p.Sum.Steps >= length || p.Sum.Steps == 0 {
		if p.Sum.Steps > 0 {
			into.Count++
			for c, worst := range p.Worst {
				if worst >= -math.Log(cfg.alpha()) {
					into.Fired[c]++
				}
				if worst >= alarm {
					into.Alarm[c]++
				}
			}
		}
		*p = Placebo{Models: t.Models}
	}
	step := Block{End: b.End, Steps: 1, Total: b.Total}
	for k := range p.Models {
		if !(b.Exp[k] > 0) {
			continue
		}
		x := p.Models[k].at(b.End, cfg.Day, float64(b.Total))
		step.Obs[k] = b.Obs[k]
		step.Exp[k] = float32(p.Models[k].expect(x, float64(b.Total)))
		p.Base[k] += p.Models[k].variance(x)
	}
	p.Sum.merge(step)
	if p.Sum.Steps < 5 {
		return
	}
	base := p.Base
	for k := range base {
		base[k] /= float64(p.Sum.Steps)
	}
	for c, temper := range tempers {
		ev := weigh(p.Sum, &t.Spread, base, temper, cfg.Margin)
		p.Worst[c] = math.Max(p.Worst[c], math.Max(ev.worse, ev.better))
	}
}
