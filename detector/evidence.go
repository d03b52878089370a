package detector

import (
	"math"

	"aftershock/detector/stat"
)

// mixScale is the log ratio at which the intervals are sharpest: about a change
// by a quarter. The e-values are a mean over that and a threefold change, since
// far in the tail a shift is large and its counts are few.
const (
	mixScale  = 0.25
	wideScale = 1.1
)

// tempers are the factors by which the variance may be inflated so that the
// rule fires no more often than promised at placebo upgrades.
var tempers = [...]float64{1, 1.3, 1.7, 2.2, 3, 4.5, 7}

// estimate is what a window of steps says of one bound: obs where exp were
// expected, both divided by their dispersion.
type estimate struct {
	obs, exp float64
	// base is the variance of the log expectation.
	base float64
}

// logRatio is the log of observed over expected, defined for no events as well.
func (e estimate) logRatio() float64 { return math.Log((e.obs + 0.5) / (e.exp + 0.5)) }

// variance is that of the log ratio under no change.
func (e estimate) variance() float64 { return 1/e.exp + e.base }

// z is how far the window is from a log ratio, in standard deviations.
func (e estimate) z(logRatio float64) float64 {
	return stat.SignedRoot(e.obs, e.exp, e.base, logRatio)
}

// exceeds is the log e-value against "the log ratio is at most d", and below
// that against "it is at least d".
func (e estimate) exceeds(d float64) float64 {
	return mixed(e.z(d), e.variance())
}

func (e estimate) below(d float64) float64 { return mixed(-e.z(d), e.variance()) }

func mixed(z, v float64) float64 {
	return stat.LogMeanExp([]float64{stat.LogEValue(z, v, mixScale), stat.LogEValue(z, v, wideScale)}, []float64{1, 1})
}

// interval is the confidence sequence of the log ratio: all values whose z is
// within the boundary.
func (e estimate) interval(alpha float64) (low, high float64) {
	// The better of the two scales, each at half the level.
	v := e.variance()
	limit := math.Min(stat.Boundary(v, mixScale, alpha/2), stat.Boundary(v, wideScale, alpha/2))
	end := func(sign float64) float64 {
		near, far := e.logRatio(), e.logRatio()+sign*0.1
		for math.Abs(e.z(far)) < limit || sign*(far-near) < 0 {
			if math.Abs(far) > 12 {
				return sign * 12
			}
			near, far = far, far+sign*math.Max(0.1, math.Abs(far-near))
		}
		for range 40 {
			mid := (near + far) / 2
			if math.Abs(e.z(mid)) < limit {
				near = mid
			} else {
				far = mid
			}
		}
		return far
	}
	return end(-1), end(1)
}

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
		phi := temper * spread[k].phi(float64(w.Steps))
		e := estimate{obs: float64(w.Obs[k]) / phi, exp: exp / phi, base: temper * base[k]}
		ev.at[k], ev.have[k] = e, true
		d := math.Log1p(margin)
		u, v := e.exceeds(d), e.below(-d)
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

// levels are the e-values at which placebos are counted: of an e-value that is
// what it promises, at most one in x reaches x.
var levels = [...]float64{20, 100, 400, 1600}

// Placebos counts how often placebo upgrades reached each of the levels, and
// the level that raises an alarm, for each temper.
type Placebos struct {
	Count   int
	Reached [len(tempers)][len(levels)]int
	Alarm   [len(tempers)]int
}

// fewPlacebos are too few to tell whether the promise is kept.
const fewPlacebos = 20

func (p *Placebos) add(o *Placebos) {
	p.Count += o.Count
	for c := range tempers {
		p.Alarm[c] += o.Alarm[c]
		for l := range levels {
			p.Reached[c][l] += o.Reached[c][l]
		}
	}
}

// temper is the index of the smallest temper with which the placebos keep the
// promise at every level, judged with an allowance for their number.
func (p *Placebos) temper() int {
	if p.Count < fewPlacebos {
		return 2
	}
	for c := range tempers {
		kept := true
		for l, x := range levels {
			mean := float64(p.Count) / x
			kept = kept && float64(p.Reached[c][l]) <= mean+math.Sqrt(mean)
		}
		if kept {
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
				for l, x := range levels {
					if worst >= math.Log(x) {
						into.Reached[c][l]++
					}
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
		x := p.Models[k].at(b.End, cfg.Day, float64(b.Total), float64(b.Stress))
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
