package tuning

import (
	"math"
	"slices"
)

// regime is what was counted while one set of constants was in force.
type regime struct {
	variant                        string
	constants                      Constants
	calls, retries, first, retried float64
	failed                         float64
	guessed                        bool // first is, from the retries
	steps                          []Step
}

// observation is a ratio that the regime shows, with its standard error.
type observation struct {
	regime *regime
	of     func(expectation) float64
	value  float64
	sd     float64
}

// blocks is how many parts of time a ratio's error is taken from, and inexact how
// far, as a share of it, the model may be from any ratio, however well counted.
const (
	blocks  = 40
	inexact = 0.02
)

// ratio is a sum over another, with its standard error from how it varies between
// parts of time: bursts correlate what happens in one (W. G. Cochran, Sampling
// Techniques, 3rd ed., section 6.4).
func (r *regime) ratio(above, below func(Step) float64) (value, sd float64) {
	size := (len(r.steps) + blocks - 1) / blocks
	var a, b []float64
	sumA, sumB := 0.0, 0.0
	for part := range slices.Chunk(r.steps, max(size, 1)) {
		x, y := 0.0, 0.0
		for _, s := range part {
			x, y = x+above(s), y+below(s)
		}
		a, b = append(a, x), append(b, y)
		sumA, sumB = sumA+x, sumB+y
	}
	if sumB <= 0 {
		return 0, math.Inf(1)
	}
	value = sumA / sumB
	square := 0.0
	for i := range a {
		d := a[i] - value*b[i]
		square += d * d
	}
	n := float64(len(a))
	if n < 3 {
		return value, math.Sqrt(max(value, 1/sumB) / sumB)
	}
	// Nothing counted in n is 1/n, about, at most.
	return value, math.Hypot(math.Hypot(math.Sqrt(square*n/(n-1))/sumB, inexact*value), 1/sumB)
}

// observations are what a regime says of how successive attempts hang together:
// retries per retried call, calls that failed, and first attempts that were given
// up.
func (r *regime) observations() (all []observation) {
	if r.retried >= 20 && r.constants.MaxAttempts > 2 {
		o := observation{regime: r, of: func(e expectation) float64 { return e.retries / max(e.retried, 1e-9) }}
		o.value, o.sd = r.ratio(func(s Step) float64 { return s.Retries }, func(s Step) float64 { return s.Retried })
		all = append(all, o)
	}
	if r.failed >= 0 && r.calls >= leastCalls {
		o := observation{regime: r, of: func(e expectation) float64 { return e.failed }}
		o.value, o.sd = r.ratio(func(s Step) float64 { return s.Failed }, func(s Step) float64 { return s.Calls })
		o.sd = math.Hypot(o.sd, 0.05*o.value)
		all = append(all, o)
	}
	if r.retried >= 20 && !r.guessed && !math.IsInf(r.constants.patience(1), 1) {
		o := observation{regime: r, of: func(e expectation) float64 { return e.firstGivenUp }}
		o.value, o.sd = r.ratio(func(s Step) float64 { return s.Retried - s.First }, func(s Step) float64 { return s.Calls })
		o.sd = math.Hypot(o.sd, 0.1*o.value) // the buckets' width
		all = append(all, o)
	}
	return all
}

// The grid of what isn't known beforehand. Bursts may last from hundredths of a
// second to minutes; in them between half and all attempts fail.
var (
	inBurst  = []float64{0.6, 0.8, 0.9, 0.97, 1}
	alone    = []float64{0, 0.06, 0.2, 0.5, 0.9}
	memories = []float64{10, 30, 100, 200, 400, 700, 1000, 1500, 2500, 5000, 10_000, 30_000, 100_000}
	slowPart = []float64{0.2, 0.5, 0.75, 0.95}
	slowness = []float64{30, 150, 500, 1000, 2000, 4000, 10_000, 60_000}
)

// guess is a point of the grid.
type guess struct {
	h, alone, memory float64
	slow, slowMemory float64
}

// drawn is how many points of the grid stand for all of them.
const drawn = 8

// fit weighs the points of the grid by how well they explain what was observed
// (a normal likelihood, all points alike beforehand) and draws those that stand for
// all, by systematic resampling; none where what was counted is beyond all of them.
// edge is the share of attempts over the shortest patience that was in force, 0 if
// there was none.
func fit(observed []observation, world func(guess, float64) party, edge float64) []guess {
	parts, slows := slowPart, slowness
	if edge <= 0 {
		parts, slows, edge = []float64{1}, []float64{1000}, 0.01
	}
	var all []guess
	var weights []float64
	best := math.Inf(1)
	for _, h := range inBurst {
		for _, lone := range alone {
			for _, m := range memories {
				for _, part := range parts {
					for _, sm := range slows {
						g := guess{h, lone, m, part * edge, sm}
						d := misfit(observed, g, world)
						best = min(best, d)
						all, weights = append(all, g), append(weights, d)
					}
				}
			}
		}
	}
	sum := 0.0
	for i, d := range weights {
		weights[i] = math.Exp((best - d) / 2)
		sum += weights[i]
	}
	if math.IsNaN(sum) {
		return nil
	}
	out := make([]guess, 0, drawn)
	seen := 0.0
	for i, w := range weights {
		seen += w
		for len(out) < drawn && seen >= (float64(len(out))+0.5)/drawn*sum {
			out = append(out, all[i])
		}
	}
	return out
}

// misfit is the sum of squared deviations in standard errors.
func misfit(observed []observation, g guess, world func(guess, float64) party) float64 {
	sum := 0.0
	var of *regime
	var e expectation
	for _, o := range observed {
		if o.regime != of {
			of = o.regime
			p := world(g, of.first/of.calls)
			e = p.expect(of.constants)
		}
		sum += math.Pow((o.of(e)-o.value)/o.sd, 2)
	}
	return sum
}

// failing is the share of time in bursts and the chances of failing in and
// outside of them, such that first attempts fail with chance p.
func (g guess) failing(p float64) (burst, h, outside float64) {
	p = min(max(p, 0), 0.999)
	h, outside = max(g.h, math.Sqrt(p)), g.alone*p
	return (p - outside) / (h - outside), h, outside
}
