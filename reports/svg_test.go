package reports

import (
	"math"
	"testing"
	"time"
)

// TestTicks: from seconds to months there are one to five labels, each once.
func TestTicks(t *testing.T) {
	start := time.Date(2026, 3, 6, 22, 17, 31, 0, time.UTC)
	for _, length := range []time.Duration{
		7 * time.Second, 40 * time.Second, 3 * time.Minute, 5 * time.Minute, 50 * time.Minute,
		5 * time.Hour, 12 * time.Hour, 30 * time.Hour, 7 * 24 * time.Hour, 100 * 24 * time.Hour,
	} {
		at, labels := span{start, start.Add(length)}.ticks()
		if len(at) < 1 || len(at) > 5 {
			t.Errorf("%s: got %d ticks: %v", length, len(at), labels)
		}
		seen := make(map[string]bool)
		for _, l := range labels {
			if seen[l] {
				t.Errorf("%s: the label %s stands twice", length, l)
			}
			seen[l] = true
		}
	}
}

func TestAxis(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []float64
		log    bool
	}{
		{"linear", []float64{0.01, 0.02}, false},
		{"linear, far apart", []float64{1e-12, 1}, false},
		{"logarithmic", []float64{0.01, 0.9}, true},
		{"logarithmic, close together", []float64{0.01, 0.02}, true},
		{"logarithmic zeros", []float64{0, 0}, true},
		{"zeros alone", []float64{0, 0}, false},
		{"nothing", nil, false},
		{"far apart", []float64{1e-12, 1}, true},
		{"infinite", []float64{1, math.Inf(1)}, false},
	} {
		a := newAxis(tc.values, 200, tc.log)
		if a.log != tc.log || len(a.ticks) < 2 || len(a.ticks) > 6 {
			t.Errorf("%s: got log %v, ticks %v", tc.name, a.log, a.ticks)
		}
		for _, v := range append(tc.values, -1, math.NaN(), math.Inf(1)) {
			if y := a.at(v); !(y >= 0 && y <= 200) {
				t.Errorf("%s: %v is drawn at %v, want 0 to 200", tc.name, v, y)
			}
		}
	}
}
