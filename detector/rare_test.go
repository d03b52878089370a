package detector_test

import (
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
