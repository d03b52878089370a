package reports

import (
	"fmt"
	"html/template"
	"math"

	"aftershock/detector"
	"aftershock/detector/words"
)

const distributionHeight = 170

// least is the smallest share that a distribution shows.
const least = 1e-4

// distribution draws the share of requests that took longer than each bound, before and
// after, on logarithmic axes: a tail shows as a tail, and where the buckets are is where
// the dots are.
func distribution(s card) template.HTML {
	d := s.Verdict.Distribution
	if d == nil || len(d.Bounds) < 2 || !(d.Bounds[0] > 0) || len(d.Before) != len(d.Bounds)+1 || len(d.After) != len(d.Bounds)+1 {
		return ""
	}
	low, high := d.Bounds[0], d.Bounds[len(d.Bounds)-1]
	x := func(v float64) float64 { return clamp(math.Log(v/low) / math.Log(high/low)) }
	before, after := over(d.Before), over(d.After)
	floor := lowest(before, after)
	y := func(v float64) float64 {
		if v <= floor {
			return distributionHeight
		}
		return distributionHeight * clamp(math.Log(v)/math.Log(floor))
	}
	p := newPicture(distributionHeight+22, "Share of requests that took longer, before and after: "+words.Indicator(s.Verdict.Indicator))
	for v := 1.0; v >= floor*0.999; v /= 10 {
		p.line("grid", 0, y(v), 1, y(v))
		p.text("label", "end", 0, -6, y(v)+4, words.Share(v))
	}
	for _, v := range latencyTicks(low, high) {
		p.line("tick", x(v), distributionHeight, x(v), distributionHeight+4)
		p.text("label", "middle", x(v), 0, distributionHeight+17, words.Seconds(v))
	}
	if floor < 0.01 {
		p.line("onset-at", 0, y(0.01), 1, y(0.01)) // p99 is where a curve meets it
	}
	for _, curve := range []struct {
		class  string
		shares []float64
	}{{"before", before}, {"after", after}} {
		p.curves(distributionHeight, func() { p.path("line-"+curve.class, line(d, curve.shares, x, y, floor), false) })
		for i, share := range curve.shares {
			if share > floor {
				p.circle(curve.class, x(d.Bounds[i]), y(share), 2.5, fmt.Sprintf("%s: %s took longer than %s", curve.class, words.Share(share), words.Seconds(d.Bounds[i])))
			}
		}
	}
	return p.done()
}

// over is the share above each bound.
func over(shares []float64) []float64 {
	out := make([]float64, len(shares)-1)
	rest := 1.0
	for i := range out {
		rest -= shares[i]
		out[i] = max(rest, 0)
	}
	return out
}

// lowest is the power of ten below all the shares that there are, at least the least.
func lowest(lists ...[]float64) float64 {
	low := 1.0
	for _, list := range lists {
		for _, v := range list {
			if v > 1e-12 {
				low = min(low, v)
			}
		}
	}
	return max(math.Pow(10, math.Floor(math.Log10(low))), least)
}

// line goes through the shares at the bounds, down to the floor.
func line(d *detector.Distribution, shares []float64, x, y func(float64) float64, floor float64) []point {
	var out []point
	for i, share := range shares {
		out = append(out, point{x(d.Bounds[i]), y(share)})
		if share <= floor {
			break
		}
	}
	return out
}
