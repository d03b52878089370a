package detector

import (
	"math"
	"strings"
	"testing"
	"time"

	"aftershock/detector/hist"
)

// relaid is a frame with the buckets of the front's new build in another layout,
// of which 0.1 s is the only bound that the old one has, or none.
func relaid(f Frame, lowest float64) Frame {
	for i := range f.Points {
		p := &f.Points[i]
		if p.Version != "2" || p.Indicator.Labels["service"] != "front" {
			continue
		}
		c := p.Hist.Counts
		p.Hist = hist.Histogram{
			Bounds: []float64{lowest, 0.8, 2, math.Inf(1)},
			Counts: []float64{c[0] + c[1], c[2] + c[3] + math.Floor(c[4]/2), math.Ceil(c[4] / 2), c[5]},
		}
	}
	return f
}

func TestLayoutThatSharesNoneOfTheWatchedBounds(t *testing.T) {
	for _, effect := range []float64{1, 3} {
		f := newFleet(11, 2000)
		f.upgrade = epoch.Add(48 * time.Hour)
		f.effect["front"] = effect
		j := NewJudge(Config{})
		j.Watch(testUpgrade(f.upgrade))
		var got []Event
		for i := 1; i <= 54*60; i++ {
			j.Observe(relaid(f.frame(epoch.Add(time.Duration(i)*time.Minute)), 0.1))
			got = append(got, j.Look()...)
		}
		var found *Event
		for i := range got {
			if got[i].Event == EventShift && got[i].Indicator.Labels["service"] == "front" {
				found = &got[i]
			}
		}
		if effect == 1 && found != nil {
			t.Errorf("a changed layout alone is told as a shift: %+v", found.Effect)
		}
		if effect == 3 && (found == nil || found.Direction != Worse || found.Effect.What != "share of requests over 0.1 s") {
			t.Errorf("the shift at the bound that both layouts have is told as %+v", found)
		}
		for _, v := range j.Verdicts("u") {
			if v.Indicator.Labels["service"] == "front" && v.Indicator.Kind == Latency && !strings.Contains(strings.Join(v.Warnings, "\n"), "layout") {
				t.Errorf("nothing is said of the layout: %q", v.Warnings)
			}
		}
	}
}

// Where no bound is shared there is nothing to compare: the verdict stays undecided,
// and a new baseline is learnt, by which the next upgrade is judged.
func TestLayoutThatSharesNoBoundBeginsANewBaseline(t *testing.T) {
	f := newFleet(12, 2000)
	f.upgrade = epoch.Add(48 * time.Hour)
	f.effect["front"] = 1
	j := NewJudge(Config{Duration: 24 * time.Hour})
	j.Watch(testUpgrade(f.upgrade))
	next := testUpgrade(epoch.Add(96 * time.Hour))
	next.ID = "next"
	found := false
	for i := 1; i <= 100*60; i++ {
		at := epoch.Add(time.Duration(i) * time.Minute)
		if at.Equal(next.StartedAt) {
			for _, v := range j.Verdicts("u") {
				if v.Indicator.Labels["service"] == "front" && v.Indicator.Kind == Latency && v.State != Undecided {
					t.Errorf("%s is said without anything to compare", v.State)
				}
			}
			j.Watch(next)
			f.effect["front"] = 3
		}
		j.Observe(relaid(f.frame(at), 0.12))
		for _, e := range j.Look() {
			if e.Event != EventShift || e.Indicator.Labels["service"] != "front" {
				continue
			}
			if !at.After(next.StartedAt) {
				t.Fatalf("%v: a shift without anything to compare: %+v", at, e.Effect)
			}
			found = true
		}
	}
	if !found {
		t.Error("with the new baseline nothing is found")
	}
}

// A service that is busy and slow on working days alone is no regression on a Monday
// once its baseline has seen weekends.
func TestWeekendsAreLearnt(t *testing.T) {
	cfg := Config{}
	cfg.SetDefaults()
	var pool Pool
	tr := newTrack(Indicator{Kind: Error, Metric: "m"})
	rate := func(at time.Time) float64 {
		if d := at.Weekday(); d == time.Saturday || d == time.Sunday {
			return 10
		}
		return 20
	}
	var off [2]float64 // mean log of what is expected over what comes, Mondays of the first and the fourth week
	for i := range 29 * 24 * 60 {
		at := epoch.Add(time.Duration(i) * time.Minute)
		tr.take(at, &Point{Total: 1000, Bad: rate(at), FirstFailures: -1}, false)
		tr.scratch.settle()
		week := i / (7 * 24 * 60)
		if at.Weekday() == time.Monday && at.Hour() >= 6 && (week == 1 || week == 4) {
			x := tr.Models[0].at(at, cfg.Day, 1000, 0)
			off[week/4] += math.Log(tr.Models[0].expect(&x, 1000)/rate(at)) / (18 * 60)
		}
		tr.step(at, &cfg, &pool)
	}
	t.Logf("expected over counted on the second Monday %+.2f, on the fifth %+.2f", off[0], off[1])
	if math.Abs(off[1]) > 0.05 {
		t.Errorf("on the fifth Monday %+.0f%% are expected beyond what comes", 100*math.Expm1(off[1]))
	}
}
