package tuning

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// maxRegimes bounds the sets of constants that the third party's ways are fitted to.
const maxRegimes = 4

// rows are the sets of constants that are asked about, Safe's first and New's
// second. Another variant that has none is left out with a warning.
func (q *Question) rows(t *Result) (rows []Row, err error) {
	if q.Safe == q.New {
		return nil, fmt.Errorf("%w: flag %q has one variant to compare, %q: say in its gate which is the safe one", ErrConstants, q.Flag, q.Safe)
	}
	for _, v := range q.ordered() {
		c, ignored, err := Parse(v.Value, v.Beneath)
		switch {
		case err != nil && (v.Name == q.Safe || v.Name == q.New):
			return nil, fmt.Errorf("%w: variant %q: %w", ErrConstants, v.Name, err)
		case err != nil:
			t.warn("variant %q is left out: %v", v.Name, err)
			continue
		case len(ignored) > 0:
			t.warn("variant %q: %.80q isn't known as a constant, and ignored", v.Name, ignored)
		}
		rows = append(rows, Row{Name: v.Name, Constants: c})
	}
	if len(rows) < 2 || rows[0].Name != q.Safe || rows[1].Name != q.New {
		return nil, fmt.Errorf("%w: flag %q lacks variant %q or %q", ErrConstants, q.Flag, q.Safe, q.New)
	}
	if len(q.Candidates) > MaxCandidates {
		return nil, fmt.Errorf("%w: %d candidates, more than %d", ErrConstants, len(q.Candidates), MaxCandidates)
	}
	for n, raw := range q.Candidates {
		c, ignored, err := Parse(raw, rows[1].Constants.beneath())
		if err == nil && len(ignored) > 0 {
			err = fmt.Errorf("%.80q is no constant", ignored[0])
		}
		if err != nil {
			return nil, fmt.Errorf("%w: candidate %d: %w", ErrConstants, n+1, err)
		}
		rows = append(rows, Row{Name: fmt.Sprintf("candidate %d", n+1), Constants: c, own: raw})
	}
	return rows, nil
}

// ordered are the variants: Safe, New, and the rest by name.
func (q *Question) ordered() []Variant {
	rank := func(v Variant) int {
		return slices.Index([]string{q.Safe, q.New, v.Name}, v.Name)
	}
	return slices.SortedStableFunc(slices.Values(q.Variants), func(a, b Variant) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

// beneath is the constants as Parse takes them.
func (c Constants) beneath() map[string]any {
	var m map[string]any
	b, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return nil // constants are always JSON
	}
	return m
}

// regimes sort the steps by the constants that were in force.
func (q *Question) regimes(r *Recorder, t *Result) (all []*regime, err error) {
	values := map[string]Variant{}
	for _, v := range q.Variants {
		values[v.Name] = v
	}
	skipped := 0.0
	for _, s := range r.steps {
		if s.Calls <= 0 {
			continue
		}
		name := q.inForce(s)
		v, known := values[name]
		if !known {
			skipped += s.Calls
			continue
		}
		c, _, err := Parse(q.valueAt(s, v), v.Beneath)
		if err != nil {
			skipped += s.Calls
			continue
		}
		at := slices.IndexFunc(all, func(r *regime) bool { return r.variant == name && r.constants == c })
		if at < 0 {
			at, all = len(all), append(all, &regime{variant: name, constants: c})
		}
		all[at].add(s)
		t.Calls += s.Calls
		if t.From.IsZero() {
			t.From = s.Time.Add(-s.Length)
		}
		t.To = s.Time
	}
	if t.Calls+skipped == 0 {
		return nil, r.missing()
	}
	if whole := t.Calls + skipped; skipped > 0.2*whole {
		t.warn("%.0f%% of the calls are left out: which constants they ran isn't known, or they changed just then", 100*skipped/whole)
	}
	if len(all) > maxRegimes {
		slices.SortStableFunc(all, func(a, b *regime) int { return cmp.Compare(b.calls, a.calls) })
		t.warn("of %d sets of constants that were in force, the %d with most calls are looked at", len(all), maxRegimes)
		all = all[:maxRegimes]
	}
	first := 0.0
	for _, g := range all {
		first += max(g.first, g.retried, g.retries/maxAttempts)
	}
	if t.Calls < leastCalls || first < leastFirst {
		return nil, fmt.Errorf("%w: %.0f calls of %s by %s with %.0f failures of first attempts; %d and %d are needed: take more hours",
			ErrNoData, t.Calls, q.Peer, q.Service, first, leastCalls, leastFirst)
	}
	return all, nil
}

func (r *regime) add(s Step) {
	r.calls, r.retries = r.calls+s.Calls, r.retries+s.Retries
	r.first, r.retried = joined(r.first, s.First), joined(r.retried, s.Retried)
	r.failed = joined(r.failed, s.Failed)
	r.steps = append(r.steps, s)
}

// valueAt is the value that a variant had in a step.
func (q *Question) valueAt(s Step, v Variant) json.RawMessage {
	for _, span := range q.Spans {
		if span.Variant == v.Name && len(span.Value) > 0 && !s.Time.Before(span.From) && (span.To.IsZero() || !s.Time.After(span.To)) {
			return span.Value
		}
	}
	return v.Value
}
