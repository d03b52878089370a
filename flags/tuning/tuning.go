// Package tuning says what other constants of a retry strategy would do: it
// replays how a third party failed and how long it took, as measured, against sets
// of constants.
//
// It is pure: no I/O, clock, goroutines or global chance; equal questions have
// equal answers. What the telemetry doesn't show becomes a warning in the answer,
// and what the model leaves open a part of its errors. The third party is taken to
// behave as it did, whatever load the retries put on it.
package tuning

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrNoData: too little was measured to say anything.
	ErrNoData = errors.New("nothing to tune on")
	// ErrConstants: a variant or candidate has constants that can't be used.
	ErrConstants = errors.New("constants can't be used")
)

// MaxCandidates bounds the candidates of a question.
const MaxCandidates = 8

// leastFirst is how many first attempts must have failed, leastCalls how many
// calls there must be.
const (
	leastFirst = 20
	leastCalls = 500
)

// Question is what is asked.
type Question struct {
	// Flag is the flag's key; Service and Peer are the caller and the third party
	// in the words of their labels.
	Flag, Service, Peer string
	// Since is the first version of the caller that reads the flag, "" for all;
	// versions before it ran Safe's constants.
	Since string
	// Safe names the old variant and New the one that was brought in.
	Safe, New string
	Variants  []Variant
	// Spans say which variant was in force when.
	Spans []Span
	// Candidates are further constants to try: JSON objects, in which what is left
	// out is as in New.
	Candidates []json.RawMessage
	Seed       uint64
}

// Variant is a variant of the flag: its value, and the constants beneath it.
type Variant struct {
	Name    string
	Value   json.RawMessage
	Beneath map[string]any
}

// Estimate is a figure with its standard error: what the simulation's chance and
// what the measurements leave open of the third party's ways make of it.
type Estimate struct {
	Value float64 `json:"value"`
	Error float64 `json:"error"`
}

// Row is what a set of constants does. Times are seconds.
type Row struct {
	Name      string    `json:"name"`
	Constants Constants `json:"constants"`
	// Retries are per call; Load is attempts per call, BurstLoad of calls that
	// begin in a burst of failures.
	Retries   Estimate `json:"retries_per_call"`
	Load      Estimate `json:"load"`
	BurstLoad Estimate `json:"burst_load"`
	P50       Estimate `json:"p50_seconds"`
	P99       Estimate `json:"p99_seconds"`
	P999      Estimate `json:"p999_seconds"`
	// Over is the share of calls that take longer than the safe variant's p99: what the
	// watch counts. A p99 that hardly moves may let many more calls over a bound.
	Over Estimate `json:"over_safe_p99"`
	// Failed is the share of calls whose every attempt failed.
	Failed Estimate `json:"failed"`
	// Measured are the retries per call while just these constants were in force,
	// and Calls how many calls that is of; 0 where they weren't.
	Measured float64 `json:"measured_retries_per_call,omitempty"`
	Calls    float64 `json:"measured_calls,omitempty"`

	failed []float64 // by guess
	// took are the quantiles at watched, ms, and over the shares over the safe variant's.
	took, over [len(watched)]float64
	// along are the shares over the safe variant's quantiles at along.
	along [len(along)]float64
	reach [len(along)]float64 // the quantiles at along, ms
	own   json.RawMessage     // what a candidate says itself
}

// Result is the answer.
type Result struct {
	Flag    string    `json:"flag"`
	Service string    `json:"service"`
	Peer    string    `json:"peer"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Calls   float64   `json:"calls"`
	// FirstFailures is the share of first attempts that failed; Outages the share
	// of calls in steps in which far more of them did.
	FirstFailures float64 `json:"first_attempt_failures"`
	Outages       float64 `json:"outages"`
	// Again is the chance that an attempt fails that follows a failed one after
	// 50 ms, and after a second.
	Again50   Estimate `json:"fails_again_after_50ms"`
	Again1000 Estimate `json:"fails_again_after_1s"`
	Latency   string   `json:"latency_of"`
	// Rows are the variants, the candidates, and what was found.
	Rows       []Row       `json:"rows"`
	Goals      string      `json:"goals"`
	Suggestion *Suggestion `json:"suggestion,omitempty"`
	Why        string      `json:"why"`
	Warnings   []string    `json:"warnings"`
}

// Suggestion is what to serve.
type Suggestion struct {
	// Variant is to be served, with Value; Changed says that it has another value now.
	Variant string          `json:"variant"`
	Value   json.RawMessage `json:"value"`
	Changed bool            `json:"changed"`
	Row     string          `json:"row"`
	// Accepts is how many times as many calls it lets over a bound in the tail as the
	// safe variant, 0 where that is within the watch's margin: the watch tells of it
	// unless whoever serves it accepts that much.
	Accepts float64 `json:"accepts,omitempty"`
}

// Tune answers a question from what was recorded. An error is ErrNoData or
// ErrConstants, in one line.
func Tune(q Question, r *Recorder) (Result, error) {
	t := Result{Flag: q.Flag, Service: q.Service, Peer: q.Peer, Warnings: []string{}}
	rows, err := q.rows(&t)
	if err != nil {
		return t, err
	}
	regimes, err := q.regimes(r, &t)
	if err != nil {
		return t, err
	}
	world := &replay{seed: q.Seed}
	if err := world.learn(r, regimes, &t); err != nil {
		return t, err
	}
	world.describe(&t)
	for i := range rows {
		if world.fill(&rows[i], precise); i == 0 {
			world.bounds, world.along = rows[0].took, rows[0].reach
			world.fill(&rows[0], precise)
		}
		for _, g := range regimes {
			if g.constants == rows[i].Constants {
				rows[i].Measured = (rows[i].Measured*rows[i].Calls + g.retries) / (rows[i].Calls + g.calls)
				rows[i].Calls += g.calls
			}
		}
	}
	t.Rows = rows
	for _, r := range rows {
		if off := r.Measured/max(r.Retries.Value, 1e-9) - 1; r.Calls >= leastCalls && math.Abs(off) > astray {
			t.warn("the replay is astray for %s: %.3f retries per call were measured, it gives %.3f", r.Name, r.Measured, r.Retries.Value)
		}
	}
	world.suggest(q, &t)
	return t, nil
}

// learn fits the third party's ways to what was counted.
func (r *replay) learn(rec *Recorder, regimes []*regime, t *Result) error {
	key, of := rec.measured()
	h, from := histogram(regimes, key)
	if h.Total() < leastCalls {
		return fmt.Errorf("%w: no latency histogram of %s or of %s' own requests was measured in that time", ErrNoData, t.Peer, t.Service)
	}
	doubts(regimes, t)
	shortest := math.Inf(1)
	var observed []observation
	for _, g := range regimes {
		g.fillIn()
		shortest = min(shortest, g.constants.first())
		observed = append(observed, g.observations()...)
	}
	t.Latency = of
	r.measure(h, of, regimes, from, t)
	r.classes, r.unsure = classify(regimes), unsure(regimes)
	over := 1 - r.took.below(shortest)
	r.guesses = fit(observed, r.world, over)
	if of != ofAttempts && len(r.guesses) > 0 {
		// Once more, with what is known of the bursts now.
		r.took = newLatency(h, r.overhead)
		r.unfold(h, from)
		r.guesses = fit(observed, r.world, 1-r.took.below(shortest))
	}
	if len(r.guesses) == 0 {
		return fmt.Errorf("%w: what was counted of %s contradicts itself", ErrNoData, t.Peer)
	}
	return nil
}

// describe tells what was learnt.
func (r *replay) describe(t *Result) {
	for _, c := range r.classes {
		t.FirstFailures += c.share * c.first
	}
	if len(r.classes) > 1 {
		t.Outages = r.classes[1].share
	}
	if t.FirstFailures <= 0 {
		return // attempts were given up alone
	}
	var soon, late []float64
	for _, g := range r.guesses {
		p := r.world(g, t.FirstFailures)
		again := func(lag float64) float64 {
			in := p.burst * p.h / t.FirstFailures // that a failure was in a burst
			then := in*turn(true, true, p.burst, fades(lag, p.burstMemory)) + (1-in)*turn(false, true, p.burst, fades(lag, p.burstMemory))
			return then*p.h + (1-then)*p.g
		}
		soon, late = append(soon, again(50)), append(late, again(1000))
	}
	t.Again50, t.Again1000 = estimate(soon), estimate(late)
}

// astray is by how much, as a ratio, a replay may miss what was measured without a
// warning.
const astray = 0.15

// How many calls whose first attempt wasn't answered are played for each guess.
const (
	precise = 3000
	rough   = 300
)

// fill works a row out.
func (r *replay) fill(row *Row, calls int) {
	c := row.Constants
	var retries, failed, load, p50, p99, p999, over []float64
	var whole tally
	for n, g := range r.guesses {
		var of tally
		x, f, b := 0.0, 0.0, 0.0
		for k, cl := range r.classes {
			p := r.world(g, r.first(n, cl))
			out := p.play(c, r.overhead, calls/len(r.classes), rand.New(rand.NewPCG(r.seed, uint64(100*n+k))))
			e := p.expect(c)
			// What can be had without chance is: chance is for the latencies, and for deadlines.
			if c.DeadlineMS == 0 && c.Jitter.Name != Decorrelated {
				out.retries, out.failed = e.retries, e.failed
			}
			x, f = x+cl.share*out.retries, f+cl.share*out.failed
			b += cl.share * (1 + p.inBurst(c).retries)
			for i, m := range out.took {
				of[i] += cl.share * m
				whole[i] += cl.share * m
			}
		}
		retries, failed, load = append(retries, x), append(failed, f), append(load, b)
		p50, p99, p999 = append(p50, of.quantile(0.5)/1000), append(p99, of.quantile(0.99)/1000), append(p999, of.quantile(0.999)/1000)
		over = append(over, of.over(r.bounds[len(watched)-1]))
	}
	row.Retries, row.Failed, row.BurstLoad = estimate(retries), estimate(failed), estimate(load)
	row.Load = Estimate{1 + row.Retries.Value, row.Retries.Error}
	row.P50, row.P99, row.P999, row.Over = estimate(p50), estimate(p99), estimate(p999), estimate(over)
	row.P50.Value, row.P99.Value, row.P999.Value = whole.quantile(0.5)/1000, whole.quantile(0.99)/1000, whole.quantile(0.999)/1000
	for i, q := range watched {
		row.took[i], row.over[i] = whole.quantile(q), whole.over(r.bounds[i])
	}
	for i, q := range along {
		row.reach[i], row.along[i] = whole.quantile(q), whole.over(r.along[i])
	}
	row.failed = failed
}

// estimate is the mean of what the guesses say, with their standard deviation.
func estimate(all []float64) (e Estimate) {
	n := float64(len(all))
	for _, x := range all {
		e.Value += x / n
	}
	for _, x := range all {
		e.Error += (x - e.Value) * (x - e.Value)
	}
	e.Error = math.Sqrt(e.Error / max(n-1, 1))
	return e
}
