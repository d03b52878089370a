package detector_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"aftershock/detector"
)

// history is how long a town is watched before its upgrade.
const history = 30 * time.Hour

// chanceOf is the probability that of n runs at least k do what each does with
// probability p.
func chanceOf(k, n int, p float64) float64 {
	if k == 0 {
		return 1
	}
	return 1 - distuv.Binomial{N: float64(n), P: p}.CDF(float64(k-1))
}

// Upgrades that change nothing raise a false alarm in no more than 1 of 20, all
// indicators and six hours of looking taken together: the promise at the default
// confidence. The same towns show that the judge isn't merely silent.
func TestCalibrationOnQuietTowns(t *testing.T) {
	const towns = 40
	alarms, found := 0, 0
	for seed := range uint64(towns) {
		w, j := newTown(seed, allKinds), detector.NewJudge(detector.Config{})
		w.settle(j, history)
		state, err := j.Save()
		if err != nil {
			t.Fatal(err)
		}
		quiet := w.fork(seed, 1).shifts(j, 6*time.Hour, 10*time.Minute, true)
		if len(quiet) > 0 {
			alarms++
			t.Logf("town %d: %s %s after %s", seed, quiet[0].Indicator.Name(), quiet[0].Direction, quiet[0].Time.Sub(w.upgrade))
		}
		if j, err = detector.Restore(detector.Config{}, state); err != nil {
			t.Fatal(err)
		}
		if len(w.fork(seed, 1.5).shifts(j, 2*time.Hour, 10*time.Minute, true)) > 0 {
			found++
		}
	}
	if p := chanceOf(alarms, towns, 0.05); p < 1e-3 {
		t.Errorf("shifts in %d of %d quiet upgrades: if 1 in 20 were true, that had a probability of %.2g", alarms, towns, p)
	}
	if found < towns*9/10 {
		t.Errorf("a rise by half was found in %d of %d towns within two hours, want nine tenths", found, towns)
	}
}

// A fall is found as a rise is, as better instead of worse: in towns whose luck
// and drifts are turned over with the effect, about as often and about as soon.
func TestSymmetry(t *testing.T) {
	const towns = 20
	for _, in := range allKinds {
		t.Run(string(in.Kind), func(t *testing.T) {
			var delays [2][]float64
			found := [2]int{}
			for seed := range uint64(towns) {
				for side, want := range []string{detector.Worse, detector.Better} {
					w, j := newTown(seed, []*detector.Indicator{in}), detector.NewJudge(detector.Config{})
					w.mirrored = side == 1
					w.settle(j, history)
					w = w.fork(seed, math.Pow(1.2, float64(1-2*side)))
					delay := math.Inf(1)
					if got := w.shifts(j, 4*time.Hour, 5*time.Minute, true); len(got) > 0 {
						found[side]++
						delay = got[0].Time.Sub(w.upgrade).Minutes()
						if got[0].Direction != want {
							t.Errorf("town %d: a shift by %.2f is called %s", seed, w.factor, got[0].Direction)
						}
					}
					delays[side] = append(delays[side], delay)
				}
			}
			if d := found[0] - found[1]; found[0]+found[1] < towns || d > towns/5 || d < -towns/5 {
				t.Errorf("of %d, %d rises were found and %d falls", towns, found[0], found[1])
			}
			rise, fall := middle(delays[0]), middle(delays[1])
			if math.Max(rise, fall) > 1.5*math.Min(rise, fall)+10 {
				t.Errorf("rises are found after %v minutes in the median, falls after %v", rise, fall)
			}
		})
	}
}

func middle(x []float64) float64 { return slices.Sorted(slices.Values(x))[len(x)/2] }

// With the same luck, a larger effect is never found later.
func TestMonotonicity(t *testing.T) {
	factors := []float64{1.15, 1.3, 1.6, 2.2, 4, 10}
	for _, in := range allKinds {
		t.Run(string(in.Kind), func(t *testing.T) {
			for seed := range uint64(8) {
				w, j := newTown(100+seed, []*detector.Indicator{in}), detector.NewJudge(detector.Config{})
				w.settle(j, history)
				state, err := j.Save()
				if err != nil {
					t.Fatal(err)
				}
				const limit = 2 * time.Hour
				last := limit
				for _, factor := range factors {
					if j, err = detector.Restore(detector.Config{}, state); err != nil {
						t.Fatal(err)
					}
					delay := limit
					if got := w.fork(seed, factor).shifts(j, limit, time.Minute, true); len(got) > 0 {
						delay = got[0].Time.Sub(w.upgrade)
					}
					if delay > last {
						t.Errorf("town %d: by %v found after %s, a smaller effect after %s", seed, factor, delay, last)
					}
					last = delay
				}
				if last > 30*time.Minute {
					t.Errorf("town %d: by %v found after %s, want half an hour at the most", seed, factors[len(factors)-1], last)
				}
			}
		})
	}
}
