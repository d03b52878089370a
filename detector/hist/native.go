package hist

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
)

// FromNative gives a valid native histogram the form of this package, with its
// bounds multiplied by scale.
//
// Of an exponential one these are the populated buckets in ascending order, an
// empty bucket for each gap between them and one below the first, so that the
// lower end of every populated bucket is a bound; Layout has the grid. One with
// custom buckets (schema -53) keeps all its bounds and gets one of +Inf, so that
// it equals the classic histogram that it may have been before.
//
// Counts below zero (a histogram that isn't a valid increment) and absurd ones
// count as zero, and observations of NaN, which are in no bucket, are left out.
// A histogram whose Validate fails may make it panic.
func FromNative(h *histogram.FloatHistogram, scale float64) Histogram {
	if h.UsesCustomBuckets() {
		return fromCustom(h, scale)
	}
	out := Histogram{Layout: &Layout{Scale: scale, Schema: h.Schema, Lowest: h.ZeroThreshold * scale}}
	for it := h.AllBucketIterator(); it.Next(); {
		b := it.At()
		if !isCount(b.Count) {
			continue
		}
		lower, upper := b.Lower*scale, b.Upper*scale
		if lower < 0 && upper > 0 && len(h.NegativeBuckets) == 0 && !math.IsInf(lower, -1) {
			// The zero bucket reaches below zero only if something else does.
			lower = 0
		}
		if n := len(out.Bounds); !math.IsInf(lower, -1) && (n == 0 || lower > out.Bounds[n-1]) {
			out.Bounds = append(out.Bounds, lower)
			out.Counts = append(out.Counts, 0)
		}
		if n := len(out.Bounds); n > 0 && upper <= out.Bounds[n-1] {
			// The zero bucket may reach over the buckets beside it.
			out.Counts[n-1] += b.Count
			continue
		}
		out.Bounds = append(out.Bounds, upper)
		out.Counts = append(out.Counts, b.Count)
	}
	return out
}

func fromCustom(h *histogram.FloatHistogram, scale float64) Histogram {
	n := len(h.CustomValues)
	out := Histogram{Bounds: make([]float64, n+1), Counts: make([]float64, n+1)}
	for i, x := range h.CustomValues {
		out.Bounds[i] = x * scale
	}
	out.Bounds[n] = math.Inf(1)
	for it := h.PositiveBucketIterator(); it.Next(); {
		if b := it.At(); isCount(b.Count) {
			out.Counts[b.Index] = b.Count
		}
	}
	return out.ascending()
}

// ascending joins buckets whose bounds fell together when they were scaled: those
// of numbers at the end of what a float can be.
func (h Histogram) ascending() Histogram {
	n := 0
	for i, x := range h.Bounds {
		if i > 0 && x <= h.Bounds[n-1] {
			h.Counts[n-1] += h.Counts[i]
			continue
		}
		h.Bounds[n], h.Counts[n] = x, h.Counts[i]
		n++
	}
	h.Bounds, h.Counts = h.Bounds[:n], h.Counts[:n]
	return h
}

// most is more than any bucket counts; sums of such would overflow.
const most = 1e100

func isCount(c float64) bool { return c > 0 && c < most }
