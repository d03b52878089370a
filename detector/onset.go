package detector

import (
	"math"
	"time"
)

// profile is the likelihood of each instant at which a shift may have begun.
type profile struct {
	// blocks is the course that it was computed on; logLik[i] is the log
	// likelihood ratio of "the shift began with block i" over "no shift".
	blocks []Block
	logLik []float64
}

// onsetProfile computes the profile of a step change at bound k: with onset i
// the counts from block i on are Poisson with mean R times the expectation, R
// at its maximum (in the direction of the shift), tempered by the dispersion
// over windows of the shift's length (quasi-likelihood). Only blocks that ended
// in (since, until] are looked at.
func (tr *Trial) onsetProfile(k int, since, until time.Time, sign float64) profile {
	list := tr.Blocks.List
	for len(list) > 0 && !list[0].End.After(since) {
		list = list[1:]
	}
	for len(list) > 0 && list[len(list)-1].End.After(until) {
		list = list[:len(list)-1]
	}
	p := profile{list, make([]float64, len(list))}
	obs, exp, steps := 0.0, 0.0, 0
	for i := len(list) - 1; i >= 0; i-- {
		obs += float64(list[i].Obs[k])
		exp += float64(list[i].Exp[k])
		steps += list[i].Steps
		if !(exp > 0) {
			continue
		}
		r := math.Log((obs + 0.5) / (exp + 0.5))
		if sign*r <= 0 {
			continue
		}
		phi := tr.Spread[k].phi(math.Min(float64(steps), 16))
		p.logLik[i] = (obs*r - exp*math.Expm1(r)) / phi
	}
	return p
}

// interval is where the onset lies with probability 0.95, and the likeliest
// instant.
func (p profile) interval() *Onset {
	if len(p.logLik) == 0 {
		return nil
	}
	mass, best := p.posterior(), 0
	low, high, sum := 0, len(mass)-1, 0.0
	for i, m := range mass {
		if m > mass[best] {
			best = i
		}
		if sum < 0.025 {
			low = i
		}
		if sum < 0.975 {
			high = i
		}
		sum += m
	}
	return &Onset{At: p.begin(best), Earliest: p.begin(low), Latest: p.blocks[high].End}
}

func (p profile) posterior() []float64 {
	top := math.Inf(-1)
	for _, l := range p.logLik {
		top = math.Max(top, l)
	}
	mass, total := make([]float64, len(p.logLik)), 0.0
	for i, l := range p.logLik {
		mass[i] = math.Exp(l - top)
		total += mass[i]
	}
	for i := range mass {
		mass[i] /= total
	}
	return mass
}

// begin is the instant at which block i began: the end of the one before, so
// that a gap counts into the interval.
func (p profile) begin(i int) time.Time {
	if i > 0 {
		return p.blocks[i-1].End
	}
	return p.blocks[0].End
}

// within is the mean likelihood of the onsets in [from, to], relative to the
// best. A block stands for the time since the one before it ended, so that what
// happened in a gap shows in the first block after it.
func (p profile) within(from, to time.Time) float64 {
	top := math.Inf(-1)
	for _, l := range p.logLik {
		top = math.Max(top, l)
	}
	sum, n := 0.0, 0
	for i, l := range p.logLik {
		if !p.blocks[i].End.After(from) {
			continue
		}
		if i > 0 && p.blocks[i-1].End.After(to) {
			break
		}
		sum += math.Exp(l - top)
		n++
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}
