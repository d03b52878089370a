package detector_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"aftershock/detector"
)

// What hardly ever failed, or never, and now fails often is found within half an
// hour: the plainest of all regressions.
func TestRareErrorsThatBecomeCommon(t *testing.T) {
	for _, tt := range []struct {
		name          string
		rate          float64 // requests a minute
		before, after float64 // share of failures
	}{
		{"never, then half", 100, 0, 0.5},
		{"never, then a tenth", 1000, 0, 0.1},
		{"once a day, then half", 100, 1.0 / 144_000, 0.5},
		{"once in two hours, then a tenth", 100, 1.0 / 12_000, 0.1},
		{"once in ten minutes, then a tenth", 100, 1.0 / 1000, 0.1},
		{"twice a minute, then a tenth", 100, 1.0 / 50, 0.1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, j := newTown(8, nil), detector.NewJudge(detector.Config{})
			share := tt.before
			minute := func() {
				f := w.frame()
				f.Points = append(f.Points, detector.Point{
					Indicator: backErrors, Instance: "back-a", Total: tt.rate, Bad: math.Min(tt.rate, w.poisson(tt.rate*share)),
					FirstFailures: -1, Retried: -1,
				})
				j.Observe(f)
			}
			for range 2 * 1440 {
				minute()
			}
			j.Watch(townUpgrade(w.now))
			share = tt.after
			const limit = 6 * 60
			for after := 1; after <= limit; after++ {
				minute()
				for _, e := range j.Look() {
					if e.Event == detector.EventShift && e.Direction == detector.Worse {
						if delay := time.Duration(after) * time.Minute; delay > 30*time.Minute {
							t.Errorf("found after %s", delay)
						}
						return
					}
				}
			}
			t.Errorf("not found within %d minutes: %s", limit, j.Verdicts("u")[0].Missing)
		})
	}
}

// What an indicator was before it fell is told as its baseline had it, however few
// failures are left to divide by.
func TestTheLevelBeforeAnImprovement(t *testing.T) {
	const before = 0.02
	for _, after := range []float64{0.01, 0.001, 0.0001, 0} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			w, j := newTown(9, nil), detector.NewJudge(detector.Config{})
			share := before
			minute := func() {
				const rate = 200
				f := w.frame()
				f.Points = append(f.Points, detector.Point{
					Indicator: backErrors, Instance: "back-a", Total: rate, Bad: math.Min(rate, w.poisson(rate*share)),
					FirstFailures: -1, Retried: -1,
				})
				j.Observe(f)
			}
			for range 2 * 1440 {
				minute()
			}
			j.Watch(townUpgrade(w.now))
			share = after
			for range 3 * 60 {
				minute()
				j.Look()
			}
			for _, v := range j.Verdicts("u") {
				if v.Indicator.Kind != detector.Error {
					continue
				}
				if v.State != detector.Improved || v.Effect == nil {
					t.Fatalf("the improvement wasn't found: %+v", v)
				}
				if got := v.Effect.Before; math.Abs(got-before) > 0.15*before {
					t.Errorf("it was %.4f, and is told as %.4f (after %.5f, ratio %.3f)", before, got, v.Effect.After, v.Effect.Ratio)
				}
			}
		})
	}
}
