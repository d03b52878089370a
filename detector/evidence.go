package detector

import (
	"math"

	"aftershock/detector/stat"
)

// mixScale is the log ratio at which the intervals are sharpest: about a change
// by a quarter. The e-values are a mean over that and a threefold change, since
// far in the tail a shift is large and its counts are few.
const (
	mixScale  = 0.25
	wideScale = 1.1
)

// tempers are the factors by which the variance may be inflated so that the
// rule fires no more often than promised at placebo upgrades.
var tempers = [...]float64{1, 1.3, 1.7, 2.2, 3, 4.5, 7}

// size is the estimate of a log ratio and its variance.
type size struct{ log, variance float64 }

func sizeOf(e stat.Estimate, temper float64) size {
	if !(e.Info > 0) {
		return size{0, math.Inf(1)}
	}
	return size{e.Value(), temper / e.Info}
}

// z is how far the estimate is from a log ratio, in standard deviations.
func (s size) z(log float64) float64 { return (s.log - log) / math.Sqrt(s.variance) }

// exceeds is the log e-value against "the log ratio is at most d", and below
// that against "it is at least d".
func (s size) exceeds(d float64) float64 { return mixed(s.z(d), s.variance) }

func (s size) below(d float64) float64 { return mixed(-s.z(d), s.variance) }

// mixed is the log e-value of a z and a variance. What speaks for nothing counts
// as no evidence at all, which is cautious and quick.
func mixed(z, v float64) float64 {
	if !(z > 1) {
		return math.Inf(-1)
	}
	return mixture(z, v)
}

// mixture is the mean of the e-values at the two scales, as a logarithm.
func mixture(z, v float64) float64 {
	return logAdd(stat.LogEValue(z, v, mixScale), stat.LogEValue(z, v, wideScale)) - math.Ln2
}

// interval is the confidence sequence of the log ratio, the better of the two
// scales, each at half the level.
func (s size) interval(alpha float64) (low, high float64) {
	r := math.Min(stat.Radius(s.variance, mixScale, alpha/2), stat.Radius(s.variance, wideScale, alpha/2))
	return s.log - r, s.log + r
}

// window is the size that a sum of blocks has at bound k, by itself.
func window(w *Block, k int, noise stat.Noise, bias, temper float64) size {
	obs, exp := float64(w.Obs[k]), float64(w.Exp[k])*bias
	if !(exp > 0) {
		return size{0, math.Inf(1)}
	}
	return size{logRatio(obs, exp), temper * (1/math.Max(0.5, math.Min(exp, obs)) + noise.Over(float64(w.Steps)))}
}

// evidence is what the courses of an indicator say of a shift in one direction.
type evidence struct {
	// log is the log e-value against "within the margin".
	log float64
	// at is the size at the onset that says most for the direction, from when
	// that is, for each bound; lead is the bound that says most.
	at   [bounds]size
	from [bounds]int64
	have [bounds]bool
	lead int
	// since is the size of a change since the first instant that a shift may have
	// begun, at each bound.
	since [bounds]size
}

// size is the size at the leading bound.
func (e *evidence) size() size { return e.at[e.lead] }

// starts says at which instants a shift may have begun: with what happened in
// the windows, and, at half the weight, at any time since the first of them. The
// binaries, if any, take half of all: a shift along the exposure to one of them.
type starts struct {
	windows  []span
	binaries []int
}

type span struct{ from, to int64 } // Unix nanoseconds

// weights of the readings of a course as onsets. The last readings, fewer than
// fewSteps, are no onset yet.
func (s starts) weights(c *course, out []float64) []float64 {
	out = out[:0]
	first := int64(math.MaxInt64)
	for _, w := range s.windows {
		first = min(first, w.from)
	}
	left, all, inside := 0.0, 0.0, 0.0
	for i := range c.readings {
		if !c.twin[i] {
			left += c.readings[i].Steps
		}
	}
	for i := range c.readings {
		w := 0.0
		if steps := c.readings[i].Steps; c.end[i] > first && left >= fewSteps && !c.twin[i] {
			w = steps
			all += steps
			if s.within(c.begin[i], c.end[i]) {
				inside += steps
			}
		}
		if !c.twin[i] {
			left -= c.readings[i].Steps
		}
		out = append(out, w)
	}
	if all == 0 {
		return out
	}
	for i, w := range out {
		switch {
		case inside == 0:
			out[i] = w / all
		case s.within(c.begin[i], c.end[i]):
			out[i] = w/all/2 + w/inside/2
		default:
			out[i] = w / all / 2
		}
	}
	return out
}

func (s starts) within(begin, end int64) bool {
	for _, w := range s.windows {
		if end > w.from && begin <= w.to {
			return true
		}
	}
	return false
}

// weighed is what a course says of a shift in each direction: the mean of the
// e-values over the onsets that it may have, the size, averaged over the onsets by
// what they say, so that what isn't known of the onset is in the size's variance,
// and the onset that says most.
type weighed struct {
	log  [2]float64
	size [2]size
	from [2]int64
	// since is the size of a change since the first onset that there may be.
	since size

	top    [2]float64
	weight [2]float64 // log of the sum of what the sizes weigh
	mean   [2]float64 // their mean, and the mean of squares about 0
	square [2]float64
}

func newWeighed() weighed {
	none := [2]float64{math.Inf(-1), math.Inf(-1)}
	return weighed{log: none, top: none, weight: none}
}

// add takes in a size with log weight lw in the mean of e-values.
func (w *weighed) add(s size, lw, margin float64, from int64) {
	for n, e := range [2]float64{s.exceeds(margin), s.below(-margin)} {
		w.log[n] = logAdd(w.log[n], e+lw)
		// Without evidence, what is known best is told.
		told := math.Max(e, -1-s.variance) + lw/2
		if told > w.top[n] {
			w.top[n], w.from[n] = told, from
		}
		total := logAdd(w.weight[n], told)
		if math.IsInf(total, -1) || math.IsInf(s.variance, 1) {
			continue
		}
		old, share := math.Exp(w.weight[n]-total), math.Exp(told-total)
		w.weight[n] = total
		w.mean[n] = old*w.mean[n] + share*s.log
		w.square[n] = old*w.square[n] + share*(s.log*s.log+s.variance)
		w.size[n] = size{w.mean[n], w.square[n] - w.mean[n]*w.mean[n]}
	}
}

// weigh weighs the onsets of a course; it answers false where there are none.
func (c *course) weigh(weights []float64, temper, margin float64) (out weighed, ok bool) {
	out = newWeighed()
	d := math.Log1p(margin)
	for i, w := range weights {
		if !(w > 0) {
			continue
		}
		s := sizeOf(c.shocks[i].Step, temper)
		if !ok {
			out.since, ok = s, true
		}
		out.add(s, math.Log(w), d, c.begin[i])
	}
	return out, ok
}

func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// expose weighs shifts along the exposure to each of the binaries as well, at half
// the weight.
func (j *Judge) expose(s *scene, m moved, c *course, at starts, temper float64, w *weighed) {
	if len(at.binaries) == 0 {
		return
	}
	for n := range w.log {
		w.log[n] -= math.Ln2
	}
	lw := -math.Log(2 * float64(len(at.binaries)))
	for _, k := range at.binaries {
		b := s.upgrade.Binaries[k]
		x, _ := j.exposure(s, m, c, b)
		w.add(sizeOf(c.filter.Along(x), temper), lw, math.Log1p(j.cfg.Margin), s.upgrade.Time(b).UnixNano())
	}
}

// weigh weighs all bounds of a trial.
func (j *Judge) weigh(s *scene, m moved, at starts, temper float64) {
	tr := m.trial
	var log [2][bounds]float64
	var weight [bounds]float64
	tr.ev = [2]evidence{}
	top, n := [2]float64{math.Inf(-1), math.Inf(-1)}, 0
	for k := range tr.Lines {
		c := j.course(tr, k)
		if c == nil {
			continue
		}
		j.onsets = at.weights(c, j.onsets)
		e, ok := c.weigh(j.onsets, temper, j.cfg.Margin)
		if !ok {
			continue
		}
		j.expose(s, m, c, at, temper, &e)
		for d := range tr.ev {
			ev := &tr.ev[d]
			ev.at[k], ev.from[k], ev.since[k], ev.have[k] = e.size[d], e.from[d], e.since, true
			log[d][n] = e.log[d]
			if m := math.Max(e.log[d], -5-e.size[d].variance); m > top[d] {
				top[d], ev.lead = m, k
			}
		}
		weight[n] = weights[k]
		n++
	}
	for d := range tr.ev {
		tr.ev[d].log = stat.LogMeanExp(log[d][:n], weight[:n])
	}
}

// known says whether there is anything to weigh.
func (tr *Trial) known() bool { return tr.ev[0].have[tr.ev[0].lead] }

// leading is the evidence in the direction that says more.
func (tr *Trial) leading() *evidence {
	if tr.ev[1].log > tr.ev[0].log {
		return &tr.ev[1]
	}
	return &tr.ev[0]
}

// side is the evidence in the direction of the verdict.
func (tr *Trial) side() *evidence { return &tr.ev[tr.Verdict.side()] }
