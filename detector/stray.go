package detector

import (
	"math"

	"aftershock/detector/stat"
)

// scales is the number of window lengths whose spread is measured: 1, 4, 16 ...
// 1024 steps.
const scales = 6

func length(scale int) int { return 1 << (2 * scale) }

// Bin gathers steps until enough is expected in it for a logarithm.
type Bin struct {
	Obs, Exp, Total float64
	Steps           int
	X               vector // sum of the regressors, weighted by the expectation
}

const (
	// fullBin is what is expected in a full bin: the logarithm of a Poisson
	// count plus a half has no bias to speak of from there on.
	fullBin = 8
	// longBin is how many steps a bin may take at most.
	longBin = 240
)

func (b *Bin) full() bool { return b.Exp >= fullBin || b.Steps >= longBin }

// y is the log of what was counted over what was expected.
func (b *Bin) y() float64 { return logRatio(b.Obs, b.Exp) }

// logRatio is the log of a count over its expectation. The half that is added
// keeps the bias under 0.05 for expectations from 1 on; below 2 the expectation
// is raised as well, for a count of nothing in particular, so that the bias stays
// as small.
func logRatio(obs, exp float64) float64 {
	return math.Log((obs + 0.5) / (exp + math.Max(0, 2-exp)/(4*(1+obs))))
}

// Stray measures how far one bound's log ratio strays from what the model
// expected, by itself: over windows of 1, 4, 16 ... steps. Since the expectation
// was made before the bin was seen, the model's own error is in it.
type Stray struct {
	// Level follows the log ratio, Short is the mean square of what is left of
	// single bins beside counting. A bin further off than three deviations counts
	// as three: a burst must not become the rule.
	Level, Short float64
	Windows      [scales]Window
	// Noise is the fit to the windows, made anew every so often; Since counts the
	// bins since.
	Noise stat.Noise
	Since int
	// Mean is what was counted, and what was expected, fading: what bursts and
	// the like add on average to what the logarithm's mean expects.
	Mean Ratio
}

// Window gathers the log ratios of windows of one length.
type Window struct {
	Sum, Weight float32 // of the window under way: log ratio by expectation
	Steps       int32
	// Excess, Total and Count are the Spread of the windows before.
	Excess, Total, Count float32
}

// spread is the spread of the windows before.
func (w *Window) spread() Spread {
	return Spread{float64(w.Excess), float64(w.Total), float64(w.Count)}
}

// end begins a new window, the last of which adds to the spread.
func (w *Window) end(excess, total, fade float64) {
	s := w.spread()
	s.add(excess, total, fade)
	*w = Window{Excess: float32(s.Excess), Total: float32(s.Total), Count: float32(s.Count)}
}

// Pool is what all indicators of a kind say together of the spread at each bound.
type Pool [bounds][scales]Spread

// pooling is a window that became whole, for the pool of the kind.
type pooling struct {
	bound, scale        int
	excess, total, fade float64
}

func (p *Pool) take(told []pooling) {
	for _, s := range told {
		p[s.bound][s.scale].add(s.excess, s.total, s.fade)
	}
}

// Spread sums over whole windows: the squares of their means, those less what
// counting brings, and their number.
type Spread struct{ Excess, Total, Count float64 }

func (s *Spread) add(excess, total, fade float64) {
	s.Excess = s.Excess*fade + excess
	s.Total = s.Total*fade + total
	s.Count = s.Count*fade + 1
}

// clean takes in the log ratio of a bin and answers it with bursts clipped.
func (s *Stray) clean(y, variance float64) float64 {
	sd := math.Sqrt(variance + s.Short)
	d := math.Max(-3*sd, math.Min(3*sd, y-s.Level))
	s.Short = math.Max(0, s.Short+0.02*(d*d-variance-s.Short))
	s.Level += 0.2 * d
	return s.Level + 0.8*d
}

// add takes in a cleaned log ratio of a bin of so many steps in which exp was
// expected. fade is what a step leaves of what is known. Windows that became
// whole are appended to what the indicators of the kind are to be told of the bound.
func (s *Stray) add(y, exp float64, steps int, fade float64, bound int, tell []pooling) []pooling {
	for k := range s.Windows {
		w := &s.Windows[k]
		if steps > length(k) {
			continue
		}
		w.Sum += float32(y * exp)
		w.Weight += float32(exp)
		w.Steps += int32(steps)
		if int(w.Steps) < length(k) {
			continue
		}
		m, p := float64(w.Sum)/float64(w.Weight), 1/float64(w.Weight)
		total := m * m
		if seen := w.spread(); seen.Count >= 8 {
			// One outage counts, but doesn't drown what the rest say.
			total = math.Min(total, 9*seen.Total/seen.Count)
		}
		f := math.Pow(fade, float64(w.Steps))
		w.end(total-p, total, f)
		tell = append(tell, pooling{bound, k, total - p, total, f})
	}
	return tell
}

const (
	// pooled is how many windows of its own the spread of all indicators of the
	// kind is worth to one of them, and guessed what a cautious guess is worth.
	pooled  = 3
	guessed = 0.5
	// guess is the variance guessed before anything was seen, floor the least
	// that is ever believed of what forgets within hours and days.
	guess = 0.01
	floor = 0.0004
)

// fitEvery is how many bins lie between two fits.
const fitEvery = 32

// fitted is the noise as last fitted.
func (s *Stray) fitted(pool *[scales]Spread) stat.Noise {
	if s.Since == 0 || s.Since >= fitEvery {
		s.Noise, s.Since = s.noise(pool), 0
	}
	s.Since++
	return s.Noise
}

// noise is the noise that comes nearest to what was seen.
func (s *Stray) noise(pool *[scales]Spread) stat.Noise {
	var seen []stat.Spread
	for k := range s.Windows {
		w, p := s.Windows[k].spread(), pool[k]
		n := p.Count + guessed
		excess, total := (p.Excess+guessed*guess)/n, (p.Total+guessed*guess)/n
		n = w.Count + pooled
		seen = append(seen, stat.Spread{
			Steps:  float64(length(k)),
			Excess: (w.Excess + pooled*excess) / n, Total: (w.Total + pooled*total) / n, Windows: n,
		})
	}
	noise := stat.FitNoise(seen)
	for k := 2; k < len(noise); k++ {
		noise[k] = math.Max(noise[k], floor)
	}
	return noise
}
