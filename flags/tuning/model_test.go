package tuning

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"aftershock/detector/hist"
)

// bounds are those of a usual histogram, s.
var bounds = []float64{.005, .01, .025, .05, .1, .15, .2, .25, .3, .5, .75, 1, 1.5, 2.5, 5, 10, math.Inf(1)}

// lognormal is the histogram of a lognormal time with a median in seconds.
func lognormal(median, sigma float64, n int, rng *rand.Rand) hist.Histogram {
	h := hist.Histogram{Bounds: bounds, Counts: make([]float64, len(bounds))}
	for range n {
		i, _ := slices.BinarySearch(bounds, median*math.Exp(sigma*rng.NormFloat64()))
		h.Counts[i]++
	}
	return h
}

func someParty(rng *rand.Rand) party {
	r := replay{took: newLatency(lognormal(0.08, 0.6, 20_000, rng), 0)}
	g := guess{h: 0.5 + 0.5*rng.Float64(), alone: rng.Float64(), memory: math.Pow(10, 1+4*rng.Float64()), slow: 0.05 * rng.Float64(), slowMemory: math.Pow(10, 1+4*rng.Float64())}
	return r.world(g, 0.3*rng.Float64())
}

func someConstants(rng *rand.Rand) Constants {
	c := Constants{
		Strategy: strategies[rng.IntN(3)], BaseMS: math.Pow(10, 3*rng.Float64()), Factor: 1 + 2*rng.Float64(), MaxAttempts: 1 + rng.IntN(7),
		Jitter: []Jitter{{}, {Spread: rng.Float64()}, {Name: Full}, {Name: Equal}}[rng.IntN(4)],
	}
	c.CapMS = c.BaseMS * (1 + 10*rng.Float64())
	if rng.IntN(2) == 0 {
		c.SlowMS = 50 + 500*rng.Float64()
	}
	if rng.IntN(2) == 0 {
		c.TimeoutMS = 500 + 2000*rng.Float64()
	}
	return c
}

// TestIndependentFailures: with chance p for each attempt and at most k of them,
// there are p(1-p^(k-1))/(1-p) retries per call, and p^k of calls fail.
func TestIndependentFailures(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	r := replay{took: newLatency(lognormal(0.08, 0.6, 20_000, rng), 0)}
	for _, p := range []float64{0.01, 0.1, 0.5, 0.9} {
		for k := 1; k <= 6; k++ {
			w := r.world(guess{h: p, alone: 1 - 1e-9, memory: 100, slow: 0.01, slowMemory: 100}, p)
			w.h, w.g = p, p
			c := Constants{Strategy: Constant, BaseMS: 10, CapMS: 10, Factor: 1, MaxAttempts: k}
			retries, failed := p*(1-math.Pow(p, float64(k-1)))/(1-p), math.Pow(p, float64(k))
			e := w.expect(c)
			if math.Abs(e.retries-retries) > 1e-9 || math.Abs(e.failed-failed) > 1e-9 {
				t.Errorf("p %g, k %d: got %g retries and %g failed, want %g and %g", p, k, e.retries, e.failed, retries, failed)
			}
			out := w.play(c, 0, 10_000, rng)
			if math.Abs(out.retries-retries) > 0.03*retries+1e-9 || math.Abs(out.failed-failed) > 0.05*failed+0.002*p {
				t.Errorf("p %g, k %d: played %g retries and %g failed, want %g and %g", p, k, out.retries, out.failed, retries, failed)
			}
		}
	}
}

// TestFailsAgain holds the second attempt's chance to the closed form of a
// two-state process: pi h² at once, and between that and p² by exp(-t/memory).
func TestFailsAgain(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	r := replay{took: newLatency(lognormal(0.08, 0.1, 20_000, rng), 0)}
	const p, h, memory = 0.04, 0.9, 300.0
	for _, wait := range []float64{0, 50, 300, 3000} {
		w := r.world(guess{h: h, memory: memory, slow: 1e-6, slowMemory: 1}, p)
		e := w.expect(Constants{Strategy: Constant, BaseMS: wait, CapMS: wait, Factor: 1, MaxAttempts: 2})
		left := math.Exp(-(w.failTook + wait) / memory)
		if want := p*p + left*(p*h-p*p); math.Abs(e.failed-want) > 1e-9 {
			t.Errorf("after %g ms: got %g of calls failed, want %g", wait, e.failed, want)
		}
	}
}

func TestNothingFails(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	r := replay{took: newLatency(lognormal(0.08, 0.6, 20_000, rng), 0)}
	w := r.world(guess{h: 0.9, alone: 0, memory: 100, slow: 0.01, slowMemory: 100}, 0)
	c := Constants{Strategy: Exponential, BaseMS: 10, CapMS: 100, Factor: 2, MaxAttempts: 5}
	if e := w.expect(c); e.retries != 0 || e.failed != 0 {
		t.Errorf("got %+v, want no retry", e)
	}
	out := w.play(c, 0, 1000, rng)
	if out.retries != 0 || out.failed != 0 || math.Abs(out.took.quantile(0.5)-80) > 4 {
		t.Errorf("got %g retries, %g failed, median %g ms, want none and 80 ms", out.retries, out.failed, out.took.quantile(0.5))
	}
}

// TestPlayedAsExpected holds the two ways to work calls out against each other, on
// third parties and constants of all kinds.
func TestPlayedAsExpected(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	for range 60 {
		p, c := someParty(rng), someConstants(rng)
		e, out := p.expect(c), p.play(c, 0, 10_000, rng)
		// The expectation takes a failure's time at its mean.
		if math.Abs(out.retries-e.retries) > 0.06*e.retries+1e-3 || math.Abs(out.failed-e.failed) > 0.12*e.failed+2e-3 {
			t.Errorf("%s: played %.4f retries and %.4f failed, want %.4f and %.4f (%+v)", c.Text(), out.retries, out.failed, e.retries, e.failed, guess{p.h, p.g, p.burstMemory, p.slow, p.slowMemory})
		}
		mass := 0.0
		for _, m := range out.took {
			mass += m
		}
		if math.Abs(mass-1) > 1e-6 {
			t.Errorf("%s: %g calls were counted of 1", c.Text(), mass)
		}
	}
}

// TestMoreAttempts: they never lower the load on the third party, nor let more
// calls fail.
func TestMoreAttempts(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	for range 300 {
		p, c := someParty(rng), someConstants(rng)
		c.SlowMS = 0 // which is for all but the last attempt
		load, failed := 0.0, 1.0
		for k := 1; k <= 8; k++ {
			c.MaxAttempts = k
			e := p.expect(c)
			if e.retries < load-1e-12 || e.failed > failed+1e-12 {
				t.Fatalf("%s: %g retries after %g, %g failed after %g", c.Text(), e.retries, load, e.failed, failed)
			}
			load, failed = e.retries, e.failed
		}
	}
}

func TestDeadlineEndsCalls(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 1))
	for range 60 {
		p, c := someParty(rng), someConstants(rng)
		c.DeadlineMS = 100 + 1000*rng.Float64()
		out := p.play(c, 0, 3000, rng)
		for bin, m := range out.took {
			if m > 0 && edge(bin) > c.DeadlineMS*1.0001 {
				t.Errorf("%s: a call took %g ms", c.Text(), edge(bin))
			}
		}
	}
}

// TestLatency holds the distribution to the histogram that it is of.
func TestLatency(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	h := lognormal(0.08, 0.6, 100_000, rng)
	l := newLatency(h, 0)
	for _, b := range bounds[:len(bounds)-1] {
		over, _ := h.Above(b)
		if got, want := 1-l.below(1000*b), over/h.Total(); math.Abs(got-want) > 1e-9 {
			t.Errorf("over %g s: got %g, want %g", b, got, want)
		}
	}
	for u := 0.001; u < 1; u += 0.001 {
		if got := l.below(l.at(u)); math.Abs(got-u) > 1e-6 {
			t.Errorf("got %g below the %g-quantile", got, u)
		}
	}
	if got, want := newLatency(h, 30).at(0.5), l.at(0.5)-30; math.Abs(got-want) > 5 {
		t.Errorf("got a median of %g ms without 30 ms of overhead, want %g", got, want)
	}
}

// Of calls that take longer than an attempt may, most waited and tried again: what
// attempts take that are given up is no longer than how many are given up says.
func TestLongCallsAreNoLongAttempts(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 1))
	// One call in fifty is retried for seconds; one attempt in 2,000 is given up.
	h := hist.Merge(lognormal(0.08, 0.4, 49_000, rng), lognormal(2.8, 0.1, 1000, rng))
	c := Constants{Strategy: Exponential, BaseMS: 20, CapMS: 40, Factor: 2, MaxAttempts: 3, TimeoutMS: 2000}
	from := &regime{constants: c, calls: 50_000, first: 1500, retried: 1525, retries: 2800}
	r := replay{seed: 1, took: newLatency(h, 0), guesses: []guess{{h: 0.9, alone: 0.06, memory: 700, slow: 0.01, slowMemory: 2000}}}
	r.unfold(h, from)
	if got, want := 1-r.took.below(2000), 0.0005; got > 2*want || got < want/2 {
		t.Errorf("%.4f of attempts take longer than is waited for, want about %.4f", got, want)
	}
}
