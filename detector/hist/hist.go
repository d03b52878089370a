// Package hist is the algebra of histograms that the judgement needs: adding,
// counting above a bound, quantiles as the bucket that holds them.
//
// Classic and native histograms have one form here: ascending upper bounds and
// the count of each bucket. A native histogram lists its populated buckets,
// with an empty bucket for each gap between them.
package hist

// Histogram is a distribution of counts over buckets.
type Histogram struct {
	// Bounds are the buckets' inclusive upper bounds, strictly ascending; the
	// last may be +Inf. They may be shared between histograms: never write.
	Bounds []float64
	// Counts are the buckets' own counts, not cumulative; len(Counts) ==
	// len(Bounds).
	Counts []float64
}
