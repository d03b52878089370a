package detector

import (
	"math"
	"slices"
	"time"

	"aftershock/detector/hist"
	"aftershock/detector/stat"
)

// Trial is the watch over one indicator after one upgrade: the baseline as it
// was, what was counted since, and what is said of it.
type Trial struct {
	Models        [bounds]Model
	Spread        [bounds]Dispersion
	Bounds        [bounds]float64
	Blocks        Blocks
	Before, After hist.Histogram
	// BaseVar is the sum over steps of the expectation's variance at each bound.
	BaseVar   [bounds]float64
	BaseSteps [bounds]int
	FirstsWas float64 // first-attempt failures over calls before, NaN if unknown
	Firsts    Ratio   // and since
	// LoadLow and LoadHigh is the span of log load before; Outside counts the
	// steps beyond it.
	LoadLow, LoadHigh float64
	Outside           int
	Gaps              int // steps in which the layout didn't support a bound
	Warm              int // steps left out as warm-up

	Verdict Verdict
	// Shift is the effect when the shift was last seen, kept after recovery.
	Shift *Effect
	// From is where the window that showed the shift begins.
	From time.Time
	// Treated is when a flag flip of ours last changed what is being watched.
	Treated time.Time
	// Gated are the binaries that the flipped flag gates something in.
	Gated []string
	// Lead is the leading cause that was last announced.
	Lead string
	// Peak is the strongest evidence for the shift so far, as a log e-value:
	// size and causes are told as of then, not as of its fading.
	Peak float64
	// Faded is since when the shift no longer shows, zero while it does.
	Faded time.Time

	ev    evidence
	start time.Time
}

func newTrial(t *Track, u *Upgrade) *Trial {
	tr := &Trial{
		Models: t.Models, Spread: t.Spread, Bounds: t.Bounds,
		FirstsWas: t.Firsts.share(), LoadLow: t.LoadLow, LoadHigh: t.LoadHigh,
		Before:  hist.Histogram{Bounds: t.Base.Bounds, Counts: slices.Clone(t.Base.Counts)},
		Verdict: Verdict{Upgrade: u.ID, Indicator: t.Indicator, State: Undecided, Since: u.StartedAt},
	}
	for _, b := range t.Recent.list() {
		if b.End.Before(u.StartedAt) || b.End.Equal(u.StartedAt) {
			tr.Blocks.add(b)
		}
	}
	return tr
}

// step takes in one step as the track counted it.
func (tr *Trial) step(t *Track, cfg *Config) {
	s := &t.scratch
	b := Block{End: s.at, Steps: 1, Total: float32(s.total)}
	bad := t.counts(s.hist, s.bad)
	for k := range tr.Models {
		m := &tr.Models[k]
		if m.Seen < burnIn {
			continue
		}
		if math.IsNaN(bad[k]) {
			tr.Gaps++
			continue
		}
		x := m.at(s.at, cfg.Day, s.total, s.stress)
		b.Obs[k], b.Exp[k] = float32(bad[k]), float32(m.expect(x, s.total))
		tr.BaseVar[k] += m.variance(x)
		tr.BaseSteps[k]++
	}
	if l := math.Log(s.total); l > tr.LoadHigh+0.2 || l < tr.LoadLow-0.2 {
		tr.Outside++
	}
	tr.Firsts.Num += s.firsts
	tr.Firsts.Den += s.calls
	if len(s.hist.Bounds) > 0 {
		tr.After = hist.Merge(tr.After, s.hist)
	}
	tr.Blocks.add(b)
}

func (tr *Trial) base() (v [bounds]float64) {
	for k := range v {
		if tr.BaseSteps[k] > 0 {
			v[k] = tr.BaseVar[k] / float64(tr.BaseSteps[k])
		}
	}
	return v
}

// fewSteps are too few to call anything: a hiccup isn't a shift.
const fewSteps = 5

// weigh looks at the windows that begin at each of the starts and averages
// their e-values; the window that says most is kept as the trial's evidence.
func (tr *Trial) weigh(starts []time.Time, temper float64, cfg *Config) {
	base := tr.base()
	var worse, better, weight []float64
	tr.ev, tr.start = evidence{}, time.Time{}
	top := math.Inf(-1)
	for _, at := range starts {
		w := tr.Blocks.since(at)
		if w.Steps < fewSteps {
			continue
		}
		ev := weigh(w, &tr.Spread, base, temper, cfg.Margin)
		worse, better, weight = append(worse, ev.worse), append(better, ev.better), append(weight, 1)
		if m := math.Max(ev.worse, ev.better); m > top {
			top, tr.ev, tr.start = m, ev, at
		}
	}
	if len(weight) > 0 {
		tr.ev.worse, tr.ev.better = stat.LogMeanExp(worse, weight), stat.LogMeanExp(better, weight)
	}
}

// lasting says whether the last fifth of the window still shows the shift, so
// that a transient which is over is not called a regression.
func (tr *Trial) lasting(now time.Time, temper, sign float64, cfg *Config) bool {
	span := max(now.Sub(tr.start)/5, 5*cfg.Step)
	ev := weigh(tr.Blocks.since(now.Add(-span)), &tr.Spread, tr.base(), temper, cfg.Margin)
	k := tr.ev.lead
	return ev.have[k] && sign*ev.at[k].logRatio() > math.Log1p(cfg.Margin) && sign*ev.at[k].z(0) > 1
}

// beyond says whether the interval that will be shown lies beyond the margin, so
// that the figures never contradict the verdict.
func (tr *Trial) beyond(sign float64, cfg *Config) bool {
	if !tr.ev.have[tr.ev.lead] {
		return false
	}
	low, high := tr.ev.at[tr.ev.lead].interval(cfg.alpha())
	if sign > 0 {
		return low > math.Log1p(cfg.Margin)
	}
	return high < -math.Log1p(cfg.Margin)
}

// effect is the size of the shift at the leading bound over the leading window.
func (tr *Trial) effect(cfg *Config) *Effect {
	k := tr.ev.lead
	if !tr.ev.have[k] {
		return nil
	}
	w := tr.Blocks.since(tr.start)
	e := tr.ev.at[k]
	low, high := e.interval(cfg.alpha())
	return &Effect{
		What:   share(tr.Verdict.Indicator, tr.Bounds[k]),
		Before: float64(w.Exp[k] / w.Total), After: float64(w.Obs[k] / w.Total),
		Ratio: float64(w.Obs[k] / w.Exp[k]), Low: math.Exp(low), High: math.Exp(high),
	}
}

// proven says whether the interval at every bound that counts lies within the
// margin.
func (tr *Trial) proven(cfg *Config) bool {
	d := math.Log1p(cfg.Margin)
	some := false
	for k := range tr.ev.at {
		if !tr.ev.have[k] || k == bounds-1 && some {
			continue
		}
		if low, high := tr.ev.at[k].interval(cfg.alpha()); high > d || low < -d {
			return false
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
	var gone, weight []float64
	left, excess := 0.0, 0.0
	for k := range tr.Bounds {
		if !(during.Exp[k] > 0 && during.Obs[k] > 0 && after.Exp[k] > 0) {
			continue
		}
		size := math.Log(float64(during.Obs[k] / during.Exp[k]))
		if sign*size < math.Log(1.2) {
			continue
		}
		if sign*tr.leftover(after, k, temper, cfg) > 0 {
			return false
		}
		phi := temper * tr.Spread[k].phi(float64(after.Steps))
		e := estimate{
			obs:  float64(after.Obs[k]) / phi,
			exp:  float64(after.Exp[k]) * math.Exp(size) / phi,
			base: temper * tr.Spread[k].phi(float64(during.Steps)) / float64(during.Obs[k]),
		}
		proof := e.below(0)
		if sign < 0 {
			proof = e.exceeds(0)
		}
		gone, weight = append(gone, proof), append(weight, weights[k])
		// What is left of the shift, each bound counting by its sure excess.
		sure := math.Abs(float64(during.Obs[k]-during.Exp[k])) / phi
		left += sure * math.Log((float64(after.Obs[k])+0.5)/(float64(after.Exp[k])+0.5)) / size
		excess += sure
	}
	if len(gone) == 0 || left > excess/2 {
		return false
	}
	return stat.LogMeanExp(gone, weight) >= -math.Log(cfg.alpha())
}

// leftover is 1 or -1 when a window is proven to be above or below the margin
// at bound k, else 0.
func (tr *Trial) leftover(w Block, k int, temper float64, cfg *Config) float64 {
	phi := temper * tr.Spread[k].phi(float64(w.Steps))
	e := estimate{obs: float64(w.Obs[k]) / phi, exp: float64(w.Exp[k]) / phi, base: temper * tr.base()[k]}
	d := math.Log1p(cfg.Margin)
	switch level := -math.Log(cfg.alpha()); {
	case e.exceeds(d) >= level:
		return 1
	case e.below(-d) >= level:
		return -1
	}
	return 0
}

func (tr *Trial) shiftBound() int {
	for k := range tr.Bounds {
		if tr.Shift != nil && tr.Shift.What == share(tr.Verdict.Indicator, tr.Bounds[k]) {
			return k
		}
	}
	return tr.ev.lead
}
