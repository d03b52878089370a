package detector_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
)

// page is a service with a summary: each instance shows the p50, p90 and p99 of the
// last ten minutes, and so does client_golang. What a p99 would be if it knew all
// requests drifts as an AR(1) process that forgets within half an hour, besides as the
// shares of a town do.
type page struct {
	*town
	summary *detector.Indicator
	level   float64
	recent  [][]float64 // log values of the last minutes, by instance
	// window is the minutes of the summary.
	window int
	counts bool
	// empty is the chance that an instance has nothing to show in a minute.
	empty float64
}

func newPage(seed uint64) *page {
	w := newTown(seed, []*detector.Indicator{{Kind: detector.Latency}})
	return &page{
		town: w, window: 10, counts: true, recent: make([][]float64, 5),
		summary: &detector.Indicator{Kind: detector.Latency, Metric: "rpc_seconds", Labels: map[string]string{"service": "back"}},
	}
}

func (p *page) frame() detector.Frame {
	p.now = p.now.Add(time.Minute)
	phase := 2 * math.Pi * float64(p.now.Unix()%86400) / 86400
	load := p.rate * (1 + 0.3*math.Sin(phase))
	p.level = 0.97*p.level + 0.08*math.Sqrt(1-0.97*0.97)*p.rng.NormFloat64()
	level := math.Log(0.3*p.share(0)) + 0.1*math.Sin(phase) + p.level
	f := detector.Frame{Time: p.now, Step: time.Minute, Up: 1, Targets: 1}
	for n := range p.instances {
		r := append(p.recent[n], level+0.12*p.rng.NormFloat64())
		r = r[max(0, len(r)-p.window):]
		if p.recent[n] = r; p.rng.Float64() < p.empty {
			continue
		}
		mean := 0.0
		for _, x := range r {
			mean += x / float64(len(r))
		}
		point := detector.Point{
			Indicator: p.summary, Instance: "back-" + string(rune('a'+n)), FirstFailures: -1, Retried: -1,
			Quantiles: []detector.Quantile{{Q: 0.5, Value: 0.1 * math.Exp(mean)}, {Q: 0.9, Value: 0.5 * math.Exp(mean)}, {Q: 0.99, Value: math.Exp(mean)}},
		}
		if p.counts {
			point.Total = math.Round(load / float64(p.instances))
		}
		f.Points = append(f.Points, point)
	}
	return f
}

// restart empties the windows, as the upgrade of all instances does.
func (p *page) restart() {
	for n := range p.recent {
		p.recent[n] = nil
	}
	p.upgrade = p.now
}

// shift lets a judge watch the page for so long up to its upgrade and for so long
// after it, with a look every five minutes, and answers the first shift.
func (p *page) shift(j *detector.Judge, before, after time.Duration) *detector.Event {
	for range int(before / time.Minute) {
		j.Observe(p.frame())
	}
	p.restart()
	j.Watch(townUpgrade(p.now))
	for m := range int(after / time.Minute) {
		j.Observe(p.frame())
		if m%5 != 0 {
			continue
		}
		for _, e := range j.Look() {
			if e.Event == detector.EventShift {
				return &e
			}
		}
	}
	return nil
}

// Quiet summaries give hardly any alarm, be their history two days or six hours: of
// forty upgrades that change nothing, at most four at a level of 5% each (the chance of
// more is 5% where the level is just kept). With the made-up counts' variance taken off
// the noise, as that of true counts is, more than half did.
func TestQuietSummariesGiveHardlyAnyAlarm(t *testing.T) {
	alarms := 0
	for seed := range uint64(40) {
		p := newPage(100 + seed)
		p.counts, p.instances = seed%3 > 0, 1+int(seed%2)*2
		before := 6 * time.Hour
		if seed%4 > 0 {
			before = 2 * 24 * time.Hour
		}
		if e := p.shift(detector.NewJudge(detector.Config{}), before, 8*time.Hour); e != nil {
			t.Logf("seed %d: %s %+v after %s", seed, e.Direction, *e.Effect, p.now.Sub(p.upgrade))
			alarms++
		}
	}
	if alarms > 4 {
		t.Errorf("%d of 40 quiet summaries gave an alarm, want at most 4", alarms)
	}
}

// A p99 that is half as much again is found, and told in seconds.
func TestSlowerSummaryIsFound(t *testing.T) {
	var delays []time.Duration
	const runs = 9
	for seed := range uint64(runs) {
		p := newPage(200 + seed)
		p.counts, p.instances, p.factor = seed%3 > 0, 1+int(seed%3), 1.5
		if p.empty = 0; seed%2 == 0 {
			p.empty = 0.1
		}
		j := detector.NewJudge(detector.Config{})
		e := p.shift(j, 2*24*time.Hour, 6*time.Hour)
		delay := p.now.Sub(p.upgrade)
		if e == nil {
			t.Logf("seed %d: not found: %+v %s", seed, j.Verdicts("u")[0].Effect, j.Verdicts("u")[0].Missing)
			delay = 24 * time.Hour
		} else {
			t.Logf("seed %d after %s: %+v", seed, delay, *e.Effect)
			checkSummary(t, p, e)
		}
		delays = append(delays, delay)
	}
	slices.Sort(delays)
	if median := delays[runs/2]; median > 90*time.Minute || delays[runs-2] > 6*time.Hour {
		t.Errorf("delays %v: want a median of at most 90 minutes, and all but one found", delays)
	}
}

// checkSummary checks what is said of a shift by one and a half.
func checkSummary(t *testing.T, p *page, e *detector.Event) {
	t.Helper()
	x := e.Effect
	want := "p99 (gauge)"
	if p.counts {
		want = "p99 (summary)"
	}
	switch {
	case e.Direction != detector.Worse:
		t.Errorf("direction %s", e.Direction)
	case x.What != want && !strings.HasPrefix(x.What, "p90 ("):
		t.Errorf("what: %q, want %q or that of p90", x.What, want)
	case x.Low > 1.6 || x.High < 1.4:
		t.Errorf("the interval %g to %g isn't near 1.5", x.Low, x.High)
	case x.Before < 0.1 || x.Before > 0.4 || math.Abs(x.Ratio-x.After/x.Before) > 1e-6:
		t.Errorf("before %g, after %g, ratio %g: want seconds near 0.3 (0.15 for p90) and their ratio", x.Before, x.After, x.Ratio)
	case len(e.Quantiles) > 0:
		t.Errorf("quantiles %+v that no buckets tell of", e.Quantiles)
	case !slices.ContainsFunc(e.Warnings, func(w string) bool { return strings.Contains(w, "weaker claim") }):
		t.Errorf("warnings %q don't say that the claim is a weaker one", e.Warnings)
	}
}

// What is missing is not zero: a judge of a summary that is gone, or of a gauge that
// fell to zero, says nothing.
func TestMissingQuantilesAreNoImprovement(t *testing.T) {
	for _, gone := range []float64{math.NaN(), 0, math.Inf(1), -1} {
		p, j := newPage(300), detector.NewJudge(detector.Config{})
		for range 24 * 60 {
			j.Observe(p.frame())
		}
		p.restart()
		j.Watch(townUpgrade(p.now))
		for range 60 {
			f := p.frame()
			for i := range f.Points[0].Quantiles {
				f.Points[0].Quantiles[i].Value = gone
			}
			j.Observe(f)
		}
		for _, e := range j.Look() {
			t.Errorf("all values %g: %+v", gone, e)
		}
		for _, v := range j.Verdicts("u") {
			if v.State != detector.Undecided || v.Effect != nil {
				t.Errorf("all values %g: %s, %+v", gone, v.State, v.Effect)
			}
		}
	}
}

// A judge of summaries that is saved and restored goes on as if nothing had been,
// also before it has chosen its quantiles; and the order of points says nothing.
func TestSummariesAreRestored(t *testing.T) {
	hear := func(stop bool) (out []detector.Event, verdicts []detector.Verdict) {
		p, j := newPage(400), detector.NewJudge(detector.Config{})
		p.factor, p.instances, p.empty = 2, 3, 0.05
		rng := rand.New(rand.NewPCG(1, 1))
		for m := range 14 * 60 {
			if m == 12*60 {
				p.restart()
				j.Watch(townUpgrade(p.now))
			}
			f := p.frame()
			if stop {
				rng.Shuffle(len(f.Points), func(a, b int) { f.Points[a], f.Points[b] = f.Points[b], f.Points[a] })
			}
			j.Observe(f)
			if m%5 == 0 {
				out = append(out, j.Look()...)
			}
			if stop && (m == 5 || m%50 == 0) {
				state, err := j.Save()
				if err != nil {
					t.Fatal(err)
				}
				if j, err = detector.Restore(detector.Config{}, state); err != nil {
					t.Fatal(err)
				}
			}
		}
		return out, j.Verdicts("u")
	}
	events, verdicts := hear(false)
	if len(events) == 0 || len(verdicts) == 0 || len(verdicts[0].Course) == 0 {
		t.Fatalf("nothing to compare: %d events, verdicts %+v", len(events), verdicts)
	}
	for _, c := range verdicts[0].Course {
		if x := c.Bad / c.Total; x < 0.05 || x > 1.5 || c.Total < 0.3 || c.Expected < 0.05 || c.Expected > 0.6 {
			t.Errorf("%+v isn't in seconds over steps", c)
		}
	}
	again, verdictsAgain := hear(true)
	if d := cmp.Diff(lines(t, events, verdicts), lines(t, again, verdictsAgain)); d != "" {
		t.Errorf("restarts change what is said (-without +with):\n%s", d)
	}
}

// Several instances are combined by the mean of the logarithms weighted by requests,
// or by the median where those aren't counted: one that runs wild doesn't move that.
func TestOneWildInstanceOfGaugesIsNoShift(t *testing.T) {
	p, j := newPage(500), detector.NewJudge(detector.Config{})
	p.instances, p.counts = 3, false
	for m := range 30 * 60 {
		if m == 24*60 {
			p.restart()
			j.Watch(townUpgrade(p.now))
		}
		f := p.frame()
		if m >= 24*60 {
			for i := range f.Points[2].Quantiles {
				f.Points[2].Quantiles[i].Value *= 20
			}
		}
		j.Observe(f)
		if m%10 != 0 {
			continue
		}
		for _, e := range j.Look() {
			if e.Event == detector.EventShift && e.Effect.Ratio > 1.5 {
				t.Errorf("one instance of three moved the median: %+v", *e.Effect)
			}
		}
	}
}

// A shift that a flag cures is seen to be over, though the summary's window takes ten
// minutes to forget it.
func TestCuredSummaryRecovers(t *testing.T) {
	cured := 0
	const runs = 5
	for seed := range uint64(runs) {
		p, j := newPage(600+seed), detector.NewJudge(detector.Config{})
		p.factor, p.instances = 2, 2
		if p.shift(j, 2*24*time.Hour, 6*time.Hour) == nil {
			t.Errorf("seed %d: nothing was found that could be cured", seed)
			continue
		}
		for range 60 {
			j.Observe(p.frame())
			j.Look()
		}
		j.Flip(detector.Flip{Flag: "f", At: p.now, Ours: true, Upgrade: "u", Binaries: []string{"back-bin"}})
		flip := p.now
		p.factor = 1
		for m := 0; m < 4*60 && j.Verdicts("u")[0].Recovered.IsZero(); m++ {
			j.Observe(p.frame())
			for _, e := range j.Look() {
				if e.Event == detector.EventShift {
					t.Errorf("seed %d: the cure is told as a shift to the %s: %+v", seed, e.Direction, *e.Effect)
				}
			}
		}
		v := j.Verdicts("u")[0]
		if t.Logf("seed %d: %s after %s", seed, v.State, p.now.Sub(flip)); !v.Recovered.IsZero() {
			cured++
		}
	}
	if cured < runs-1 {
		t.Errorf("%d of %d were seen to recover within four hours", cured, runs)
	}
}
