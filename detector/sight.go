package detector

import (
	"math"
	"slices"

	"aftershock/detector/stat"
)

// sight is what one indicator says, at its leading bound, of a shift in one
// direction: the log Bayes factors over no shift of one that began with each of
// its readings, and of one along the exposure to each binary.
type sight struct {
	moved
	begin, end []int64
	step, ramp []float64
	load       []float64 // log requests a step, over what is usual at the time
	// along is by binary, -Inf where the binary isn't on the path; unusual is
	// of a shift that goes with load beside what is usual at the time of day.
	along   []float64
	unusual float64
	// any is of a shift by whatever cause, and group names what sees the same
	// requests: a route, or the calls of a third party.
	any   float64
	group string
	// reverse is what it says of a shift in the other direction.
	reverse *sight
}

// mostSights bounds how many other indicators bear witness on a shift.
const mostSights = 60

// bayes is the log Bayes factor of an effect in a direction, of a size that is a
// mixture of two scales, over none.
func bayes(e stat.Estimate, sign, temper float64) float64 {
	if !(e.Info > 0) {
		return 0
	}
	z, v := sign*e.Score/math.Sqrt(e.Info*temper), temper/e.Info
	return mixture(z, v)
}

// sight looks at indicator i of the scene at its leading bound; nil where there
// is nothing to see.
func (j *Judge) sight(s *scene, i, d int) *sight {
	if s.sights[d] == nil {
		s.sights[d] = map[int]*sight{}
	}
	if v, ok := s.sights[d][i]; ok {
		return v
	}
	m := s.all[i]
	var v *sight
	if m.trial.known() {
		k := m.trial.ev[d].lead
		if c := j.course(m.trial, k); c != nil {
			v = j.view(s, m, c, d)
		}
	}
	s.sights[d][i] = v
	return v
}

// alongs are the log Bayes factors of shifts by each of the binaries, of what was counted
// since the last shift was over: by the chain rule, what they are of everything less
// what they were by then. A binary whose shift goes on as it was comes out of it well,
// one whose shift should have stayed and did not doesn't. c, the trial's course, isn't
// valid any more then.
func (j *Judge) alongs(s *scene, m moved, c *course, sign, temper float64) []float64 {
	weigh := func(c *course) []float64 {
		out := make([]float64, len(s.upgrade.Binaries))
		for i, b := range s.upgrade.Binaries {
			if c != nil {
				out[i] = j.along(s, m, c, b, sign, temper)
			}
		}
		return out
	}
	tr := m.trial
	all, k := tr.Blocks.List, tr.ev[0].lead
	if sign < 0 {
		k = tr.ev[1].lead
	}
	before := len(all) - len(tr.blocks())
	if before == 0 {
		return weigh(c)
	}
	out := weigh(j.courseOf(tr, k, all))
	for i, x := range weigh(j.courseOf(tr, k, all[:before])) {
		if !math.IsInf(x, -1) {
			out[i] -= x
		}
	}
	return out
}

func (j *Judge) view(s *scene, m moved, c *course, d int) *sight {
	sign := float64(1 - 2*d)
	temper := j.doubt(m.track.noiseKind())
	v := &sight{moved: m, begin: slices.Clone(c.begin), end: slices.Clone(c.end), load: make([]float64, len(c.load))}
	for i, l := range c.load {
		v.load[i] = l - c.usual[i]
	}
	for i := range c.shocks {
		if c.twin[i] {
			// It says the same as the reading before.
			v.step, v.ramp = append(v.step, math.Inf(-1)), append(v.ramp, math.Inf(-1))
			continue
		}
		v.step = append(v.step, bayes(c.shocks[i].Step, sign, temper))
		r := c.shocks[i].Ramp
		x := 0.0
		if r.Info > 0 {
			x = stat.LogEValue(sign*r.Score/math.Sqrt(r.Info*temper), temper/r.Info, rampScale)
		}
		v.ramp = append(v.ramp, x)
	}
	start := s.upgrade.StartedAt.Add(-s.cfg.Step).UnixNano()
	v.unusual = v.loaded(c, start, m.trial.LoadHigh, sign, temper)
	sum, all := math.Inf(-1), 0.0
	for i, x := range v.step {
		if v.end[i] > start && !c.twin[i] {
			w := float64(v.end[i] - v.begin[i])
			sum, all = logAdd(sum, x+math.Log(w)), all+w
		}
	}
	v.any = math.Max(v.unusual, sum-math.Log(math.Max(1, all)))
	v.along = j.alongs(s, m, c, sign, temper)
	for _, x := range v.along {
		v.any = math.Max(v.any, x)
	}
	i := m.track.Indicator
	v.group = string(i.Kind) + i.Route() + i.Peer()
	if i.Route() == "" && i.Peer() == "" {
		v.group += i.Service()
	}
	return v
}

// How much a share may follow load by a power law beside what the baseline knows of
// it: little as far as it has seen such load, more beyond.
const (
	elastic = 0.25
	beyond  = 1.5
)

// loaded is the log Bayes factor of a shift since an instant that goes with load
// beside what is usual at the time of day, or with load over the highest seen.
func (v *sight) loaded(c *course, start int64, highest, sign, temper float64) float64 {
	x, y := make([]float64, len(c.readings)), make([]float64, len(c.readings))
	for i := range x {
		if c.begin[i] >= start {
			x[i], y[i] = v.load[i], math.Max(0, c.load[i]-highest)
		}
	}
	factor := func(e stat.Estimate, scale float64) float64 {
		if !(e.Info > 0) {
			return 0
		}
		return stat.LogEValue(sign*e.Score/math.Sqrt(e.Info*temper), temper/e.Info, scale)
	}
	return logAdd(factor(c.filter.Along(x), elastic), factor(c.filter.Along(y), beyond)) - math.Ln2
}

// rampScale is the log ratio in 1000 steps at which a slope is looked for.
const rampScale = 0.5

// along is the log Bayes factor of a shift by a binary: one along the share of
// traffic that its new build takes, or one that goes with load beyond the usual
// there, as when requests queue.
func (j *Judge) along(s *scene, m moved, c *course, b Binary, sign, temper float64) float64 {
	if !s.reaches(b, m.track.Indicator) || s.upgrade.Time(b).After(s.now) {
		return math.Inf(-1)
	}
	x, y := j.exposure(s, m, c, b)
	plain := bayes(c.filter.Along(x), sign, temper)
	if y == nil {
		return plain
	}
	return logAdd(plain+math.Log(1-queueShare), bayes(c.filter.Along(y), sign, temper)+math.Log(queueShare))
}

// exposure is the share of the indicator's traffic that the binary's new build
// takes in each reading: counted where the indicator is its own, else by the
// number of instances that have switched. The second answer is that times the
// log load over the usual, as far as the baseline has seen it; nil while that was
// never above.
func (j *Judge) exposure(s *scene, m moved, c *course, b Binary) (x, y []float64) {
	x, y = make([]float64, len(c.readings)), make([]float64, len(c.readings))
	counted := false
	if s.owns(b, m.track.Indicator) {
		for i, f := range c.fresh {
			x[i] = f
			counted = counted || f > 0
		}
	}
	usual := m.trial.Season.Beta[0]
	some := false
	for i := range x {
		if !counted {
			x[i] = switched(b, s.upgrade.Time(b).UnixNano(), (c.begin[i]+c.end[i])/2, int64(s.cfg.Step))
		}
		if over := math.Min(c.load[i], m.trial.LoadHigh) - usual; over > 0 && x[i] > 0 {
			y[i] = x[i] * over
			some = true
		}
	}
	if !some {
		return x, nil
	}
	return x, y
}

// switched is the share of the binary's instances that have switched by an
// instant, each some time in the step at whose end it was seen to have.
func switched(b Binary, from, at, step int64) float64 {
	if len(b.Instances) == 0 {
		if at > from {
			return 1
		}
		return 0
	}
	n := 0
	for _, d := range b.Instances {
		if at > d.At.UnixNano()-step {
			n++
		}
	}
	return float64(n) / float64(len(b.Instances))
}

// at is the reading that an instant falls into, or the first after it.
func (v *sight) at(t int64) int {
	i, _ := slices.BinarySearch(v.end, t+1)
	return min(i, len(v.end)-1)
}
