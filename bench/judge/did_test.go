package main

import (
	"math"
	"testing"
	"time"

	"aftershock/detector"
)

// town is three services with two instances each, of which a calls b, and c is left
// alone. At noon the first instances of a and b are upgraded, and some time later the
// second ones. The new build of b fails more often by so many in a thousand, half of
// which all of a's instances pass on; at noon, too, everything gets worse by half.
func town(apart time.Duration, more float64) *did {
	u := detector.Upgrade{StartedAt: noon}
	for _, s := range []string{"a", "b"} {
		u.Binaries = append(u.Binaries, detector.Binary{
			Name: "bin-" + s, From: "1", To: "2", Selector: map[string]string{"service": s}, DeployedAt: noon,
		})
	}
	d := newDID(&paths{upgrade: u, calls: map[string]map[string]bool{"a": {"b": true}}})
	known := map[string]*detector.Indicator{}
	for _, s := range []string{"a", "b", "c"} {
		known[s] = &detector.Indicator{Kind: detector.Error, Metric: "errors", Labels: map[string]string{"service": s, "http_route": "/x"}}
	}
	for at := noon.Add(-65 * time.Minute); at.Before(noon.Add(2 * time.Hour)); at = at.Add(time.Minute) {
		f, passed := detector.Frame{Time: at}, 0.0
		for _, s := range []string{"b", "a", "c"} {
			for n := range 2 {
				p := detector.Point{Indicator: known[s], Version: "1", Total: 1000, Bad: 20 + float64((at.Minute()*7/5+n)%3)}
				if s != "c" && at.After(noon.Add(time.Duration(n)*apart)) {
					p.Version = "2"
				}
				switch {
				case s == "a":
					p.Bad += passed
				case p.Version == "2":
					p.Bad += more
					passed += more / 4
				}
				if at.After(noon) {
					p.Bad *= 1.5
				}
				f.Points = append(f.Points, p)
			}
		}
		d.add(f)
	}
	return d
}

func (d *did) of(service string) *detector.Indicator {
	for _, in := range d.known {
		if in.Service() == service {
			return in
		}
	}
	return nil
}

// The culprit is told from its caller: by the instances that hadn't switched where
// these take their time, else by how much more it got worse than a service left alone.
// What befalls all services is nobody's doing.
func TestDifferenceInDifferences(t *testing.T) {
	for _, tt := range []struct {
		name   string
		apart  time.Duration
		more   float64
		surely bool
	}{
		{"at once", 0, 20, true},
		{"an hour apart", time.Hour, 20, true},
		{"innocent, at once", 0, 0, false},
		{"innocent, an hour apart", time.Hour, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, now := town(tt.apart, tt.more), noon.Add(50*time.Minute)
			name, z := d.name(d.of("a"), now)
			if tt.surely && name != "bin-b" || (z >= 2) != tt.surely {
				t.Errorf("names %s at z %.1f", name, z)
			}
			if upper := d.effect(d.of("a"), d.paths.upgrade.Binaries[0], now); tt.apart > 0 && upper >= 2 {
				t.Errorf("the caller's instances differ by z %.1f, though they suffer alike", upper)
			}
		})
	}
}

// Two samples: two more on the average, with a standard deviation of 1.
func TestStandardised(t *testing.T) {
	for _, tt := range []struct {
		before, after []float64
		want          float64
	}{
		{[]float64{-1, 0, 1}, []float64{1, 2, 3}, 2 / math.Sqrt(2.0/3)},
		{nil, []float64{1, 2, 3}, 2 / math.Sqrt(1.0/3)},
		{[]float64{1}, []float64{1}, math.Inf(-1)},
		{[]float64{1, 2}, nil, math.Inf(-1)},
	} {
		if got := standardised(tt.before, tt.after); got != tt.want && math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%v after %v: %v, want %v", tt.after, tt.before, got, tt.want)
		}
	}
}
