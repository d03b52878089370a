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
	step := func(learn bool) (ratio float64) {
		at = at.Add(time.Minute)
		total := 1000 * math.Exp(0.4*rng.NormFloat64())
		mean := total * truth(at, total)
		bad := math.Max(0, math.Round(mean+math.Sqrt(mean)*rng.NormFloat64()))
		if m.Seen == 0 {
			m.start(bad, total, 0)
		}
		x := m.at(at, day, total, 0)
		exp := m.expect(x, total)
		if learn {
			m.learn(x, bad, total, 1, 1)
		}
		return exp / mean
	}
	for range 4 * 1440 {
		step(true)
	}
	worst := 0.0
	for range 500 {
		worst = math.Max(worst, math.Abs(math.Log(step(true))))
	}
	if worst > 0.15 {
		t.Errorf("after four days the expectation is off by a factor of up to %.2f, want 1.16 at the most", math.Exp(worst))
	}
}

func TestAnOutageDoesNotBecomeTheBaseline(t *testing.T) {
	var m Model
	x := func(i int) vector { return m.at(epoch.Add(time.Duration(i)*time.Minute), 24*time.Hour, 1000, 0) }
	m.start(20, 1000, 0)
	for i := range 2000 {
		m.learn(x(i), 20, 1000, 1, 1)
	}
	for i := range 30 {
		m.learn(x(2000+i), 600, 1000, 1, 1)
	}
	if got := m.expect(x(2030), 1000); got > 30 {
		t.Errorf("half an hour of outage moved the expectation from 20 to %.0f, want 30 at the most", got)
	}
}

func TestDispersionOfIndependentCountsIsOne(t *testing.T) {
	f := newFleet(1, 1)
	var d Dispersion
	for range 20000 {
		d.add(f.poisson(10), 10)
	}
	for _, n := range []float64{1, 8, 60, 500} {
		if got := d.phi(n); got < 1 || got > 1.5 {
			t.Errorf("phi(%v) = %.2f, want about 1", n, got)
		}
	}
}

func TestDispersionGrowsWithCorrelation(t *testing.T) {
	f := newFleet(2, 1)
	var d Dispersion
	drift := 0.0
	for range 20000 {
		drift = 0.98*drift + 0.2*math.Sqrt(1-0.98*0.98)*f.rng.NormFloat64()
		d.add(f.poisson(100*math.Exp(drift)), 100)
	}
	// Of AR(1) noise with variance s^2 and correlation r, the variance of a
	// window's mean is about s^2 (1+r)/(1-r)/L for long windows.
	want := 1 + 100*0.04*(1.98/0.02)
	if got := d.phi(1000); got < 0.4*want || got > 2.5*want {
		t.Errorf("phi(1000) = %.0f, want about %.0f", got, want)
	}
	if d.phi(1) > d.phi(16) || d.phi(16) > d.phi(256) {
		t.Errorf("phi falls: %.1f, %.1f, %.1f at 1, 16, 256", d.phi(1), d.phi(16), d.phi(256))
	}
}

// A course keeps what was counted, whatever it merges, within its bound.
func TestBlocksKeepTheirCounts(t *testing.T) {
	var b Blocks
	for i := range 5000 {
		b.add(Block{End: epoch.Add(time.Duration(i+1) * time.Minute), Steps: 1, Total: 2, Obs: [bounds]float32{1}})
	}
	if len(b.List) > maxBlocks {
		t.Fatalf("%d blocks, want %d at the most", len(b.List), maxBlocks)
	}
	all := b.since(time.Time{})
	if all.Total != 10000 || all.Obs[0] != 5000 || all.Steps != 5000 || !all.End.Equal(epoch.Add(5000*time.Minute)) {
		t.Errorf("the whole course: got %+v", all)
	}
	cut := epoch.Add(2048 * time.Minute)
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
