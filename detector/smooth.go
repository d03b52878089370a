package detector

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"aftershock/detector/stat"
)

// Smooth says which quantiles of a latency indicator without buckets are followed:
// those of a summary, or of gauges that report quantiles.
//
// The quantile of several instances' requests can't be had from the quantiles of
// each, nor can two windows' quantiles be averaged; and what a value is worth isn't
// known, since it comes without the counts behind it. So this is an indication and
// no more: the instances' values are combined by the mean of their logarithms,
// weighted by requests where those are counted, else by their median.
//
// The rest of the judgement knows counts alone, and is told of made-up ones: of a
// step's total, readings * value / Ref are bad and rare times readings are all, so that
// the log ratio of counts is that of values. What follows from it is the same model of
// load and time of day, and the same measure of correlated noise; the variance that
// counting gives a reading, about 1/readings, is a floor, and the whole of the noise
// that is measured comes on top of it (see counted). countVar lowers the floor where
// the value has risen (to three quarters at 1.5 times, a fifth at ten times) and raises
// it where it fell, as counts ask for; the measured noise doesn't follow, and so holds.
// That a sliding window of ten minutes makes neighbouring values alike is noise with a
// memory, which is measured as any other.
type Smooth struct {
	// Q is the quantile followed in place of each bucket bound, NaN where there is
	// none, and Ref a value of it that others are told in.
	Q, Ref [bounds]float64
	// Counted says whether the requests behind the values are counted.
	Counted bool
	// Seen are the quantiles seen while none was chosen, over so many Steps.
	Seen  []seen
	Steps int
}

// seen is a quantile with its number of values and the sum of their logarithms.
type seen struct{ Q, Values, Log float64 }

const (
	// readings is what a step's value counts as: a standard deviation of a
	// twentieth at the least, which is what a p99 of some 6000 requests has by chance.
	readings = 400
	// rare is how many of the made-up requests there are to one that is bad: what is
	// known of warm-ups is told for one in a hundred, and a tail may grow as far.
	rare = 100
	// certain times as many counts are as good as sure.
	certain = 1e9
	// seenWell is how many steps it takes to know the noise to half.
	seenWell = 720
	// mostQuantiles bounds how many quantiles of an indicator are looked at.
	mostQuantiles = 16
	// shortest and longest are the durations in seconds that are believed.
	shortest, longest = 1e-9, 1e9
	// topTail keeps the maximum from being infinitely far from every quantile.
	topTail = 1e-4
)

// told is a value of a quantile, as a logarithm, on one instance in one step, and
// the requests behind it, 0 where they aren't counted.
type told struct{ q, log, requests float64 }

// told are the values that can be meant. A summary without observations in its
// window says NaN, and a gauge that was emptied says 0: both are missing.
func (p *Point) told(into []told) []told {
	for _, x := range p.Quantiles[:min(len(p.Quantiles), mostQuantiles)] {
		if x.Q >= 0 && x.Q <= 1 && x.Value >= shortest && x.Value <= longest {
			into = append(into, told{x.Q, math.Log(x.Value), p.Total})
		}
	}
	return into
}

// smooth says whether the point holds quantiles and no buckets.
func (p *Point) smooth() bool {
	return len(p.Hist.Bounds) == 0 && len(p.Quantiles) > 0
}

// smooth makes counts out of the quantiles of the step under way.
func smooth(touched []*Track) {
	for _, t := range touched {
		s := &t.scratch
		if t.Indicator.Kind != Latency || !t.smooths() {
			continue
		}
		// In whatever order the points came.
		slices.SortFunc(s.versions, func(a, b served) int {
			if c := cmp.Compare(a.version, b.version); c != 0 || a.warm == b.warm {
				return c
			}
			if a.warm {
				return 1
			}
			return -1
		})
		for i := range s.versions {
			slices.SortFunc(s.versions[i].told, func(a, b told) int {
				return cmp.Or(cmp.Compare(a.q, b.q), cmp.Compare(a.log, b.log), cmp.Compare(a.requests, b.requests))
			})
		}
		if !t.Chosen {
			t.meet(s)
			continue
		}
		t.Smooth.count(s)
	}
}

// quantile is what latency indicators without buckets are among themselves: their
// noise is another than that of counts, and so is how often a rule misfires on it.
const quantile Kind = "quantile"

// noiseKind is the kind of the indicators with whose noise and placebos the track
// is taken together.
func (t *Track) noiseKind() Kind {
	if t.Smooth != nil {
		return quantile
	}
	return t.Indicator.Kind
}

// smooths says whether the track is of quantiles, as far as is known.
func (t *Track) smooths() bool {
	if t.Chosen {
		return t.Smooth != nil
	}
	return len(t.Base.Bounds) == 0 && slices.ContainsFunc(t.scratch.versions, func(v served) bool { return len(v.told) > 0 })
}

// meet takes note of the quantiles of a step, and chooses those to follow when
// enough steps were seen.
func (t *Track) meet(s *scratch) {
	if t.Smooth == nil {
		t.Smooth = &Smooth{}
	}
	m := t.Smooth
	for i := range s.versions {
		for _, x := range s.versions[i].told {
			m.Counted = m.Counted || x.requests > 0
			k := slices.IndexFunc(m.Seen, func(o seen) bool { return o.Q == x.q })
			if k < 0 && len(m.Seen) < mostQuantiles {
				k = len(m.Seen)
				m.Seen = append(m.Seen, seen{Q: x.q})
			}
			if k >= 0 {
				m.Seen[k].Values++
				m.Seen[k].Log += x.log
			}
		}
	}
	if m.Steps++; m.Steps >= chooseSteps && len(m.Seen) > 0 {
		m.choose()
		t.Bounds, t.Chosen, t.Early = m.Q, true, nil
	}
}

// choose takes the quantile nearest to p99 by the share above it, the higher of two
// that are as near, in place of the first bound; and the one of the others that is
// nearest to p95 in place of p95's bound, or of p50's if that is what it is nearer to.
func (m *Smooth) choose() {
	for k := range m.Q {
		m.Q[k], m.Ref[k] = math.NaN(), math.NaN()
	}
	slices.SortFunc(m.Seen, func(a, b seen) int { return cmp.Compare(b.Q, a.Q) })
	take := func(share float64, slot func(q float64) int) {
		if len(m.Seen) == 0 {
			return
		}
		best := 0
		for i, x := range m.Seen {
			if apartBy(x.Q, share) < apartBy(m.Seen[best].Q, share) {
				best = i
			}
		}
		x := m.Seen[best]
		k := slot(x.Q)
		m.Q[k], m.Ref[k] = x.Q, math.Exp(x.Log/x.Values)
		m.Seen = slices.Delete(m.Seen, best, best+1)
	}
	take(tails[0], func(float64) int { return 0 })
	take(tails[2], func(q float64) int {
		if apartBy(q, tails[2]) <= apartBy(q, tails[3]) {
			return 2
		}
		return 3
	})
	m.Seen = nil
}

// apartBy is how far the share above a quantile is from another, as a ratio's log.
func apartBy(q, share float64) float64 {
	return math.Abs(math.Log(math.Max(1-q, topTail) / share))
}

// count turns what each version's instances told into counts: readings to all of them,
// shared out by requests, or by instances where those aren't counted. A version
// that told nothing adds nothing.
func (m *Smooth) count(s *scratch) {
	all := 0.0
	for i := range s.versions {
		v := &s.versions[i]
		v.total = 0
		for k, q := range m.Q {
			value, weight, ok := m.combine(v.told, q)
			if v.over[k] = math.NaN(); ok {
				v.over[k] = math.Exp(value) / m.Ref[k]
				v.total = math.Max(v.total, weight)
			}
		}
		all += v.total
	}
	for i := range s.versions {
		v := &s.versions[i]
		if !(v.total > 0) {
			v.over = [bounds]float64{}
			continue
		}
		v.total *= rare * readings / all
		for k := range v.over {
			v.over[k] *= v.total / rare
		}
	}
	if !m.Counted {
		s.load = 1
	}
}

// counted is what was expected in a bin as far as its noise goes. Where counts are
// made up, what they bring by chance must not be taken off what is measured: it would
// leave less than nothing of a steady p99, and nothing of how that wanders.
func (t *Track) counted(exp float64) float64 {
	if t.Smooth != nil {
		return exp * certain
	}
	return exp
}

// doubtful raises the noise by how little was seen of it. Of a quantile a wave of hours
// is known as far as some went by, and there are no counts to say the rest. By how much
// runs differ is known from as many as there were: a variance of n has the relative
// variance 2/(n-1), and is taken to be a standard deviation larger.
func (t *Track) doubtful(noise stat.Noise, cfg *Config) stat.Noise {
	few := 0.0
	if t.Smooth != nil {
		few = seenWell / float64(max(1, t.Steps))
	}
	if cfg.Runs > 1 {
		few += math.Sqrt(2 / float64(cfg.Runs-1))
	}
	if few == 0 {
		return noise
	}
	for k := range noise {
		noise[k] *= 1 + few
		if k > 0 {
			noise[k] += few * floor
		}
	}
	return noise
}

// combine is the log value of a quantile over instances, and their weight. list is
// in order. Where requests are counted, an instance without any tells old news.
func (m *Smooth) combine(list []told, q float64) (log, weight float64, ok bool) {
	from := slices.IndexFunc(list, func(x told) bool { return x.q == q })
	if from < 0 {
		return 0, 0, false
	}
	to := from
	for to < len(list) && list[to].q == q {
		log += list[to].log * list[to].requests
		weight += list[to].requests
		to++
	}
	if m.Counted {
		return log / weight, weight, weight > 0
	}
	n := to - from
	return (list[from+(n-1)/2].log + list[from+n/2].log) / 2, float64(n), true
}

// value is a share of made-up counts at bound k in seconds.
func (m *Smooth) value(k int, share float64) float64 { return share * rare * m.Ref[k] }

// what names the quantity at bound k.
func (m *Smooth) what(k int) string {
	of := "gauge"
	if m.Counted {
		of = "summary"
	}
	return fmt.Sprintf("p%.4g (%s)", m.Q[k]*100, of)
}

// weaker is the doubt that comes with every verdict on quantiles.
const weaker = "a summary's quantile can't be added up over instances, nor judged by counts: a weaker claim"
