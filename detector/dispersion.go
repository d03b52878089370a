package detector

import "math"

// scales is the number of dyadic window lengths whose dispersion is measured:
// 1, 2, 4 ... 1024 steps.
const scales = 11

// Dispersion measures how far counts stray from what the model expected of
// them, over windows of 1, 2, 4 ... steps:
//
//	phi(L) = mean over windows of (observed-expected)^2 / expected
//
// It is 1 at every L for independent Poisson counts. Correlated noise, drift
// and what the model doesn't know make it grow with L; since the expectation
// was made before the step was seen, the baseline's own error is in it.
type Dispersion struct {
	Windows [scales]Window
}

// Window gathers the residuals of windows of one length.
type Window struct {
	Obs, Exp float64 // of the window under way
	Steps    int
	Sum      float64 // of (obs-exp)^2/exp over whole windows
	Count    int
}

func (d *Dispersion) add(obs, exp float64) {
	for k := range d.Windows {
		w := &d.Windows[k]
		w.Obs += obs
		w.Exp += exp
		w.Steps++
		if w.Steps < 1<<k {
			return // longer windows take in whole shorter ones
		}
		obs, exp = w.Obs, w.Exp
		if exp > 0 {
			r := (obs - exp) * (obs - exp) / exp
			if w.Count >= 8 {
				// One outage counts, but doesn't drown what the rest say.
				r = math.Min(r, 25*w.Sum/float64(w.Count))
			}
			w.Sum += r
			w.Count++
		}
		w.Obs, w.Exp, w.Steps = 0, 0, 0
		if k+1 < scales {
			next := &d.Windows[k+1]
			next.Steps += 1<<k - 1 // add below counts the last one
		}
	}
}

// phi is the dispersion over a window of n steps, never below 1 and never
// falling with n, with an allowance for the number of windows it was measured
// on. Beyond the longest window that was seen often enough, it goes on growing
// as between the last two, ever more slowly.
func (d *Dispersion) phi(n float64) float64 {
	level, growth := 1.0, 1.2
	known := 0
	at := math.Log2(math.Max(1, n))
	for k := range d.Windows {
		w := d.Windows[k]
		if w.Count < 4 {
			break
		}
		p := w.Sum / float64(w.Count) * (1 + 1.5/math.Sqrt(float64(w.Count)))
		p = math.Max(p, level)
		if k > 0 {
			growth = math.Min(2, p/level)
		}
		if float64(k) >= at {
			if k == 0 {
				return p
			}
			f := at - float64(k-1)
			return level + f*(p-level)
		}
		level = p
		known = k + 1
	}
	if known == 0 {
		return 4 // nothing measured yet: a cautious guess
	}
	for k := float64(known - 1); k < at; k++ {
		level *= growth
		growth = 1 + (growth-1)*0.7
	}
	return level
}
