package detector

import "sort"

// Graph says who calls whom, by what the service graph counted.
type Graph struct {
	Edges map[string]map[string]bool

	// number counts the services of the edges; below holds, by the number of a
	// service, the set of those that it reaches, one bit each, once that was
	// asked. A new edge clears both.
	number map[string]int
	below  map[int][]uint64
}

// maxServices bounds the graph against label values made up by a hostile or
// broken exporter.
const maxServices = 5000

// add takes in calls and says whether they tell anything new.
func (g *Graph) add(calls []Call) (news bool) {
	for _, c := range calls {
		if !(c.Count > 0) || c.Client == "" || c.Server == "" || c.Client == c.Server {
			continue
		}
		if g.Edges == nil {
			g.Edges = map[string]map[string]bool{}
		}
		to := g.Edges[c.Client]
		if to == nil {
			if len(g.Edges) >= maxServices {
				continue
			}
			to = map[string]bool{}
			g.Edges[c.Client] = to
		}
		if !to[c.Server] && len(to) < maxServices {
			to[c.Server] = true
			g.number, g.below = nil, nil
			news = true
		}
	}
	return news
}

// Known says whether anything is known of who calls whom.
func (g *Graph) Known() bool { return len(g.Edges) > 0 }

// maxBelow bounds the sets that are kept: all of maxServices calling each other
// take some 3 MB.
const maxBelow = 2 * maxServices

// Reaches says whether requests to service from are passed on, directly or by
// others, to service to. A service reaches itself.
func (g *Graph) Reaches(from, to string) bool {
	if from == to {
		return true
	}
	if g.number == nil {
		g.count()
	}
	f, ok1 := g.number[from]
	t, ok2 := g.number[to]
	if !ok1 || !ok2 {
		return false
	}
	set, ok := g.below[f]
	if !ok {
		set = g.search(from)
		if len(g.below) >= maxBelow {
			clear(g.below)
		}
		g.below[f] = set
	}
	return set[t/64]&(1<<(t%64)) != 0
}

// count numbers the services.
func (g *Graph) count() {
	g.number, g.below = map[string]int{}, map[int][]uint64{}
	add := func(s string) {
		if _, ok := g.number[s]; !ok {
			g.number[s] = len(g.number)
		}
	}
	for from, to := range g.Edges {
		add(from)
		for s := range to {
			add(s)
		}
	}
}

// search walks the edges from a service.
func (g *Graph) search(from string) []uint64 {
	set := make([]uint64, len(g.number)/64+1)
	next := []string{from}
	for len(next) > 0 {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		for s := range g.Edges[at] {
			n := g.number[s]
			if set[n/64]&(1<<(n%64)) == 0 {
				set[n/64] |= 1 << (n % 64)
				next = append(next, s)
			}
		}
	}
	return set
}

// Callees lists the services that from calls, in order of name.
func (g *Graph) Callees(from string) []string {
	out := make([]string, 0, len(g.Edges[from]))
	for s := range g.Edges[from] {
		out = append(out, s)
	}
	sort.Strings(out)
	return out
}
