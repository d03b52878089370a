package stat

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// covariance is that of the readings' noise, written down directly.
func covariance(noise Noise, prior [Nuisances]float64, readings []Reading) *mat.SymDense {
	n := len(readings)
	at := make([]float64, n)
	for i := 1; i < n; i++ {
		at[i] = at[i-1] + readings[i].Gap
	}
	sigma := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			x := 0.0
			for k, v := range noise {
				x += v * math.Exp(-(at[j]-at[i])/memories[k]) *
					math.Sqrt(shrink(readings[i].Steps/memories[k])*shrink(readings[j].Steps/memories[k]))
			}
			for m, p := range prior {
				for _, r := range readings[1 : i+1] {
					p += r.Renewed[m]
				}
				x += p * readings[i].Nuisance[m] * readings[j].Nuisance[m]
			}
			if i == j {
				x += readings[i].Var
			}
			sigma.SetSym(i, j, x)
		}
	}
	return sigma
}

// The shocks are those of generalised least squares, computed by solving with
// the whole covariance matrix.
func TestShocksAreGeneralisedLeastSquares(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var readings []Reading
	for i := range 40 {
		r := Reading{Steps: float64(1 + rng.IntN(3)), Y: rng.NormFloat64(), Var: 0.1 + rng.Float64()}
		r.Gap = r.Steps * (1 + rng.Float64())
		if i > 20 {
			r.Nuisance = [Nuisances]float64{math.Exp(-float64(i-20) / 3), math.Exp(-float64(i-20) / 9)}
		}
		if i == 30 {
			r.Renewed = [Nuisances]float64{0.7, 0.3}
		}
		readings = append(readings, r)
	}
	f := Filter{Noise: Noise{0.3, 0.1, 0.2, 0.4}, Prior: [Nuisances]float64{1, 0.5}}
	shocks, _ := f.Shocks(readings, nil, nil)
	course := make([]float64, len(readings))
	for i := range course {
		course[i] = rng.Float64()
	}
	along := f.Along(course)
	var chol mat.Cholesky
	if !chol.Factorize(covariance(f.Noise, f.Prior, readings)) {
		t.Fatal("the covariance isn't positive definite")
	}
	n := len(readings)
	y := mat.NewVecDense(n, nil)
	for i, r := range readings {
		y.SetVec(i, r.Y)
	}
	for i := range n {
		step, ramp := mat.NewVecDense(n, nil), mat.NewVecDense(n, nil)
		rise := 0.0
		for j := i; j < n; j++ {
			step.SetVec(j, 1)
			if j > i {
				rise += readings[j].Gap / rampUnit
			}
			ramp.SetVec(j, rise)
		}
		given := mat.NewVecDense(n, course)
		for what, x := range map[string]struct {
			by  *mat.VecDense
			got Estimate
		}{"step": {step, shocks[i].Step}, "ramp": {ramp, shocks[i].Ramp}, "course": {given, along}} {
			var sx mat.VecDense
			if err := chol.SolveVecTo(&sx, x.by); err != nil {
				t.Fatal(err)
			}
			want := Estimate{mat.Dot(&sx, y), mat.Dot(&sx, x.by)}
			if math.Abs(x.got.Score-want.Score) > 1e-9+1e-6*math.Abs(want.Score) || math.Abs(x.got.Info-want.Info) > 1e-9+1e-6*want.Info {
				t.Errorf("%s from %d on: got %+v, want %+v", what, i, x.got, want)
			}
		}
	}
}

// A noise is found again from the variances that it has itself.
func TestFitNoiseFindsItsOwn(t *testing.T) {
	want := Noise{0.01, 0.004, 0.002, 0.003}
	var seen []Spread
	for _, n := range []float64{1, 4, 16, 64, 256, 1024} {
		seen = append(seen, Spread{n, want.Over(n), want.Over(n) + 0.001/n, 4096 / n})
	}
	got := FitNoise(seen)
	for _, n := range []float64{1, 10, 100, 1000} {
		if a, b := got.Over(n), want.Over(n); math.Abs(a/b-1) > 0.05 {
			t.Errorf("variance over %v steps: got %.5f, want %.5f", n, a, b)
		}
	}
}
