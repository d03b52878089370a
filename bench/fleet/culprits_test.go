package fleet

import (
	"slices"
	"testing"
)

// slowed is a fault that makes a service's own time on a route three times as long.
func slowed(w *World, service, route int) *fault {
	return &fault{service: service, route: route, times: 3, errors: 1, client: w.services[service].client}
}

// Each indicator is put down to whom it was moved by: on two routes to one of two
// culprits each, on a common path to both above, and to the lower one alone below.
func TestTwoCulprits(t *testing.T) {
	w := small(t, None, 4)
	k := slices.IndexFunc(w.routes, func(o *route) bool { return len(o.path) > 2 })
	path := w.routes[k].path
	lower, upper := path[len(path)-1], path[len(path)-2]
	other := slices.IndexFunc(w.routes, func(o *route) bool { return o != w.routes[k] && !slices.Contains(o.path, lower) })
	if k < 0 || other < 0 {
		t.Fatal("the world has no such routes")
	}
	apart := w.routes[other].path[1]
	w.deploys = nil
	for _, s := range []int{lower, upper, apart} {
		for _, in := range w.services[s].instances {
			in.upgraded = -1
		}
		w.deployAlso(s)
	}
	name := func(s int) string { return w.services[s].binary() }
	for _, tt := range []struct {
		name   string
		faults []*fault
		want   map[[2]int][]string // by service and route
	}{
		{"one path", []*fault{slowed(w, lower, k), slowed(w, upper, k)}, map[[2]int][]string{
			{lower, k}: {name(lower)}, {upper, k}: {name(lower), name(upper)},
		}},
		{"two routes", []*fault{slowed(w, lower, k), slowed(w, apart, other)}, map[[2]int][]string{
			{lower, k}: {name(lower)}, {apart, other}: {name(apart)},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.faults = tt.faults
			frames(t, w)
			a := w.Answer()
			if len(a.Culprits) != 2 || a.Onset == nil {
				t.Fatalf("culprits %v from %v, want two", a.Culprits, a.Onset)
			}
			for at, want := range tt.want {
				i := slices.IndexFunc(a.Shifted, func(s Shifted) bool {
					return s.Kind == "latency" && s.Service == w.services[at[0]].name && s.Route == w.routes[at[1]].name
				})
				if i < 0 {
					t.Errorf("%s on %s isn't said to have moved", w.services[at[0]].name, w.routes[at[1]].name)
					continue
				}
				got := slices.Sorted(slices.Values(a.Shifted[i].Culprits))
				if want := slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
					t.Errorf("%s on %s was moved by %v, want %v", a.Shifted[i].Service, a.Shifted[i].Route, got, want)
				}
			}
		})
	}
}

// Two culprits are two binaries, both changed, and what each moves begins with it.
func TestPlannedCulprits(t *testing.T) {
	for seed := range uint64(15) {
		w := world(t, TwoCulprits, seed)
		if len(w.faults) != 2 || w.faults[0].service == w.faults[1].service {
			t.Fatalf("seed %d: %d faults, want two in two binaries", seed, len(w.faults))
		}
		for _, f := range w.faults {
			if !slices.ContainsFunc(w.deploys, func(d deploy) bool { return d.service == f.service }) {
				t.Errorf("seed %d: %s has a fault and didn't change", seed, w.services[f.service].name)
			}
			if len(w.routesOf(f.service)) == 0 {
				t.Errorf("seed %d: nobody asks %s for anything", seed, w.services[f.service].name)
			}
		}
	}
}

// So many binaries change as asked for, or all there are.
func TestNumberOfBinaries(t *testing.T) {
	for seed := range uint64(10) {
		w, err := NewOf(None, seed, 6)
		if err != nil {
			t.Fatal(err)
		}
		// The gateway takes part in some upgrades only.
		if n, all := len(w.deploys), len(w.services); n > 6 || n < min(6, all-1) {
			t.Errorf("seed %d: %d of %d binaries change", seed, n, all)
		}
	}
}
