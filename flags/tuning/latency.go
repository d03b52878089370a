package tuning

import (
	"math"
	"sort"

	"aftershock/detector/hist"
)

// latency is the distribution of how long attempts take, in milliseconds:
// logarithmic between the bounds of the buckets that it was measured in.
type latency struct {
	bounds []float64 // ascending, one more than there are buckets, the first above 0
	cum    []float64 // share up to each bound; 0 first, 1 last
}

// leastMS is shorter than any attempt.
const leastMS = 0.1

// newLatency makes a distribution of a histogram in seconds, of which overhead
// (ms) is somebody else's. Values over the last finite bound lie within twice that
// bound. It is empty where the histogram is.
func newLatency(h hist.Histogram, overhead float64) latency {
	var l latency
	total := h.Total()
	if !(total > 0) {
		return l
	}
	l.bounds, l.cum = []float64{leastMS}, []float64{0}
	sum := 0.0
	for i, c := range h.Counts {
		b := 1000*h.Bounds[i] - overhead
		last := l.bounds[len(l.bounds)-1]
		if math.IsInf(b, 1) || b > 2*maxMS {
			b = 2 * last
		}
		sum += c
		if b <= last*1.0001 {
			// Below what is left after the overhead: it goes to the next bucket.
			continue
		}
		l.bounds, l.cum = append(l.bounds, b), append(l.cum, sum/total)
	}
	if len(l.bounds) == 1 {
		return latency{}
	}
	l.cum[len(l.cum)-1] = 1
	return l
}

// beyond returns the distribution with a share over x ms, of which no more is known
// than that: it lies between x and four times x.
func (l latency) beyond(x, share float64) latency {
	var out latency
	most := l.below(x)
	for i, b := range l.bounds {
		if b < x {
			out.bounds, out.cum = append(out.bounds, b), append(out.cum, l.cum[i]/max(most, 1e-9)*(1-share))
		}
	}
	out.bounds, out.cum = append(out.bounds, x, 4*x), append(out.cum, 1-share, 1)
	if most <= 0 {
		out.bounds, out.cum = []float64{leastMS, x, 4 * x}, []float64{0, 1 - share, 1}
	}
	return out
}

// below is the share of attempts that take at most x ms.
func (l latency) below(x float64) float64 {
	i := sort.SearchFloat64s(l.bounds, x) // all of them for +Inf
	switch {
	case i == 0:
		return 0
	case i == len(l.bounds):
		return 1
	}
	part := math.Log(x/l.bounds[i-1]) / math.Log(l.bounds[i]/l.bounds[i-1])
	return l.cum[i-1] + part*(l.cum[i]-l.cum[i-1])
}

// at is the quantile u in [0, 1].
func (l latency) at(u float64) float64 {
	i := sort.SearchFloat64s(l.cum, u)
	if i == 0 {
		return l.bounds[0]
	}
	i = min(i, len(l.cum)-1)
	mass := l.cum[i] - l.cum[i-1]
	if mass <= 0 {
		return l.bounds[i]
	}
	return l.bounds[i-1] * math.Pow(l.bounds[i]/l.bounds[i-1], (u-l.cum[i-1])/mass)
}

// mean is the mean between two quantiles, by their middles.
func (l latency) mean(from, to float64) float64 {
	const parts = 32
	sum := 0.0
	for n := range parts {
		sum += l.at(from + (to-from)*(float64(n)+0.5)/parts)
	}
	return sum / parts
}

// reshape multiplies the mass of each bucket by a factor and evens it out to 1.
func (l latency) reshape(factor func(bucket int) float64) latency {
	out := latency{l.bounds, make([]float64, len(l.cum))}
	sum := 0.0
	for i := 1; i < len(l.cum); i++ {
		sum += (l.cum[i] - l.cum[i-1]) * factor(i)
		out.cum[i] = sum
	}
	if !(sum > 0) {
		return l
	}
	for i := range out.cum {
		out.cum[i] /= sum
	}
	out.cum[len(out.cum)-1] = 1
	return out
}

// Course of a call's latency: bins of equal width in the logarithm.
const (
	binsPerDecade = 80
	firstBin      = leastMS
	bins          = 8 * binsPerDecade
)

// tally is a distribution of calls over bins.
type tally [bins]float64

func binOf(ms float64) int {
	if !(ms > firstBin) {
		return 0
	}
	return min(int(math.Log10(ms/firstBin)*binsPerDecade), bins-1)
}

// edge is the lower end of a bin, ms.
func edge(bin int) float64 { return firstBin * math.Pow(10, float64(bin)/binsPerDecade) }

// quantile is that of the tally, ms; the tally must have mass.
func (t *tally) quantile(q float64) float64 {
	total := 0.0
	for _, m := range t {
		total += m
	}
	seen, want := 0.0, q*total
	for i, m := range t {
		if m > 0 && seen+m >= want {
			return edge(i) * math.Pow(10, (want-seen)/m/binsPerDecade)
		}
		seen += m
	}
	return edge(bins)
}
