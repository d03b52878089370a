package tuning

import (
	"math"
	"math/rand/v2"
)

// played is what a simulation counted, per call.
type played struct {
	retries, failed float64
	took            tally // mass 1
}

// play simulates calls. Those whose first attempt is answered need no chance:
// their latency is the measured one, cut at the patience. n calls are drawn from
// the rest, each from how its first attempt may end, and followed to their ends.
// overhead is added to each call's time, ms.
func (p *party) play(c Constants, overhead float64, n int, rng *rand.Rand) played {
	var out played
	out.answered(p, c, overhead)
	ways := p.openings(c)
	open := ways[len(ways)-1]
	if open <= 0 {
		return out
	}
	weight := open / float64(n)
	for k := range n {
		// Stratified, so that the shares of the ways to begin are exact.
		at := (float64(k) + rng.Float64()) / float64(n) * open
		way := 0
		for ways[way] < at && way < len(ways)-1 {
			way++
		}
		took, retries, failed := p.follow(c, way/2, way%2 == 1, rng)
		out.retries += weight * float64(retries)
		if failed {
			out.failed += weight
		}
		out.took[binOf(took+overhead)] += weight
	}
	return out
}

// openings are the chances that a first attempt isn't answered, by state and by
// whether it was given up, one upon another.
func (p *party) openings(c Constants) (ways [2 * states]float64) {
	sum := 0.0
	for s := range states {
		fails, givenUp := p.ends(s, c.first())
		for n, chance := range [2]float64{fails, givenUp} {
			sum += p.share(s) * chance
			ways[2*s+n] = sum
		}
	}
	return ways
}

// first is the patience with the first attempt, ms.
func (c Constants) first() float64 {
	if p := c.patience(1); c.DeadlineMS <= 0 || p < c.DeadlineMS {
		return p
	}
	return c.DeadlineMS
}

// answered adds the calls whose first attempt is answered.
func (o *played) answered(p *party, c Constants, overhead float64) {
	patience := c.first()
	fast, slow := 0.0, 0.0
	for s := range states {
		fail := p.g
		if s&1 != 0 {
			fail = p.h
		}
		if s&2 != 0 {
			slow += p.share(s) * (1 - fail) / p.slow
		} else {
			fast += p.share(s) * (1 - fail) / (1 - p.slow)
		}
	}
	before := 0.0
	for bin := range bins {
		if edge(bin) >= patience {
			break
		}
		to := p.took.below(min(edge(bin+1), patience))
		if to > before {
			inFast := max(0, min(to, 1-p.slow)-before)
			mass := fast*inFast + slow*(to-before-inFast)
			o.took[binOf(edge(bin)*math.Pow(10, 0.5/binsPerDecade)+overhead)] += mass
		}
		before = to
	}
}

// follow is the course of one call whose first attempt, begun in the state, failed
// or was given up: how long it takes (ms), how many retries it makes and whether
// it fails.
func (p *party) follow(c Constants, s int, givenUp bool, rng *rand.Rand) (took float64, retries int, failed bool) {
	last := c.first()
	if !givenUp {
		last = p.failure(c.first(), rng)
	}
	took = last
	wait := c.BaseMS
	for n := 2; n <= c.MaxAttempts; n++ {
		wait = c.wait(n-1, wait, rng.Float64())
		if c.DeadlineMS > 0 && took+wait >= c.DeadlineMS {
			return took, retries, true
		}
		took += wait
		s = p.next(s, last+wait, rng)
		retries++
		patience := c.patience(n)
		if c.DeadlineMS > 0 {
			patience = min(patience, c.DeadlineMS-took)
		}
		var ok bool
		last, ok = p.attempt(s, patience, rng)
		if took += last; ok {
			return took, retries, false
		}
	}
	return took, retries, true
}

// failure is how long a failure takes that comes before patience ends.
func (p *party) failure(patience float64, rng *rand.Rand) float64 {
	return min(p.took.at((1-p.slow)*p.inTime(patience)*rng.Float64()), patience)
}

// attempt draws one attempt: how long it takes, and whether it is answered.
func (p *party) attempt(s int, patience float64, rng *rand.Rand) (took float64, ok bool) {
	fail := p.g
	if s&1 != 0 {
		fail = p.h
	}
	chance, u := rng.Float64(), rng.Float64()
	switch {
	case chance < fail:
		return min(p.took.at(u*(1-p.slow)), patience), false
	case s&2 != 0:
		took = p.took.at(1 - p.slow + u*p.slow)
	default:
		took = p.took.at(u * (1 - p.slow))
	}
	return min(took, patience), took <= patience
}

// next draws the state after a lag in ms.
func (p *party) next(s int, lag float64, rng *rand.Rand) int {
	to := 0
	if rng.Float64() < turn(s&1 != 0, true, p.burst, fades(lag, p.burstMemory)) {
		to = 1
	}
	if rng.Float64() < turn(s&2 != 0, true, p.slow, fades(lag, p.slowMemory)) {
		to |= 2
	}
	return to
}
