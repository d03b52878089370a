package detector

import "sort"

// Graph says who calls whom, by what the service graph counted.
type Graph struct {
	Edges map[string]map[string]bool
}

// maxServices bounds the graph against label values made up by a hostile or
// broken exporter.
const maxServices = 5000

func (g *Graph) add(calls []Call) {
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
		if len(to) < maxServices {
			to[c.Server] = true
		}
	}
}

// Known says whether anything is known of who calls whom.
func (g *Graph) Known() bool { return len(g.Edges) > 0 }

// Reaches says whether requests to service from are passed on, directly or by
// others, to service to. A service reaches itself.
func (g *Graph) Reaches(from, to string) bool {
	if from == to {
		return true
	}
	seen := map[string]bool{from: true}
	next := []string{from}
	for len(next) > 0 {
		at := next[0]
		next = next[1:]
		for s := range g.Edges[at] {
			if s == to {
				return true
			}
			if !seen[s] {
				seen[s] = true
				next = append(next, s)
			}
		}
	}
	return false
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
