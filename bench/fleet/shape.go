package fleet

import (
	"math"
	"slices"
)

// shape is a distribution of positive numbers by its quantiles: evenly over the
// whole, and more finely over the upper fiftieth, where the tail is.
type shape struct {
	body, tail []float32
}

const (
	shapeCells = 2048
	tailShare  = 0.02
)

func newShape(quantile func(p float64) float64) *shape {
	s := &shape{body: make([]float32, shapeCells+2), tail: make([]float32, shapeCells+2)}
	for i := range shapeCells + 1 {
		p := float64(i) / shapeCells
		s.body[i] = float32(quantile(clamp(p, 1e-5, 1-1e-5)))
		s.tail[i] = float32(quantile(clamp(1-tailShare*(1-p), 1e-5, 1-2e-6)))
	}
	s.body[shapeCells+1], s.tail[shapeCells+1] = s.body[shapeCells], s.tail[shapeCells]
	return s
}

func clamp(x, low, high float64) float64 { return math.Max(low, math.Min(high, x)) }

// at is the quantile for 24 random bits.
func (s *shape) at(bits uint32) float32 {
	const one = 1 << 24
	const edge = one - one/50 // 1 - tailShare
	if bits < edge {
		x := float32(bits) * (shapeCells / float32(one))
		i := int(x)
		return s.body[i] + (s.body[i+1]-s.body[i])*(x-float32(i))
	}
	x := float32(bits-edge) * (shapeCells / (one * tailShare))
	i := min(int(x), shapeCells)
	return s.tail[i] + (s.tail[i+1]-s.tail[i])*(x-float32(i))
}

func lognormal(median, sigma float64) *shape {
	return newShape(func(p float64) float64 { return median * math.Exp(sigma*math.Sqrt2*math.Erfinv(2*p-1)) })
}

// gammas is a mixture of two gammas, by their empirical quantiles.
func gammas(r *source, mean, shape1, shape2, ratio, share float64) *shape {
	draws := make([]float64, 1<<15)
	for i := range draws {
		if r.chance(share) {
			draws[i] = mean * ratio * r.gamma(shape2)
		} else {
			draws[i] = mean * r.gamma(shape1)
		}
	}
	slices.Sort(draws)
	return newShape(func(p float64) float64 {
		x := p * float64(len(draws)-1)
		i := int(x)
		if i+1 >= len(draws) {
			return draws[i]
		}
		return draws[i] + (draws[i+1]-draws[i])*(x-float64(i))
	})
}

// layout is a histogram's bucket bounds with a table that finds the bucket of a
// value from its leading bits.
type layout struct {
	bounds []float64 // upper bounds, inclusive; the last is +Inf
	cuts   []float32
	first  []uint8
}

const layoutShift = 19 // exponent and four bits of the mantissa are left

func newLayout(bounds ...float64) *layout {
	l := &layout{bounds: append(slices.Clone(bounds), math.Inf(1))}
	for _, b := range bounds {
		l.cuts = append(l.cuts, float32(b))
	}
	l.cuts = append(l.cuts, float32(math.Inf(1)))
	l.first = make([]uint8, 1<<(32-layoutShift-1))
	for i := range l.first {
		low := math.Float32frombits(uint32(i) << layoutShift)
		j := 0
		for j < len(l.cuts)-1 && low > l.cuts[j] {
			j++
		}
		l.first[i] = uint8(j)
	}
	return l
}

// bucket is the index of the bucket that holds x >= 0.
func (l *layout) bucket(x float32) int {
	i := int(l.first[math.Float32bits(x)>>layoutShift])
	for x > l.cuts[i] {
		i++
	}
	return i
}

// layouts are in common use: OpenTelemetry's for HTTP servers, doubling, and
// Prometheus' default.
func layouts() []*layout {
	return []*layout{
		newLayout(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
		newLayout(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24),
		newLayout(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
	}
}
