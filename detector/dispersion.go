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
// falling with n. Each length's own mean is drawn towards a line through all of
// them (log phi over log length, slope between 0 and 1), the more so the fewer
// windows it was measured on, with an allowance for their number. Beyond the
// lengths that were seen the line goes on, ever more slowly.
func (d *Dispersion) phi(n float64) float64 {
	level, slope, known := d.line()
	if known == 0 {
		return 4 // nothing measured yet: a cautious guess
	}
	at := math.Log2(math.Max(1, n))
	last := 0.0
	for k := 0; k < known; k++ {
		w := d.Windows[k]
		m := float64(w.Count)
		own := math.Log(math.Max(w.Sum/m, 0.05))
		p := (m*own+4*(level+slope*float64(k)))/(m+4) + math.Log1p(1/math.Sqrt(m+4))
		p = math.Max(math.Max(p, 0), last)
		if float64(k) >= at {
			f := 1 - (float64(k) - at)
			if k == 0 {
				f = 1
			}
			return math.Exp(last + f*(p-last))
		}
		last = p
	}
	for k := float64(known - 1); k < at; k++ {
		last += slope * math.Min(1, at-k)
		slope *= 0.7
	}
	return math.Exp(last)
}

// line is the weighted least-squares line of log phi over log2 length, through
// the lengths with at least three windows; known is their number.
func (d *Dispersion) line() (level, slope float64, known int) {
	var sw, sx, sy, sxx, sxy float64
	for k := range d.Windows {
		w := d.Windows[k]
		if w.Count < 3 {
			break
		}
		known++
		m, x := math.Min(float64(w.Count), 50), float64(k)
		y := math.Log(math.Max(w.Sum/float64(w.Count), 0.05))
		sw, sx, sy, sxx, sxy = sw+m, sx+m*x, sy+m*y, sxx+m*x*x, sxy+m*x*y
	}
	if known == 0 {
		return 0, 0, 0
	}
	if den := sw*sxx - sx*sx; known > 1 && den > 0 {
		slope = (sw*sxy - sx*sy) / den
	}
	slope = math.Max(0, math.Min(math.Ln2, slope))
	return (sy - slope*sx) / sw, slope, known
}
