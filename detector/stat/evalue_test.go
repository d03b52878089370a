package stat

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// The mixture by Simpson's rule, straight from its definition.
func mixture(z, v, scale float64) float64 {
	f := func(t float64) float64 {
		prior := 2 / (scale * math.Sqrt(2*math.Pi)) * math.Exp(-t*t/(2*scale*scale))
		return prior * math.Exp(z*t/math.Sqrt(v)-t*t/(2*v))
	}
	const n = 20000
	end := 12 * math.Max(scale, math.Sqrt(v)*(math.Abs(z)+2))
	h, sum := end/n, 0.0
	for i := 0; i <= n; i++ {
		w := 2.0
		if i == 0 || i == n {
			w = 1
		} else if i%2 == 1 {
			w = 4
		}
		sum += w * f(float64(i)*h)
	}
	return sum * h / 3
}

func TestLogEValueIsTheMixture(t *testing.T) {
	for _, c := range []struct{ z, v, scale float64 }{
		{0, 0.01, 0.25}, {3, 0.01, 0.25}, {-2, 0.04, 0.25}, {5, 0.5, 1.1}, {1, 2, 0.25}, {-4, 0.001, 1},
	} {
		want := math.Log(mixture(c.z, c.v, c.scale))
		if got := LogEValue(c.z, c.v, c.scale); math.Abs(got-want) > 1e-3*math.Max(1, math.Abs(want)) {
			t.Errorf("LogEValue(%v, %v, %v) = %v, want %v", c.z, c.v, c.scale, got, want)
		}
	}
	for _, v := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if got := LogEValue(3, v, 0.25); got != 0 {
			t.Errorf("without information (v=%v) got %v, want 0", v, got)
		}
	}
}

// Under the edge of H0 the e-value crosses 1/alpha at any of many looks in at
// most alpha of all runs (Ville).
func TestEValueHoldsUnderPeeking(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const runs, looks, alpha = 2000, 400, 0.05
	crossed := 0
	for range runs {
		sum := 0.0
		for n := 1; n <= looks; n++ {
			sum += rng.NormFloat64()
			v := 1 / float64(n)
			if LogEValue(sum/float64(n)/math.Sqrt(v), v, 0.25) >= -math.Log(alpha) {
				crossed++
				break
			}
		}
	}
	if share := float64(crossed) / runs; share > alpha+0.015 || share < 0.005 {
		t.Errorf("crossed in %.3f of the runs, want about and at most %v", share, alpha)
	}
}

// At the boundary the two-sided mixture martingale is 1/alpha.
func TestBoundaryIsWhereTheMartingaleIs(t *testing.T) {
	for _, c := range []struct{ v, scale, alpha float64 }{{0.01, 0.25, 0.05}, {1, 0.25, 0.01}, {0.0001, 1, 0.1}} {
		z := Boundary(c.v, c.scale, c.alpha)
		g := c.scale * c.scale / c.v
		got := math.Exp(z*z/2*g/(1+g)) / math.Sqrt(1+g)
		if math.Abs(got*c.alpha-1) > 1e-9 {
			t.Errorf("%+v: martingale at the boundary is %v, want %v", c, got, 1/c.alpha)
		}
		if r := Radius(c.v, c.scale, c.alpha); math.Abs(r-z*math.Sqrt(c.v)) > 1e-12 {
			t.Errorf("%+v: radius %v, want %v", c, r, z*math.Sqrt(c.v))
		}
	}
	if !math.IsInf(Boundary(0, 1, 0.05), 1) {
		t.Error("without information the boundary isn't infinite")
	}
}

func TestInformationForIsTheInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		radius := rapid.Float64Range(0.01, 2).Draw(t, "radius")
		info := InformationFor(radius, 0.25, 0.05)
		if got := Radius(1/info, 0.25, 0.05); math.Abs(got-radius) > 1e-6*radius {
			t.Fatalf("radius at the information for %v is %v", radius, got)
		}
	})
}

// Values worked out by hand from the deviance of one and of two Poisson counts.
func TestSignedRoot(t *testing.T) {
	for _, c := range []struct{ obs, exp, v, logRatio, want float64 }{
		{10, 5, 0, 0, math.Sqrt(2 * (10*math.Ln2 - 5))},
		{5, 10, 0, 0, -math.Sqrt(2 * (5*math.Log(0.5) + 5))},
		{20, 10, 0.1, 0, math.Sqrt(2 * (20*math.Log(20.0/15) + 10*math.Log(10.0/15)))},
		{20, 10, 0.1, math.Ln2, 0},
		{0, 10, 0, 0, -math.Sqrt(20)},
	} {
		if got := SignedRoot(c.obs, c.exp, c.v, c.logRatio); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("SignedRoot(%v, %v, %v, %v) = %v, want %v", c.obs, c.exp, c.v, c.logRatio, got, c.want)
		}
	}
	if !math.IsNaN(SignedRoot(1, 0, 0, 0)) {
		t.Error("an expectation of nothing doesn't give NaN")
	}
}

func TestSignedRootIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exp := rapid.Float64Range(0.1, 1000).Draw(t, "exp")
		v := rapid.Float64Range(0, 1).Draw(t, "v")
		a := rapid.Float64Range(0, 2000).Draw(t, "a")
		b := a + rapid.Float64Range(0.01, 100).Draw(t, "more")
		if SignedRoot(b, exp, v, 0) < SignedRoot(a, exp, v, 0) {
			t.Fatalf("more events give less: %v and %v of %v", a, b, exp)
		}
	})
}

// Two Poisson counts with the same rate give standard normal roots.
func TestSignedRootIsStandardNormal(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	poisson := func(mean float64) (n float64) {
		for s := rng.ExpFloat64(); s < mean; s += rng.ExpFloat64() {
			n++
		}
		return n
	}
	const runs = 4000
	sum, squares, beyond := 0.0, 0.0, 0
	for range runs {
		base := poisson(40)
		exp := base * 0.5 // the baseline was twice as long
		z := SignedRoot(poisson(20), exp, 1/math.Max(base, 1), 0)
		sum += z
		squares += z * z
		if math.Abs(z) > 1.96 {
			beyond++
		}
	}
	mean, sd := sum/runs, math.Sqrt(squares/runs)
	if math.Abs(mean) > 0.08 || math.Abs(sd-1) > 0.06 || math.Abs(float64(beyond)/runs-0.05) > 0.015 {
		t.Errorf("mean %.3f, sd %.3f, beyond 1.96 in %.3f; want 0, 1, 0.05", mean, sd, float64(beyond)/runs)
	}
}

// The example is worked out by hand: with K=4 and alpha=0.1 the thresholds are
// 40, 20, 13.3 and 10.
func TestEBH(t *testing.T) {
	logs := func(e ...float64) (out []float64) {
		for _, v := range e {
			out = append(out, math.Log(v))
		}
		return out
	}
	for _, c := range []struct {
		e    []float64
		want []bool
	}{
		{[]float64{30, 25, 1, 0.5}, []bool{true, true, false, false}},
		{[]float64{39, 19, 1, 0.5}, []bool{false, false, false, false}},
		{[]float64{12, 11, 10.5, 10.1}, []bool{true, true, true, true}},
		{[]float64{0.1, 41, 0.1, 0.1}, []bool{false, true, false, false}},
	} {
		got := EBH(logs(c.e...), 0.1)
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("EBH(%v) = %v, want %v", c.e, got, c.want)
				break
			}
		}
	}
	if got := EBH(nil, 0.1); len(got) != 0 {
		t.Errorf("EBH of nothing is %v", got)
	}
}

func TestLogMeanExp(t *testing.T) {
	got := LogMeanExp([]float64{math.Log(2), math.Log(4), 700}, []float64{1, 3, 0})
	if want := math.Log((2 + 3*4) / 4.0); math.Abs(got-want) > 1e-12 {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := LogMeanExp([]float64{1000, 1000}, []float64{1, 1}); math.Abs(got-1000) > 1e-9 {
		t.Errorf("large values overflow: %v", got)
	}
	if !math.IsInf(LogMeanExp(nil, nil), -1) {
		t.Error("the mean of nothing isn't nothing")
	}
}
