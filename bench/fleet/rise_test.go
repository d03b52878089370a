package fleet

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"aftershock/detector"
)

var rises = []struct {
	name string
	rise Rise
}{
	{"at once", Rise{Rate: 600, P99: 1.25}},
	{"one of four ahead", Rise{Rate: 6000, P99: 1.25, Apart: 180, Days: 2}},
}

func riseOf(t *testing.T, r Rise, seed uint64) *World {
	t.Helper()
	w, err := NewRise(r, seed)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestImpossibleRises(t *testing.T) {
	for _, r := range []Rise{
		{}, {Rate: 600, P99: 1}, {Rate: math.NaN(), P99: 1.25}, {Rate: 600, P99: 1.25, Apart: riseAfter}, {Rate: 600, P99: 1.25, Days: -1},
	} {
		if _, err := NewRise(r, 1); err == nil {
			t.Errorf("NewRise took %+v", r)
		}
	}
}

// The p99 rises by what is asked for, to other luck than that it was fitted to.
func TestRiseOfTheP99(t *testing.T) {
	for _, tt := range rises {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(4) {
				w := riseOf(t, tt.rise, seed)
				p := newProbe(w, w.faults[0].route)
				p.luck = w.rand.fork(4)
				before, after := p.quantile(0.99, false), p.quantile(0.99, true)
				if ratio := after / before; math.Abs(ratio-tt.rise.P99) > 0.03 {
					t.Errorf("seed %d: p99 from %.4f to %.4f s, by %.3f, want %v", seed, before, after, ratio, tt.rise.P99)
				}
				if f := w.faults[0]; f.times > 1.4 {
					t.Errorf("seed %d: own time by %.2f for a p99 by %v: something else makes the p99", seed, f.times, tt.rise.P99)
				}
			}
		})
	}
}

// Instances switch when they are meant to, with their layouts as they were.
func TestRiseSwitches(t *testing.T) {
	for _, tt := range rises {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(8) {
				w := riseOf(t, tt.rise, seed)
				if days := w.Upgrade / 1440; tt.rise.Days > 0 && days > tt.rise.Days {
					t.Errorf("seed %d: %d days of history, want %d at the most", seed, days, tt.rise.Days)
				}
				for _, d := range w.deploys {
					all := w.services[d.service].instances
					for n, in := range all {
						after := in.upgraded - d.at
						least := 0
						if n > 0 {
							least = tt.rise.Apart
						}
						if after < least || after > least+10 || in.layout != nil {
							t.Errorf("seed %d: instance %d switched %d minutes after the first, want %d and a bit", seed, n, after, least)
						}
					}
					if tt.rise.Apart > 0 && len(all) != beside {
						t.Errorf("seed %d: %d instances, want %d", seed, len(all), beside)
					}
				}
			}
		})
	}
}

// The route's requests are counted at the rate that is asked for, and nothing but
// the culprit's fault moves anything.
func TestRiseRateAndTruth(t *testing.T) {
	for _, tt := range rises {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := riseOf(t, tt.rise, 3)
			route, service := w.routes[w.faults[0].route].name, w.services[w.faults[0].service].name
			sum, minutes := 0.0, 0.0
			err := w.Frames(func(f detector.Frame) error {
				if !f.Time.After(w.Time(w.Upgrade)) || f.Time.After(w.Time(w.Upgrade+120)) {
					return nil
				}
				minutes++
				for _, p := range f.Points {
					if i := p.Indicator; i.Kind == detector.Latency && i.Service() == service && i.Route() == route {
						sum += p.Total
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := sum / minutes; math.Abs(got/tt.rise.Rate-1) > 0.03 {
				t.Errorf("%.0f requests a minute, want %.0f", got, tt.rise.Rate)
			}
			a := w.Answer()
			if !slices.Equal(a.Culprits, []string{"dten-" + service}) || len(a.Besides) > 0 {
				t.Errorf("culprits %v besides %v, want %s alone", a.Culprits, a.Besides, service)
			}
			own := false
			for _, s := range a.Shifted {
				own = own || s.Service == service
				if s.Kind != string(detector.Latency) || s.Route != route || !s.Worse {
					t.Errorf("%s of %s %s moved by %v", s.Kind, s.Service, s.Route, s.Ratio)
				}
			}
			if !own {
				t.Error("the culprit's own latency didn't move")
			}
		})
	}
}

func TestSameSeedSameRise(t *testing.T) {
	a, b := riseOf(t, rises[0].rise, 5), riseOf(t, rises[0].rise, 5)
	if !reflect.DeepEqual(a.course.load, b.course.load) || !reflect.DeepEqual(a.faults[0], b.faults[0]) {
		t.Error("two rises of one seed differ")
	}
}
