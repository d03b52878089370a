package detector

import (
	"math"
	"slices"

	"aftershock/detector/stat"
)

// course is what the blocks of one indicator say at one bound: readings of the
// log ratio, and what they say of a shift that began with each.
type course struct {
	begin, end []int64
	exp        []float64
	load       []float64 // log of requests a step
	usual      []float64 // what is usual for that at the time of day
	fresh      []float64 // share of requests that the new build took
	readings   []stat.Reading
	shocks     []stat.Shock
	levels     []float64 // what the noise amounts to before each reading
	filter     stat.Filter
}

// warmPrior are the variances of the log ratio that the two courses of a warm-up,
// a quick one and a slow one, may add at their height.
var warmPrior = [stat.Nuisances]float64{4, 1}

// warmth is the course of warm-ups: for each restart exp(-time/memory), by the
// share of the service's instances that restarted.
type warmth struct {
	at       []int64
	share    []float64
	memories [stat.Nuisances]float64 // nanoseconds
}

func (w *warmth) in(begin, end int64) (c [stat.Nuisances]float64) {
	if w == nil {
		return c
	}
	for i, at := range w.at {
		if end <= at {
			continue
		}
		since := math.Max(0, float64(begin+end)/2-float64(at))
		for m, memory := range w.memories {
			if since < 8*memory {
				c[m] += math.Exp(-since/memory) * w.share[i]
			}
		}
	}
	return c
}

// read makes the readings of bound k out of blocks, with no bin across any of
// the cuts.
func (c *course) read(list []Block, k int, step int64, cuts []int64, noise stat.Noise, warm *warmth) {
	c.begin, c.end, c.exp, c.readings = c.begin[:0], c.end[:0], c.exp[:0], c.readings[:0]
	c.load, c.usual, c.fresh = c.load[:0], c.usual[:0], c.fresh[:0]
	var bin Bin
	var begin, last int64
	var load, usual, fresh float64
	close := func() {
		at := (begin + last) / 2
		gap := 0.0
		if n := len(c.end); n > 0 {
			gap = float64(at-(c.begin[n-1]+c.end[n-1])/2) / float64(step)
		}
		c.begin, c.end, c.exp = append(c.begin, begin), append(c.end, last), append(c.exp, bin.Exp)
		cold := warm.in(begin, last)
		c.readings = append(c.readings, stat.Reading{
			Gap: gap, Steps: float64(bin.Steps), Y: bin.y(), Nuisance: cold,
			// No warm-up follows its course to the letter.
			Var: 1/bin.Exp + cold[stat.Nuisances-1]*cold[stat.Nuisances-1],
		})
		c.load, c.fresh = append(c.load, math.Log(load/float64(bin.Steps))), append(c.fresh, fresh/bin.Total)
		c.usual = append(c.usual, usual/float64(bin.Steps))
		bin, load, usual, fresh = Bin{}, 0, 0, 0
	}
	for i := range list {
		b := &list[i]
		if !(b.Exp[k] > 0) {
			continue
		}
		from := b.End - int64(b.Steps)*step
		if bin.Steps > 0 && (bin.full() || crossed(cuts, last, b.End) || from-last > 5*step) {
			close()
		}
		if bin.Steps == 0 {
			begin = max(from, last)
		}
		bin.Obs += float64(b.Obs[k])
		bin.Exp += float64(b.Exp[k])
		bin.Total += float64(b.Total)
		bin.Steps += int(b.Steps)
		load += float64(b.Load)
		usual += float64(b.Usual)
		fresh += float64(b.Fresh)
		last = b.End
	}
	if bin.Steps > 0 {
		close()
	}
	c.clean(noise)
}

// crossed says whether one of the instants lies in [from, to).
func crossed(cuts []int64, from, to int64) bool {
	for _, at := range cuts {
		if at >= from && at < to {
			return true
		}
	}
	return false
}

// countVar is the variance of the log of a Poisson count over its expectation,
// times the expectation, where its mean lies at a log ratio: such that the square
// of the log ratio over it is the deviance, and z the signed root of the
// likelihood ratio, which is near to normal for small counts, too (see
// stat.SignedRoot).
func countVar(log float64) float64 {
	if math.Abs(log) < 1e-6 {
		return 1
	}
	log = math.Max(-4, math.Min(4, log))
	z := stat.SignedRoot(math.Exp(log), 1, 0, 0)
	return log * log / (z * z)
}

// aside is how many readings on either side a reading is held against.
const aside = 5

// clean clips readings that stand out from those around them, so that a spike
// counts, but not for more than a spike; what lasts is left as it is, its edge
// too, since a running median keeps edges. What is counted where less than
// expected happens is less sure by as much.
func (c *course) clean(noise stat.Noise) {
	var near [2*aside + 1]float64
	raw := make([]float64, len(c.readings))
	for i := range c.readings {
		raw[i] = c.readings[i].Y
	}
	for i := range c.readings {
		from, to := max(0, i-aside), min(len(raw), i+aside+1)
		w := near[:copy(near[:], raw[from:to])]
		slices.Sort(w)
		median := w[len(w)/2]
		if len(w)%2 == 0 {
			median = (w[len(w)/2-1] + median) / 2
		}
		r := &c.readings[i]
		r.Var += (countVar(median) - 1) / c.exp[i]
		limit := 3 * math.Sqrt(r.Var+noise[0]+noise[1])
		r.Y = median + math.Max(-limit, math.Min(limit, r.Y-median))
	}
}

// solve finds what the readings say of shifts.
func (c *course) solve(noise stat.Noise) {
	c.filter.Noise, c.filter.Prior = noise, warmPrior
	c.shocks, c.levels = c.filter.Shocks(c.readings, c.shocks, c.levels)
}

// mean is the mean of the readings that ended after an instant, weighted by what
// was expected, and the variance that counting gives it.
func (c *course) mean(after int64) (y, variance, steps float64) {
	sum, weight := 0.0, 0.0
	for i := len(c.end) - 1; i >= 0 && c.end[i] > after; i-- {
		sum += c.readings[i].Y * c.exp[i]
		weight += c.exp[i]
		steps += c.readings[i].Steps
	}
	if weight == 0 {
		return 0, math.Inf(1), 0
	}
	return sum / weight, 1 / weight, steps
}

// level is what the noise amounts to just before the reading that began at an
// instant.
func (c *course) level(at int64) float64 {
	for i, b := range c.begin {
		if b >= at {
			return c.levels[i]
		}
	}
	return 0
}
