package origin

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"aftershock/detector"
)

// anything is a question of random calls and values, few rows long.
func anything(draw *rand.Rand) *Question {
	q := &Question{Normal: 20 + draw.IntN(40), Graph: &detector.Graph{Edges: map[string]map[string]bool{}}}
	q.Onset = q.Normal + draw.IntN(3)
	for i := range q.Onset + 1 + draw.IntN(5) {
		q.Times = append(q.Times, time.Unix(int64(i)*1200, 0))
	}
	name := func() string { return fmt.Sprintf("s%d", draw.IntN(8)) }
	for range draw.IntN(20) {
		from, to := name(), name()
		if q.Graph.Edges[from] == nil {
			q.Graph.Edges[from] = map[string]bool{}
		}
		q.Graph.Edges[from][to] = true
	}
	q.Target = Target{name(), []Metric{Latency, Availability}[draw.IntN(2)], "Average"}
	for s := range 8 {
		for _, k := range []key{{"", Latency, "Average"}, {"", Latency, "p99"}, {"", Requests, "Sum"}, {"", Availability, "Average"}} {
			k.service = fmt.Sprintf("s%d", s)
			if k.service != q.Target.Service && draw.IntN(4) == 0 {
				continue
			}
			values := make([]float64, len(q.Times))
			missing, jump := draw.Float64()*draw.Float64(), 1+float64(draw.IntN(3))
			for i := range values {
				values[i] = draw.ExpFloat64()
				if i >= q.Onset {
					values[i] *= jump
				}
				switch k.metric {
				case Requests:
					values[i] = math.Round(20 * values[i])
				case Availability:
					values[i] = math.Exp(-values[i] * 0.1)
				}
				if draw.Float64() < missing {
					values[i] = math.NaN()
				}
			}
			q.Series = append(q.Series, Series{k.service, k.metric, k.stat, values})
		}
	}
	return q
}

// Probabilities are such and add up to 1, load is a part of them, and the order
// in which the series come says nothing.
func TestProbabilities(t *testing.T) {
	draw := rand.New(rand.NewPCG(5, 6))
	for n := range 200 {
		q := anything(draw)
		causes := rankOf(t, q)
		sum := 0.0
		for i, c := range causes {
			sum += c.Probability
			if !(c.Probability > 0 && c.Probability <= 1) || !(c.Load >= 0 && c.Load <= c.Probability+1e-12) || len(c.Reasons) == 0 {
				t.Errorf("question %d: %+v", n, c)
			}
			if i > 0 && c.Probability > causes[i-1].Probability {
				t.Errorf("question %d: cause %d is likelier than the one before it", n, i)
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("question %d: probabilities add up to %g", n, sum)
		}
		q.Series = slices.Clone(q.Series)
		draw.Shuffle(len(q.Series), func(i, j int) { q.Series[i], q.Series[j] = q.Series[j], q.Series[i] })
		if again := rankOf(t, q); !reflect.DeepEqual(again, causes) {
			t.Errorf("question %d: in another order %+v, before %+v", n, again, causes)
		}
	}
}

// The unit of latencies says nothing.
func TestUnitsDontMatter(t *testing.T) {
	q := town{slower: map[string]float64{"cart": 0.03}}.question(Latency)
	before := rankOf(t, q)
	for _, s := range q.Series {
		if s.Metric == Latency {
			for i := range s.Values {
				s.Values[i] *= 1024
			}
		}
	}
	after := rankOf(t, q)
	for i, c := range after {
		if c.Service != before[i].Service || math.Abs(c.Probability-before[i].Probability) > 1e-6 {
			t.Errorf("got %s %g, before %s %g", c.Service, c.Probability, before[i].Service, before[i].Probability)
		}
	}
}

// The calibrator is the integral that it is said to be, falls, and is an e-value:
// its mean over uniform p is 1.
func TestEValue(t *testing.T) {
	const steps = 20000
	for _, p := range []float64{1e-6, 0.001, 0.02, 0.3, 0.9, 0.9995} {
		sum := 0.0
		for i := range steps {
			k := (float64(i) + 0.5) / steps
			sum += k * math.Pow(p, k-1) / steps
		}
		if got := evalue(p); math.Abs(got-sum) > 0.001*sum {
			t.Errorf("evalue(%g) = %g, want %g", p, got, sum)
		}
	}
	if e := evalue(0.02); math.Abs(e-NoTrouble/(1-NoTrouble)) > 0.1 {
		t.Errorf("evalue(0.02) = %g, want about NoTrouble's odds", e)
	}
	mean, before := 0.0, math.Inf(1)
	for n := range 1000 {
		e := evalue(float64(n+1) / 1000)
		if mean += e / 1000; e > before {
			t.Errorf("evalue rises at %d", n)
		}
		before = e
	}
	if mean > 1 {
		t.Errorf("the mean over ranks is %g, want at most 1", mean)
	}
}
