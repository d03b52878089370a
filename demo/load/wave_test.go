package main

import (
	"math"
	"testing"
	"time"
)

func TestArrivalsFollowTheWave(t *testing.T) {
	w := wave{rate: 100, amplitude: .5, day: 10 * time.Second}
	start := time.Unix(1000, 0) // a whole number of days
	var quarters [4]int
	n := 0
	for at := w.next(start); at.Before(start.Add(1000 * time.Second)); at = w.next(at) {
		quarters[at.Sub(start)%w.day/(w.day/4)]++
		n++
	}
	if math.Abs(float64(n)-1e5) > 5*math.Sqrt(1e5) {
		t.Errorf("got %d arrivals, want 100000", n)
	}
	// Over a quarter of the day the sine averages 2/pi.
	up := 25000 * (1 + .5*2/math.Pi)
	for q, want := range []float64{up, up, 50000 - up, 50000 - up} {
		if math.Abs(float64(quarters[q])-want) > 5*math.Sqrt(want) {
			t.Errorf("quarter %d: got %d arrivals, want %.0f", q, quarters[q], want)
		}
	}
}
