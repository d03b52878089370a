package detector

import (
	"math"
	"testing"
	"time"

	"aftershock/detector/hist"
	"aftershock/detector/stat"
)

// What never allows a bound to be chosen is kept for a while, not for ever.
func TestTrackWithoutBounds(t *testing.T) {
	tests := []struct {
		name   string
		counts func(step int) hist.Histogram
	}{
		{"every request is faster than the lowest bound", func(int) hist.Histogram {
			return hist.Histogram{Bounds: []float64{0.1, 1, math.Inf(1)}, Counts: []float64{100, 0, 0}}
		}},
		{"other bounds at every step", func(step int) hist.Histogram {
			x := 0.1 + float64(step)/1e4
			return hist.Histogram{Bounds: []float64{x, 10 * x, math.Inf(1)}, Counts: []float64{100, 100, 1}}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := NewJudge(Config{Step: time.Second})
			i := Indicator{Kind: Latency, Metric: "m", Labels: map[string]string{"service": "s"}}
			now := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
			for step := range 3000 {
				h := tt.counts(step)
				now = now.Add(time.Second)
				j.Observe(Frame{Time: now, Step: time.Second, Points: []Point{{Indicator: &i, Total: h.Total(), Hist: h}}})
			}
			track := j.tracks[i.Key()]
			if track == nil || track.Steps != 3000 {
				t.Fatal("the track didn't learn")
			}
			if len(track.Early) > mostEarly {
				t.Errorf("got %d early steps, want at most %d", len(track.Early), mostEarly)
			}
			if n := len(track.Base.Bounds); n > 1000 {
				t.Errorf("the baseline has %d bounds, want a bounded number", n)
			}
		})
	}
}

// What is learnt from few runs is trusted less than what is learnt from many; a past that
// isn't one of runs is as it was.
func TestFewRunsAreTrustedLess(t *testing.T) {
	t.Parallel()
	noise := stat.Noise{0.01, 0.02, 0.03, 0.04}
	track := &Track{}
	if got := track.doubtful(noise, &Config{}); got != noise {
		t.Errorf("without runs: got %v, want %v", got, noise)
	}
	last := math.Inf(1)
	for _, runs := range []int{2, 3, 5, 8, 20} {
		got := track.doubtful(noise, &Config{Runs: runs})
		over := got.Over(100)
		if !(over < last && over > noise.Over(100)) {
			t.Errorf("%d runs: a variance of %v over 100 steps, fewer runs have %v, the noise itself %v", runs, over, last, noise.Over(100))
		}
		last = over
	}
}
