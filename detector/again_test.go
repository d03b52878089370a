package detector

import (
	"math"
	"testing"
	"time"
)

// What was counted in a burst says nothing of another shift once the burst is over: for
// five hours on nothing is found again.
func TestABurstThatIsOverIsNotFoundAgain(t *testing.T) {
	for seed := range uint64(6) {
		f := newFleet(300+seed, 1500)
		f.upgrade = epoch.Add(30 * time.Hour)
		f.effect = map[string]float64{"back": 4}
		f.cured = f.upgrade.Add(45 * time.Minute)
		j := NewJudge(Config{})
		replay(f, j, epoch, 30*60)
		j.Watch(testUpgrade(f.upgrade))
		said := map[string]int{}
		for _, e := range replay(f, j, f.upgrade, 6*60) {
			if e.Indicator.Name() == "tail latency of back" && e.Event != EventVerdict {
				said[e.Event]++
				if e.Event == EventShift && e.Time.After(f.cured.Add(90*time.Minute)) {
					t.Errorf("seed %d: %s at +%v", seed, e.Direction, e.Time.Sub(f.upgrade))
				}
			}
		}
		if said[EventShift] == 0 || said[EventRecovered] != 1 {
			t.Errorf("seed %d: %d shifts and %d recoveries, want some and one", seed, said[EventShift], said[EventRecovered])
		}
	}
}

// A shift that comes back after the first was over is found as another. Under the same
// binary it is one story, which began when it first did.
func TestAShiftThatComesBackIsFound(t *testing.T) {
	f := newFleet(41, 1500)
	f.upgrade = epoch.Add(30 * time.Hour)
	f.effect = map[string]float64{"back": 4}
	f.cured = f.upgrade.Add(45 * time.Minute)
	j := NewJudge(Config{})
	replay(f, j, epoch, 30*60)
	j.Watch(testUpgrade(f.upgrade))
	replay(f, j, f.upgrade, 4*60)
	if got := state(t, j, "tail latency of back"); got == Regressed {
		t.Fatal("three hours after its end the shift still stands")
	}
	first := f.upgrade
	f.upgrade, f.cured = f.upgrade.Add(4*time.Hour), time.Time{}
	found := time.Duration(-1)
	for _, e := range replay(f, j, f.upgrade, 60) {
		if e.Event == EventShift && e.Indicator.Name() == "tail latency of back" && found < 0 {
			found = e.Time.Sub(f.upgrade)
			want, name := f.upgrade, ""
			for _, c := range e.Causes[:min(2, len(e.Causes))] {
				if c.Kind == CauseBinary && c.Name == "back-bin" {
					want, name = first, c.Name
				}
			}
			if e.Onset.Earliest.After(want.Add(5*time.Minute)) || e.Onset.Latest.Before(want.Add(-30*time.Minute)) {
				t.Errorf("told under %q its onset is said to be at %v..%v, want it around %v", name, e.Onset.Earliest, e.Onset.Latest, want)
			}
		}
	}
	if found < 0 || found > 30*time.Minute {
		t.Errorf("found after %v, want within 30m", found)
	}
}

func TestFirstAttemptsTellTheThirdParty(t *testing.T) {
	double := math.Log(2)
	for _, tt := range []struct {
		name                     string
		firsts, retries, counted float64
		low, high                float64
	}{
		{"they rise as retries do", double, double, 400, 0.8, 1.3},
		{"they stay", 0, double, 400, -20, -4},
		{"they stay, but there are few", 0, double, 4, -1.5, -0.1},
		{"they rise by half as much", double / 2, double, 400, -2, 1.3},
		{"retries and they get less", -double, -double, 400, 0.8, 1.3},
	} {
		if got := firstsFactor(tt.firsts, tt.retries, tt.counted); got < tt.low || got > tt.high {
			t.Errorf("%s: log Bayes factor %.2f, want between %v and %v", tt.name, got, tt.low, tt.high)
		}
	}
}

// Whoever retries more often fails less: that errors fall as retries rise bears out
// that it was the binary that serves both.
func TestWhatGetsBetterBearsOutABinary(t *testing.T) {
	own := &Track{Indicator: Indicator{Kind: Retry, Labels: map[string]string{"service": "back", "peer": "acme"}}}
	errs := &Track{Indicator: Indicator{Kind: Error, Labels: map[string]string{"service": "back"}}}
	other := &sight{moved: moved{track: errs}, along: []float64{-3}, any: -2, group: "error"}
	h := &hearing{m: &sight{moved: moved{track: own}}, others: []*sight{other}}
	moves := func(Indicator) float64 { return movesOwn }
	plus, minus := h.follow(moves, 0)
	if plus != 0 || minus > -0.5 {
		t.Errorf("errors that stayed: plus %v and minus %v, want none and some", plus, minus)
	}
	other.reverse = &sight{along: []float64{20}, any: 20}
	plus, minus = h.follow(moves, 0)
	if plus < 0.3 || minus != 0 {
		t.Errorf("errors that fell: plus %v and minus %v, want some and none", plus, minus)
	}
}
