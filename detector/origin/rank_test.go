package origin

import (
	"math"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
)

func rankOf(t *testing.T, q *Question) []Cause {
	t.Helper()
	causes, err := Rank(q)
	if err != nil {
		t.Fatal(err)
	}
	return causes
}

// first is the likeliest service.
func first(causes []Cause) Cause {
	for _, c := range causes {
		if c.Service != "" {
			return c
		}
	}
	return Cause{}
}

func TestRank(t *testing.T) {
	type gain = map[string]float64
	for _, tt := range []struct {
		name   string
		town   town
		metric Metric
		want   string
		load   bool
	}{
		{"leaf", town{slower: gain{"bank": 0.1}}, Latency, "bank", false},
		{"leaf that two call", town{slower: gain{"db": 0.02}}, Latency, "db", false},
		{"middle", town{slower: gain{"cart": 0.03}}, Latency, "cart", false},
		{"target", town{slower: gain{"shop": 0.03}}, Latency, "shop", false},
		{"failing leaf", town{failed: gain{"bank": 0.1}}, Availability, "bank", false},
		{"failing middle", town{failed: gain{"cart": 0.05}}, Availability, "cart", false},
		{"failing target", town{failed: gain{"shop": 0.05}}, Availability, "shop", false},
		{"what drifted before isn't it", town{slower: gain{"cart": 0.03}, drift: gain{"bank": 1.5}}, Latency, "cart", false},
		{"values missing", town{slower: gain{"cart": 0.03}, gaps: 0.2}, Latency, "cart", false},
		{"load comes in at the middle", town{slower: gain{"cart": 0.03}, busier: gain{"cart": 4}}, Latency, "cart", true},
		{"load on a leaf is its callers'", town{slower: gain{"db": 0.02}, busier: gain{"shop": 4}}, Latency, "shop", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(5) {
				tt.town.seed = seed
				causes := rankOf(t, tt.town.question(tt.metric))
				got := first(causes)
				if got.Service != tt.want || Silent(causes) {
					t.Errorf("seed %d: want %s, got %+v", seed, tt.want, causes)
				}
				if (got.Load > got.Probability/2) != tt.load {
					t.Errorf("seed %d: load has %.2f of %.2f, want most: %t", seed, got.Load, got.Probability, tt.load)
				}
			}
		})
	}
}

// A small leaf that is certainly slower isn't why the target lost far more.
func TestRankGoesBySize(t *testing.T) {
	for seed := range uint64(5) {
		w := town{seed: seed, slower: map[string]float64{"shop": 0.05, "db": 0.002}}
		if got := first(rankOf(t, w.question(Latency))); got.Service != "shop" {
			t.Errorf("seed %d: got %s, want shop", seed, got.Service)
		}
	}
}

// Nothing is wrong: at most the share of windows that NoTrouble allows, give or
// take, is spoken of.
func TestRankIsSilent(t *testing.T) {
	for _, metric := range []Metric{Latency, Availability} {
		spoke := 0
		for seed := range uint64(60) {
			if !Silent(rankOf(t, town{seed: seed, daily: 0.3}.question(metric))) {
				spoke++
			}
		}
		if spoke > 5 {
			t.Errorf("%s: spoke of %d of 60 healthy windows", metric, spoke)
		}
	}
}

// The end of the town's rows is at 00:10 UTC. What the same hour of the day before
// had too isn't a trouble.
func TestRankKnowsTheHour(t *testing.T) {
	q := town{seed: 3}.question(Latency)
	for _, s := range q.Series {
		if s.Metric == Latency {
			for i, at := range q.Times {
				if at.Hour() == 0 {
					s.Values[i] *= 1.5
				}
			}
		}
	}
	if causes := rankOf(t, q); !Silent(causes) {
		t.Errorf("got %+v, want silence", causes)
	}
}

// Services without metrics pass on what comes from below them.
func TestRankPassesThroughTheUnknown(t *testing.T) {
	q := town{slower: map[string]float64{"bank": 0.1}}.question(Latency)
	kept := q.Series[:0]
	for _, s := range q.Series {
		if s.Service != "pay" {
			kept = append(kept, s)
		}
	}
	q.Series = kept
	if got := first(rankOf(t, q)); got.Service != "bank" {
		t.Errorf("got %+v, want bank", got)
	}
}

func TestReasons(t *testing.T) {
	q := town{slower: map[string]float64{"cart": 0.03}, busier: map[string]float64{"cart": 4}}.question(Latency)
	got := strings.Join(first(rankOf(t, q)).Reasons, "; ")
	for _, want := range []string{" s was to be expected", "in 571 windows of normal times are as bad", "of what shop lost", "isn't explained by what it calls", "load has"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q doesn't say %q", got, want)
		}
	}
}

func TestRankRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(q *Question)
		want   string
	}{
		{"no graph", func(q *Question) { q.Graph = nil }, "no call graph"},
		{"nothing since the onset", func(q *Question) { q.Onset = len(q.Times) }, "the onset at"},
		{"no normal rows", func(q *Question) { q.Normal = 0 }, "0 normal"},
		{"too many rows since", func(q *Question) { q.Normal, q.Onset = 10, 12 }, "rows since the onset"},
		{"back in time", func(q *Question) { q.Times[5] = time.Time{} }, "isn't after"},
		{"target's metric", func(q *Question) { q.Target.Metric = Requests }, "a target's metric"},
		{"no target", func(q *Question) { q.Target.Service = "nobody" }, "nobody has no latency"},
		{"twice", func(q *Question) { q.Series = append(q.Series, q.Series[0]) }, "twice"},
		{"nobody's", func(q *Question) { q.Series[0].Service = "" }, "no service"},
		{"short", func(q *Question) { q.Series[0].Values = nil }, "0 values"},
		{"endless", func(q *Question) { q.Series[0].Values[3] = math.Inf(1) }, "+Inf"},
		{"no requests", func(q *Question) { q.Target.Metric = Availability; q.Series[2].Stat = "other" }, "no requests"},
		{"too many", func(q *Question) { q.Series = make([]Series, maxSeries+1) }, "at most"},
	} {
		q := town{}.question(Latency)
		tt.change(q)
		if _, err := Rank(q); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// A target without any normal value is nothing to speak of.
func TestRankWithoutNormalValues(t *testing.T) {
	q := town{}.question(Latency)
	for i := range normalRows {
		q.Series[0].Values[i] = math.NaN()
	}
	if causes := rankOf(t, q); !Silent(causes) {
		t.Errorf("got %+v, want silence", causes)
	}
}

// Calls may go round, and to nobody.
func TestRankOfARing(t *testing.T) {
	q := town{slower: map[string]float64{"cart": 0.03}}.question(Latency)
	ring := map[string]map[string]float64{"shop": {"cart": 1}, "cart": {"db": 1, "cart": 1}, "db": {"shop": 1, "": 1}, "": {"bank": 1}}
	q.Graph = &detector.Graph{Edges: edges(ring)}
	if got := first(rankOf(t, q)); got.Service != "cart" {
		t.Errorf("got %s, want cart", got.Service)
	}
}
