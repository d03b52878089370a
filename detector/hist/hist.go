// Package hist is the algebra of histograms that the judgement needs: adding,
// counting above a bound, quantiles as the bucket that holds them.
//
// Classic and native histograms have one form here: ascending upper bounds and
// the count of each bucket. A native histogram lists its populated buckets,
// with an empty bucket for each gap between them.
package hist

import (
	"math"
	"slices"
	"sort"
)

// Histogram is a distribution of counts over buckets.
type Histogram struct {
	// Bounds are the buckets' inclusive upper bounds, strictly ascending; the
	// last may be +Inf. They may be shared between histograms: never write.
	Bounds []float64
	// Counts are the buckets' own counts, not cumulative; len(Counts) ==
	// len(Bounds).
	Counts []float64
	// Layout is what the histogram can count; nil where that is Bounds.
	Layout *Layout
}

// Total is the count over all buckets.
func (h Histogram) Total() float64 {
	sum := 0.0
	for _, c := range h.Counts {
		sum += c
	}
	return sum
}

// Above is the count of values over x, as the range that the buckets support:
// least counts the buckets that lie wholly above x, most adds the bucket that
// x falls into. The two are equal when x is a bound of the histogram, or falls
// into an empty bucket.
func (h Histogram) Above(x float64) (least, most float64) {
	i := sort.SearchFloat64s(h.Bounds, x)
	if i == len(h.Bounds) {
		return 0, 0
	}
	for _, c := range h.Counts[i+1:] {
		least += c
	}
	most = least
	if h.Bounds[i] != x {
		most += h.Counts[i]
	}
	return least, most
}

// AboveBound is the count of values over x, if x is a bound of the layout.
//
// Where single steps are counted, this is what to ask rather than Above: that
// also knows the count when the bucket around x happens to be empty, and a sum
// over the steps of which that is so leaves out just those in which something
// was counted around x. At a tail with few values a step it would fall short by
// half, as if the tail had become shorter.
func (h Histogram) AboveBound(x float64) (count float64, ok bool) {
	if l := h.layout(); l != nil && !l.has(x) {
		return 0, false
	}
	least, most := h.Above(x)
	return least, least == most
}

// layout is nil for a histogram that says nothing of its bounds.
func (h Histogram) layout() *Layout {
	if h.Layout == nil && len(h.Bounds) > 0 {
		return &Layout{Bounds: h.Bounds}
	}
	return h.Layout
}

// Quantile is the bucket that holds the q-quantile (q in 0..1), as its lower
// and upper bound: of n values the ceil(q n)-th in ascending order, and the
// first for q = 0. The lower bound of the first bucket is 0 (a duration can't
// be less), or -Inf if its upper bound is below 0; the upper bound of the last
// may be +Inf. ok is false when the histogram is empty.
func (h Histogram) Quantile(q float64) (lower, upper float64, ok bool) {
	total := h.Total()
	if !(total > 0) {
		return 0, 0, false
	}
	rank, seen := q*total, 0.0
	for i, c := range h.Counts {
		seen += c
		if seen >= rank && c > 0 {
			switch {
			case i > 0:
				lower = h.Bounds[i-1]
			case h.Bounds[0] < 0:
				lower = math.Inf(-1)
			}
			return lower, h.Bounds[i], true
		}
	}
	return 0, 0, false
}

// Merge adds b to a, keeping every bound that both support: one that is a
// bound of the other too, or falls into an empty bucket of it. Counts are exact
// at the bounds that are kept, and nothing is said between them. Merging is
// commutative, and associative up to the rounding of the counts, so a layout
// that changed only costs resolution. The layout of the sum is what both share.
func Merge(a, b Histogram) Histogram {
	if len(a.Bounds) == 0 {
		a, b = b, a
	}
	if len(b.Bounds) == 0 {
		return Histogram{a.Bounds, slices.Clone(a.Counts), nil}.within(a, b)
	}
	if same(a.Bounds, b.Bounds) {
		sum := slices.Clone(a.Counts)
		for i, c := range b.Counts {
			sum[i] += c
		}
		return Histogram{a.Bounds, sum, nil}.within(a, b)
	}
	bounds := make([]float64, 0, len(a.Bounds)+len(b.Bounds))
	i, j := 0, 0
	for i < len(a.Bounds) || j < len(b.Bounds) {
		var x float64
		switch {
		case j == len(b.Bounds) || i < len(a.Bounds) && a.Bounds[i] < b.Bounds[j]:
			x = a.Bounds[i]
			i++
		case i == len(a.Bounds) || b.Bounds[j] < a.Bounds[i]:
			x = b.Bounds[j]
			j++
		default:
			x = a.Bounds[i]
			i, j = i+1, j+1
		}
		if a.supports(x) && b.supports(x) {
			bounds = append(bounds, x)
		}
	}
	out := Histogram{bounds, make([]float64, len(bounds)), nil}
	out.fold(a)
	out.fold(b)
	return out.within(a, b)
}

// within gives the sum of a and b its layout.
func (o Histogram) within(a, b Histogram) Histogram {
	if a.Layout == nil && b.Layout == nil && (len(b.Bounds) == 0 || same(a.Bounds, b.Bounds)) {
		return o
	}
	o.Layout = shared(a.layout(), b.layout())
	if o.Layout != nil && !(o.Layout.Scale > 0) && slices.Equal(o.Layout.Bounds, o.Bounds) {
		o.Layout = nil
	}
	return o
}

// supports says whether the count above x is known exactly.
func (h Histogram) supports(x float64) bool {
	i := sort.SearchFloat64s(h.Bounds, x)
	return i == len(h.Bounds) || h.Bounds[i] == x || h.Counts[i] == 0
}

// fold adds the counts of h, which supports every bound of o.
func (o Histogram) fold(h Histogram) {
	for i, c := range h.Counts {
		// Bounds that don't ascend, against the contract, may find no place.
		if k := sort.SearchFloat64s(o.Bounds, h.Bounds[i]); c != 0 && k < len(o.Bounds) {
			o.Counts[k] += c
		}
	}
}

func same(a, b []float64) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}
