package hist

import (
	"math"
	"slices"
)

// Layout says at which bounds a histogram can count whatever values come: the
// bounds that its process has buckets for, populated or not. Either they are
// listed, or they are the exponential grid
//
//	Scale * 2^(k * 2^-Schema)  for all integers k, from Lowest on
//
// that Prometheus' native histograms lie on. The grid of a schema holds those of
// all lower schemas.
type Layout struct {
	// Bounds are the listed bounds, ascending; not used with a grid.
	Bounds []float64
	// Scale is positive for a grid, and 0 for a list.
	Scale float64
	// Schema is the grid's resolution, -4..8.
	Schema int32
	// Lowest is the end of the zero bucket: no bound is below it.
	Lowest float64
}

// onGrid is how far, in steps of the grid, rounding may take a bound from its
// place.
const onGrid = 1e-6

// has says whether x is a bound.
func (l *Layout) has(x float64) bool {
	if !(l.Scale > 0) {
		_, ok := slices.BinarySearch(l.Bounds, x)
		return ok
	}
	if !(x > 0 && x >= l.Lowest) {
		return false
	}
	if math.IsInf(x, 1) {
		return true
	}
	place := math.Ldexp(math.Log2(x/l.Scale), int(l.Schema))
	return math.Abs(place-math.Round(place)) < onGrid
}

// shared is the layout of the bounds that both have; nil is that of a histogram
// that has never counted and stands in nobody's way.
func shared(a, b *Layout) *Layout {
	switch {
	case a == b || b == nil:
		return a
	case a == nil:
		return b
	case a.Scale > 0 && b.Scale > 0:
		if a.Scale != b.Scale {
			return &Layout{} // powers of two of different units
		}
		if a.Schema > b.Schema {
			a, b = b, a
		}
		if a.Lowest >= b.Lowest {
			return a
		}
		return &Layout{Scale: a.Scale, Schema: a.Schema, Lowest: b.Lowest}
	case a.Scale > 0:
		a, b = b, a
	}
	var out Layout
	for _, x := range a.Bounds {
		if b.has(x) {
			out.Bounds = append(out.Bounds, x)
		}
	}
	return &out
}
