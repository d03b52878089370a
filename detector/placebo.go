package detector

import "math"

// levels are the e-values at which placebos are counted: of an e-value that is
// what it promises, at most one in x reaches x.
var levels = [...]float64{5, 20, 100, 400}

// Placebos counts how often placebo upgrades reached each of the levels, and
// the level that raises an alarm, for each temper. A placebo upgrade is one that
// didn't happen: the very same weighing, begun at an instant where nothing
// changed, to measure how often it raises a false alarm.
type Placebos struct {
	Count   int
	Reached [len(tempers)][len(levels)]int
	Alarm   [len(tempers)]int
}

// fewPlacebos are too few to tell whether the promise is kept.
const fewPlacebos = 20

func (p *Placebos) add(o *Placebos) {
	p.Count += o.Count
	for c := range tempers {
		p.Alarm[c] += o.Alarm[c]
		for l := range levels {
			p.Reached[c][l] += o.Reached[c][l]
		}
	}
}

// temper is the index of the smallest temper with which the placebos keep the
// promise at the lowest level, judged with an allowance for their number. What
// they reach beyond tells of true jumps, with which the world comes by itself:
// they are no fault of the noise's measure, and their rate weighs against any
// cause that claims one.
func (p *Placebos) temper() int { return p.keeps(0) }

// keeps is the index of the smallest temper that keeps the promise at a level.
func (p *Placebos) keeps(level int) int {
	if p.Count < fewPlacebos {
		return 2
	}
	for c := range tempers {
		mean := float64(p.Count) / levels[level]
		if float64(p.Reached[c][level]) <= mean+math.Sqrt(mean) {
			return c
		}
	}
	return len(tempers) - 1
}

// placeboAges are how many steps ago the placebo upgrades began that are looked
// at together; the worst of them counts.
var placeboAges = [...]int{10, 30, 60, 240}

// try is what came of placebo upgrades: the worst log e-value for each temper.
type try struct {
	tried bool
	worst [len(tempers)]float64
}

// placebo tries placebo upgrades on what the track remembers, once in a while.
func (j *Judge) placebo(t *Track) (out try) {
	every := max(10, j.cfg.steps(j.cfg.Day)/24)
	if (t.Steps+t.turn)%every != 0 {
		return out
	}
	j.past = t.Recent.blocks(math.MaxInt64, j.past[:0])
	for _, age := range placeboAges {
		from := j.last.UnixNano() - int64(age)*int64(j.cfg.Step)
		if len(t.Recent.List) == 0 || t.Recent.List[0].End > from-int64(20*j.cfg.Step) {
			continue
		}
		out.tried = true
		at := starts{windows: []span{{from, from + placeboSlack*int64(j.cfg.Step)}}}
		for c, e := range j.placeboEvidence(t, at, from) {
			out.worst[c] = math.Max(out.worst[c], e)
		}
	}
	return out
}

// count counts a try.
func (p *Placebos) count(t *try, alarm float64) {
	if !t.tried {
		return
	}
	p.Count++
	for c, e := range t.worst {
		for l, x := range levels {
			if e >= math.Log(x) {
				p.Reached[c][l]++
			}
		}
		if e >= alarm {
			p.Alarm[c]++
		}
	}
}

// placeboSlack is how many steps the window of a placebo's deployment is long.
const placeboSlack = 10

// placeboEvidence is the log e-value of a placebo upgrade for each temper.
func (j *Judge) placeboEvidence(t *Track, at starts, cut int64) (out [len(tempers)]float64) {
	var worse, better [len(tempers)]float64
	for c := range tempers {
		worse[c], better[c] = math.Inf(-1), math.Inf(-1)
	}
	total := 0.0
	for k := range t.Bounds {
		if !(t.Models[k].Seen >= burnIn) {
			continue
		}
		cc := &j.scratch
		cc.read(j.past, k, int64(j.cfg.Step), []int64{cut}, t.Strays[k].Noise, nil)
		if len(cc.readings) < 3 {
			continue
		}
		cc.solve(t.Strays[k].Noise)
		j.onsets = at.weights(cc, j.onsets)
		total += weights[k]
		for c, temper := range tempers {
			e, _ := cc.weigh(j.onsets, temper, j.cfg.Margin)
			worse[c] = logAdd(worse[c], e.log[0]+math.Log(weights[k]))
			better[c] = logAdd(better[c], e.log[1]+math.Log(weights[k]))
		}
	}
	for c := range tempers {
		out[c] = math.Max(0, math.Max(worse[c], better[c])-math.Log(total))
	}
	return out
}
