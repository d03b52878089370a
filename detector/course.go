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

// The nuisances of a course: warm-ups of the indicator's own service, those of
// services that it calls, and what tells instances from one another.
const (
	ownWarmUps = 3
	warmUps    = ownWarmUps + 2
	apart      = warmUps
)

// warmPrior are the variances of the log ratio that the courses of a warm-up, from
// quick to slow, may add at their height, and of how much instances differ by
// themselves, where one request in a hundred is bad.
var warmPrior = [stat.Nuisances]float64{4, 4, 2, 2, 2, 0.02}

// priors are warmPrior for another share of bad requests. Of latencies with an
// exponential tail, those of an instance that is slower by a factor f exceed a bound
// with the share to the power of 1/f: the log ratio goes with the share's logarithm.
func priors(list []Block, k int) (out [stat.Nuisances]float64) {
	bad, total := 0.0, 0.0
	for i := range list {
		if list[i].Exp[k] > 0 {
			bad += float64(list[i].Exp[k])
			total += float64(list[i].Total)
		}
	}
	x := 1.0
	if bad > 0 && total > 0 {
		x = math.Max(0.1, math.Min(7, -math.Log(bad/total))) / -math.Log(0.01)
	}
	for m, v := range warmPrior {
		out[m] = v * x * x
	}
	return out
}

// warmMemories are the times over which the courses fall, over what an instance is
// given to warm up. Few warm-ups are exponential: far in a tail the logarithm falls
// late and steeply. A sum of two or three comes near.
var warmMemories = [warmUps]float64{0.25, 0.6, 1.2, 0.35, 1}

// restart is one of a share of a service's instances.
type restart struct {
	at    int64
	share float64
	own   bool // of the indicator's own service
	first bool // of its service
}

// warmth is the course of warm-ups: for each restart exp(-time/memory), by the
// share of the service's instances that restarted.
type warmth struct {
	restarts []restart
	// memories are in nanoseconds, 0 for a course that the indicator doesn't take.
	memories [warmUps]float64
}

func (w *warmth) in(begin, end int64) (c [stat.Nuisances]float64) {
	if w == nil {
		return c
	}
	for _, r := range w.restarts {
		if end <= r.at {
			continue
		}
		// The mean over the bin, 0 before the restart.
		from, to := math.Max(0, float64(begin-r.at)), float64(end-r.at)
		for m, memory := range w.memories {
			if from < 8*memory && m < ownWarmUps == r.own {
				c[m] += memory * (math.Exp(-from/memory) - math.Exp(-to/memory)) / float64(end-begin) * r.share
			}
		}
	}
	return c
}

// renewed is by how much the sizes of warm-ups may differ in a bin from those
// before: each service that is called warms up by itself.
func (w *warmth) renewed(begin, end int64, prior *[stat.Nuisances]float64) (v [stat.Nuisances]float64) {
	if w == nil {
		return v
	}
	for _, r := range w.restarts {
		if r.first && !r.own && r.at >= begin && r.at < end {
			copy(v[ownWarmUps:warmUps], prior[ownWarmUps:warmUps])
		}
	}
	return v
}

// warm says whether a restarted instance is warming up at an instant. What falls
// within minutes must not be averaged over many.
func (w *warmth) warm(at int64) bool {
	if w == nil {
		return false
	}
	for _, r := range w.restarts {
		if at > r.at && float64(at-r.at) < 4*max(w.memories[ownWarmUps-1], w.memories[warmUps-1]) {
			return true
		}
	}
	return false
}

// read makes the readings of bound k out of blocks, with no bin across any of
// the cuts. While old and new builds run side by side a bin gives two readings,
// the old builds' first: what moves both is noise to the difference.
func (c *course) read(list []Block, k int, step int64, cuts []int64, noise stat.Noise, warm *warmth) {
	c.begin, c.end, c.exp, c.readings = c.begin[:0], c.end[:0], c.exp[:0], c.readings[:0]
	c.load, c.usual, c.fresh, c.twin = c.load[:0], c.usual[:0], c.fresh[:0], c.twin[:0]
	var bin, fresh Bin
	var begin, last int64
	var load, usual float64
	c.prior = priors(list, k)
	now := int64(0)
	if len(list) > 0 {
		now = list[len(list)-1].End
	}
	add := func(b Bin, share float64, cold [stat.Nuisances]float64, twin bool) {
		gap := 0.0
		if n := len(c.end); n > 0 {
			gap = float64((begin+last)/2-(c.begin[n-1]+c.end[n-1])/2) / float64(step)
		}
		c.begin, c.end, c.exp = append(c.begin, begin), append(c.end, last), append(c.exp, b.Exp)
		slow := cold[ownWarmUps-1] + cold[warmUps-1]
		var renewed [stat.Nuisances]float64
		if !twin {
			renewed = warm.renewed(begin, last, &c.prior)
		}
		y := b.y()
		if b.Exp < fullBin && b.Obs >= fullBin {
			// It was closed because of what was counted, the last of which says nothing.
			y = logRatio(b.Obs-1, b.Exp)
		}
		c.readings = append(c.readings, stat.Reading{
			Gap: gap, Steps: float64(bin.Steps), Y: y, Nuisance: cold, Renewed: renewed,
			// No warm-up follows its course to the letter.
			Var: 1/b.Exp + slow*slow*unlike*c.prior[0],
		})
		c.load, c.usual = append(c.load, math.Log(load/float64(bin.Steps))), append(c.usual, usual/float64(bin.Steps))
		c.fresh, c.twin = append(c.fresh, share), append(c.twin, twin)
	}
	close := func() {
		cold := warm.in(begin, last)
		share := fresh.Exp / bin.Exp
		stale := Bin{Obs: bin.Obs - fresh.Obs, Exp: bin.Exp - fresh.Exp}
		if math.Min(stale.Exp, fresh.Exp) < leastArm {
			add(bin, share, cold, false)
		} else {
			var calm [stat.Nuisances]float64
			copy(calm[ownWarmUps:], cold[ownWarmUps:])
			calm[apart] = -math.Sqrt(share / (fewInstances * (1 - share)))
			for i := range ownWarmUps {
				cold[i] /= share
			}
			cold[apart] = math.Sqrt((1 - share) / (fewInstances * share))
			add(stale, 0, calm, false)
			add(fresh, 1, cold, true)
		}
		bin, fresh, load, usual = Bin{}, Bin{}, 0, 0
	}
	for i := range list {
		b := &list[i]
		if !(b.Exp[k] > 0) {
			continue
		}
		from := b.End - int64(b.Steps)*step
		if bin.Steps > 0 && (enough(&bin, warm, last) && int64(bin.Steps) >= coarse(cuts, last, now)/step || crossed(cuts, last, b.End) || from-last > 5*step) {
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
		fresh.Obs += float64(b.FreshObs[k])
		fresh.Exp += float64(b.FreshExp[k])
		last = b.End
	}
	if bin.Steps > 0 {
		close()
	}
	c.clean(noise)
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
