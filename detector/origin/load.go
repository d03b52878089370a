package origin

import (
	"maps"
	"slices"
)

// part is what a service has of the trouble: by itself, and by the load that it
// was put under.
type part struct{ own, load float64 }

// loaded is how much of a service's trouble is put down to load: as much as it
// is likely that its requests grew, times the share of them that came on top.
func (p *place) loaded() float64 {
	if p == nil || !(p.grown.now > p.grown.was) {
		return 0
	}
	return p.grown.likely() * (1 - p.grown.was/p.grown.now)
}

// uphill takes load to where it came in: to the caller that grew most, as far as
// it grew as much as its callee, and from there on to its callers. (The load of
// a database is the doing of who asks it.)
func (q *Question) uphill(own map[string]float64, places map[string]*place) map[string]part {
	callers := map[string][]string{}
	for from, to := range q.Graph.Edges {
		for c := range to {
			callers[c] = append(callers[c], from)
		}
	}
	out := map[string]part{}
	for _, service := range slices.Sorted(maps.Keys(own)) {
		mass := own[service]
		load := mass * places[service].loaded()
		sum := out[service]
		sum.own += mass - load
		out[service] = sum
		seen := map[string]bool{}
		for at := service; load > 0; {
			seen[at] = true
			up, grown := "", 0.0
			for _, c := range callers[at] {
				if g := places[c].loaded(); !seen[c] && (g > grown || g == grown && g > 0 && c < up) {
					up, grown = c, g
				}
			}
			on := load * min(1, grown/places[at].loaded())
			sum := out[at]
			sum.load += load - on
			out[at] = sum
			at, load = up, on
		}
	}
	return out
}
