package detector

import (
	"cmp"
	"math"
	"slices"
	"time"

	"aftershock/detector/hist"
	"aftershock/detector/stat"
)

// Trial is the watch over one indicator after one upgrade: the baseline as it
// was, what was counted since, and what is said of it.
type Trial struct {
	Lines  [bounds]Line
	Noise  [bounds]stat.Noise
	Bounds [bounds]float64
	// Bias is the mean count over the expectation before.
	Bias          [bounds]float64
	Blocks        Blocks
	Before, After hist.Histogram
	FirstsWas     float64 // first-attempt failures over calls before, NaN if unknown
	Firsts        Ratio   // and since
	// LoadLow and LoadHigh is the span of log load before; Outside counts the
	// steps beyond it.
	LoadLow, LoadHigh float64
	Outside           int
	Gaps              int // steps in which the layout didn't support a bound

	Verdict Verdict
	// Shift is the effect when the shift was last seen, kept after recovery, and
	// Bound the bound that showed it.
	Shift *Effect
	Bound int
	// From is where the window that showed the shift begins.
	From time.Time
	// Found is when the shift was found.
	Found time.Time
	// Treated is when a flag flip of ours last changed what is being watched.
	Treated time.Time
	// Gated are the binaries that the flipped flag gates something in.
	Gated []string
	// Lead is the leading cause that was last announced.
	Lead string
	// Named is the binary that was named as the cause; Suspect the one that may be
	// before long, and Suspected since when.
	Named, Suspect string
	Suspected      time.Time
	// Was is the binary that was named before the shift went away, Told what it was told
	// under, and Since when it began: what comes back under the same cause is one story.
	Was, Told string
	Since     *Onset
	// Began is when the shift began, or came back.
	Began *Onset
	// Peak is the strongest evidence for the shift so far, as a log e-value:
	// size and causes are told as of then, not as of its fading.
	Peak float64
	// Faded is since when the shift no longer shows, zero while it does.
	Faded time.Time
	// Over is since when the last shift that went is over. What was counted before
	// says nothing of another.
	Over time.Time

	// Season is the usual load of the time of day, as it was before.
	Season Season
	// To are the new versions of the binaries that serve the indicator.
	To []string
	// Smooth is that of the track.
	Smooth *Smooth

	// Weighed is when the trial was last weighed, zero before, and Screen what its
	// screen showed then; Level is what the screen takes for no shift.
	Weighed time.Time
	Screen  screen
	Level   [bounds]float32

	ev   [2]evidence // of a shift to the worse, and to the better
	cuts []int64
	warm warmth
	// knew is what the judge knew when the cuts and warm-ups were found.
	knew int
}

func newTrial(t *Track, u *Upgrade, pool *Pool, cfg *Config) *Trial {
	tr := &Trial{
		Bounds:    t.Bounds,
		FirstsWas: t.Firsts.share(), LoadLow: t.LoadLow, LoadHigh: t.LoadHigh, Season: t.Season, Smooth: t.Smooth,
		Before:  hist.Histogram{Bounds: t.Base.Bounds, Counts: slices.Clone(t.Base.Counts)},
		Verdict: Verdict{Upgrade: u.ID, Indicator: t.Indicator, State: Undecided, Since: u.StartedAt},
	}
	for k := range t.Models {
		tr.Lines[k] = t.Models[k].Line
		tr.Noise[k] = t.doubtful(t.Strays[k].noise(&pool[k]), cfg)
		tr.Bias[k] = 1
		if m := t.Strays[k].Mean; m.Den > 0 && m.Num > 0 {
			tr.Bias[k] = m.Num / m.Den
		}
	}
	tr.Season.Cov = [waves][waves]float32{} // it doesn't learn any more
	tr.Blocks.List = t.Recent.blocks(u.StartedAt.UnixNano(), nil)
	for i := range tr.Blocks.List {
		b := &tr.Blocks.List[i]
		middle := b.end().Add(-time.Duration(b.Steps) * cfg.Step / 2)
		b.Usual = float32(float64(b.Steps) * tr.Season.usual(middle, cfg.Day))
	}
	tr.level()
	for d := range tr.ev {
		tr.ev[d].log = math.Inf(-1)
	}
	return tr
}

// step takes in one step as the track counted it.
func (tr *Trial) step(t *Track, cfg *Config) {
	s := &t.scratch
	stale, fresh := tr.arms(s)
	if !(stale.total+fresh.total > 0) {
		return
	}
	b := Block{
		End: s.at.UnixNano(), Steps: 1, Total: float32(stale.total + fresh.total), Load: float32(s.load),
		Usual: float32(tr.Season.usual(s.at, cfg.Day)),
	}
	old, bad := t.counts(&stale), t.counts(&fresh)
	for k := range tr.Lines {
		m := &tr.Lines[k]
		if m.Seen < burnIn {
			continue
		}
		x := m.at(s.at, cfg.Day, s.load, s.stress)
		if math.IsNaN(old[k]) && stale.total > 0 || math.IsNaN(bad[k]) && fresh.total > 0 {
			tr.Gaps++
		}
		if stale.total > 0 && !math.IsNaN(old[k]) {
			b.Obs[k], b.Exp[k] = float32(old[k]), float32(m.expect(&x, stale.total))
		}
		if fresh.total > 0 && !math.IsNaN(bad[k]) {
			b.FreshObs[k], b.FreshExp[k] = float32(bad[k]), float32(m.expect(&x, fresh.total))
			b.Obs[k] += b.FreshObs[k]
			b.Exp[k] += b.FreshExp[k]
		}
	}
	if l := math.Log(s.load); l > tr.LoadHigh+0.2 || l < tr.LoadLow-0.2 {
		tr.Outside++
	}
	tr.Firsts.Num += s.firsts
	tr.Firsts.Den += s.calls
	tr.After = join(tr.After, s.hist)
	tr.Blocks.add(b)
}

// arms are what instances of the old builds counted in a step, without those that
// are warming up, and what those of the new build did, warm or not: how warm they
// are is told apart by its course.
func (tr *Trial) arms(s *scratch) (stale, fresh served) {
	for i := range s.versions {
		v := &s.versions[i]
		into := &stale
		switch {
		case v.version != "" && slices.Contains(tr.To, v.version):
			into = &fresh
		case v.warm:
			continue
		}
		into.add(v)
	}
	return stale, fresh
}

// fewSteps are too few to call anything: a hiccup isn't a shift.
const fewSteps = 5

// blocks are what was counted since the last shift was over.
func (tr *Trial) blocks() []Block {
	list := tr.Blocks.List
	if tr.Over.IsZero() {
		return list
	}
	over := tr.Over.UnixNano()
	first, _ := slices.BinarySearchFunc(list, over, func(b Block, t int64) int { return cmp.Compare(b.End, t) })
	return list[first:]
}

// course is the course of a trial at bound k, nil where there is none. It is
// valid until the next is asked for.
func (j *Judge) course(tr *Trial, k int) *course { return j.courseOf(tr, k, tr.blocks()) }

// courseOf is the course of some of a trial's blocks.
func (j *Judge) courseOf(tr *Trial, k int, list []Block) *course {
	if tr.Lines[k].Seen < burnIn {
		return nil
	}
	c := &j.scratch
	c.read(list, k, int64(j.cfg.Step), tr.cuts, tr.Noise[k], &tr.warm)
	if len(c.readings) == 0 {
		return nil
	}
	c.solve(tr.Noise[k])
	return c
}

// lasts says whether the shift that the evidence in a direction speaks of still
// shows.
func (j *Judge) lasts(tr *Trial, d int, temper float64) bool {
	ev := &tr.ev[d]
	return j.lasting(tr, ev.lead, ev.start(), j.lately(ev.start()), temper, float64(1-2*d))
}

// lately is when the last fifth of the time since an instant begins.
func (j *Judge) lately(from time.Time) time.Time {
	return j.last.Add(-max(j.last.Sub(from)/5, fewSteps*j.cfg.Step))
}

// lasting says whether the time since an instant still shows a shift at bound k that
// began at another, so that a transient which is over is not called a regression.
func (j *Judge) lasting(tr *Trial, k int, from, since time.Time, temper, sign float64) bool {
	c := j.course(tr, k)
	if c == nil {
		return false
	}
	y, v, steps := c.mean(since.UnixNano())
	if steps == 0 {
		return false
	}
	y -= c.level(from.UnixNano())
	sd := math.Sqrt(temper * (v + tr.Noise[k].Over(steps)))
	return sign*y > math.Log1p(j.cfg.Margin) && sign*y > sd
}

// beyond says whether the interval that will be shown lies beyond the margin, so
// that the figures never contradict the verdict.
func (tr *Trial) beyond(d int, cfg *Config) bool {
	if !tr.known() {
		return false
	}
	low, high := tr.ev[d].size().interval(cfg.alpha())
	if d == 0 {
		return low > math.Log1p(cfg.Margin)
	}
	return high < -math.Log1p(cfg.Margin)
}

// start is when the shift that the evidence speaks of began.
func (e *evidence) start() time.Time { return time.Unix(0, e.from[e.lead]).UTC() }

// effect is the size of a shift at its leading bound.
func (tr *Trial) effect(ev *evidence, cfg *Config) *Effect {
	k := ev.lead
	if !ev.have[k] {
		return nil
	}
	w := tr.Blocks.since(ev.start())
	s := ev.at[k]
	low, high := s.interval(cfg.alpha())
	after := float64(w.Obs[k] / w.Total)
	what := share(tr.Verdict.Indicator, tr.Bounds[k])
	if tr.Smooth != nil {
		what, after = tr.Smooth.what(k), tr.Smooth.value(k, after)
	}
	before, expected := after/math.Exp(s.log), float64(w.Exp[k]/w.Total)*tr.Bias[k]
	switch {
	case after == 0 && w.Total > 0: // the ratio leads nowhere from nothing
		before = expected
	case tr.Smooth == nil && s.log < 0 && expected > 0:
		// Of what fell, more was counted before: a few that are left say little of
		// what it was.
		before, after = expected, expected*math.Exp(s.log)
	}
	return &Effect{
		What:   what,
		Before: before, After: after,
		Ratio: math.Exp(s.log), Low: math.Exp(low), High: math.Exp(high),
	}
}

// proven says whether the interval of the change since the upgrade lies within the
// margin at every bound that counts, and what says most at any onset does not speak
// for more.
func (tr *Trial) proven(cfg *Config) bool {
	d := math.Log1p(cfg.Margin)
	some := false
	for k, have := range tr.ev[0].have {
		if !have || k == bounds-1 && some {
			continue
		}
		if low, high := tr.ev[0].since[k].interval(cfg.alpha()); high > d || low < -d {
			return false
		}
		for _, ev := range tr.ev {
			if math.Abs(ev.at[k].log) > d || ev.log > 0 {
				return false
			}
		}
		some = true
	}
	return some
}

// treated says whether the shift stood before the last treatment, which may
// therefore cure it.
func (tr *Trial) treated() bool {
	return !tr.Treated.IsZero() && tr.From.Before(tr.Treated)
}

// recovered asks the mirror question after a treatment: is the shift gone? The
// window since the treatment is compared with the one in which the shift stood,
// so that what isn't known of the baseline cancels. The shift is gone when it
// has proven to be less than it was, at the bounds that showed it, what is left
// is nearer to the baseline than to the shift, and isn't proven to be beyond
// the margin.
func (tr *Trial) recovered(now time.Time, temper float64, cfg *Config) bool {
	if !tr.treated() || tr.Shift == nil || !now.After(tr.Treated) {
		return false
	}
	sign := 1.0
	if tr.Verdict.Direction == Better {
		sign = -1
	}
	during, after := tr.Blocks.between(tr.From, tr.Treated), tr.Blocks.since(tr.Treated)
	if tr.Smooth != nil && after.Steps < fewSteps {
		return false // a window may have dropped one slow request
	}
	var gone, weight []float64
	left, excess := 0.0, 0.0
	for k := range tr.Bounds {
		if !(during.Exp[k] > 0 && during.Obs[k] > 0 && after.Exp[k] > 0) {
			continue
		}
		was, is := window(&during, k, tr.Noise[k], tr.Bias[k], temper), window(&after, k, tr.Noise[k], tr.Bias[k], temper)
		if sign*was.log < math.Log(1.2) {
			continue
		}
		if sign*leftover(is, cfg) > 0 {
			return false
		}
		change := size{is.log - was.log, is.variance + was.variance}
		proof := change.below(0)
		if sign < 0 {
			proof = change.exceeds(0)
		}
		gone, weight = append(gone, proof), append(weight, weights[k])
		// What is left of the shift, each bound counting by its sure excess.
		sure := math.Abs(was.log) / math.Sqrt(was.variance)
		left += sure * is.log / was.log
		excess += sure
	}
	if len(gone) == 0 || left > excess/2 {
		return false
	}
	return stat.LogMeanExp(gone, weight) >= -math.Log(cfg.alpha())
}

// leftover is 1 or -1 when a size is proven to be above or below the margin,
// else 0.
func leftover(s size, cfg *Config) float64 {
	d := math.Log1p(cfg.Margin)
	switch level := -math.Log(cfg.alpha()); {
	case s.exceeds(d) >= level:
		return 1
	case s.below(-d) >= level:
		return -1
	}
	return 0
}
