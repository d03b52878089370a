package detector

import (
	"math"
	"slices"
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
	Bins   [bounds]Bin
	Strays [bounds]Stray
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
	// Range is the span of log load seen so far.
	LoadLow, LoadHigh float64
	// Season is the usual load of the time of day.
	Season Season
	// Smooth is set where quantiles are followed in place of bounds.
	Smooth *Smooth
	// Stranded counts the steps in a row that supported none of the watched bounds.
	Stranded int

	key     string
	turn    int // tells when it is this indicator's turn of what is done once in a while
	scratch scratch
}

// early is a step that came before the bounds were chosen.
type early struct {
	At     time.Time
	Total  float64
	Load   float64
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
	at time.Time
	// load is the number of requests, total that without instances that are
	// warming up.
	load          float64
	total, bad    float64
	hist          hist.Histogram
	over          [bounds]float64 // made up for quantiles
	firsts, calls float64
	stress        float64
	versions      []served
	// spreads are what the step adds to what indicators of the kind say together.
	spreads []pooling
}

// served is what instances of one version counted, those that are warming up
// apart.
type served struct {
	version    string
	warm       bool
	total, bad float64
	hist       hist.Histogram
	told       []told
	over       [bounds]float64 // made up for quantiles
}

// add takes in what others counted.
func (v *served) add(o *served) {
	v.total += o.total
	v.bad += o.bad
	v.hist = join(v.hist, o.hist)
	for k, x := range o.over {
		v.over[k] += x
	}
}

func (s *scratch) serve(p *Point, warm, smooth bool) {
	i := slices.IndexFunc(s.versions, func(v served) bool { return v.version == p.Version && v.warm == warm })
	if i < 0 {
		i = len(s.versions)
		s.versions = append(s.versions, served{version: p.Version, warm: warm})
	}
	v := &s.versions[i]
	if smooth {
		v.told = p.told(v.told)
		return
	}
	v.total += p.Total
	v.bad += p.Bad
	v.hist = join(v.hist, p.Hist)
}

// join adds up two histograms, either of which may be empty.
func join(a, b hist.Histogram) hist.Histogram {
	switch {
	case len(a.Bounds) == 0:
		return b
	case len(b.Bounds) == 0:
		return a
	}
	return hist.Merge(a, b)
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

// take adds one point to the step under way. One from an instance that is
// warming up counts as load alone.
func (t *Track) take(at time.Time, p *Point, warm bool) {
	s := &t.scratch
	if !s.at.Equal(at) {
		*s = scratch{at: at, versions: s.versions[:0], spreads: s.spreads[:0]}
	}
	s.load += p.Total
	s.serve(p, warm, t.Indicator.Kind == Latency && p.smooth())
	if p.FirstFailures >= 0 && !warm {
		s.firsts += p.FirstFailures
		s.calls += p.Total
	}
}

// settle adds up what the instances that aren't warming up counted.
func (s *scratch) settle() {
	var sum served
	for i := range s.versions {
		if v := &s.versions[i]; !v.warm {
			sum.add(v)
		}
	}
	s.total, s.bad, s.hist, s.over = sum.total, sum.bad, sum.hist, sum.over
}

// counts are the bad requests at each bound; NaN where the step's buckets don't
// support the bound.
func (t *Track) counts(v *served) (bad [bounds]float64) {
	for k, x := range t.Bounds {
		switch {
		case math.IsNaN(x):
			bad[k] = math.NaN()
		case t.Indicator.Kind != Latency:
			bad[k] = v.bad
		case t.Smooth != nil:
			bad[k] = v.over[k]
		default:
			count, ok := v.hist.AboveBound(x)
			if bad[k] = count; !ok {
				bad[k] = math.NaN()
			}
		}
	}
	return bad
}

// step closes the step at the given time, once it is settled: the model learns from it, and what was
// counted and expected is remembered. It answers false while there is no baseline
// to expect anything from.
func (t *Track) step(at time.Time, cfg *Config, pool *Pool) bool {
	s := &t.scratch
	if !s.at.Equal(at) || !(s.total > 0) {
		return false
	}
	if t.First.IsZero() {
		t.First = at
	}
	t.Last = at
	t.Steps++
	fade := math.Exp2(-float64(cfg.Step) / float64(cfg.Baseline))
	t.Firsts.Num = t.Firsts.Num*fade + s.firsts
	t.Firsts.Den = t.Firsts.Den*fade + s.calls
	if t.Indicator.Kind == Latency && !(t.Chosen && t.Smooth != nil) {
		t.Smooth = nil // where there are buckets, they are better
		if t.Stranded == 0 {
			t.remember(s.hist, fade)
		}
		if !t.Chosen && !t.choose() {
			// Where no bound ever fits, as when every request is faster than the
			// lowest one, the early steps must not pile up.
			if len(t.Early) == mostEarly {
				t.Early = append(t.Early[:0], t.Early[1:]...)
			}
			t.Early = append(t.Early, early{at, s.total, s.load, s.stress, s.hist})
			return false
		}
		t.catchUp(cfg, fade, pool)
	}
	b := Block{End: at.UnixNano(), Steps: 1, Total: float32(s.total), Load: float32(s.load)}
	ok := t.learn(&b, t.counts(&served{bad: s.bad, hist: s.hist, over: s.over}), s, cfg, fade, pool)
	l := math.Log(s.load)
	t.LoadLow, t.LoadHigh = math.Min(t.LoadLow, l), math.Max(t.LoadHigh, l)
	t.Season.learn(at, cfg.Day, l, fade)
	if ok {
		t.Recent.add(b)
	}
	return ok
}

// catchUp learns from the steps that came before the bounds were chosen.
func (t *Track) catchUp(cfg *Config, fade float64, pool *Pool) {
	for _, e := range t.Early {
		b := Block{End: e.At.UnixNano(), Steps: 1, Total: float32(e.Total)}
		t.learn(&b, t.counts(&served{hist: e.Hist}), &scratch{at: e.At, total: e.Total, load: e.Load, stress: e.Stress}, cfg, fade, pool)
	}
	t.Early = nil
}

// learn puts what was expected of a step into b and lets the models learn from
// the step; it answers false while there is nothing to expect.
func (t *Track) learn(b *Block, bad [bounds]float64, s *scratch, cfg *Config, fade float64, pool *Pool) (ok bool) {
	for k := range t.Bounds {
		m, bin := &t.Models[k], &t.Bins[k]
		if math.IsNaN(bad[k]) {
			continue
		}
		x := m.at(s.at, cfg.Day, s.load, s.stress)
		exp := 0.0
		if m.Seen > 0 {
			exp = m.expect(&x, s.total)
		}
		if m.Seen >= burnIn {
			b.Obs[k], b.Exp[k] = float32(bad[k]), float32(exp)
			ok = true
			mean := &t.Strays[k].Mean
			mean.Num, mean.Den = mean.Num*fade+bad[k], mean.Den*fade+exp
		}
		bin.Obs += bad[k]
		bin.Exp = narrow(bin.Exp + exp)
		bin.Total += s.total
		bin.Steps++
		for i := range x {
			bin.X[i] = narrow(bin.X[i] + x[i]*exp)
		}
		if m.Seen == 0 && (bin.Obs >= fullBin || bin.Steps >= firstBin) {
			elastic := 0.0
			if t.Indicator.Kind == Retry {
				elastic = 1
			}
			m.start(bin.Obs, bin.Total, s.load, elastic)
			*bin = Bin{}
		}
		if m.Seen > 0 && bin.full() {
			t.close(k, cfg, fade, &pool[k])
		}
	}
	return ok
}

// close lets the model and the spread of bound k learn from its bin.
func (t *Track) close(k int, cfg *Config, fade float64, pool *[scales]Spread) {
	m, bin, stray := &t.Models[k], &t.Bins[k], &t.Strays[k]
	for i := range bin.X {
		bin.X[i] /= bin.Exp
	}
	steps := float64(bin.Steps)
	variance := 1 / bin.Exp
	y := stray.clean(bin.y(), variance)
	noise := stray.fitted(pool)
	variance += stray.Short + noise.LongRun()/steps
	if t.Steps > cfg.steps(cfg.Day)/4 && m.Seen > 2*burnIn {
		t.scratch.spreads = stray.add(y, t.counted(bin.Exp), bin.Steps, fade, k, t.scratch.spreads)
	}
	m.learn(&bin.X, y, variance, math.Pow(fade, steps))
	*bin = Bin{}
}

const (
	// burnIn is how many bins a model learns before its expectations count.
	burnIn = 4
	// firstBin is how many steps the first guess of a rare share may take.
	firstBin = 30
	// chooseSteps and chooseRequests are what a baseline needs before the
	// bounds are chosen.
	chooseSteps    = 12
	chooseRequests = 500
	// mostEarly is how many steps are kept until the bounds are chosen.
	mostEarly = 20 * chooseSteps
)

func (t *Track) remember(h hist.Histogram, fade float64) {
	b := &t.Base
	for i := range b.Counts {
		b.Counts[i] *= fade
	}
	if b.Layout == nil && h.Layout == nil && slices.Equal(b.Bounds, h.Bounds) {
		for i, c := range h.Counts {
			b.Counts[i] += c
		}
	} else {
		*b = hist.Merge(*b, h)
	}
	for i, c := range b.Counts {
		b.Counts[i] = narrow(c)
	}
}

// narrow rounds to what is saved of a number.
func narrow(x float64) float64 { return float64(float32(x)) }

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
