package tuning

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
)

// slack is by how much, as a ratio, retries and p99 may be over the safe variant's,
// and far by how much the p99.9, which is known less well; better is how much fewer
// failed calls, as a ratio, are worth a change of constants, and quicker how much
// shorter a p99.9 is where failures are alike.
const (
	slack   = 1.05
	far     = 1.10
	better  = 0.9
	quicker = 0.95
)

// watched are quantiles in the tail at which the watch has bounds, and margins by how
// much, as a ratio, more calls may be over the safe variant's. At p99 it is the watch's
// own margin. Below, where the calls that are retried once lie, more are let over: no
// call is saved without a longer wait, and the watch may tell of it.
var (
	watched = [...]float64{0.95, 0.975, 0.99}
	margins = [...]float64{1.25, 1.5, 1.10}
)

// along are the quantiles at which the price of a set of constants is looked for: where
// in the tail a bound of the watch lies isn't known here.
var along = [...]float64{0.90, 0.925, 0.95, 0.9625, 0.975, 0.9825, 0.99, 0.995}

// price is how many times as many calls a row lets over a bound in the tail as the safe
// variant, at the worst, rounded up to a twentieth; 0 where the watch's margin covers it.
func price(row, safe Row) float64 {
	worst := 0.0
	for i, share := range safe.along {
		if share > 0 {
			worst = max(worst, row.along[i]/share)
		}
	}
	if worst <= margins[len(margins)-1] {
		return 0
	}
	return math.Ceil(20*worst-1e-9) / 20
}

// tried is how many sets of constants of the grid are played: half of them those
// with fewest failed calls, the others spread over the rest.
const tried = 120

// suggest looks for the constants that lose the fewest calls at no more retries
// and no longer tail than the safe variant's, on a grid between and around those
// that are known, and says why.
func (r *replay) suggest(q Question, t *Result) {
	safe := t.Rows[0]
	t.Goals = fmt.Sprintf("retries per call and p99 at most ×%.2f, calls over its p95, p97.5 and p99 at most ×%.2f, ×%.2f and ×%.2f, and p99.9 at most ×%.2f of %s's, failed calls no more than its; then the fewest failed calls, then the least p99.9", slack, margins[0], margins[1], margins[2], far, safe.Name)
	served := 0
	for i, row := range t.Rows {
		if within(row, safe) && beats(row, t.Rows[served]) {
			served = i
		}
	}
	target, shape := q.shape()
	found, ok := r.search(t.Rows, shape, safe)
	if ok && beats(found, t.Rows[served]) {
		found.Name = "suggested"
		r.fill(&found, precise)
		if within(found, safe) && beats(found, t.Rows[served]) {
			t.Rows = append(t.Rows, found)
			t.Suggestion = &Suggestion{Variant: target, Value: valueOf(found.Constants, shape), Changed: true, Row: found.Name, Accepts: price(found, safe)}
			t.Why = "it " + against(found, safe) + reach(t.Rows[1], safe)
			return
		}
	}
	row := t.Rows[served]
	if i := slices.IndexFunc(q.Variants, func(v Variant) bool { return v.Name == row.Name }); i >= 0 {
		t.Suggestion = &Suggestion{Variant: row.Name, Value: q.Variants[i].Value, Row: row.Name, Accepts: price(row, safe)}
	} else {
		var own map[string]json.RawMessage
		if json.Unmarshal(row.own, &own) == nil {
			maps.Copy(shape, own)
		}
		t.Suggestion = &Suggestion{Variant: target, Value: valueOf(row.Constants, shape), Changed: true, Row: row.Name, Accepts: price(row, safe)}
	}
	if served == 0 {
		t.Why = "nothing that was tried is better than " + safe.Name + " within the goals"
		return
	}
	t.Why = "it " + against(row, safe) + ", and nothing that was tried is better"
}

// against says how a row differs from the safe one.
func against(row, safe Row) string {
	percent := func(a, b Estimate) string {
		if b.Value <= 0 {
			return "as before"
		}
		return fmt.Sprintf("%+.0f%%", 100*(a.Value/b.Value-1))
	}
	return fmt.Sprintf("loses %.2f%% of calls where %s loses %.2f%%, with retries %s, p99 %s, %.2f%% of calls over that p99 and p99.9 %s",
		100*row.Failed.Value, safe.Name, 100*safe.Failed.Value, percent(row.Retries, safe.Retries), percent(row.P99, safe.P99), 100*row.Over.Value, percent(row.P999, safe.P999))
}

// reach says why the new variant itself isn't the answer.
func reach(row, safe Row) string {
	if within(row, safe) {
		return ""
	}
	return fmt.Sprintf("; %s has retries ×%.1f and p99 ×%.1f", row.Name, row.Retries.Value/max(safe.Retries.Value, 1e-9), row.P99.Value/safe.P99.Value)
}

// within says whether a row keeps to the goals.
func within(row, safe Row) bool {
	for i := range watched {
		if row.over[i] > margins[i]*safe.over[i]+1e-9 {
			return false
		}
	}
	return row.Retries.Value <= slack*safe.Retries.Value && row.P99.Value <= slack*safe.P99.Value &&
		row.P999.Value <= far*safe.P999.Value && row.Failed.Value <= safe.Failed.Value*1.01+1e-6
}

// beats says whether a is worth taking instead of b: fewer failed calls by more
// than what is uncertain in the difference, guess by guess, or as few and a shorter
// p99.9.
func beats(a, b Row) bool {
	var diff []float64
	for i := range a.failed {
		diff = append(diff, b.failed[i]-a.failed[i])
	}
	d := estimate(diff)
	switch {
	case a.Failed.Value <= better*b.Failed.Value && d.Value > d.Error:
		return true
	case a.Failed.Value > b.Failed.Value*1.02+1e-6:
		return false
	}
	return a.P999.Value < quicker*b.P999.Value && b.P999.Value-a.P999.Value > a.P999.Error
}

// shape is the variant that takes the suggested constants, with the value that it
// has: the one after Safe and New that names most constants, else New. A value that
// names less than two is taken to understand all of them.
func (q *Question) shape() (variant string, object map[string]json.RawMessage) {
	most := 1
	for _, v := range slices.Backward(q.ordered()) {
		var m map[string]json.RawMessage
		if json.Unmarshal(v.Value, &m) != nil || v.Name == q.Safe || v.Name == q.New && object != nil {
			continue
		}
		if _, _, err := Parse(v.Value, v.Beneath); err == nil && len(m) > most {
			most, variant, object = len(m), v.Name, m
		}
	}
	if object == nil {
		variant, object = q.New, map[string]json.RawMessage{}
		for k := range (Constants{}).beneath() {
			object[k] = nil
		}
	}
	return variant, object
}

// valueOf is a variant's value with the constants in the keys that it has.
func valueOf(c Constants, shape map[string]json.RawMessage) json.RawMessage {
	out := maps.Clone(shape)
	for k, v := range c.beneath() {
		if _, ok := out[k]; !ok {
			continue
		}
		if b, err := json.Marshal(v); err == nil {
			out[k] = b
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil // raw JSON in, raw JSON out
	}
	return b
}

// search answers the best row of the grid that keeps to the goals.
func (r *replay) search(rows []Row, shape map[string]json.RawMessage, safe Row) (best Row, ok bool) {
	type trial struct {
		c      Constants
		failed float64
	}
	var trials []trial
	for _, c := range grid(rows, shape) {
		retries, failed, late := 0.0, 0.0, 0.0
		for n, g := range r.guesses {
			for _, cl := range r.classes {
				p := r.world(g, r.first(n, cl))
				e := p.expect(c)
				w := cl.share / float64(len(r.guesses))
				retries, failed = retries+w*e.retries, failed+w*e.failed
				late += w * e.after(r.bounds[len(watched)-1]-r.overhead)
			}
		}
		if retries <= slack*safe.Retries.Value && failed <= safe.Failed.Value && late <= margins[len(margins)-1]*safe.Over.Value {
			trials = append(trials, trial{c, failed})
		}
	}
	sort.SliceStable(trials, func(i, j int) bool { return trials[i].failed < trials[j].failed })
	if rest := len(trials) - tried/2; rest > tried/2 {
		for i := range tried / 2 {
			trials[tried/2+i] = trials[tried/2+i*rest/(tried/2)]
		}
		trials = trials[:tried]
	}
	for _, t := range trials {
		row := Row{Constants: t.c}
		r.fill(&row, rough)
		if within(row, safe) && (!ok || beats(row, best)) {
			best, ok = row, true
		}
	}
	return best, ok
}

// grid are the sets of constants to try: of the keys that the shape has, between
// half the least and twice the greatest that the rows have. Jitter stays as it is
// there: what it is good for, that callers don't come back all at once, isn't in
// the model.
func grid(rows []Row, shape map[string]json.RawMessage) (all []Constants) {
	from := rows[1].Constants
	if c, _, err := Parse(valueOf(from, shape), from.beneath()); err == nil {
		from = c
	}
	low, high := math.Inf(1), 0.0
	var attempts []int
	var slow []float64
	for _, row := range rows {
		c := row.Constants
		low, high = min(low, max(c.BaseMS, 1)), max(high, c.BaseMS)
		attempts, slow = append(attempts, c.MaxAttempts), append(slow, c.SlowMS)
	}
	has := func(key string, varied, fixed []float64) []float64 {
		if _, ok := shape[key]; !ok {
			return fixed
		}
		return varied
	}
	strategy := from.Strategy
	if _, ok := shape["strategy"]; ok {
		strategy = Exponential
	}
	slices.Sort(slow)
	slow = thin(slices.Compact(slow), 4)
	var bases, tries []float64
	for n := range 13 {
		bases = append(bases, rounded(low/2*math.Pow(4*max(high, low)/low, float64(n)/12)))
	}
	for n := slices.Min(attempts); n <= slices.Max(attempts); n++ {
		tries = append(tries, float64(n))
	}
	tries = thin(tries, 6)
	for _, base := range has("base_ms", slices.Compact(bases), []float64{from.BaseMS}) {
		for _, times := range has("cap_ms", []float64{1, 2, 4, 16}, []float64{from.CapMS / max(base, 1)}) {
			for _, factor := range has("factor", []float64{1, 1.5, 2, 3}, []float64{from.Factor}) {
				if times == 1 && factor > 1 && len(shape) > 0 && strategy == Exponential {
					continue // the cap leaves nothing to the factor
				}
				for _, s := range has("slow_ms", slow, []float64{from.SlowMS}) {
					for _, n := range has("max_attempts", tries, []float64{float64(from.MaxAttempts)}) {
						c := from
						c.Strategy, c.BaseMS, c.CapMS, c.Factor, c.SlowMS, c.MaxAttempts = strategy, base, min(rounded(base*times), maxMS), factor, s, int(n)
						if c.check() == nil {
							all = append(all, c)
						}
					}
				}
			}
		}
	}
	return all
}

// thin keeps at most n of the values, the first and the last among them.
func thin(values []float64, n int) []float64 {
	if len(values) <= n {
		return values
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = values[i*(len(values)-1)/(n-1)]
	}
	return out
}

// rounded keeps two digits.
func rounded(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-1)
	return math.Round(x/unit) * unit
}
