package detector

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// reaches is Reaches at its plainest.
func reaches(edges map[string]map[string]bool, from, to string, seen map[string]bool) bool {
	if from == to {
		return true
	}
	seen[from] = true
	for s := range edges[from] {
		if s == to || !seen[s] && reaches(edges, s, to, seen) {
			return true
		}
	}
	return false
}

func TestGraphReaches(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	name := func() string { return fmt.Sprintf("s%d", draw.IntN(12)) }
	for range 50 {
		var g Graph
		for range 15 {
			g.add([]Call{{Client: name(), Server: name(), Count: 1}})
			for range 10 {
				from, to := name(), name()
				if got, want := g.Reaches(from, to), reaches(g.Edges, from, to, map[string]bool{}); got != want {
					t.Fatalf("Reaches(%s, %s) = %t, want %t in %v", from, to, got, want, g.Edges)
				}
			}
		}
	}
}

// A ring of as many services as are kept answers every pair in no time and in
// bounded memory.
func TestGraphLargeRing(t *testing.T) {
	var g Graph
	for i := range 2 * maxServices {
		g.add([]Call{{Client: fmt.Sprint(i), Server: fmt.Sprint((i + 1) % maxServices), Count: 1}})
	}
	began := time.Now()
	for i := range 100 * maxServices {
		from, to := fmt.Sprint(i%20), fmt.Sprint(i%maxServices)
		if !g.Reaches(from, to) {
			t.Fatalf("%s doesn't reach %s", from, to)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("half a million questions took %s", took)
	}
	if len(g.Edges) > maxServices || len(g.below) > maxBelow {
		t.Errorf("got %d services and %d sets, want at most %d and %d", len(g.Edges), len(g.below), maxServices, maxBelow)
	}
}
