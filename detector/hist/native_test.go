package hist

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/histogram"
)

func TestFromNative(t *testing.T) {
	inf := math.Inf(1)
	for _, tc := range []struct {
		name  string
		h     *histogram.FloatHistogram
		scale float64
		want  Histogram
	}{
		{"empty", &histogram.FloatHistogram{}, 1, Histogram{Layout: &Layout{Scale: 1}}},
		{"neighbours share a bound, gaps become empty buckets", &histogram.FloatHistogram{
			Schema: 0, Count: 9,
			PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 1}}, PositiveBuckets: []float64{2, 3, 4},
		}, 1, Histogram{[]float64{0.5, 1, 2, 4, 8}, []float64{0, 2, 3, 0, 4}, &Layout{Scale: 1}}},
		{"zero bucket, in milliseconds", &histogram.FloatHistogram{
			Schema: 0, Count: 3, ZeroThreshold: 1, ZeroCount: 1,
			PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}, PositiveBuckets: []float64{2},
		}, 1e-3, Histogram{[]float64{0, 0.001, 0.002}, []float64{0, 1, 2}, &Layout{Scale: 1e-3, Lowest: 1e-3}}},
		{"custom buckets", &histogram.FloatHistogram{
			Schema: histogram.CustomBucketsSchema, Count: 6, CustomValues: []float64{0.1, 1},
			PositiveSpans: []histogram.Span{{Offset: 0, Length: 3}}, PositiveBuckets: []float64{1, 2, 3},
		}, 1, Histogram{Bounds: []float64{0.1, 1, inf}, Counts: []float64{1, 2, 3}}},
		{"negative counts are no counts", &histogram.FloatHistogram{
			Schema: 0, Count: 1, PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []float64{-2, 3},
		}, 1, Histogram{[]float64{1, 2}, []float64{0, 3}, &Layout{Scale: 1}}},
		{"absurd counts are no counts", &histogram.FloatHistogram{
			Schema: 0, Count: 1, PositiveSpans: []histogram.Span{{Offset: 0, Length: 3}}, PositiveBuckets: []float64{inf, 3, math.NaN()},
		}, 1, Histogram{[]float64{1, 2}, []float64{0, 3}, &Layout{Scale: 1}}},
		{"custom buckets without counts stay", &histogram.FloatHistogram{
			Schema: histogram.CustomBucketsSchema, Count: 3, CustomValues: []float64{100, 250, 1000},
			PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}, PositiveBuckets: []float64{3},
		}, 1e-3, Histogram{Bounds: []float64{0.1, 0.25, 1, inf}, Counts: []float64{0, 3, 0, 0}}},
		{"custom bounds that fall together", &histogram.FloatHistogram{
			Schema: histogram.CustomBucketsSchema, Count: 6, CustomValues: []float64{5e-324, 1e-323, 1},
			PositiveSpans: []histogram.Span{{Offset: 0, Length: 3}}, PositiveBuckets: []float64{1, 2, 3},
		}, 1e-3, Histogram{Bounds: []float64{0, 0.001, inf}, Counts: []float64{3, 3, 0}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := FromNative(tc.h, tc.scale)
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty(), cmpopts.EquateApprox(0, 1e-15)); diff != "" {
				t.Errorf("FromNative (-want +got):\n%s", diff)
			}
			for i := 1; i < len(got.Bounds); i++ {
				if got.Bounds[i] <= got.Bounds[i-1] {
					t.Errorf("bounds don't ascend: %v", got.Bounds)
				}
			}
		})
	}
}
