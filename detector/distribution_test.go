package detector

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector/hist"
)

func TestDistribution(t *testing.T) {
	inf := math.Inf(1)
	h := func(bounds, counts []float64) hist.Histogram { return hist.Histogram{Bounds: bounds, Counts: counts} }
	for _, tt := range []struct {
		name          string
		before, after hist.Histogram
		want          *Distribution
	}{
		{
			"one layout", h([]float64{0.1, 0.5, 1, inf}, []float64{50, 30, 15, 5}), h([]float64{0.1, 0.5, 1, inf}, []float64{10, 5, 3, 2}),
			&Distribution{[]float64{0.1, 0.5, 1}, []float64{0.5, 0.3, 0.15, 0.05}, []float64{0.5, 0.25, 0.15, 0.1}},
		},
		{
			"bounds that both have", h([]float64{0.1, 0.2, 0.5, inf}, []float64{2, 2, 4, 2}), h([]float64{0.1, 0.5, inf}, []float64{5, 4, 1}),
			&Distribution{[]float64{0.1, 0.5}, []float64{0.2, 0.6, 0.2}, []float64{0.5, 0.4, 0.1}},
		},
		{
			"empty ends", h([]float64{0.001, 0.01, 0.1, 1, 10, 100, inf}, []float64{0, 0, 1, 1, 0, 0, 0}), h([]float64{0.001, 0.01, 0.1, 1, 10, 100, inf}, []float64{0, 0, 1, 3, 0, 0, 0}),
			&Distribution{[]float64{0.01, 0.1, 1}, []float64{0, 0.5, 0.5, 0}, []float64{0, 0.25, 0.75, 0}},
		},
		{"nothing before", h([]float64{1}, []float64{0}), h([]float64{1}, []float64{3}), nil},
		{"no finite bound", h([]float64{inf}, []float64{3}), h([]float64{inf}, []float64{3}), nil},
	} {
		if d := cmp.Diff(tt.want, distribution(tt.before, tt.after)); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
	// A fine grid is thinned, and loses nothing.
	var bounds, counts []float64
	for i := range 500 {
		bounds, counts = append(bounds, math.Pow(1.02, float64(i))), append(counts, float64(i%7+1))
	}
	d := distribution(h(bounds, counts), h(bounds, counts))
	sum := 0.0
	for _, x := range d.After {
		sum += x
	}
	if len(d.Bounds) > maxBuckets || len(d.Bounds) < maxBuckets/2-1 || math.Abs(sum-1) > 1e-9 || d.Bounds[len(d.Bounds)-1] != bounds[len(bounds)-1] {
		t.Errorf("got %d bounds up to %g that hold %g of all", len(d.Bounds), d.Bounds[len(d.Bounds)-1], sum)
	}
}
