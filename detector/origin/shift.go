package origin

import (
	"math"
	"slices"
	"time"

	"aftershock/detector/stat"
)

// shift is how far a series has moved to the worse since the onset.
type shift struct {
	// known says that there were values to compare.
	known bool
	// e is the e-value against "nothing has moved": 0.5 where it moved to the
	// better, growing with the rarity of the rows since the onset.
	e float64
	// p is the p-value that e was made of, out of so many windows.
	p       float64
	windows int
	// now and was are the means since the onset and as expected: of normal times
	// or of the rows just before, whichever is the worse.
	now, was float64
}

// likely is the chance that the series has moved, one in two beforehand.
func (s shift) likely() float64 {
	if !s.known {
		return 0
	}
	return s.e / (1 + s.e)
}

// scores maps rows to how bad they are: of a window against normal times, and of
// a window against the one before it. NaN is for nothing to compare.
type scores interface {
	level(from, to int) float64
	change(from, onset, to int) float64
	// size is the metric's mean in the rows, NaN without any.
	size(from, to int) float64
	// normal is what the metric is expected to be in the rows by normal times.
	normal(from, to int) float64
}

// measure compares the rows since the onset with all windows of as many rows in
// normal times. A shift must be rare in two ways, against what is normal and
// against what was just before, or else what has changed for good since the
// normal times would be taken for the trouble. The less rare one counts.
func (q *Question) measure(s scores) shift {
	end, rows, before := len(q.Times), len(q.Times)-q.Onset, q.Onset-q.Normal
	p, windows := rare(s.level(q.Onset, end), q.Normal-rows+1, func(i int) float64 { return s.level(i, i+rows) })
	if before > 0 {
		pc, n := rare(s.change(q.Normal, q.Onset, end), q.Normal-rows-before+1,
			func(i int) float64 { return s.change(i, i+before, i+before+rows) })
		if n > 0 {
			p, windows = max(p, pc), n
		}
	}
	was := s.normal(q.Onset, end)
	if just := s.size(q.Normal, q.Onset); just > was {
		was = just
	}
	return shift{known: windows > 0, e: evalue(p), p: p, windows: windows, now: s.size(q.Onset, end), was: was}
}

// rare is the p-value of a score by its rank among the scores of n windows: the
// share of those that are as high, itself counted among them. No assumption is
// made on their distribution, and nothing is rarer than once in all windows.
// What isn't worse than normal (not above 0) isn't rare. Without a score or any
// window there is no p-value: 1, and 0 windows.
func rare(score float64, n int, window func(i int) float64) (p float64, windows int) {
	if math.IsNaN(score) {
		return 1, 0
	}
	as := 1
	for i := range n {
		if w := window(i); !math.IsNaN(w) {
			windows++
			if w >= score {
				as++
			}
		}
	}
	if windows == 0 || !(score > 0) {
		return 1, windows
	}
	return float64(as) / float64(windows+1), windows
}

// evalue calibrates a p-value, see the package's comment. It falls from infinity
// to 1/2.
func evalue(p float64) float64 {
	if p > 0.999 { // the formula cancels to 0/0 at 1
		return 0.5
	}
	l := math.Log(p)
	return (1 - p + p*l) / (p * l * l)
}

// logs are the scores of latencies and requests: differences of means of
// logarithms, so that no single row decides and a factor is the same size
// anywhere, less what both halves of the normal days agree on for the hour.
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

func (l *logs) level(from, to int) float64 { return mean(from, to, l.rest) }

func (l *logs) change(from, onset, to int) float64 {
	return l.level(onset, to) - l.level(from, onset)
}

func (l *logs) size(from, to int) float64 {
	return mean(from, to, func(i int) float64 { return l.values[i] })
}

func (l *logs) normal(from, to int) float64 {
	return mean(from, to, func(i int) float64 { return math.Exp(l.middle+l.hourly[i]) - l.zero })
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

func (f *failures) level(from, to int) float64 {
	failed, of := f.sum(from, to)
	return stat.SignedRoot(failed, of*f.rate, 0, 0)
}

func (f *failures) change(from, onset, to int) float64 {
	was, ofWas := f.sum(from, onset)
	failed, of := f.sum(onset, to)
	if ofWas == 0 {
		return math.NaN()
	}
	// Half a failure is added, so that none at all isn't taken for never.
	expected := (was + 0.5) / (ofWas + 1) * of
	return stat.SignedRoot(failed, expected, 1/(was+0.5), 0)
}

func (f *failures) size(from, to int) float64 {
	failed, of := f.sum(from, to)
	return failed / of
}

func (f *failures) normal(int, int) float64 { return f.rate }

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
