package main

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// parts are the counters of n parts of a phase with calls of which a share fails, in runs
// of so many at once.
func parts(rng *rand.Rand, n, calls int, share float64, run int) []sample {
	all := []sample{{}}
	for range n {
		failed := 0.0
		for range calls / run {
			if rng.Float64() < share {
				failed += float64(run)
			}
		}
		last := all[len(all)-1]
		all = append(all, sample{third("requests"): last[third("requests")] + float64(calls), third("failed_calls"): last[third("failed_calls")] + failed})
	}
	return all
}

// A count's interval holds the truth about as often as it says, also where failures come
// several at once; a count of nothing isn't sure to be nothing.
func TestCountedHoldsTheTruth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, run := range []int{1, 5} {
		held := 0
		const tries = 2000
		for range tries {
			if c := counted(parts(rng, 10, 150, 0.02, run), third("failed_calls"), third("requests")); c.Low <= 0.02 && 0.02 <= c.High {
				held++
			}
		}
		if share := float64(held) / tries; share < 0.90 || share > 0.99 {
			t.Errorf("in runs of %d: %.3f of the intervals hold the truth, want about 0.95", run, share)
		}
	}
	none := counted(parts(rng, 10, 150, 0, 1), third("failed_calls"), third("requests"))
	if none.Value != 0 || none.Low != 0 || none.High < 1./1500 || none.High > 5./1500 {
		t.Errorf("of no failure in 1500 calls: %+v", none)
	}
	for _, few := range [][]sample{nil, {{}}, {{}, {}}} {
		if c := counted(few, third("failed_calls"), third("requests")); !math.IsNaN(c.Value) {
			t.Errorf("of %d parts without calls: %+v", len(few), c)
		}
	}
}

// What is more than foretold is said to be, and what is within the errors of both isn't.
func TestCompare(t *testing.T) {
	foretold := estimate{Value: 0.009, Error: 0.001}
	for _, tt := range []struct {
		name  string
		count interval
		want  string
	}{
		{"as much", around(0.0095, 0.002, 9), "as foretold"},
		{"more, but hardly counted", around(0.02, 0.008, 9), "as foretold"},
		{"more than twice as much", around(0.02, 0.003, 9), "more than foretold"},
		{"none", around(0, 0.001, 9), "less than foretold"},
		{"not counted", counted(nil, "a", "b"), "as foretold"},
		{"without error", around(0.02, 0, 9), "more than foretold"},
	} {
		c := compare("calls lost", percent, foretold, tt.count)
		if c.Verdict != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, c.Verdict, tt.want)
		}
	}
	got := compare("calls lost", percent, foretold, around(0.02, 0.003, 9)).words()
	if want := "calls lost more than foretold; foretold were 0.90% (0.70% to 1.10%), counted 2.00% (1.32% to 2.68%)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Both as exact as they are: of a hundred true forecasts about five are missed.
	rng := rand.New(rand.NewPCG(2, 1))
	missed := 0
	const tries = 2000
	for range tries {
		said := estimate{Value: 0.02 + 0.002*rng.NormFloat64(), Error: 0.002}
		_, more := held(row{Failed: said}, parts(rng, 10, 150, 0.02, 1))
		if more {
			missed++
		}
	}
	if share := float64(missed) / tries; share > 0.05 || share < 0.005 {
		t.Errorf("%.3f of true forecasts are told to be less than what came, want about 0.025", share)
	}
	all, more := held(row{Failed: foretold}, parts(rng, 10, 150, 0.05, 1))
	if !more || len(all) != 2 || !strings.HasPrefix(all[0].words(), "calls lost more than foretold") || !strings.HasPrefix(all[1].words(), "retries per call as foretold") {
		t.Errorf("got %+v", all)
	}
	if all, more := held(row{Failed: foretold}, []sample{{}}); more || len(all) != 0 {
		t.Errorf("of nothing: %+v", all)
	}
}
