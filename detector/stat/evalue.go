// Package stat holds the tests, intervals and multiplicity control that the
// judgement is made of. Everything is a pure function of numbers.
package stat

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// SignedRoot is the signed root of the likelihood ratio against
//
//	H0: the rate is exp(logRatio) times the expected rate
//
// for obs events where exp were expected, when the expectation itself is known
// from a baseline as if by 1/v events of its own (v is the variance of its
// logarithm; 0 for a known expectation): the comparison of two Poisson counts,
// conditional on their sum. It is approximately standard normal under H0, also
// for small counts, positive when there are more events than H0 expects
// (McCullagh and Nelder, "Generalized Linear Models", 1989, 6.3; Barndorff-
// Nielsen 1986 on the signed root). Overdispersed counts are divided by their
// dispersion first. NaN when exp isn't positive.
func SignedRoot(obs, exp, v, logRatio float64) float64 {
	if !(exp > 0) || obs < 0 {
		return math.NaN()
	}
	mean := exp * math.Exp(logRatio)
	if !(v > 0) {
		return math.Copysign(math.Sqrt(2*deviance(obs-mean, mean)), obs-mean)
	}
	// Under H0 the sum is shared out as mean to base, which puts each count as
	// far from its share as the other.
	base := 1 / v
	off := (obs - mean) / (1 + mean*v)
	share := mean * (1 + obs*v) / (1 + mean*v)
	d := deviance(off, share) + deviance(-off, base+off)
	return math.Copysign(math.Sqrt(2*d), off)
}

// deviance is x ln(x/m) - (x-m) for x = m + off, half the deviance of a Poisson
// count x with mean m, without the cancellation of its terms near x = m
// (Loader 2000, "Fast and accurate computation of binomial probabilities").
func deviance(off, m float64) float64 {
	u := off / m
	switch {
	case u <= -1:
		return m
	case math.Abs(u) > 0.1:
		return m * ((1+u)*math.Log1p(u) - u)
	}
	// (1+u) ln(1+u) - u = u^2/(1 2) - u^3/(2 3) + u^4/(3 4) - ...
	sum, power := 0.0, u*u
	for k := 2.0; k < 18; k++ {
		sum += power / (k * (k - 1))
		power *= -u
	}
	return m * sum
}

// LogEValue is the natural logarithm of a one-sided e-value against
//
//	H0: theta <= bound
//
// given z, the standardised distance of the estimate from the bound, and the
// estimate's variance v. It mixes the likelihood ratio over
// theta = bound + |N(0, scale^2)|:
//
//	E = 2/sqrt(1+V s^2) exp(z^2/2 * V s^2/(1+V s^2)) Phi(z sqrt(V s^2/(1+V s^2))),  V = 1/v
//
// Assumptions: over time the estimate is a Gaussian martingale divided by its
// information V, so that E is a nonnegative martingale with mean 1 at the edge
// of H0 and P(ever E >= 1/a) <= a (Ville's inequality). Correlated noise must
// already be in z and v. Source: the one-sided normal mixture of Robbins (1970),
// "Statistical methods related to the law of the iterated logarithm", and
// Howard, Ramdas, McAuliffe, Sekhon (2021), "Time-uniform, nonparametric,
// nonasymptotic confidence sequences", proposition 6.
//
// v must be positive; otherwise there is no information and the result is 0.
func LogEValue(z, v, scale float64) float64 {
	if !(v > 0) || math.IsInf(v, 1) || math.IsNaN(z) {
		return 0
	}
	g := scale * scale / v
	shrink := 1 / (1 + v/(scale*scale))
	return math.Ln2 - 0.5*math.Log1p(g) + logScaledPhi(z*math.Sqrt(shrink))
}

// logScaledPhi is x^2/2 plus the logarithm of the standard normal distribution
// function, accurate also far down where the two cancel.
func logScaledPhi(x float64) float64 {
	if x > -12 {
		return x*x/2 + math.Log(distuv.UnitNormal.CDF(x))
	}
	// Abramowitz and Stegun 26.2.12, six terms.
	u := 1 / (x * x)
	return -math.Log(-x) - 0.5*math.Log(2*math.Pi) + math.Log1p(-u*(1-3*u*(1-5*u*(1-7*u*(1-9*u*(1-11*u))))))
}

// Boundary is the two-sided confidence sequence's boundary for |z| at level
// 1-alpha when the estimate's variance is v: with probability 1-alpha, |z| of
// the truth stays below it at all times at once. It is the normal mixture
// boundary
//
//	sqrt( (1+V s^2)/(V s^2) * ln((1+V s^2)/alpha^2) ),  V = 1/v
//
// (Robbins 1970; Howard et al. 2021, equation 14). The scale s is where the
// boundary is tightest. Without information it is +Inf.
func Boundary(v, scale, alpha float64) float64 {
	if !(v > 0) || math.IsInf(v, 1) {
		return math.Inf(1)
	}
	g := scale * scale / v
	return math.Sqrt((1 + g) / g * math.Log((1+g)/(alpha*alpha)))
}

// Radius is Boundary in units of the estimate: the interval estimate +- Radius
// holds the truth at all times at once with probability 1-alpha.
func Radius(v, scale, alpha float64) float64 {
	return Boundary(v, scale, alpha) * math.Sqrt(v)
}

// InformationFor is the information V = 1/v at which Radius is no wider than
// radius: the inverse of Radius, found by bisection. It is +Inf for a radius
// that is not positive.
func InformationFor(radius, scale, alpha float64) float64 {
	if !(radius > 0) {
		return math.Inf(1)
	}
	lo, hi := 0.0, 1.0
	for Radius(1/hi, scale, alpha) > radius {
		lo, hi = hi, hi*2
		if math.IsInf(hi, 1) {
			return hi
		}
	}
	for range 60 {
		mid := (lo + hi) / 2
		if mid <= 0 || Radius(1/mid, scale, alpha) > radius {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// EBH is the e-Benjamini-Hochberg procedure: given the logarithms of K
// e-values it rejects the k hypotheses with the largest, for the largest k
// with E_(k) >= K/(alpha k). The false discovery rate is at most alpha under
// any dependence between the e-values (Wang and Ramdas 2022, "False discovery
// rate control with e-values"). The answer says for each hypothesis whether it
// is rejected; NaN is no evidence.
func EBH(logE []float64, alpha float64) []bool {
	order := make([]int, len(logE))
	for i := range order {
		order[i] = i
	}
	value := func(k int) float64 {
		if v := logE[order[k]]; !math.IsNaN(v) {
			return v
		}
		return math.Inf(-1)
	}
	sort.SliceStable(order, func(a, b int) bool { return value(a) > value(b) })
	n := 0
	for k := 1; k <= len(order); k++ {
		if value(k-1) >= math.Log(float64(len(order)))-math.Log(alpha*float64(k)) {
			n = k
		}
	}
	rejected := make([]bool, len(logE))
	for _, i := range order[:n] {
		rejected[i] = true
	}
	return rejected
}

// LogMeanExp is the logarithm of the weighted mean of exp(x): how e-values are
// averaged. The weights need not add up to 1. It is -Inf for no values.
func LogMeanExp(x, w []float64) float64 {
	top := math.Inf(-1)
	total := 0.0
	for i, v := range x {
		if w[i] > 0 {
			top = math.Max(top, v)
			total += w[i]
		}
	}
	if math.IsInf(top, 0) || total == 0 {
		return top
	}
	sum := 0.0
	for i, v := range x {
		if w[i] > 0 {
			sum += w[i] * math.Exp(v-top)
		}
	}
	return top + math.Log(sum/total)
}
