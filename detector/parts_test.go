package detector

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A model that sees a share following load and the time of day learns both.
func TestModelLearnsLoadAndTimeOfDay(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var m Model
	day := 24 * time.Hour
	truth := func(at time.Time, total float64) float64 {
		phase := 2 * math.Pi * float64(at.Unix()%86400) / 86400
		return 0.02 * math.Exp(0.5*math.Log(total/1000)+0.3*math.Sin(phase))
	}
	at := epoch
	step := func() (ratio float64) {
		at = at.Add(time.Minute)
		total := 1000 * math.Exp(0.4*rng.NormFloat64())
		mean := total * truth(at, total)
		bad := math.Max(0, math.Round(mean+math.Sqrt(mean)*rng.NormFloat64()))
		if m.Seen == 0 {
			m.start(bad, total, total, 0)
		}
		x := m.at(at, day, total, 0)
		exp := m.expect(&x, total)
		m.learn(&x, logRatio(bad, exp), 1/exp, 1)
		return exp / mean
	}
	for range 4 * 1440 {
		step()
	}
	worst := 0.0
	for range 500 {
		worst = math.Max(worst, math.Abs(math.Log(step())))
	}
	if worst > 0.15 {
		t.Errorf("after four days the expectation is off by a factor of up to %.2f, want 1.16 at the most", math.Exp(worst))
	}
}

func TestAnOutageDoesNotBecomeTheBaseline(t *testing.T) {
	var cfg Config
	cfg.SetDefaults()
	var pool Pool
	tr := newTrack(Indicator{Kind: Error, Metric: "m"})
	at := epoch
	run := func(steps int, bad float64) {
		for range steps {
			at = at.Add(time.Minute)
			tr.take(at, &Point{Total: 1000, Bad: bad, FirstFailures: -1}, false)
			tr.scratch.settle()
			tr.step(at, &cfg, &pool)
		}
	}
	run(2000, 20)
	run(30, 600)
	x := tr.Models[0].at(at, cfg.Day, 1000, 0)
	if got := tr.Models[0].expect(&x, 1000); got > 30 {
		t.Errorf("half an hour of outage moved the expectation from 20 to %.0f, want 30 at the most", got)
	}
}

// The noise that a track measures is the one that its counts were drawn with.
func TestNoiseIsMeasured(t *testing.T) {
	f := newFleet(2, 1)
	var s Stray
	var pool Pool
	drift := 0.0
	for range 20000 {
		drift = 0.98*drift + 0.2*math.Sqrt(1-0.98*0.98)*f.rng.NormFloat64()
		y := s.clean(logRatio(f.poisson(100*math.Exp(drift)), 100), 0.01)
		pool.take(s.add(y, 100, 1, 1, 0, nil))
	}
	// Of AR(1) noise with variance s^2 and correlation r, the variance of a
	// window's mean is about s^2 (1+r)/(1-r)/L for long windows.
	want := 0.04 * (1.98 / 0.02) / 1000
	if got := s.noise(&pool[0]).Over(1000); got < 0.4*want || got > 2.5*want {
		t.Errorf("variance over 1000 steps: got %.5f, want about %.5f", got, want)
	}
}

// A reading's z is the signed root of the deviance of its count.
func TestCountVarIsOfTheDeviance(t *testing.T) {
	for _, log := range []float64{-2, -0.5, 0.01, 0.5, 2.5} {
		exp := 7.0
		obs := exp * math.Exp(log)
		want := math.Sqrt(2 * (obs*log - (obs - exp)))
		if got := math.Abs(log) / math.Sqrt(countVar(log)/exp); math.Abs(got-want) > 0.02*want {
			t.Errorf("z at a log ratio of %v: got %.3f, want %.3f", log, got, want)
		}
	}
}

// The memory of the recent past keeps every count within its length, in order.
func TestRecentKeepsItsCounts(t *testing.T) {
	var r Recent
	for i := range 5000 {
		r.add(Block{End: epoch.Add(time.Duration(i+1) * time.Minute).UnixNano(), Steps: 1, Total: 2})
		steps, total := int32(0), float32(0)
		for k, b := range r.List {
			steps, total = steps+b.Steps, total+b.Total
			if k > 0 && r.List[k-1].End >= b.End {
				t.Fatalf("block %d out of order after %d steps", k, i+1)
			}
		}
		if int(steps) != i+1 && steps < 1000 || total != 2*float32(steps) {
			t.Fatalf("after %d steps: %d steps with %.0f requests remembered", i+1, steps, total)
		}
	}
	if len(r.List) > recentLevels*(recentEach+4) {
		t.Errorf("%d blocks, want %d at the most", len(r.List), recentLevels*(recentEach+4))
	}
}

// What a witness says is bounded, since something else may have moved it.
func TestAttestIsBounded(t *testing.T) {
	last := math.Inf(-1)
	for _, log := range []float64{math.Inf(-1), -5, 0, 5, 50} {
		got := attest(0.5, log, math.Max(0, log))
		if got < last-1e-9 || got > math.Log(0.5/elsewise+1)+0.1 {
			t.Errorf("attest(%v) = %.2f after %.2f", log, got, last)
		}
		last = got
	}
}

// A course keeps what was counted, whatever it merges, within its bound.
func TestBlocksKeepTheirCounts(t *testing.T) {
	var b Blocks
	for i := range 5000 {
		b.add(Block{End: epoch.Add(time.Duration(i+1) * time.Minute).UnixNano(), Steps: 1, Total: 2, Obs: [bounds]float32{1}})
	}
	if len(b.List) > maxBlocks {
		t.Fatalf("%d blocks, want %d at the most", len(b.List), maxBlocks)
	}
	all := b.since(time.Time{})
	if all.Total != 10000 || all.Obs[0] != 5000 || all.Steps != 5000 || !all.end().Equal(epoch.Add(5000*time.Minute)) {
		t.Errorf("the whole course: got %+v", all)
	}
	cut := b.List[len(b.List)/2].end()
	if a, z := b.between(time.Time{}, cut), b.since(cut); a.Steps+z.Steps != 5000 {
		t.Errorf("%d steps before and %d after a cut, want 5000 together", a.Steps, z.Steps)
	}
}

func TestIndicatorKeysAreDistinct(t *testing.T) {
	list := []Indicator{
		{Latency, "m", map[string]string{"a": "1", "b": "2"}},
		{Latency, "m", map[string]string{"a": "1,b=2"}},
		{Latency, "m", map[string]string{"a": `1\`, "b": "2"}},
		{Latency, "m|a=1", map[string]string{"b": "2"}},
		{Retry, "m", map[string]string{"a": "1", "b": "2"}},
	}
	seen := map[string]Indicator{}
	for _, i := range list {
		if o, ok := seen[i.Key()]; ok {
			t.Errorf("%v and %v have the key %q", i, o, i.Key())
		}
		seen[i.Key()] = i
	}
}

func TestIntervalsSurviveJSON(t *testing.T) {
	for _, i := range []Interval{{0.1, 0.5}, {1, math.Inf(1)}, {math.Inf(-1), 0}} {
		b, err := json.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		var got Interval
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(i, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", b, d)
		}
	}
}

func TestReach(t *testing.T) {
	var g Graph
	g.add([]Call{{"a", "b", 1}, {"b", "c", 1}, {"c", "a", 1}, {"x", "y", 0}, {"", "z", 1}, {"p", "p", 1}})
	for _, c := range []struct {
		from, to string
		want     bool
	}{{"a", "c", true}, {"c", "b", true}, {"a", "a", true}, {"x", "y", false}, {"a", "x", false}, {"q", "q", true}} {
		if got := g.Reaches(c.from, c.to); got != c.want {
			t.Errorf("Reaches(%s, %s) = %v, want %v", c.from, c.to, got, c.want)
		}
	}
}
