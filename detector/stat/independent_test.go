package stat

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/stat/distuv"
)

// near fails the test unless got is within a relative error of want.
func near(t *testing.T, what string, got, want, relative float64) {
	t.Helper()
	if !(math.Abs(got-want) <= relative*math.Max(1, math.Abs(want))) {
		t.Errorf("%s = %.12g, want %.12g", what, got, want)
	}
}

// Exact 95% limits of a Poisson mean for a count, by Garwood (1936), "Fiducial
// limits for the Poisson distribution", Biometrika 28, as tabulated in Pearson
// and Hartley, "Biometrika Tables for Statisticians", table 40. At its limits the
// signed root, with a correction of 1/2 for continuity and its known mean of
// -1/(6 sqrt(mean)) (McCullagh and Nelder 1989, section 6.3 and appendix C), is
// the normal quantile.
func TestSignedRootAtGarwoodsLimits(t *testing.T) {
	for _, c := range []struct{ count, lower, upper float64 }{
		{5, 1.62, 11.67},
		{10, 4.80, 18.39},
		{20, 12.22, 30.89},
		{30, 20.24, 42.83},
		{50, 37.11, 65.92},
	} {
		low := SignedRoot(c.count-0.5, c.lower, 0, 0) + 1/(6*math.Sqrt(c.lower))
		high := SignedRoot(c.count+0.5, c.upper, 0, 0) + 1/(6*math.Sqrt(c.upper))
		if math.Abs(low-1.95996) > 0.03 || math.Abs(high+1.95996) > 0.03 {
			t.Errorf("count %v: %.4f and %.4f at the limits, want 1.960 and -1.960", c.count, low, high)
		}
		// The limits themselves by their definition through chi-square quantiles.
		lower, upper := distuv.ChiSquared{K: 2 * c.count}.Quantile(0.025)/2, distuv.ChiSquared{K: 2*c.count + 2}.Quantile(0.975)/2
		if math.Abs(lower-c.lower) > 0.0055 || math.Abs(upper-c.upper) > 0.0055 {
			t.Errorf("count %v: limits %.4f and %.4f, the table has %v and %v", c.count, lower, upper, c.lower, c.upper)
		}
	}
}

// Half the square of the signed root is the log likelihood ratio: here with both
// likelihoods maximised by search rather than by formula.
func TestSignedRootIsTheLikelihoodRatio(t *testing.T) {
	loglik := func(x, m float64) float64 { return x*math.Log(m) - m }
	// highest is the greatest value of a unimodal f over [low, high].
	highest := func(low, high float64, f func(float64) float64) float64 {
		for range 300 {
			a, b := low+(high-low)/3, high-(high-low)/3
			if f(a) < f(b) {
				low = a
			} else {
				high = b
			}
		}
		return f((low + high) / 2)
	}
	for _, c := range []struct{ obs, exp, v, logRatio float64 }{
		{20, 10, 0.1, 0},
		{3, 10, 0.02, 0.05},
		{480, 500, 0.001, -0.05},
		{1, 0.2, 2, 0},
		{7.5, 3.3, 0.4, math.Log(1.2)},
	} {
		base, mean := 1/c.v, c.exp*math.Exp(c.logRatio)
		// The watched window is as long as mean/base of the baseline.
		joint := func(rate float64) float64 { return loglik(c.obs, rate*mean/base) + loglik(base, rate) }
		free := highest(1e-9, 10*c.obs+10, func(m float64) float64 { return loglik(c.obs, m) }) +
			highest(1e-9, 10*base, func(m float64) float64 { return loglik(base, m) })
		bound := highest(1e-9, 10*(base+c.obs*base/mean), joint)
		want := math.Copysign(math.Sqrt(2*(free-bound)), c.obs-mean)
		near(t, "SignedRoot", SignedRoot(c.obs, c.exp, c.v, c.logRatio), want, 1e-5)
	}
}

// The deviance as an integral, x ln(x/m) - (x-m) = integral of (x-t)/t from m to x
// (the quasi-likelihood of McCullagh and Nelder 1989, section 9.2), for counts
// so large and near to each other that the formula's terms cancel.
func TestSignedRootOfLargeCounts(t *testing.T) {
	root := func(x, m float64) float64 {
		// In units of x-m, so that nothing cancels.
		off := x - m
		f := func(s float64) float64 { return off * off * (1 - s) / (m + s*off) }
		return math.Copysign(math.Sqrt(2*quad.Fixed(f, 0, 1, 50, quad.Legendre{}, 0)), off)
	}
	for _, c := range []struct{ obs, exp float64 }{
		{120, 100}, {1e6 + 3000, 1e6}, {1e9 - 5000, 1e9}, {1e12 + 1e6, 1e12}, {1e15 + 1e7, 1e15}, {1e15 + 2, 1e15},
	} {
		want := root(c.obs, c.exp)
		near(t, "SignedRoot", SignedRoot(c.obs, c.exp, 0, 0), want, 1e-9)
		// A baseline of ever more events is a known one.
		for _, v := range []float64{1e-3, 1e-9, 1e-12, 1e-18, 1e-100} {
			got := SignedRoot(c.obs, c.exp, v/c.exp, 0)
			near(t, "SignedRoot against a long baseline", got, want/math.Sqrt(1+v), 2e-4*v*1e3+1e-9)
		}
	}
	// A baseline of 10 events where 100 were its share of an immense count: all
	// the deviance is the baseline's.
	near(t, "SignedRoot", SignedRoot(1e18, 1e17, 0.1, 0), math.Sqrt(2*(10*math.Log(0.1)+90)), 1e-9)
}

// Points of -log10 Q(x) by Abramowitz and Stegun, "Handbook of Mathematical
// Functions", table 26.2.
func TestLogScaledPhi(t *testing.T) {
	for _, c := range []struct{ x, minusLog10 float64 }{
		{5, 6.54265},
		{6, 9.00586},
		{7, 11.89285},
		{8, 15.20614},
		{9, 18.94746},
		{10, 23.11805},
		{15, 50.43522},
		{20, 88.56010},
		{50, 544.96634},
		{100, 2173.87154},
		{500, 54289.90830},
	} {
		got := (logScaledPhi(-c.x) - c.x*c.x/2) / -math.Ln10
		if math.Abs(got-c.minusLog10) > 1e-5 {
			t.Errorf("-log10 Q(%v) = %.6f, want %.5f", c.x, got, c.minusLog10)
		}
	}
	// The two ways of counting meet.
	near(t, "at the seam", logScaledPhi(-12), logScaledPhi(math.Nextafter(-12, 0)), 2e-10)
}

// logMixture is the one-sided mixture's logarithm by Gauss-Legendre quadrature
// over pieces of its range, from the definition: the likelihood ratio of a
// Gaussian estimate against the bound, averaged over a half normal prior.
func logMixture(z, v, scale float64) float64 {
	logs := func(u float64) float64 { // u is theta in units of the scale
		x := u * scale / math.Sqrt(v)
		return math.Ln2 - u*u/2 - math.Log(2*math.Pi)/2 + z*x - x*x/2
	}
	// The integrand is a normal density cut off at 0, up to a factor.
	sd := math.Sqrt(v) / math.Hypot(scale, math.Sqrt(v))
	mode := math.Max(0, z*scale/math.Sqrt(v)*sd*sd)
	top := logs(mode)
	reach := sd
	if slope := -z * scale / math.Sqrt(v); mode == 0 && slope > 0 {
		reach = math.Min(reach, 1/slope)
	}
	sum := 0.0
	const pieces = 120
	low, width := math.Max(0, mode-20*sd), reach/2
	for range pieces {
		sum += quad.Fixed(func(u float64) float64 { return math.Exp(logs(u) - top) }, low, low+width, 20, quad.Legendre{}, 0)
		low += width
	}
	return top + math.Log(sum)
}

func TestLogEValueByQuadrature(t *testing.T) {
	for _, scale := range []float64{0.25, 1.1} {
		for _, v := range []float64{1e-8, 1e-4, 0.003, 0.05, 1, 30} {
			for _, z := range []float64{-1e5, -300, -40, -13, -11.9, -8.1, -7.9, -3, -0.5, 0, 0.3, 1, 2.5, 6, 20, 150} {
				near(t, "LogEValue", LogEValue(z, v, scale), logMixture(z, v, scale), 1e-8)
			}
		}
	}
	if got := LogEValue(math.Inf(-1), 0.01, 0.25); !math.IsInf(got, -1) {
		t.Errorf("infinitely far on the side of H0 the e-value's logarithm is %v, want -Inf", got)
	}
}

// The one-sided normal mixture as the authors of "Time-uniform, nonparametric,
// nonasymptotic confidence sequences" have it in their library confseq
// (uniform_boundaries.h, OneSidedNormalMixture): with the sum s, its variance V
// and rho,
//
//	ln(4 rho/(V+rho))/2 + s^2/(2 (V+rho)) + ln Phi(s/sqrt(V+rho)),
//
// and the closed bound of Howard et al. 2021, proposition 6: the mixture stays
// below 1/alpha wherever s <= sqrt(2 (V+rho) ln(1/(2 alpha) sqrt((V+rho)/rho) + 1)) fails.
func TestLogEValueIsConfseqs(t *testing.T) {
	for _, c := range []struct{ z, v, scale float64 }{{2, 0.01, 0.25}, {4, 0.001, 0.25}, {-1, 0.2, 1.1}, {3.3, 0.02, 1.1}} {
		info, rho := 1/c.v, 1/(c.scale*c.scale)
		s := c.z * math.Sqrt(info)
		phi := 0.5 * math.Erfc(-s/math.Sqrt(2*(info+rho)))
		want := math.Log(4*rho/(info+rho))/2 + s*s/(2*(info+rho)) + math.Log(phi)
		near(t, "LogEValue", LogEValue(c.z, c.v, c.scale), want, 1e-12)
		for _, alpha := range []float64{0.1, 0.05, 0.001} {
			closed := math.Sqrt(2 * (info + rho) * math.Log(1/(2*alpha)*math.Sqrt((info+rho)/rho)+1))
			e := LogEValue(closed/math.Sqrt(info), c.v, c.scale)
			if e < -math.Log(alpha) || e > -math.Log(alpha)+0.5 {
				t.Errorf("at the closed boundary for %v the log e-value is %v, want at least and about %v", alpha, e, -math.Log(alpha))
			}
		}
	}
}

// Radius in the words of Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas,
// "Time-uniform central limit theory and asymptotic confidence sequences",
// theorem 2.2: sd sqrt(2 (t rho^2+1)/(t^2 rho^2) ln(sqrt(t rho^2+1)/alpha)), and as the root
// of the two-sided mixture by quadrature.
func TestRadiusIsTheAsymptoticConfidenceSequences(t *testing.T) {
	for _, n := range []float64{1, 10, 400, 1e5} {
		for _, alpha := range []float64{0.1, 0.05, 0.001} {
			const sd, scale = 1.7, 0.25
			rho := scale / sd
			want := sd * math.Sqrt(2*(n*rho*rho+1)/(n*n*rho*rho)*math.Log(math.Sqrt(n*rho*rho+1)/alpha))
			got := Radius(sd*sd/n, scale, alpha)
			near(t, "Radius", got, want, 1e-12)
			// A two-sided mixture is the mean of the two one-sided ones.
			z := got / math.Sqrt(sd*sd/n)
			both := LogMeanExp([]float64{logMixture(z, sd*sd/n, scale), logMixture(-z, sd*sd/n, scale)}, []float64{1, 1})
			near(t, "mixture at the radius", both, -math.Log(alpha), 1e-8)
		}
	}
}

// The boundary is tightest where the radius is about the scale, as its comment
// says: the ratio there follows from setting the derivative to zero,
// g = 2 ln(sqrt(1+g)/alpha).
func TestScaleIsWhereTheBoundaryIsTightest(t *testing.T) {
	const scale = 0.25
	for _, alpha := range []float64{0.1, 0.05, 0.01} {
		best, at := math.Inf(1), 0.0
		for logV := -15.0; logV < 5; logV += 0.001 {
			if b := Boundary(math.Exp(logV), scale, alpha); b < best {
				best, at = b, math.Exp(logV)
			}
		}
		g := scale * scale / at
		near(t, "information at the tightest", g, 2*math.Log(math.Sqrt(1+g)/alpha), 0.02)
		if r := Radius(at, scale, alpha) / scale; r < 0.9 || r > 1.2 {
			t.Errorf("alpha %v: tightest at %v times the scale", alpha, r)
		}
	}
}

func TestInformationForHoldsFarOut(t *testing.T) {
	for _, radius := range []float64{1e-6, 1e-3, 0.05, 1, 50, 1e4} {
		for _, alpha := range []float64{0.5, 0.05, 1e-6} {
			info := InformationFor(radius, 0.25, alpha)
			if Radius(1/(info*(1+1e-6)), 0.25, alpha) > radius || Radius(1/(info*(1-1e-6)), 0.25, alpha) < radius {
				t.Errorf("the information for a radius of %v at %v is said to be %v", radius, alpha, info)
			}
		}
	}
	for _, radius := range []float64{0, -1, math.NaN()} {
		if got := InformationFor(radius, 0.25, 0.05); !math.IsInf(got, 1) {
			t.Errorf("information for a radius of %v is %v, want +Inf", radius, got)
		}
	}
}

// The mean of exponentials by numbers of 300 bits, and by gonum's LogSumExp.
func TestLogMeanExpByOtherMeans(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		x, w, shifted := make([]float64, 5), make([]float64, 5), make([]float64, 5)
		sum, total := new(big.Float).SetPrec(300), 0.0
		for i := range x {
			x[i], w[i] = rng.NormFloat64()*30, rng.Float64()
			shifted[i] = x[i] + math.Log(w[i])
			term := new(big.Float).SetPrec(300).SetFloat64(math.Exp(x[i]))
			sum.Add(sum, term.Mul(term, big.NewFloat(w[i])))
			total += w[i]
		}
		mean, _ := sum.Quo(sum, big.NewFloat(total)).Float64()
		got := LogMeanExp(x, w)
		near(t, "LogMeanExp", got, math.Log(mean), 1e-12)
		near(t, "LogMeanExp", got, floats.LogSumExp(shifted)-math.Log(total), 1e-12)
	}
	ninf := math.Inf(-1)
	near(t, "mean of 0 and 1", LogMeanExp([]float64{ninf, 0}, []float64{1, 1}), -math.Ln2, 1e-15)
	if got := LogMeanExp([]float64{ninf, ninf}, []float64{1, 1}); !math.IsInf(got, -1) {
		t.Errorf("the mean of zeros is exp(%v)", got)
	}
	if got := LogMeanExp([]float64{0, math.Inf(1)}, []float64{1, 1}); !math.IsInf(got, 1) {
		t.Errorf("the mean of 1 and infinity is exp(%v)", got)
	}
}

// e-BH from its principle: a set is self-consistent if each e-value in it is at
// least K/(alpha times the set's size); the procedure rejects the largest one
// (Wang and Ramdas 2022, section 4.1). By trying every set.
func TestEBHByTryingEverySet(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	const alpha = 0.1
	rejections := 0
	for range 3000 {
		n := 1 + rng.IntN(8)
		logE := make([]float64, n)
		for i := range logE {
			logE[i] = rng.NormFloat64()*2 + 2.5
		}
		best, size := 0, 0
		for set := range 1 << n {
			members, ok := 0, true
			for i := range n {
				members += set >> i & 1
			}
			for i := range n {
				ok = ok && (set>>i&1 == 0 || math.Exp(logE[i]) >= float64(n)/(alpha*float64(members)))
			}
			if ok && members > size {
				best, size = set, members
			}
		}
		for i, rejected := range EBH(logE, alpha) {
			if rejected != (best>>i&1 == 1) {
				t.Fatalf("EBH(%v) differs from the largest self-consistent set %b at %d", logE, best, i)
			}
			if rejected {
				rejections++
			}
		}
	}
	if rejections < 1000 {
		t.Errorf("only %d rejections were compared", rejections)
	}
}

// NaN is no evidence, and doesn't stand in the way of other hypotheses'.
func TestEBHOfNaN(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct{ e, want []float64 }{
		{[]float64{9, nan, 9}, []float64{1, 0, 1}},
		{[]float64{nan, nan, 9, 0}, []float64{0, 0, 1, 0}},
		{[]float64{0, nan, inf, -inf}, []float64{0, 0, 1, 0}},
		{[]float64{nan}, []float64{0}},
	} {
		for i, got := range EBH(c.e, 0.1) {
			if got != (c.want[i] == 1) {
				t.Errorf("EBH(%v): hypothesis %d rejected: %v", c.e, i, got)
			}
		}
	}
}
