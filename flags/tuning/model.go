package tuning

import "math"

// party is how a third party behaves towards successive attempts of one call:
// two independent processes, each of two states in continuous time. In a burst
// attempts fail with chance h, outside with g (E. N. Gilbert, "Capacity of a
// Burst-Noise Channel", Bell System Technical Journal 39, 1960; E. O. Elliott,
// the same 42, 1963). In a slow phase an attempt takes as long as the slowest
// share q of all attempts, outside as long as one of the rest. What a state says
// of the state t ms later fades with exp(-t/memory), as in any two-state Markov
// process.
type party struct {
	burst, h, g float64 // share of time, chances
	burstMemory float64 // ms
	slow        float64 // share of time
	slowMemory  float64 // ms
	// took is how long attempts take, and failTook the mean of those outside slow
	// phases, ms: failures take as long as these.
	took     latency
	failTook float64
}

// states are numbered 0..3: bit 0 in a burst, bit 1 in a slow phase.
const states = 4

// share is the share of time in a state.
func (p *party) share(s int) float64 {
	return pick(s&1 != 0, p.burst) * pick(s&2 != 0, p.slow)
}

func pick(on bool, share float64) float64 {
	if on {
		return share
	}
	return 1 - share
}

// fades is what is left of a state after a lag.
func fades(lag, memory float64) float64 { return math.Exp(-lag / memory) }

// turn is the chance of a two-state process to be at to, given where it was and
// how much of it is left.
func turn(from, to bool, share, left float64) float64 {
	chance := pick(to, share) * (1 - left)
	if from == to {
		chance += left
	}
	return chance
}

// ends are the chances of the ways in which an attempt ends, given the state: the
// third party fails, or the caller gives it up after patience ms.
func (p *party) ends(s int, patience float64) (fails, givenUp float64) {
	fail := p.g
	if s&1 != 0 {
		fail = p.h
	}
	inTime := p.inTime(patience)
	return fail * inTime, fail*(1-inTime) + (1-fail)*p.over(s, patience)
}

// inTime is the share of failures that come before patience ends.
func (p *party) inTime(patience float64) float64 {
	return min(1, p.took.below(patience)/(1-p.slow))
}

// over is the share of answered attempts in a state that take longer than
// patience.
func (p *party) over(s int, patience float64) float64 {
	over := 1 - p.took.below(patience)
	if s&2 != 0 {
		return min(1, over/p.slow)
	}
	return max(0, over-p.slow) / (1 - p.slow)
}

// expectation is what a set of constants comes to, per call.
type expectation struct {
	retries, retried, failed  float64
	firstFailed, firstGivenUp float64

	reached [maxAttempts]reached
	tries   int
}

// reached says how many calls make a retry, and when it ends, about, ms.
type reached struct{ share, end float64 }

// after is the share of calls, about, whose retries end after x ms.
func (e *expectation) after(x float64) float64 {
	for _, r := range e.reached[:e.tries] {
		if r.end > x {
			return r.share
		}
	}
	return 0
}

// expect works the attempts out one by one: u holds the chances that none has
// been answered, by the state and the end of the last. Waits enter by five points
// of their jitter; a deadline ends a call when the mean course passes it.
func (p *party) expect(c Constants) (e expectation) {
	var at [states]float64
	for s := range at {
		at[s] = p.share(s)
	}
	e.follow(p, c, at)
	return e
}

// inBurst is what calls come to that begin in a burst.
func (p *party) inBurst(c Constants) (e expectation) {
	e.follow(p, c, [states]float64{1: 1 - p.slow, 3: p.slow})
	return e
}

func (e *expectation) follow(p *party, c Constants, at [states]float64) {
	elapsed := 0.0
	for n := 1; ; n++ {
		patience := c.patience(n)
		var u [2][states]float64
		open, failed := 0.0, 0.0
		for s, chance := range at {
			f, a := p.ends(s, patience)
			u[0][s], u[1][s] = chance*f, chance*a
			open += chance * (f + a)
			failed += chance * f
		}
		if n == 1 {
			e.firstFailed, e.firstGivenUp = failed, open-failed
		}
		took := [2]float64{p.failTook, patience}
		if math.IsInf(patience, 1) {
			took[1] = p.failTook
		}
		wait := c.wait(n, c.BaseMS, 0.5)
		if open > 0 {
			elapsed += (took[0]*failed+took[1]*(open-failed))/open + wait
		}
		if n == c.MaxAttempts || c.DeadlineMS > 0 && elapsed >= c.DeadlineMS {
			e.failed = open
			return
		}
		if n == 1 {
			e.retried = open
		}
		e.retries += open
		e.reached[e.tries] = reached{open, elapsed + p.failTook}
		e.tries++
		at = p.onward(c, n, u, took)
	}
}

// onward moves the chances over the wait before retry n.
func (p *party) onward(c Constants, n int, u [2][states]float64, took [2]float64) (at [states]float64) {
	const points = 5
	for end := range u {
		left := [2]float64{}
		for k := range points {
			lag := took[end] + c.wait(n, c.BaseMS, (float64(k)+0.5)/points)
			left[0] += fades(lag, p.burstMemory) / points
			left[1] += fades(lag, p.slowMemory) / points
		}
		for from, chance := range u[end] {
			if chance == 0 {
				continue
			}
			for to := range at {
				at[to] += chance * turn(from&1 != 0, to&1 != 0, p.burst, left[0]) * turn(from&2 != 0, to&2 != 0, p.slow, left[1])
			}
		}
	}
	return at
}
