package stat

import "math"

// Components is the number of components of a Noise.
const Components = 4

// memories are the steps over which the components forget: minutes, half an
// hour, some hours, more than a day, at a step of a minute.
var memories = [Components]float64{4, 30, 240, 1920}

// Noise is correlated noise of a logarithm: the variances of a sum of first-order
// autoregressive processes with fixed memories. A sum of a few such processes,
// a factor of eight apart, comes near to any noise whose correlation falls with
// time.
type Noise [Components]float64

// Over is the variance of the noise's mean over so many steps:
//
//	sum_k v_k 2 (x - 1 + exp(-x)) / x^2,  x = steps / memory_k
//
// (the variance of an Ornstein-Uhlenbeck process's mean; Priestley 1981,
// "Spectral Analysis and Time Series", 5.3).
func (n Noise) Over(steps float64) float64 {
	sum := 0.0
	for k, v := range n {
		sum += v * shrink(steps/memories[k])
	}
	return sum
}

// LongRun is the variance of the sum over one step of the noise that forgets
// within some hours: 2 memory v for each component. Divided by a number of steps
// it is the variance of their mean.
func (n Noise) LongRun() float64 {
	sum := 0.0
	for k, v := range n[:Components-1] {
		sum += 2 * memories[k] * v
	}
	return sum
}

// shrink is by how much the mean over x memories varies less than one instant.
func shrink(x float64) float64 {
	if x < 1e-3 {
		return 1 - x/3
	}
	return 2 * (x - 1 + math.Exp(-x)) / (x * x)
}

// Spread is how far the means over windows of some length were seen to stray.
type Spread struct {
	Steps float64 // length of the windows
	// Excess is the mean square of the windows' means less what counting alone
	// brings, Total the mean square itself, and Windows their number.
	Excess, Total, Windows float64
}

// FitNoise finds the noise whose variances over windows come nearest to those
// seen, by least squares weighted by their own uncertainty (a mean square over n
// windows has the variance 2 total^2 / n), under the constraint that no variance
// is negative (Lawson and Hanson 1974, here by coordinate descent).
func FitNoise(seen []Spread) Noise {
	var g [Components][Components]float64
	var h, v Noise
	for _, s := range seen {
		if !(s.Windows > 0) || !(s.Total > 0) {
			continue
		}
		w := s.Windows / (2 * s.Total * s.Total)
		var x Noise
		for k := range x {
			x[k] = shrink(s.Steps / memories[k])
		}
		for k := range x {
			h[k] += w * x[k] * s.Excess
			for l := range x {
				g[k][l] += w * x[k] * x[l]
			}
		}
	}
	for range 2000 {
		moved := false
		for k := range v {
			if g[k][k] <= 0 {
				continue
			}
			rest := h[k]
			for l := range v {
				if l != k {
					rest -= g[k][l] * v[l]
				}
			}
			next := math.Max(0, rest/g[k][k])
			moved = moved || math.Abs(next-v[k]) > 1e-5*next
			v[k] = next
		}
		if !moved {
			break
		}
	}
	return v
}
