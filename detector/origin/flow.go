package origin

import (
	"maps"
	"slices"
)

// flow shares out what the target lost among the services below it: the parts
// add up to 1.
type flow struct {
	q      *Question
	places map[string]*place
	// passed is what a service that was gone through is believed to have added,
	// its callees' part included; callees are those that it was gone through to,
	// without the calls that lead back (which would go round for ever).
	passed  map[string]float64
	callees map[string][]string
	order   []string // callees before callers
}

// share follows what was lost from the target down the calls.
func (q *Question) share(places map[string]*place) map[string]float64 {
	f := flow{q: q, places: places, passed: map[string]float64{}, callees: map[string][]string{}}
	f.visit(q.Target.Service, map[string]bool{})
	comes := map[string]float64{q.Target.Service: 1}
	own := map[string]float64{}
	for _, at := range slices.Backward(f.order) {
		below := 0.0
		for _, c := range f.callees[at] {
			below += f.passed[c]
		}
		all := max(f.whole(at, below), below)
		if all == 0 {
			own[at] = comes[at]
			continue
		}
		own[at] = comes[at] * (all - below) / all
		for _, c := range f.callees[at] {
			comes[c] += comes[at] * f.passed[c] / all
		}
	}
	maps.DeleteFunc(own, func(_ string, part float64) bool { return part == 0 })
	return own
}

// whole is what a service added itself and by its callees: what these did
// together, where it has no metric of its own.
func (f *flow) whole(service string, below float64) float64 {
	if p := f.places[service]; p != nil && p.moved.known {
		return p.added()
	}
	return below
}

// visit goes through what a service calls, in order of name.
func (f *flow) visit(service string, above map[string]bool) {
	above[service] = true
	below := 0.0
	for _, c := range f.q.Graph.Callees(service) {
		if above[c] || c == "" { // no name is that of "nothing is wrong"
			continue
		}
		if _, ok := f.passed[c]; !ok {
			f.visit(c, above)
		}
		f.callees[service] = append(f.callees[service], c)
		below += f.passed[c]
	}
	delete(above, service)
	// A service counts as far as it is likely to have shifted.
	f.passed[service] = f.whole(service, below)
	if p := f.places[service]; p != nil && p.moved.known {
		f.passed[service] *= p.moved.likely()
	}
	f.order = append(f.order, service)
}
