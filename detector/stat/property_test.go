package stat

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

// atMost fails the test if k of n runs is more than a probability of p can
// explain: less likely than 1 in 10,000 by the binomial distribution.
func atMost(t *testing.T, what string, k, n int, p float64) {
	t.Helper()
	if k > 0 && 1-(distuv.Binomial{N: float64(n), P: p}).CDF(float64(k-1)) < 1e-4 {
		t.Errorf("%s in %d of %d runs, promised is a probability of at most %v", what, k, n, p)
	}
}

// peaks runs Gaussian random walks of mean drift, looks at each step at the
// estimate and its variance, and gives the greatest value of a statistic on
// each walk.
func peaks(seed uint64, drift float64, statistic func(mean, v float64) float64) []float64 {
	rng := rand.New(rand.NewPCG(seed, seed+1))
	out := make([]float64, runs)
	for i := range out {
		sum := 0.0
		out[i] = math.Inf(-1)
		for n := 1; n <= looks; n++ {
			sum += rng.NormFloat64() + drift
			out[i] = math.Max(out[i], statistic(sum/float64(n), 1/float64(n)))
		}
	}
	return out
}

const runs, looks = 2000, 1500

func reaching(level float64, peaks []float64) (n int) {
	for _, p := range peaks {
		if p >= level {
			n++
		}
	}
	return n
}

// Ville's inequality, looking at every step: an e-value reaches 1/alpha in at
// most alpha of all walks at the edge of H0, and in no more within it. The mean
// of two e-values is one too.
func TestVille(t *testing.T) {
	for _, c := range []struct {
		name   string
		drift  float64
		scales []float64
	}{
		{"an e-value", 0, []float64{0.25}},
		{"a wide e-value", 0, []float64{1.1}},
		{"a mean of e-values", 0, []float64{0.25, 1.1}},
		{"an e-value within H0", -0.02, []float64{0.25}},
	} {
		highest := peaks(21, c.drift, func(mean, v float64) float64 {
			logE, w := make([]float64, 0, 2), []float64{1, 1}
			for _, s := range c.scales {
				logE = append(logE, LogEValue(mean/math.Sqrt(v), v, s))
			}
			return LogMeanExp(logE, w)
		})
		for _, alpha := range []float64{0.2, 0.05, 0.01} {
			crossed := reaching(-math.Log(alpha), highest)
			atMost(t, c.name+" crossed", crossed, runs, alpha)
			if c.drift == 0 && crossed < int(alpha*runs/8) {
				t.Errorf("%s, alpha %v: only %d of %d crossed; it is blunt", c.name, alpha, crossed, runs)
			}
		}
	}
}

// The confidence sequence holds the truth at all looks at once, and so does the
// better of two, each at half the level.
func TestRadiusCoversAtAllTimes(t *testing.T) {
	const truth = 0.3
	for _, alpha := range []float64{0.2, 0.05} {
		missed := reaching(1, peaks(23, truth, func(mean, v float64) float64 {
			return math.Abs(mean-truth) / Radius(v, 0.25, alpha)
		}))
		atMost(t, "the confidence sequence missed the truth", missed, runs, alpha)
		if missed < int(alpha*runs/8) {
			t.Errorf("alpha %v: missed only in %d of %d; the sequence is too wide", alpha, missed, runs)
		}
		missed = reaching(1, peaks(24, truth, func(mean, v float64) float64 {
			return math.Abs(mean-truth) / math.Min(Radius(v, 0.25, alpha/2), Radius(v, 1.1, alpha/2))
		}))
		atMost(t, "the better of two sequences missed the truth", missed, runs, alpha)
	}
}

// The e-value of two Poisson counts that grow together, by way of the signed
// root: the approximation that the judgement rests on, looked at every step,
// with few events a step too.
func TestVilleOfPoissonCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(25, 26))
	const runs, looks, alpha = 1000, 200, 0.05
	for _, rate := range []float64{0.3, 2, 20} {
		up, down := 0, 0
		events := distuv.Poisson{Lambda: rate, Src: rng}
		for range runs {
			base := math.Max(1, distuv.Poisson{Lambda: 400 * rate, Src: rng}.Rand())
			obs, crossedUp, crossedDown := 0.0, false, false
			for n := 1; n <= looks; n++ {
				obs += events.Rand()
				exp := base * float64(n) / 400
				v := 1/exp + 1/base
				z := SignedRoot(obs, exp, 1/base, 0)
				crossedUp = crossedUp || LogEValue(z, v, 0.25) >= -math.Log(alpha)
				crossedDown = crossedDown || LogEValue(-z, v, 0.25) >= -math.Log(alpha)
			}
			if crossedUp {
				up++
			}
			if crossedDown {
				down++
			}
		}
		atMost(t, "more events were found", up, runs, alpha)
		atMost(t, "fewer events were found", down, runs, alpha)
	}
}

// e-BH keeps the false discovery rate under dependence: e-values of one common
// noise, most of them of true nulls.
func TestEBHKeepsTheRate(t *testing.T) {
	rng := rand.New(rand.NewPCG(27, 28))
	const runs, nulls, moved, alpha = 2000, 15, 5, 0.1
	share, found := 0.0, 0
	for range runs {
		common := rng.NormFloat64()
		logE := make([]float64, nulls+moved)
		for i := range logE {
			z := 0.8*common + 0.6*rng.NormFloat64()
			if i >= nulls {
				z += 4
			}
			logE[i] = LogEValue(z, 0.01, 0.25)
		}
		wrong, all := 0, 0
		for i, rejected := range EBH(logE, alpha) {
			if rejected {
				all++
				if i < nulls {
					wrong++
				} else {
					found++
				}
			}
		}
		share += float64(wrong) / math.Max(1, float64(all))
	}
	if rate := share / runs; rate > alpha {
		t.Errorf("false discovery rate %.3f, promised is at most %v", rate, alpha)
	}
	if found < runs*moved/4 {
		t.Errorf("found %d of %d that moved", found, runs*moved)
	}
}

// The arms may be exchanged: what was the baseline's count becomes the observed
// one, and z changes its sign alone.
func TestSignedRootIsAntisymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Float64Range(0.5, 1e5).Draw(t, "a")
		b := rapid.Float64Range(0.5, 1e5).Draw(t, "b")
		odds := rapid.Float64Range(0.01, 100).Draw(t, "odds") // of the arms under H0
		d := rapid.Float64Range(-0.2, 0.2).Draw(t, "logRatio")
		one, other := SignedRoot(a, b*odds, 1/b, d), SignedRoot(b, a/odds, 1/a, -d)
		if math.Abs(one+other) > 1e-7*math.Max(1, math.Abs(one)) {
			t.Fatalf("z = %v, and %v with the arms exchanged", one, other)
		}
		v := 1/a + 1/b
		if up, down := LogEValue(one, v, 0.25), LogEValue(-other, v, 0.25); math.Abs(up-down) > 1e-6*math.Max(1, math.Abs(up)) {
			t.Fatalf("log e-values %v and %v with the arms exchanged", up, down)
		}
	})
}

func TestLogEValueIsMonotoneInZ(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := rapid.Float64Range(-1e4, 1e4).Draw(t, "z")
		if rapid.Bool().Draw(t, "near the seam") {
			z = rapid.Float64Range(-14, -7).Draw(t, "z")
		}
		more := z + rapid.SampledFrom([]float64{1e-5, 1e-3, 0.1, 5}).Draw(t, "step")
		v := math.Exp(rapid.Float64Range(-25, 5).Draw(t, "log v"))
		scale := rapid.Float64Range(0.01, 3).Draw(t, "scale")
		if a, b := LogEValue(z, v, scale), LogEValue(more, v, scale); a > b+1e-12*math.Abs(b) {
			t.Fatalf("log e-value %v at z=%v, but %v at %v", a, z, b, more)
		}
		if a := LogEValue(z, v, scale); math.IsNaN(a) {
			t.Fatalf("log e-value at z=%v is NaN", z)
		}
	})
}

// A rate nearer to the observed one is always less contradicted, so that the
// interval's ends can be searched for.
func TestSignedRootFallsWithTheRatio(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		obs := rapid.Float64Range(0, 1e6).Draw(t, "obs")
		exp := math.Exp(rapid.Float64Range(-5, 14).Draw(t, "log exp"))
		v := rapid.SampledFrom([]float64{0, 1e-12, 1e-4, 0.1, 5}).Draw(t, "v")
		d := rapid.Float64Range(-12, 12).Draw(t, "logRatio")
		more := d + rapid.SampledFrom([]float64{1e-6, 0.01, 1}).Draw(t, "step")
		a, b := SignedRoot(obs, exp, v, d), SignedRoot(obs, exp, v, more)
		if !(b <= a+1e-9*math.Max(1, math.Abs(a))) {
			t.Fatalf("z = %v at a log ratio of %v, and %v at %v", a, d, b, more)
		}
	})
}

// More evidence for one hypothesis never loses a rejection, of it or of another;
// nor does a laxer level.
func TestEBHIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logE := rapid.SliceOfN(rapid.Float64Range(-3, 8), 1, 12).Draw(t, "logE")
		alpha := rapid.Float64Range(0.01, 0.3).Draw(t, "alpha")
		before := EBH(logE, alpha)
		laxer := EBH(logE, alpha*1.5)
		logE[rapid.IntRange(0, len(logE)-1).Draw(t, "which")] += rapid.Float64Range(0, 5).Draw(t, "more")
		after := EBH(logE, alpha)
		for i := range before {
			if before[i] && (!after[i] || !laxer[i]) {
				t.Fatalf("hypothesis %d was lost: %v, %v with more evidence, %v at a laxer level", i, before, after, laxer)
			}
		}
	})
}

func TestBoundaryAndRadiusAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := math.Exp(rapid.Float64Range(-20, 10).Draw(t, "log v"))
		scale := rapid.Float64Range(0.01, 3).Draw(t, "scale")
		alpha := rapid.Float64Range(1e-6, 0.5).Draw(t, "alpha")
		if Boundary(v, scale, alpha) < Boundary(v, scale, alpha*1.1) {
			t.Fatal("a surer boundary is lower")
		}
		if Radius(v, scale, alpha) < Radius(v*0.9, scale, alpha) {
			t.Fatal("more information gives a wider interval")
		}
		if z := Boundary(v, scale, alpha); z < distuv.UnitNormal.Quantile(1-alpha/2) {
			t.Fatalf("at all times at once |z| < %v is promised, which doesn't hold at one", z)
		}
	})
}

// A mean lies between the least and the greatest, whatever the weights' scale.
func TestLogMeanExpIsAMean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(rapid.Float64Range(-1000, 1000), 1, 8).Draw(t, "x")
		w, scaled := make([]float64, len(x)), make([]float64, len(x))
		low, high := math.Inf(1), math.Inf(-1)
		for i := range x {
			w[i] = rapid.Float64Range(0.01, 5).Draw(t, "w")
			scaled[i] = 7 * w[i]
			low, high = math.Min(low, x[i]), math.Max(high, x[i])
		}
		got := LogMeanExp(x, w)
		if got < low-1e-9 || got > high+1e-9 || math.Abs(got-LogMeanExp(x, scaled)) > 1e-9 {
			t.Fatalf("LogMeanExp(%v, %v) = %v", x, w, got)
		}
	})
}
