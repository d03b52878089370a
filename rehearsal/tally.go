package rehearsal

import (
	"math"
	"sort"
	"strconv"
	"time"
)

// bounds are the upper bounds of the latency buckets in seconds, each a quarter more
// than the one before: a millisecond to a minute.
var bounds = func() []float64 {
	var out []float64
	for x := 0.001; x < 60; x *= 1.25 {
		digits := math.Pow(10, 2-math.Floor(math.Log10(x)))
		out = append(out, math.Round(x*digits)/digits)
	}
	return append(out, 60)
}()

func bucket(d time.Duration) int { return sort.SearchFloat64s(bounds, d.Seconds()) }

// Codes of requests without an answer, as label code has them.
const (
	codeTimeout = "timeout"
	codeError   = "error"
)

// outcome is what became of a request.
type outcome struct {
	route   int
	at      time.Duration // when it was to start, from the beginning of the measurement
	latency time.Duration // since then
	code    string        // status of the answer, or one of the above
}

func (o *outcome) failed() bool {
	if n, err := strconv.Atoi(o.code); err == nil {
		return n >= 500
	}
	return true
}

// cell is what arrived of one route in one step.
type cell struct {
	buckets []uint32 // one more than bounds
	codes   map[string]uint32
	seconds float64
	timed   uint32
}

// tally adds up outcomes by the step in which they were to start, so that what
// arrived in a step is the same in every phase.
type tally struct {
	step   time.Duration
	routes int
	steps  [][]cell
	max    int // steps
}

func newTally(step, length time.Duration, routes int) *tally {
	return &tally{step: step, routes: routes, max: int(length / step)}
}

// maxCodes bounds the codes of one route in one step.
const maxCodes = 20

func (t *tally) add(o outcome) {
	n := int(o.at / t.step)
	if o.at < 0 || n >= t.max {
		return
	}
	for len(t.steps) <= n {
		t.steps = append(t.steps, make([]cell, t.routes))
	}
	c := &t.steps[n][o.route]
	if c.codes == nil {
		c.codes = map[string]uint32{}
	}
	if _, known := c.codes[o.code]; known || len(c.codes) < maxCodes {
		c.codes[o.code]++
	}
	// What fails at once says nothing of how long answers take, and must not look like
	// an improvement; what nobody waited for any longer was slow.
	if o.failed() && o.code != codeTimeout {
		return
	}
	if c.buckets == nil {
		c.buckets = make([]uint32, len(bounds)+1)
	}
	c.buckets[bucket(o.latency)]++
	c.seconds += o.latency.Seconds()
	c.timed++
}

// cutAt forgets the steps that end after an instant: what arrived in them isn't
// complete.
func (t *tally) cutAt(end time.Duration) {
	t.steps = t.steps[:min(len(t.steps), max(0, int(end/t.step)))]
}

// quantile is the upper bound in seconds of the bucket that holds it; NaN without
// counts.
func quantile(buckets []uint32, q float64) float64 {
	total := uint64(0)
	for _, n := range buckets {
		total += uint64(n)
	}
	if total == 0 {
		return math.NaN()
	}
	want, sum := uint64(math.Ceil(q*float64(total))), uint64(0)
	for i, n := range buckets {
		if sum += uint64(n); sum >= max(want, 1) && i < len(bounds) {
			return bounds[i]
		}
	}
	return math.Inf(1)
}

// Figures are what a phase looks like while it runs: of the last ten seconds, but
// for Sent, Failed and Unsent, which are of the whole phase.
type Figures struct {
	// Elapsed is the time since the phase began, of Length altogether, warm-up included.
	Elapsed, Length time.Duration
	Warming         bool
	// Rate is requests answered per second, Asked what the schedule has.
	Rate, Asked float64
	InFlight    int
	// P50 and P99 are in seconds, as the bounds of buckets; NaN while nothing was
	// answered, +Inf over a minute.
	P50, P99 float64
	// Errors is the share of failed requests.
	Errors       float64
	Sent, Failed int
}

// lately is what was answered in the last ten seconds, by the second.
type lately struct {
	seconds [span]second
}

const span = 10

type second struct {
	at      int64
	buckets []uint32
	total   int
	failed  int
	asked   int
}

func (l *lately) second(at time.Duration) *second {
	n := int64(at / time.Second)
	s := &l.seconds[n%span]
	if s.at != n || s.buckets == nil {
		*s = second{at: n, buckets: make([]uint32, len(bounds)+1)}
	}
	return s
}

func (l *lately) add(now time.Duration, o *outcome) {
	s := l.second(now)
	s.buckets[bucket(o.latency)]++
	s.total++
	if o.failed() {
		s.failed++
	}
}

// sum is what the last ten seconds hold.
func (l *lately) sum(now time.Duration) second {
	out := second{buckets: make([]uint32, len(bounds)+1)}
	n := int64(now / time.Second)
	for i := range l.seconds {
		s := &l.seconds[i]
		if s.buckets == nil || n-s.at >= span {
			continue
		}
		for k, c := range s.buckets {
			out.buckets[k] += c
		}
		out.total += s.total
		out.failed += s.failed
		out.asked += s.asked
	}
	return out
}
