package detector

import (
	"math"

	"aftershock/detector/hist"
)

// Distribution is how an indicator's durations were spread before and after the
// upgrade, at the bounds that both could count.
type Distribution struct {
	// Bounds are the buckets' upper bounds in seconds, ascending and finite.
	Bounds []float64 `json:"bounds"`
	// Before and After are the shares of each bucket; one more than Bounds: the last
	// holds what lies over all of them.
	Before []float64 `json:"before"`
	After  []float64 `json:"after"`
}

// maxBuckets bounds a distribution: a picture shows no more.
const maxBuckets = 60

// distribution is nil where one of the two is empty.
func distribution(before, after hist.Histogram) *Distribution {
	b, a := before.Total(), after.Total()
	if !(b > 0 && a > 0) {
		return nil
	}
	var bounds []float64
	for _, x := range hist.Merge(before, after).Bounds {
		if !math.IsInf(x, 0) {
			bounds = append(bounds, x)
		}
	}
	if len(bounds) == 0 {
		return nil
	}
	d := &Distribution{Bounds: thinned(bounds, before, after)}
	d.Before, d.After = shares(d.Bounds, before, b), shares(d.Bounds, after, a)
	return d
}

// thinned drops bounds below and above all that was counted, but for one, and every
// second while there are too many.
func thinned(bounds []float64, before, after hist.Histogram) []float64 {
	over := func(x float64) float64 {
		b, _ := before.Above(x)
		a, _ := after.Above(x)
		return a + b
	}
	total := before.Total() + after.Total()
	for len(bounds) > 1 && over(bounds[1]) >= total {
		bounds = bounds[1:]
	}
	for n := len(bounds); n > 1 && over(bounds[n-2]) <= 0; n-- {
		bounds = bounds[:n-1]
	}
	for len(bounds) > maxBuckets {
		kept := bounds[:0:0]
		for i := (len(bounds) - 1) % 2; i < len(bounds); i += 2 {
			kept = append(kept, bounds[i])
		}
		bounds = kept
	}
	return bounds
}

func shares(bounds []float64, h hist.Histogram, total float64) []float64 {
	out := make([]float64, 0, len(bounds)+1)
	rest := total
	for _, x := range bounds {
		over, _ := h.Above(x)
		over = min(over, rest)
		out = append(out, (rest-over)/total)
		rest = over
	}
	return append(out, rest/total)
}
