package detector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector/hist"
)

// fleet makes frames of a small fleet: services front -> back, each with a
// latency indicator, back with retries of a third party. Counts are Poisson
// around a share that drifts by AR(1) noise, with a daily wave of load.
type fleet struct {
	rng      *rand.Rand
	rate     float64
	noise    map[string]float64
	upgrade  time.Time
	effect   map[string]float64 // factor on the bad share after the upgrade
	cured    time.Time
	latency  map[string]*Indicator
	retry    *Indicator
	versions map[string]string
}

var epoch = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func newFleet(seed uint64, rate float64) *fleet {
	f := &fleet{
		rng: rand.New(rand.NewPCG(seed, 1)), rate: rate, noise: map[string]float64{},
		effect: map[string]float64{}, latency: map[string]*Indicator{}, versions: map[string]string{},
	}
	for _, s := range []string{"front", "back", "other"} {
		f.latency[s] = &Indicator{Latency, "http_server_request_duration_seconds", map[string]string{"service": s}}
	}
	f.retry = &Indicator{Retry, "calls_retries_total", map[string]string{"service": "back", "peer": "acme"}}
	return f
}

func (f *fleet) poisson(mean float64) float64 {
	if mean > 50 {
		return math.Max(0, math.Round(mean+math.Sqrt(mean)*f.rng.NormFloat64()))
	}
	l, k, p := math.Exp(-mean), 0.0, 1.0
	for p *= f.rng.Float64(); p > l; p *= f.rng.Float64() {
		k++
	}
	return k
}

var testBounds = []float64{0.05, 0.1, 0.25, 0.5, 1, math.Inf(1)}

func (f *fleet) frame(at time.Time) Frame {
	phase := 2 * math.Pi * float64(at.Unix()%86400) / 86400
	load := f.rate * (1 + 0.3*math.Sin(phase))
	drift := func(name string) float64 {
		f.noise[name] = 0.95*f.noise[name] + 0.05*math.Sqrt(1-0.95*0.95)*f.rng.NormFloat64()
		return math.Exp(f.noise[name])
	}
	factor := func(name string) float64 {
		if f.upgrade.IsZero() || !at.After(f.upgrade) || !f.cured.IsZero() && at.After(f.cured) || f.effect[name] == 0 {
			return 1
		}
		return f.effect[name]
	}
	fr := Frame{Time: at, Step: time.Minute, Up: 3, Targets: 3}
	for _, s := range []string{"front", "back", "other"} {
		x := drift(s)
		tail := 0.01 * x * factor(s)
		mid := 0.05 * x * math.Sqrt(factor(s))
		h := hist.Histogram{Bounds: testBounds, Counts: []float64{
			f.poisson(load * 0.5), f.poisson(load * 0.3), f.poisson(load * 0.14),
			f.poisson(load * mid), f.poisson(load * tail * 0.8), f.poisson(load * tail * 0.2),
		}}
		version := "1"
		if !f.upgrade.IsZero() && at.After(f.upgrade) && s != "other" {
			version = "2"
		}
		fr.Points = append(fr.Points, Point{
			Indicator: f.latency[s], Instance: s + "-0", Version: version,
			Total: h.Total(), Hist: h, FirstFailures: -1, Retried: -1,
		})
	}
	calls := f.poisson(load)
	fr.Points = append(fr.Points, Point{
		Indicator: f.retry, Instance: "back-0", Total: calls,
		Bad: f.poisson(calls * 0.05 * drift("retry") * factor("retry")), FirstFailures: -1, Retried: -1,
	})
	fr.Calls = []Call{{"front", "back", calls}, {"front", "other", calls}}
	return fr
}

func testUpgrade(at time.Time) Upgrade {
	return Upgrade{
		ID: "u", StartedAt: at, FinishedAt: at.Add(time.Minute),
		Binaries: []Binary{
			{Name: "front-bin", From: "1", To: "2", Selector: map[string]string{"service": "front"}, DeployedAt: at},
			{Name: "back-bin", From: "1", To: "2", Selector: map[string]string{"service": "back"}, DeployedAt: at},
		},
	}
}

// replay runs the fleet for the given time and answers everything that was said.
func replay(f *fleet, j *Judge, from time.Time, steps int) []Event {
	var out []Event
	for i := 1; i <= steps; i++ {
		at := from.Add(time.Duration(i) * time.Minute)
		j.Observe(f.frame(at))
		out = append(out, j.Look()...)
	}
	return out
}

func TestShiftIsFoundAndBlamedOnTheRoot(t *testing.T) {
	f := newFleet(7, 600)
	f.upgrade = epoch.Add(48 * time.Hour)
	f.effect = map[string]float64{"front": 1.9, "back": 2, "retry": 1.5}
	j := NewJudge(Config{})
	replay(f, j, epoch, 48*60)
	j.Watch(testUpgrade(f.upgrade))
	events := replay(f, j, f.upgrade, 60)
	found := map[string]time.Duration{}
	for _, e := range events {
		if e.Event == EventShift && e.Direction == Worse {
			if _, ok := found[e.Indicator.Name()]; !ok {
				found[e.Indicator.Name()] = e.Time.Sub(f.upgrade)
			}
		}
	}
	for _, name := range []string{"tail latency of front", "tail latency of back", "retries of acme by back"} {
		if d, ok := found[name]; !ok || d > 30*time.Minute {
			t.Errorf("shift of %s found after %v (%v), want within 30m", name, d, ok)
		}
	}
	if d, ok := found["tail latency of other"]; ok {
		t.Errorf("a shift of the untouched service was found after %v", d)
	}
	stories := j.Stories("u")
	if len(stories) != 1 || stories[0].Cause.Name != "back-bin" {
		t.Fatalf("stories: got %+v, want one, blamed on back-bin", stories)
	}
	for _, v := range append(stories[0].Others, stories[0].Root) {
		sum := 0.0
		for _, c := range v.Causes {
			sum += c.Probability
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("%s: causes add up to %v, want 1", v.Indicator.Name(), sum)
		}
		if v.Onset.Earliest.After(f.upgrade) || v.Onset.Latest.Before(f.upgrade) {
			t.Errorf("%s: onset %v..%v doesn't hold %v", v.Indicator.Name(), v.Onset.Earliest, v.Onset.Latest, f.upgrade)
		}
	}
}

func TestInnocentUpgradesAreNotBlamed(t *testing.T) {
	alarms, indicators := 0, 0
	for seed := range uint64(12) {
		f := newFleet(100+seed, 600)
		start := epoch.Add(36 * time.Hour)
		j := NewJudge(Config{})
		replay(f, j, epoch, 36*60)
		j.Watch(testUpgrade(start))
		for _, e := range replay(f, j, start, 6*60) {
			if e.Event == EventShift {
				alarms++
				t.Logf("seed %d: %s %s at +%v", seed, e.Indicator.Name(), e.Direction, e.Time.Sub(start))
			}
		}
		indicators += j.Indicators()
	}
	if alarms > 2 {
		t.Errorf("%d shifts were found on %d indicators of 12 innocent upgrades, want at most 2", alarms, indicators)
	}
}

func TestRecoveryAfterAFlip(t *testing.T) {
	f := newFleet(9, 2000)
	f.upgrade = epoch.Add(30 * time.Hour)
	f.effect = map[string]float64{"back": 2.5}
	j := NewJudge(Config{})
	replay(f, j, epoch, 30*60)
	j.Watch(testUpgrade(f.upgrade))
	replay(f, j, f.upgrade, 40)
	if got := state(t, j, "tail latency of back"); got != Regressed {
		t.Fatalf("before the flip: %s, want regressed", got)
	}
	f.cured = f.upgrade.Add(40 * time.Minute)
	j.Flip(Flip{Flag: "x", Variant: "off", At: f.cured, Ours: true, Binaries: []string{"back-bin"}})
	recovered := false
	for _, e := range replay(f, j, f.cured, 40) {
		recovered = recovered || e.Event == EventRecovered && e.Indicator.Name() == "tail latency of back"
	}
	if !recovered {
		t.Error("no recovered event within 40 minutes of the cure")
	}
	if len(j.Stories("u")) != 0 {
		t.Error("a story is still told after the recovery")
	}
}

// A shift that comes and goes after a flip is let go as any other.
func TestAShiftAfterAFlipFades(t *testing.T) {
	f := newFleet(21, 2000)
	start := epoch.Add(30 * time.Hour)
	j := NewJudge(Config{})
	replay(f, j, epoch, 30*60)
	j.Watch(testUpgrade(start))
	replay(f, j, start, 30)
	flip := start.Add(30 * time.Minute)
	j.Flip(Flip{Flag: "x", At: flip, Ours: true, Upgrade: "u"})
	f.upgrade, f.effect = flip.Add(10*time.Minute), map[string]float64{"back": 2.5}
	f.cured = f.upgrade.Add(40 * time.Minute)
	replay(f, j, flip, 45)
	if got := state(t, j, "tail latency of back"); got != Regressed {
		t.Fatalf("while it stands: %s, want regressed", got)
	}
	replay(f, j, flip.Add(45*time.Minute), 75)
	if got := state(t, j, "tail latency of back"); got == Regressed {
		t.Error("an hour after its end the shift still stands")
	}
}

func TestAnUnrelatedFlipIsNoTreatment(t *testing.T) {
	f := newFleet(9, 2000)
	j := NewJudge(Config{})
	replay(f, j, epoch, 26*60)
	start := epoch.Add(26 * time.Hour)
	j.Watch(testUpgrade(start))
	replay(f, j, start, 20)
	flip := Flip{Flag: "x", At: start.Add(10 * time.Minute), Ours: true, Binaries: []string{"elsewhere"}, Upgrade: "another"}
	j.Flip(flip)
	for _, tr := range j.watches[0].Trials {
		if !tr.Treated.IsZero() {
			t.Fatalf("%s is treated by a flag that gates nothing in the upgrade", tr.Verdict.Indicator.Name())
		}
	}
	flip.Upgrade = "u"
	j.Flip(flip)
	for _, tr := range j.watches[0].Trials {
		if tr.Treated.IsZero() {
			t.Fatalf("%s isn't treated by a flip that answers the upgrade", tr.Verdict.Indicator.Name())
		}
	}
}

func state(t *testing.T, j *Judge, name string) State {
	t.Helper()
	for _, v := range j.Verdicts("u") {
		if v.Indicator.Name() == name {
			return v.State
		}
	}
	t.Fatalf("no verdict over %s", name)
	return ""
}

func TestNoDataIsUndecided(t *testing.T) {
	f := newFleet(3, 600)
	start := epoch.Add(26 * time.Hour)
	j := NewJudge(Config{})
	replay(f, j, epoch, 26*60)
	j.Watch(testUpgrade(start))
	for i := range 120 {
		fr := f.frame(start.Add(time.Duration(i+1) * time.Minute))
		fr.Points, fr.Up = fr.Points[:1], 0
		j.Observe(fr)
		for _, e := range j.Look() {
			if e.Verdict == Clear {
				t.Fatalf("%s is called clear without data", e.Indicator.Name())
			}
		}
	}
}

func TestRestoredJudgeGoesOnTheSame(t *testing.T) {
	run := func(restart bool) string {
		f := newFleet(11, 600)
		f.upgrade = epoch.Add(26 * time.Hour)
		f.effect = map[string]float64{"back": 2}
		j := NewJudge(Config{})
		replay(f, j, epoch, 26*60)
		j.Watch(testUpgrade(f.upgrade))
		out := replay(f, j, f.upgrade, 9)
		if restart {
			state, err := j.Save()
			if err != nil {
				t.Fatal(err)
			}
			if j, err = Restore(Config{}, state); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, replay(f, j, f.upgrade.Add(9*time.Minute), 60)...)
		s := ""
		for _, e := range out {
			s += fmt.Sprintln(e.Time, e.Event, e.Indicator.Name(), e.Verdict, e.Effect, e.Causes)
		}
		return s
	}
	if d := cmp.Diff(run(false), run(true)); d != "" {
		t.Errorf("verdicts differ after a restart (-without +with):\n%s", d)
	}
}
