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
	fresh      []float64 // share of what was expected that the new build took
	twin       []bool    // of the bin before, on the new build instead of the old ones
	readings   []stat.Reading
	shocks     []stat.Shock
	levels     []float64 // what the noise amounts to before each reading
	prior      [stat.Nuisances]float64
	filter     stat.Filter
}

// read makes the readings of bound k out of blocks, with no bin across any of
// the cuts. While old and new builds run side by side a bin gives two readings,
// the old builds' first: what moves both is noise to the difference.
func (c *course) read(list []Block, k int, step int64, cuts []int64, noise stat.Noise, warm *warmth) {
	c.begin, c.end, c.exp, c.readings = c.begin[:0], c.end[:0], c.exp[:0], c.readings[:0]
	c.load, c.usual, c.fresh, c.twin = c.load[:0], c.usual[:0], c.fresh[:0], c.twin[:0]
	c.prior = priors(list, k)
	now := int64(0)
	if len(list) > 0 {
		now = list[len(list)-1].End
	}
	var g gathered
	for i := range list {
		b := &list[i]
		if !(b.Exp[k] > 0) {
			continue
		}
		from := b.End - int64(b.Steps)*step
		full := enough(&g.all, warm, g.last) && int64(g.all.Steps) >= coarse(cuts, g.last, now)/step
		if g.all.Steps > 0 && (full || crossed(cuts, g.last, b.End) || from-g.last > 5*step) {
			c.close(&g, warm, step)
		}
		if g.all.Steps == 0 {
			g.begin = max(from, g.last)
		}
		g.take(b, k)
	}
	if g.all.Steps > 0 {
		c.close(&g, warm, step)
	}
	c.clean(noise)
}

// gathered is the bin under way: of all builds, and of the new one alone.
type gathered struct {
	all, fresh  Bin
	begin, last int64
	load, usual float64
}

func (g *gathered) take(b *Block, k int) {
	g.all.Obs += float64(b.Obs[k])
	g.all.Exp += float64(b.Exp[k])
	g.all.Total += float64(b.Total)
	g.all.Steps += int(b.Steps)
	g.load += float64(b.Load)
	g.usual += float64(b.Usual)
	g.fresh.Obs += float64(b.FreshObs[k])
	g.fresh.Exp += float64(b.FreshExp[k])
	g.last = b.End
}

// close makes one reading of what was gathered, or one for each build.
func (c *course) close(g *gathered, warm *warmth, step int64) {
	cold, renewed := warm.in(g.begin, g.last), warm.renewed(g.begin, g.last, &c.prior)
	share := g.fresh.Exp / g.all.Exp
	stale := Bin{Obs: g.all.Obs - g.fresh.Obs, Exp: g.all.Exp - g.fresh.Exp}
	gap := 0.0
	if n := len(c.end); n > 0 {
		gap = float64((g.begin+g.last)/2-(c.begin[n-1]+c.end[n-1])/2) / float64(step)
	}
	// What restarted instances show is shared by all of them, and is the new build's.
	restarted := warm.own(g.last)
	if math.Min(stale.Exp, g.fresh.Exp) < leastArm {
		for i := range ownWarmUps {
			if g.fresh.Exp > 0 && restarted > 0 {
				cold[i] *= share / restarted
			}
		}
		c.add(g, &g.all, share, stat.Reading{Gap: gap, Nuisance: cold, Renewed: renewed})
	} else {
		var calm [stat.Nuisances]float64
		copy(calm[ownWarmUps:], cold[ownWarmUps:])
		calm[apart] = -math.Sqrt(share / (fewInstances * (1 - share)))
		for i := range ownWarmUps {
			if restarted > 0 {
				cold[i] /= restarted
			}
		}
		cold[apart] = math.Sqrt((1 - share) / (fewInstances * share))
		c.add(g, &stale, 0, stat.Reading{Gap: gap, Nuisance: calm, Renewed: renewed})
		c.add(g, &g.fresh, 1, stat.Reading{Nuisance: cold})
		c.twin[len(c.twin)-1] = true
	}
	*g = gathered{last: g.last}
}

// add adds a reading of what was counted on builds of which the new one has a share.
func (c *course) add(g *gathered, b *Bin, share float64, r stat.Reading) {
	r.Steps, r.Y = float64(g.all.Steps), b.y()
	if b.Exp < fullBin && b.Obs >= fullBin {
		// It was closed because of what was counted, the last of which says nothing.
		r.Y = logRatio(b.Obs-1, b.Exp)
	}
	// No warm-up follows its course to the letter.
	slow := r.Nuisance[ownWarmUps-1] + r.Nuisance[warmUps-1]
	r.Var = 1/b.Exp + slow*slow*unlike*c.prior[0]
	c.begin, c.end, c.exp, c.readings = append(c.begin, g.begin), append(c.end, g.last), append(c.exp, b.Exp), append(c.readings, r)
	c.load, c.usual = append(c.load, math.Log(g.load/r.Steps)), append(c.usual, g.usual/r.Steps)
	c.fresh, c.twin = append(c.fresh, share), append(c.twin, false)
}

const (
	// leastArm is what must be expected on each of old and new builds for them to
	// be told apart in a bin.
	leastArm = 0.5
	// fewInstances is how many instances a service is taken to have where they are
	// compared with each other.
	fewInstances = 3
	// steep is how far a reading of a warm-up may be from its course, as a variance
	// over the square of its height.
	steep = 0.04
	// unlike is how unlike its course a warm-up may be, as a variance at its height
	// over that of the height.
	unlike = 0.005
)

// enough says whether a bin holds enough for a logarithm. Much more than expected is
// enough as well; in a warm-up, what falls from bin to bin must not be averaged.
func enough(b *Bin, warm *warmth, at int64) bool {
	return b.full() || b.Obs >= 2*fullBin || b.Obs >= fullBin && warm.warm(at)
}

// grains is how many bins there are, about, between an instant of interest and
// twice as far from it.
const grains = 12

// coarse is how long a bin may be that lies at an instant: the farther from any
// of the cuts and from now, the longer, so that the number of readings goes with
// the logarithm of time.
func coarse(cuts []int64, at, now int64) int64 {
	near := now - at
	for _, cut := range cuts {
		near = min(near, max(at-cut, cut-at))
	}
	return near / grains
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
	log = math.Max(-4, math.Min(14, log))
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
		r := &c.readings[i]
		if cold(r) {
			// It falls from bin to bin: there is nothing to hold it against, and the higher
			// it is, the farther from any course that it might follow.
			r.Var += (countVar(r.Y)-1)/c.exp[i] + steep*r.Y*r.Y
			continue
		}
		w := c.beside(i, raw, near[:0])
		slices.Sort(w)
		median := w[len(w)/2]
		if len(w)%2 == 0 {
			median = (w[len(w)/2-1] + median) / 2
		}
		r.Var += (countVar(median) - 1) / c.exp[i]
		limit := 3 * math.Sqrt(r.Var+noise[0]+noise[1])
		r.Y = median + math.Max(-limit, math.Min(limit, r.Y-median))
	}
}

// beside appends a reading and those around it that are of the same build, with no
// warm-up between.
func (c *course) beside(i int, raw, near []float64) []float64 {
	near = append(near, raw[i])
	fresh := c.fresh[i] >= 0.5
	for _, way := range [2]int{-1, 1} {
		n := 0
		for k := i + way; k >= 0 && k < len(raw) && n < aside; k += way {
			if c.fresh[k] >= 0.5 != fresh {
				continue
			}
			if cold(&c.readings[k]) {
				break
			}
			near = append(near, raw[k])
			n++
		}
	}
	return near
}

// cold says whether a reading is of a warm-up that is not nearly over.
func cold(r *stat.Reading) bool {
	const least = 0.05
	return slices.Max(r.Nuisance[:warmUps]) > least
}

// solve finds what the readings say of shifts.
func (c *course) solve(noise stat.Noise) {
	c.filter.Noise, c.filter.Prior = noise, c.prior
	c.shocks, c.levels = c.filter.Shocks(c.readings, c.shocks, c.levels)
}

// mean is the mean of the readings that ended after an instant, weighted by how sure
// they are, and the variance that counting gives it.
func (c *course) mean(after int64) (y, variance, steps float64) {
	sum, weight := 0.0, 0.0
	for i := len(c.end) - 1; i >= 0 && c.end[i] > after; i-- {
		w := 1 / c.readings[i].Var
		sum += c.readings[i].Y * w
		weight += w
		if !c.twin[i] {
			steps += c.readings[i].Steps
		}
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
