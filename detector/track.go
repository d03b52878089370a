package detector

import (
	"math"
	"sort"
	"time"

	"aftershock/detector/hist"
)

// bounds is the number of bucket bounds at which a latency indicator is
// watched: those nearest to the baseline's p99, p99.8, p95 and p50. Other indicators
// use the first alone.
const bounds = 4

// tails are the shares of slower requests that the bounds are chosen for.
var tails = [bounds]float64{0.01, 0.002, 0.05, 0.5}

// weights say how the bounds' e-values are averaged.
var weights = [bounds]float64{0.3, 0.3, 0.25, 0.15}

// Track is what is kept of one indicator: constant in the length of history.
type Track struct {
	Indicator Indicator
	// Bounds are the watched bucket bounds, NaN where there is none; for
	// indicators other than latency the first is 0 and means "bad".
	Bounds [bounds]float64
	Chosen bool
	Models [bounds]Model
	Spread [bounds]Dispersion
	Recent Recent
	// Base is the fading distribution of the baseline, for quantiles.
	Base hist.Histogram
	// First and Last are the ends of the first and last step with data.
	First, Last time.Time
	Steps       int
	// Firsts fades over first-attempt failures: share of calls, and its weight.
	Firsts Ratio
	// Early holds the first steps, until the bounds are chosen.
	Early []early
	// Placebo is the placebo upgrade under way.
	Placebo Placebo
	// Range is the span of log load seen so far.
	LoadLow, LoadHigh float64

	key     string
	scratch scratch
}

// early is a step that came before the bounds were chosen.
type early struct {
	At     time.Time
	Total  float64
	Stress float64
	Hist   hist.Histogram
}

// Ratio is a sum of counts over a sum of counts.
type Ratio struct{ Num, Den float64 }

func (r Ratio) share() float64 {
	if r.Den <= 0 {
		return math.NaN()
	}
	return r.Num / r.Den
}

// scratch gathers the points of the step under way.
type scratch struct {
	at            time.Time
	total, bad    float64
	hist          hist.Histogram
	firsts, calls float64
	stress        float64
}

func newTrack(i Indicator) *Track {
	t := &Track{Indicator: i, LoadLow: math.Inf(1), LoadHigh: math.Inf(-1)}
	for k := range t.Bounds {
		t.Bounds[k] = math.NaN()
	}
	if i.Kind != Latency {
		t.Bounds[0] = 0
		t.Chosen = true
	}
	return t
}

// take adds one point to the step under way.
func (t *Track) take(at time.Time, p Point) {
	s := &t.scratch
	if !s.at.Equal(at) {
		*s = scratch{at: at}
	}
	s.total += p.Total
	s.bad += p.Bad
	if p.FirstFailures >= 0 {
		s.firsts += p.FirstFailures
		s.calls += p.Total
	}
	if len(p.Hist.Bounds) == 0 {
		return
	}
	switch {
	case len(s.hist.Bounds) == 0:
		s.hist = p.Hist
	default:
		s.hist = hist.Merge(s.hist, p.Hist)
	}
}

// counts are the bad requests at each bound; NaN where the step's buckets don't
// support the bound.
func (t *Track) counts(h hist.Histogram, other float64) (bad [bounds]float64) {
	for k, x := range t.Bounds {
		switch {
		case math.IsNaN(x):
			bad[k] = math.NaN()
		case t.Indicator.Kind != Latency:
			bad[k] = other
		default:
			least, most := h.Above(x)
			bad[k] = least
			if least != most {
				bad[k] = math.NaN()
			}
		}
	}
	return bad
}

// step closes the step at the given time: the model learns from it. The answer
// is the step as counted and as expected before it was seen; ok is false while
// there is no baseline to expect anything from.
func (t *Track) step(at time.Time, cfg *Config) (b Block, ok bool) {
	s := &t.scratch
	if !s.at.Equal(at) || !(s.total > 0) {
		return b, false
	}
	if t.First.IsZero() {
		t.First = at
	}
	t.Last = at
	t.Steps++
	fade := math.Exp2(-float64(cfg.Step) / float64(cfg.Baseline))
	t.Firsts.Num = t.Firsts.Num*fade + s.firsts
	t.Firsts.Den = t.Firsts.Den*fade + s.calls
	if t.Indicator.Kind == Latency {
		t.remember(s.hist, fade)
		if !t.Chosen && !t.choose() {
			// Where no bound ever fits, as when every request is faster than the
			// lowest one, the early steps must not pile up.
			if len(t.Early) == mostEarly {
				t.Early = append(t.Early[:0], t.Early[1:]...)
			}
			t.Early = append(t.Early, early{at, s.total, s.stress, s.hist})
			return b, false
		}
		t.catchUp(cfg, fade)
	}
	b = Block{End: at, Steps: 1, Total: float32(s.total), Stress: float32(s.stress)}
	ok = t.learn(&b, t.counts(s.hist, s.bad), s.total, s.stress, cfg, fade)
	l := math.Log(s.total)
	t.LoadLow, t.LoadHigh = math.Min(t.LoadLow, l), math.Max(t.LoadHigh, l)
	if ok {
		t.Recent.add(b)
	}
	return b, ok
}

// catchUp learns from the steps that came before the bounds were chosen.
func (t *Track) catchUp(cfg *Config, fade float64) {
	for _, e := range t.Early {
		b := Block{End: e.At, Steps: 1, Total: float32(e.Total)}
		t.learn(&b, t.counts(e.Hist, 0), e.Total, e.Stress, cfg, fade)
	}
	t.Early = nil
}

// learn puts what was expected of a step into b and lets the models learn from
// the step; it answers false while there is nothing to expect.
func (t *Track) learn(b *Block, bad [bounds]float64, total, stress float64, cfg *Config, fade float64) (ok bool) {
	elastic := 0.0
	if t.Indicator.Kind == Retry {
		elastic = 1
	}
	for k := range t.Bounds {
		m, d := &t.Models[k], &t.Spread[k]
		if math.IsNaN(bad[k]) {
			continue
		}
		if m.Seen == 0 {
			m.start(bad[k], total, elastic)
		}
		x := m.at(b.End, cfg.Day, total, stress)
		exp := m.expect(x, total)
		if m.Seen >= burnIn {
			b.Obs[k], b.Exp[k] = float32(bad[k]), float32(exp)
			d.add(bad[k], exp)
			ok = true
		}
		m.learn(x, bad[k], total, d.phi(longRun), fade)
	}
	return ok
}

const (
	// burnIn is how many steps a model learns before its expectations count.
	burnIn = 8
	// longRun is the window (in steps) whose dispersion weighs what a model
	// learns.
	longRun = 64
	// chooseSteps and chooseRequests are what a baseline needs before the
	// bounds are chosen.
	chooseSteps    = 12
	chooseRequests = 500
	// mostEarly is how many steps are kept until the bounds are chosen.
	mostEarly = 20 * chooseSteps
)

func (t *Track) remember(h hist.Histogram, fade float64) {
	if len(t.Base.Bounds) > 0 {
		for i := range t.Base.Counts {
			t.Base.Counts[i] *= fade
		}
	}
	t.Base = hist.Merge(t.Base, h)
}

// choose picks the bounds whose share of slower requests is nearest, as a
// ratio, to each of the tails. It answers false while the baseline is too thin.
func (t *Track) choose() bool {
	total := t.Base.Total()
	if t.Steps < chooseSteps || total < chooseRequests && t.Steps < mostEarly {
		return false
	}
	var taken []float64
	for k, tail := range tails {
		best, gap := math.NaN(), math.Log(6)
		for _, x := range t.Base.Bounds {
			least, most := t.Base.Above(x)
			if least != most || math.IsInf(x, 1) {
				continue
			}
			share := least / total
			if d := math.Abs(math.Log(share / tail)); share > 0.0005 && d < gap {
				best, gap = x, d
			}
		}
		if i := sort.SearchFloat64s(taken, best); math.IsNaN(best) || i < len(taken) && taken[i] == best {
			continue
		}
		t.Bounds[k] = best
		taken = append(taken, best)
		sort.Float64s(taken)
	}
	t.Chosen = len(taken) > 0
	return t.Chosen
}
