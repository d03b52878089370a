package rehearsal

import (
	"fmt"
	"slices"
	"strings"

	"aftershock/detector"
)

// What became of what a rehearsal said.
const (
	Foreseen = "foreseen" // both shifted, in the same direction
	Missed   = "missed"   // production shifted, and the rehearsal had said otherwise or nothing
	Wrong    = "wrong"    // the rehearsal shifted, and production is proven not to
	Open     = "open"     // the rehearsal shifted, and production doesn't tell yet
	Agreed   = "agreed"   // neither shifted
)

// Foresight is one indicator of production beside what the rehearsal said of it.
type Foresight struct {
	Outcome string `json:"outcome"`
	// Indicator is production's, or the rehearsal's where production has none.
	Indicator detector.Indicator `json:"indicator"`
	// Production and Rehearsal are the verdicts, empty where there is none, and the
	// effects where there are any.
	Production       detector.State   `json:"production,omitempty"`
	Rehearsal        detector.State   `json:"rehearsal,omitempty"`
	ProductionEffect *detector.Effect `json:"production_effect,omitempty"`
	RehearsalEffect  *detector.Effect `json:"rehearsal_effect,omitempty"`
	// Says is why, in words.
	Says string `json:"says"`
}

// Compare sets production's verdicts against the rehearsal's, by kind, service and
// route; and by method where both tell it. Shifts come first: foreseen, missed,
// wrong, open.
func Compare(production, rehearsed []detector.Verdict) []Foresight {
	var out []Foresight
	used := make([]bool, len(rehearsed))
	for i := range production {
		p := &production[i]
		var r *detector.Verdict
		for k := range rehearsed {
			if !sameRequests(p.Indicator, rehearsed[k].Indicator) {
				continue
			}
			used[k] = true
			// Of several methods the one that shifted speaks.
			if r == nil || shifted(&rehearsed[k]) && !shifted(r) {
				r = &rehearsed[k]
			}
		}
		if f, ok := foresee(p, r); ok {
			out = append(out, f)
		}
	}
	for k := range rehearsed {
		if r := &rehearsed[k]; !used[k] && shifted(r) {
			out = append(out, Foresight{
				Outcome: Open, Indicator: r.Indicator, Rehearsal: r.State, RehearsalEffect: r.Effect,
				Says: "production has no such indicator",
			})
		}
	}
	order := []string{Foreseen, Missed, Wrong, Open, Agreed}
	slices.SortStableFunc(out, func(a, b Foresight) int {
		return slices.Index(order, a.Outcome) - slices.Index(order, b.Outcome)
	})
	return out
}

func shifted(v *detector.Verdict) bool {
	return v != nil && (v.State == detector.Regressed || v.State == detector.Improved)
}

// foresee is the outcome of one indicator; false where neither side says anything.
func foresee(p, r *detector.Verdict) (Foresight, bool) {
	f := Foresight{Indicator: p.Indicator, Production: p.State, ProductionEffect: p.Effect}
	if r != nil {
		f.Rehearsal, f.RehearsalEffect = r.State, r.Effect
	}
	switch {
	case shifted(p) && shifted(r) && p.State == r.State:
		f.Outcome, f.Says = Foreseen, "the rehearsal shifted the same way"
	case shifted(p):
		f.Outcome, f.Says = Missed, missing(p, r)
	case shifted(r) && p.State == detector.Clear:
		f.Outcome, f.Says = Wrong, fmt.Sprintf("the rehearsal said %s, production is within the margin", r.State)
	case shifted(r):
		f.Outcome, f.Says = Open, "production doesn't tell yet"
		if p.Missing != "" {
			f.Says += ": " + p.Missing
		}
	case p.State == detector.Clear && r != nil && r.State == detector.Clear:
		f.Outcome, f.Says = Agreed, "both are within the margin"
	default:
		return f, false
	}
	return f, true
}

// missing says why a shift wasn't foreseen.
func missing(p, r *detector.Verdict) string {
	switch {
	case r == nil && p.Indicator.Kind == detector.Retry:
		return "a rehearsal sees a service from outside, and no retries within"
	case r == nil:
		return "it wasn't rehearsed"
	case r.State == detector.Undecided && r.Missing != "":
		return "the rehearsal was undecided: " + r.Missing
	case r.State == detector.Undecided:
		return "the rehearsal was undecided"
	case r.State == detector.Clear:
		return "the rehearsal was within the margin"
	}
	return "the rehearsal shifted the other way"
}

// sameRequests says whether an indicator of production and one of a rehearsal are
// of the same requests.
func sameRequests(p, r detector.Indicator) bool {
	if p.Kind != r.Kind || p.Kind == detector.Retry || strings.Contains(p.Metric, "client") {
		return false
	}
	if s := r.Service(); s != "" && p.Service() != "" && s != p.Service() {
		return false
	}
	method, route := endpoint(p.Labels)
	rehearsedMethod, rehearsedRoute := endpoint(r.Labels)
	if route == "" || route != rehearsedRoute {
		return false
	}
	return method == rehearsedMethod || !tellsMethod(p.Labels)
}

func tellsMethod(labels map[string]string) bool {
	for _, n := range []string{"http_request_method", "http_method", "method", "verb"} {
		if labels[n] != "" {
			return true
		}
	}
	return slices.ContainsFunc([]string{"http_route", "route", "handler", "path"}, func(n string) bool { return strings.Contains(labels[n], " ") })
}
