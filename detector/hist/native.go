package hist

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
)

// FromNative gives a native histogram, exponential or with custom buckets, the
// form of this package: its populated buckets in ascending order, an empty
// bucket for each gap between them and one below the first, so that the lower
// end of every populated bucket is a bound. Bounds are multiplied by scale.
// Counts below zero (a histogram that isn't a valid increment) count as zero,
// and observations of NaN, which are in no bucket, are left out.
func FromNative(h *histogram.FloatHistogram, scale float64) Histogram {
	var out Histogram
	for it := h.AllBucketIterator(); it.Next(); {
		b := it.At()
		if b.Count <= 0 {
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
