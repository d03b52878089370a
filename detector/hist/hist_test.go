package hist

import (
	"math"
	"sort"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var inf = math.Inf(1)

func TestAbove(t *testing.T) {
	h := Histogram{Bounds: []float64{1, 2, 4, inf}, Counts: []float64{10, 5, 0, 2}}
	for _, c := range []struct{ x, least, most float64 }{
		{1, 7, 7}, {2, 2, 2}, {1.5, 2, 7}, {3, 2, 2}, {4, 2, 2}, {5, 0, 2}, {0.5, 7, 17}, {inf, 0, 0},
	} {
		if least, most := h.Above(c.x); least != c.least || most != c.most {
			t.Errorf("Above(%v) = %v, %v, want %v, %v", c.x, least, most, c.least, c.most)
		}
	}
	if least, most := (Histogram{}).Above(1); least != 0 || most != 0 {
		t.Errorf("an empty histogram has %v, %v above 1", least, most)
	}
}

func TestQuantile(t *testing.T) {
	h := Histogram{Bounds: []float64{1, 2, 4, inf}, Counts: []float64{10, 5, 0, 1}}
	for _, c := range []struct{ q, lower, upper float64 }{
		{0, 0, 1}, {0.5, 0, 1}, {0.625, 0, 1}, {0.63, 1, 2}, {0.93, 1, 2}, {0.99, 4, inf}, {1, 4, inf},
	} {
		if lower, upper, ok := h.Quantile(c.q); !ok || lower != c.lower || upper != c.upper {
			t.Errorf("Quantile(%v) = %v, %v, %v, want %v, %v", c.q, lower, upper, ok, c.lower, c.upper)
		}
	}
	if _, _, ok := (Histogram{Bounds: []float64{1}, Counts: []float64{0}}).Quantile(0.5); ok {
		t.Error("an empty histogram has a median")
	}
}

// Two layouts meet at the bounds that both support.
func TestMergeKeepsSharedBounds(t *testing.T) {
	a := Histogram{Bounds: []float64{0.1, 0.5, 1, inf}, Counts: []float64{4, 3, 2, 1}}
	b := Histogram{Bounds: []float64{0.1, 0.25, 1, inf}, Counts: []float64{40, 30, 20, 10}}
	want := Histogram{Bounds: []float64{0.1, 1, inf}, Counts: []float64{44, 55, 11}}
	if d := cmp.Diff(want, Merge(a, b)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// The empty buckets of a native histogram are no obstacle.
func TestMergeOfSparseHistograms(t *testing.T) {
	a := Histogram{Bounds: []float64{1, 2}, Counts: []float64{0, 3}}
	b := Histogram{Bounds: []float64{8, 16}, Counts: []float64{0, 5}}
	want := Histogram{Bounds: []float64{1, 2, 8, 16}, Counts: []float64{0, 3, 0, 5}, Layout: &Layout{}}
	if d := cmp.Diff(want, Merge(a, b)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestMergeOfNothing(t *testing.T) {
	a := Histogram{Bounds: []float64{1, inf}, Counts: []float64{1, 2}}
	got := Merge(Histogram{}, a)
	got.Counts[0] = 99
	if a.Counts[0] != 1 {
		t.Error("merging with nothing shares the counts")
	}
}

func draw(t *rapid.T, name string) Histogram {
	set := map[float64]bool{}
	for _, i := range rapid.SliceOfN(rapid.IntRange(1, 20), 1, 8).Draw(t, name) {
		set[float64(i)] = true
	}
	var h Histogram
	for x := range set {
		h.Bounds = append(h.Bounds, x)
	}
	sort.Float64s(h.Bounds)
	for range h.Bounds {
		h.Counts = append(h.Counts, float64(rapid.IntRange(0, 5).Draw(t, "count")))
	}
	return h
}

// Merging keeps the total, is exact at each bound that it keeps, and doesn't
// depend on the order.
func TestMergeIsExactAtItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw(t, "a"), draw(t, "b"), draw(t, "c")
		if d := cmp.Diff(Merge(a, b), Merge(b, a)); d != "" {
			t.Fatalf("not commutative:\n%s", d)
		}
		for _, m := range []Histogram{Merge(Merge(a, b), c), Merge(a, Merge(b, c))} {
			if d := cmp.Diff(Merge(Merge(a, b), c), m); d != "" {
				t.Fatalf("not associative:\n%s", d)
			}
			if m.Total() != a.Total()+b.Total()+c.Total() {
				t.Fatalf("total %v, want %v", m.Total(), a.Total()+b.Total()+c.Total())
			}
			for _, x := range m.Bounds {
				got, _ := m.Above(x)
				want := 0.0
				for _, h := range []Histogram{a, b, c} {
					least, most := h.Above(x)
					if least != most {
						t.Fatalf("bound %v was kept, though %v says nothing at it", x, h)
					}
					want += least
				}
				if got != want {
					t.Fatalf("%v above %v, want %v", got, x, want)
				}
			}
		}
	})
}
