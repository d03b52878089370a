package origin

import (
	"math"
	"slices"
	"time"

	"aftershock/detector/stat"
)

// scores says how bad rows are. NaN is for rows without a value.
type scores interface {
	// off is how far the rows are from normal times.
	off(from, to int) float64
	// score is how much worse the rows are than normal times that far off: the
	// higher the rarer, not above 0 for rows that aren't worse.
	score(off float64, from, to int) float64
	// size is the metric's mean in the rows, expected the one to expect of normal
	// times that far off.
	size(from, to int) float64
	expected(off float64, from, to int) float64
}

// logs are the scores of latencies and requests: differences of means of
// logarithms, so that no single row decides and a factor is the same size
// anywhere, less what the normal days agree on for the hour.
type logs struct {
	values []float64
	hourly []float64 // the expected logarithm less the median, by row
	middle float64   // the median logarithm of normal times
	zero   float64   // added before the logarithm is taken
}

func newLogs(times []time.Time, normal int, values []float64, zero float64) *logs {
	l := &logs{values: values, zero: zero}
	all := make([]float64, normal)
	for i := range all {
		all[i] = math.Log(values[i] + zero)
	}
	l.middle = median(all)
	l.hourly = hours(times, all, l.middle)
	return l
}

// rest is a row's logarithm, less what is expected of it.
func (l *logs) rest(i int) float64 {
	return math.Log(l.values[i]+l.zero) - l.middle - l.hourly[i]
}

func (l *logs) off(from, to int) float64 { return mean(from, to, l.rest) }

// score is the mean, counted the more the more rows it is of.
func (l *logs) score(off float64, from, to int) float64 {
	return (l.off(from, to) - off) * math.Sqrt(float64(to-from))
}

func (l *logs) size(from, to int) float64 {
	return mean(from, to, func(i int) float64 { return l.values[i] })
}

func (l *logs) expected(off float64, from, to int) float64 {
	return mean(from, to, func(i int) float64 { return math.Exp(l.middle+l.hourly[i]+off) - l.zero })
}

// hours is what is expected of each row by its hour of the day, beside the
// median: the medians of the hours, shrunk by how well those of the odd days
// agree with those of the even ones, so that what no second day confirms isn't
// believed. Zero before there are two days.
func hours(times []time.Time, normal []float64, middle float64) []float64 {
	out := make([]float64, len(times))
	day := func(i int) int { return int(times[i].Sub(times[0]) / (24 * time.Hour)) }
	var by [3][24][]float64 // odd days, even days, both
	for i, v := range normal {
		if v -= middle; !math.IsNaN(v) && !math.IsInf(v, 0) {
			h := times[i].UTC().Hour()
			by[day(i)%2][h] = append(by[day(i)%2][h], v)
			by[2][h] = append(by[2][h], v)
		}
	}
	var both [24]float64
	var ab, aa, bb float64
	for h := range both {
		a, b := median(by[0][h]), median(by[1][h])
		if math.IsNaN(a) || math.IsNaN(b) {
			continue
		}
		ab, aa, bb = ab+a*b, aa+a*a, bb+b*b
		both[h] = median(by[2][h])
	}
	if !(ab > 0) {
		return out
	}
	agree := ab / math.Sqrt(aa*bb)
	for i, t := range times {
		out[i] = agree * both[t.UTC().Hour()]
	}
	return out
}

// failures are the scores of availabilities: signed roots of failed requests
// against those expected, so that few requests tell little, whatever their share.
// That failures come in bursts is left to the ranks.
type failures struct {
	failed, of []float64 // by row, NaN where unknown
	rate       float64   // the median share in normal times, or half a failure in all
}

func newFailures(normal int, available, requests []float64) *failures {
	f := &failures{failed: make([]float64, len(available)), of: requests}
	shares, total := make([]float64, 0, normal), 0.0
	for i, a := range available {
		f.failed[i] = requests[i] * (1 - a)
		if i < normal && requests[i] > 0 && !math.IsNaN(a) {
			shares = append(shares, 1-a)
			total += requests[i]
		}
	}
	f.rate = max(median(shares), 0.5/max(total, 1))
	if math.IsNaN(f.rate) {
		f.rate = 0.5
	}
	return f
}

// sum counts the failed requests and all of them.
func (f *failures) sum(from, to int) (failed, of float64) {
	for i := from; i < to; i++ {
		if f.of[i] > 0 && !math.IsNaN(f.failed[i]) {
			failed += f.failed[i]
			of += f.of[i]
		}
	}
	return failed, of
}

func (f *failures) off(from, to int) float64 { return f.size(from, to) - f.rate }

func (f *failures) score(off float64, from, to int) float64 {
	failed, of := f.sum(from, to)
	return stat.SignedRoot(failed, of*f.expected(off, from, to), 0, 0)
}

func (f *failures) size(from, to int) float64 {
	failed, of := f.sum(from, to)
	return failed / of
}

func (f *failures) expected(off float64, _, _ int) float64 {
	return min(f.rate+max(0, off), 1)
}

// mean is that of the values that are there, NaN without any.
func mean(from, to int, value func(i int) float64) float64 {
	sum, n := 0.0, 0.0
	for i := from; i < to; i++ {
		if v := value(i); !math.IsNaN(v) && !math.IsInf(v, 0) {
			sum += v
			n++
		}
	}
	return sum / n
}

// median is that of the values that are there, NaN without any.
func median(values []float64) float64 {
	there := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			there = append(there, v)
		}
	}
	if len(there) == 0 {
		return math.NaN()
	}
	slices.Sort(there)
	n := len(there)
	return (there[(n-1)/2] + there[n/2]) / 2
}
