package tuning

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/detector/hist"
)

var start = time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)

// bursty fails one call in 25, in bursts of 0.7 s about, and is slow at times.
func bursty(rng *rand.Rand) party {
	r := replay{took: newLatency(hist.Merge(lognormal(0.08, 0.35, 50_000, rng), lognormal(0.9, 0.3, 600, rng)), 0)}
	return r.world(guess{h: 0.93, alone: 0.06, memory: 700, slow: 0.012, slowMemory: 2000}, 0.04)
}

// callers make frames of what callers of a party count: calls a minute, of a
// version under constants.
func callers(p party, c Constants, version string, from time.Time, minutes, calls int, rng *rand.Rand) (frames []detector.Frame) {
	retry := &detector.Indicator{Kind: detector.Retry, Metric: "acme_client_retries_total", Labels: map[string]string{"service": "payments", "peer": "acme-pay"}}
	attempts := &detector.Indicator{Kind: detector.Latency, Metric: "acme_client_attempt_duration_seconds", Labels: map[string]string{"service": "payments", "peer": "acme-pay"}}
	for n := range minutes {
		pt := detector.Point{Indicator: retry, Version: version, CountsFailed: true}
		h := hist.Histogram{Bounds: bounds, Counts: make([]float64, len(bounds))}
		for range calls {
			pt.Total++
			s := 0
			for _, bit := range []struct {
				n     int
				share float64
			}{{1, p.burst}, {2, p.slow}} {
				if rng.Float64() < bit.share {
					s |= bit.n
				}
			}
			took, ok := p.attempt(s, c.first(), rng)
			i, _ := slices.BinarySearch(bounds, took/1000)
			h.Counts[i]++
			if ok {
				continue
			}
			givenUp := took >= c.first()
			if !givenUp {
				pt.FirstFailures++
			}
			_, retries, failed := p.follow(c, s, givenUp, rng)
			pt.Bad += float64(retries)
			pt.Retried += float64(min(retries, 1))
			if failed {
				pt.Failed++
			}
		}
		at := from.Add(time.Duration(n+1) * time.Minute)
		frames = append(frames, detector.Frame{Time: at, Step: time.Minute, Points: []detector.Point{
			pt, {Indicator: attempts, Version: version, Total: h.Total(), Hist: h},
		}})
	}
	return frames
}

func question() Question {
	return Question{
		Flag: "payments-backoff", Service: "payments", Peer: "acme-pay", Since: "4.2.0", Safe: "legacy", New: "new", Seed: 7,
		Variants: []Variant{
			{Name: "legacy", Value: []byte(`{"strategy":"legacy"}`), Beneath: map[string]any{"strategy": "linear", "base_ms": 20, "max_attempts": 3, "timeout_ms": 2000}},
			{Name: "new", Value: []byte(`{"strategy":"exponential","base_ms":100,"cap_ms":5000,"factor":2,"jitter":0.5,"max_attempts":6,"slow_ms":200,"timeout_ms":2000}`)},
			{Name: "tuned", Value: []byte(`{"base_ms":40,"cap_ms":200,"factor":2,"jitter":0.2,"max_attempts":3,"slow_ms":0}`), Beneath: map[string]any{"timeout_ms": 2000}},
		},
		Spans: []Span{{Variant: "new"}},
	}
}

// recorded is half an hour of the old build and a quarter of the new.
func recorded(t testing.TB) (*Recorder, party) {
	t.Helper()
	rng := rand.New(rand.NewPCG(11, 1))
	p := bursty(rng)
	rec := NewRecorder("payments", "acme-pay")
	q := question()
	rows, err := q.rows(&Result{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range callers(p, rows[0].Constants, "4.1.3", start, 30, 800, rng) {
		rec.Add(f)
	}
	for _, f := range callers(p, rows[1].Constants, "4.2.0", start.Add(30*time.Minute), 15, 800, rng) {
		rec.Add(f)
	}
	return rec, p
}

// TestTuneForetells holds the answer against a third party whose ways are known.
func TestTuneForetells(t *testing.T) {
	rec, p := recorded(t)
	q := question()
	q.Candidates = []json.RawMessage{[]byte(`{"base_ms":400,"max_attempts":4,"slow_ms":0}`)}
	begun := time.Now()
	got, err := Tune(q, rec)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s, want about a second", took)
	} else {
		t.Logf("it took %s", took)
	}
	if len(got.Warnings) > 0 || got.Latency != ofAttempts || math.Abs(got.FirstFailures-0.04) > 0.004 {
		t.Errorf("got warnings %q, the latency of %s, and %g first failures, want none, attempts and 0.04", got.Warnings, got.Latency, got.FirstFailures)
	}
	rng := rand.New(rand.NewPCG(12, 1))
	for _, row := range got.Rows {
		want := p.play(row.Constants, 0, 40_000, rng)
		for _, x := range []struct {
			name       string
			got        Estimate
			want, most float64 // most is a ratio
		}{
			{"retries per call", row.Retries, want.retries, 0.12},
			{"failed", row.Failed, want.failed, 0.12},
			{"p50", row.P50, want.took.quantile(0.5) / 1000, 0.05},
			{"p99", row.P99, want.took.quantile(0.99) / 1000, 0.12},
			{"p99.9", row.P999, want.took.quantile(0.999) / 1000, 0.15},
		} {
			t.Logf("%-11s %-16s %.4f±%.4f, truly %.4f", row.Name, x.name, x.got.Value, x.got.Error, x.want)
			if math.Abs(x.got.Value-x.want) > x.most*x.want+2.5*x.got.Error {
				t.Errorf("%s: got %s %.4f±%.4f, want %.4f", row.Name, x.name, x.got.Value, x.got.Error, x.want)
			}
		}
		if row.BurstLoad.Value < row.Load.Value {
			t.Errorf("%s: got a load of %g in bursts, %g else", row.Name, row.BurstLoad.Value, row.Load.Value)
		}
	}
	s := got.Suggestion
	if s == nil || s.Variant != "tuned" || !s.Changed || !strings.Contains(got.Why, "loses") {
		t.Fatalf("got suggestion %+v, %q, want other constants for tuned", s, got.Why)
	}
	if c, ignored, err := Parse(s.Value, map[string]any{"timeout_ms": 2000}); err != nil || len(ignored) > 0 || c != got.Rows[len(got.Rows)-1].Constants {
		t.Errorf("got value %s (%v, %v), want the constants of the last row", s.Value, ignored, err)
	}
	// What it says that it costs is what it costs: the worst of the bounds in the tail.
	last := got.Rows[len(got.Rows)-1]
	before, after := p.play(got.Rows[0].Constants, 0, 200_000, rng).took, p.play(last.Constants, 0, 200_000, rng).took
	worst := 0.0
	for _, q := range along {
		worst = max(worst, after.over(before.quantile(q))/(1-q))
	}
	t.Logf("it accepts ×%g, truly ×%.3f", s.Accepts, worst)
	if s.Accepts <= 1.1 || s.Accepts < worst/1.15 || s.Accepts > worst*1.15+0.05 {
		t.Errorf("got a price of ×%g, want about ×%.3f", s.Accepts, worst)
	}
	again, err := Tune(q, rec)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := marshal(t, got), marshal(t, again); a != b {
		t.Errorf("two answers to one question differ: %s", cmp.Diff(a, b))
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestNothingBetter: a party whose failures don't depend on one another gives
// little to gain.
func TestNothingBetter(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 1))
	p := bursty(rng)
	p.h, p.g = 0.04, 0.04
	q := question()
	// The safe one has all the attempts that the search may take.
	q.Variants[1].Value = []byte(`{"strategy":"exponential","base_ms":100,"cap_ms":5000,"factor":2,"max_attempts":3,"slow_ms":200,"timeout_ms":2000}`)
	rows, err := q.rows(&Result{})
	if err != nil {
		t.Fatal(err)
	}
	rec := NewRecorder("payments", "acme-pay")
	for _, f := range callers(p, rows[0].Constants, "4.2.0", start, 40, 800, rng) {
		rec.Add(f)
	}
	q.Since, q.Spans = "", []Span{{Variant: "legacy"}}
	got, err := Tune(q, rec)
	if err != nil {
		t.Fatal(err)
	}
	if got.Suggestion == nil || got.Suggestion.Changed || !strings.Contains(got.Why, "nothing that was tried is better") {
		t.Errorf("got %+v, %q, want what is there", got.Suggestion, got.Why)
	}
	if !slices.ContainsFunc(got.Warnings, func(w string) bool { return strings.Contains(w, "one set of constants") }) {
		t.Errorf("got warnings %q, want one about the one set of constants", got.Warnings)
	}
}

// TestCandidateIsSuggested: a candidate that is better than all that the search may
// find, here by a deadline that no variant has, is served with its own constants.
func TestCandidateIsSuggested(t *testing.T) {
	rows := []Row{
		{Name: "legacy", failed: []float64{0.02, 0.02}, Failed: Estimate{Value: 0.02}, Retries: Estimate{Value: 0.06}, P99: Estimate{Value: 1}, P999: Estimate{Value: 2}},
		{Name: "new", failed: []float64{0, 0}, Retries: Estimate{Value: 0.2}, P99: Estimate{Value: 3}, P999: Estimate{Value: 4}},
		{
			Name: "candidate 1", failed: []float64{0.01, 0.01}, Failed: Estimate{Value: 0.01}, Retries: Estimate{Value: 0.06}, P99: Estimate{Value: 1}, P999: Estimate{Value: 1.5}, own: []byte(`{"deadline_ms":900}`),
			Constants: Constants{Strategy: Exponential, BaseMS: 50, CapMS: 100, Factor: 2, MaxAttempts: 3, DeadlineMS: 900},
		},
	}
	res := Result{Rows: rows}
	(&replay{}).suggest(question(), &res)
	if s := res.Suggestion; s == nil || s.Row != "candidate 1" || s.Variant != "tuned" || !strings.Contains(string(s.Value), `"deadline_ms":900`) || !strings.Contains(string(s.Value), `"base_ms":50`) {
		t.Errorf("got %+v, want the candidate's constants", s)
	}
}

// TestGivenUpAlone: retries of slow attempts, without a failure, are no failures.
func TestGivenUpAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 1))
	p := bursty(rng)
	p.burst, p.h, p.g = 0, 0, 0
	q := question()
	rows, err := q.rows(&Result{})
	if err != nil {
		t.Fatal(err)
	}
	for _, counted := range []bool{true, false} {
		rec := NewRecorder("payments", "acme-pay")
		for _, f := range callers(p, rows[1].Constants, "4.2.0", start, 20, 800, rng) {
			if !counted {
				f.Points[0].FirstFailures, f.Points[0].CountsFailed = -1, false
			}
			rec.Add(f)
		}
		got, err := Tune(q, rec)
		if err != nil {
			t.Fatal(err)
		}
		marshal(t, got)
		if counted && got.FirstFailures != 0 || !counted && got.FirstFailures == 0 {
			t.Errorf("got %g first failures where they are counted: %t", got.FirstFailures, counted)
		}
		if r := got.Rows[1]; counted && math.Abs(r.Retries.Value/r.Measured-1) > 0.2 {
			t.Errorf("got %g retries per call, measured were %g", r.Retries.Value, r.Measured)
		}
		if !counted && !slices.ContainsFunc(got.Warnings, func(w string) bool { return strings.Contains(w, "first attempts that failed aren't counted") }) {
			t.Errorf("got warnings %q", got.Warnings)
		}
	}
}

func TestTuneRefuses(t *testing.T) {
	rec, _ := recorded(t)
	empty, elsewhere, few := NewRecorder("payments", "acme-pay"), NewRecorder("payments", "other-pay"), NewRecorder("payments", "acme-pay")
	backward := NewRecorder("payments", "acme-pay")
	rng := rand.New(rand.NewPCG(14, 1))
	for n, f := range callers(bursty(rng), Constants{Strategy: Linear, BaseMS: 20, CapMS: 1000, MaxAttempts: 3}, "4.2.0", start, 3, 100, rng) {
		elsewhere.Add(f)
		if n == 0 {
			few.Add(f)
		}
		for i := range f.Points {
			f.Points[i].Total, f.Points[i].Bad = -5, math.NaN()
		}
		backward.Add(f)
	}
	change := func(c func(*Question)) Question { q := question(); c(&q); return q }
	for _, tt := range []struct {
		name string
		q    Question
		rec  *Recorder
		is   error
		want string
	}{
		{"nothing measured", question(), empty, ErrNoData, "no calls of acme-pay by payments"},
		{"another third party", change(func(q *Question) { q.Peer = "other-pay" }), elsewhere, ErrNoData, "it retries calls of acme-pay"},
		{"too little", question(), few, ErrNoData, "take more hours"},
		{"counters that go back", question(), backward, ErrNoData, ""},
		{"safe without constants", change(func(q *Question) { q.Variants[0].Beneath = nil }), rec, ErrConstants, `variant "legacy"`},
		{"one variant", change(func(q *Question) { q.New = "legacy" }), rec, ErrConstants, "one variant"},
		{"no such variant", change(func(q *Question) { q.Safe = "old" }), rec, ErrConstants, "lacks variant"},
		{"absurd candidate", change(func(q *Question) { q.Candidates = []json.RawMessage{[]byte(`{"max_attempts":1e9}`)} }), rec, ErrConstants, "candidate 1"},
		{"a slip in a candidate", change(func(q *Question) { q.Candidates = []json.RawMessage{[]byte(`{"base":5}`)} }), rec, ErrConstants, `"base" is no constant`},
		{"too many candidates", change(func(q *Question) { q.Candidates = make([]json.RawMessage, 9) }), rec, ErrConstants, "more than 8"},
	} {
		_, err := Tune(tt.q, tt.rec)
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %v with %q", tt.name, err, tt.is, tt.want)
		}
	}
}

// TestInForce: which constants a step ran.
func TestInForce(t *testing.T) {
	q := question()
	flip, back := start.Add(10*time.Minute), start.Add(20*time.Minute)
	q.Spans = []Span{{To: flip, Variant: "new"}, {From: flip, To: back, Variant: "legacy"}, {From: back, Variant: "tuned"}}
	for _, tt := range []struct {
		version string
		minute  int
		want    string
	}{
		{"4.1.3", 25, "legacy"},
		{"v4.1.9", 25, "legacy"},
		{"4.2.0", 5, "new"},
		{"4.2.0", 10, "new"},
		{"4.10.0", 5, "new"},
		{"", 5, "new"},
		{"deadbeef", 5, "new"},
		{"4.2.0", 11, ""},
		{"4.2.0", 12, ""},
		{"4.2.0", 13, "legacy"},
		{"4.2.0", 20, "legacy"},
		{"4.2.0", 30, "tuned"},
	} {
		s := Step{Version: tt.version, Time: start.Add(time.Duration(tt.minute) * time.Minute), Length: time.Minute}
		if got := q.inForce(s); got != tt.want {
			t.Errorf("%q in minute %d: got %q, want %q", tt.version, tt.minute, got, tt.want)
		}
	}
}

// TestTuneBearsNonsense: whatever comes as telemetry, the answer is an error of one
// line, or figures that can be written as JSON.
func TestTuneBearsNonsense(t *testing.T) {
	rng := rand.New(rand.NewPCG(16, 1))
	strange := func() float64 {
		return []float64{0, -1, 1, 30, 1000, 1e9, 1e300, math.Inf(1), math.NaN(), rng.Float64() * 1000}[rng.IntN(10)]
	}
	count := func() float64 {
		if rng.IntN(20) == 0 {
			return strange()
		}
		return math.Round(1000 * rng.Float64())
	}
	answers := 0
	for range 6 {
		rec := NewRecorder("payments", "acme-pay")
		ls := map[string]string{"service": "payments", "peer": "acme-pay"}
		bounds := []float64{[]float64{-1, 0, 1e-9, 0.05}[rng.IntN(4)], 0.1, 1, []float64{5, 1e300, math.Inf(1)}[rng.IntN(3)]}
		for n := range 20 {
			rec.Add(detector.Frame{Time: start.Add(time.Duration(n) * time.Minute), Step: time.Minute, Points: []detector.Point{
				{Indicator: &detector.Indicator{Kind: detector.Retry, Labels: ls}, Version: []string{"4.1.3", "4.2.0", "?"}[rng.IntN(3)], Total: count(), Bad: count(), FirstFailures: count(), Retried: count(), Failed: count(), CountsFailed: rng.IntN(2) == 0},
				{Indicator: &detector.Indicator{Kind: detector.Latency, Labels: ls}, Version: "4.2.0", Hist: hist.Histogram{Bounds: bounds, Counts: []float64{count(), count(), count(), count()}}},
				{Indicator: &detector.Indicator{Kind: detector.Latency, Labels: ls}, Version: "4.1.3", Hist: hist.Histogram{Bounds: bounds, Counts: []float64{count(), count(), count(), count()}}},
				{},
			}})
		}
		got, err := Tune(question(), rec)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line", err)
			}
			continue
		}
		answers++
		marshal(t, got)
	}
	t.Logf("%d answers", answers)
}

// TestTuneIsBounded: the largest question that can be asked takes about two seconds.
func TestTuneIsBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 1))
	p := bursty(rng)
	q := question()
	q.Variants[1].Value = []byte(`{"base_ms":1,"cap_ms":600000,"factor":1,"jitter":"decorrelated","max_attempts":20,"slow_ms":100,"timeout_ms":3000,"deadline_ms":60000}`)
	q.Variants[2].Value = []byte(`{"strategy":"constant","base_ms":60000,"max_attempts":1,"slow_ms":5}`)
	for n := range MaxCandidates {
		q.Candidates = append(q.Candidates, []byte(`{"base_ms":`+string(rune('1'+n))+`000,"slow_ms":`+string(rune('1'+n))+`0}`))
	}
	rows, err := q.rows(&Result{})
	if err != nil {
		t.Fatal(err)
	}
	rec := NewRecorder("payments", "acme-pay")
	q.Spans = nil
	for n, row := range rows {
		from := start.Add(time.Duration(n) * time.Hour)
		q.Spans = append(q.Spans, Span{From: from, To: from.Add(time.Hour), Variant: []string{"legacy", "new", "tuned"}[n%3], Value: []byte(marshal(t, row.Constants))})
		w := p
		if n%2 == 0 {
			w.burst = 0.6 // an outage
		}
		for _, f := range callers(w, row.Constants, "4.2.0", from, 10, 100, rng) {
			rec.Add(f)
		}
	}
	begun := time.Now()
	got, err := Tune(q, rec)
	took := time.Since(begun)
	t.Logf("%s, %v, outages %.2f, %s", took, err, got.Outages, got.Why)
	if took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	if !slices.ContainsFunc(got.Warnings, func(w string) bool { return strings.Contains(w, "with most calls") }) {
		t.Errorf("got warnings %q", got.Warnings)
	}
}

func BenchmarkTune(b *testing.B) {
	rec, _ := recorded(b)
	for b.Loop() {
		if _, err := Tune(question(), rec); err != nil {
			b.Fatal(err)
		}
	}
}

// TestErrorsHoldTheLuckOfFirstFailures: a forecast from little isn't surer than how often
// first attempts fail is known, which all of it hangs on.
func TestErrorsHoldTheLuckOfFirstFailures(t *testing.T) {
	relative := func(minutes int) (sd, failed float64) {
		rng := rand.New(rand.NewPCG(21, 1))
		q, rec := question(), NewRecorder("payments", "acme-pay")
		rows, err := q.rows(&Result{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range callers(bursty(rng), rows[0].Constants, "4.1.3", start, minutes, 800, rng) {
			rec.Add(f)
		}
		got, err := Tune(q, rec)
		if err != nil {
			t.Fatal(err)
		}
		safe := got.Rows[0]
		return safe.Retries.Error / safe.Retries.Value, got.Calls * got.FirstFailures
	}
	little, failed := relative(5)
	if least := 0.8 / math.Sqrt(failed); little < least {
		t.Errorf("from %.0f first failures: retries are foretold to %.3f of themselves, and can't be to less than %.3f", failed, little, least)
	}
	if much, _ := relative(300); much > little/1.7 {
		t.Errorf("from sixty times as much: still to %.3f of themselves, where it was %.3f", much, little)
	}
}
