package series

import (
	"math"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

const never = math.MaxInt64

// column holds the samples of one raw series that are not yet folded, and the
// last two that are.
type column struct {
	labels labels.Labels
	native bool
	inst   *instance

	times  []int64
	values []float64
	hists  []*histogram.FloatHistogram
	starts []int64
	next   int // index of the first sample that isn't folded

	last, before int64    // times of the last two folded samples, 0 where there are none
	live         [2]int64 // the same without stale markers, the older one first
	liveValue    float64  // value or count at live[1]
	value        float64
	hist         *histogram.FloatHistogram
	start        int64
}

// add appends the samples that are later than all that the column has seen.
func (c *column) add(s Series) {
	after := c.last
	if n := len(c.times); n > 0 {
		after = c.times[n-1]
	}
	from, ok := slices.BinarySearch(s.Times, after)
	if ok {
		from++
	}
	if from == len(s.Times) {
		return
	}
	if s.Starts != nil && c.starts == nil {
		c.starts = make([]int64, len(c.times), len(c.times)+len(s.Times)-from)
	}
	if c.starts != nil {
		if s.Starts != nil {
			c.starts = append(c.starts, s.Starts[from:]...)
		} else {
			c.starts = append(c.starts, make([]int64, len(s.Times)-from)...)
		}
	}
	c.times = append(c.times, s.Times[from:]...)
	c.values = append(c.values, s.Values[min(from, len(s.Values)):]...)
	c.hists = append(c.hists, s.Histograms[min(from, len(s.Histograms)):]...)
}

// peek is the time of the next sample, or never.
func (c *column) peek() int64 {
	if c == nil || c.next >= len(c.times) {
		return never
	}
	return c.times[c.next]
}

// take moves over the next sample.
func (c *column) take() {
	c.before, c.last = c.last, c.times[c.next]
	if c.native {
		c.hist = c.hists[c.next]
	} else {
		c.value = c.values[c.next]
	}
	if c.starts != nil {
		c.start = c.starts[c.next]
	}
	if !c.isStale(c.next) {
		c.live[0], c.live[1] = c.live[1], c.last
		if c.liveValue = c.value; c.native {
			c.liveValue = c.hist.Count
		}
	}
	c.next++
}

// takeUntil moves over every sample up to t and says whether there was one.
func (c *column) takeUntil(t int64) bool {
	taken := false
	for c.peek() <= t {
		c.take()
		taken = true
	}
	return taken
}

// most is more than any counter counts: a value beyond it is a broken one, and
// sums of such would overflow.
const most = 1e100

// usable says whether the last folded sample is a number that a counter can
// have: no stale marker, no NaN, nothing negative or absurd.
func (c *column) usable() bool {
	if c.native {
		return !value.IsStaleNaN(c.hist.Sum) && c.hist.Count >= 0 && c.hist.Count < most &&
			c.hist.CounterResetHint != histogram.GaugeType
	}
	return c.value >= 0 && c.value < most
}

// forget drops the folded samples.
func (c *column) forget() {
	if c.next == 0 {
		return
	}
	if c.next >= len(c.times) && cap(c.times) <= 64 {
		clear(c.hists)
		c.times, c.values, c.hists = c.times[:0], c.values[:0], c.hists[:0]
		if c.starts != nil {
			c.starts = c.starts[:0]
		}
	} else {
		c.times = slices.Clone(c.times[c.next:])
		c.values = slices.Clone(c.values[min(c.next, len(c.values)):])
		c.hists = slices.Clone(c.hists[min(c.next, len(c.hists)):])
		c.starts = slices.Clone(c.starts[min(c.next, len(c.starts)):])
	}
	c.next = 0
}

// isStale says whether sample i is a stale marker.
func (c *column) isStale(i int) bool {
	if c.native {
		return value.IsStaleNaN(c.hists[i].Sum)
	}
	return value.IsStaleNaN(c.values[i])
}

// seen says whether the column had a sample, other than a stale marker, in
// [from, to].
func (c *column) seen(from, to int64) bool {
	for _, t := range c.live {
		if t != 0 && t >= from && t <= to {
			return true
		}
	}
	i := sort.Search(len(c.times), func(i int) bool { return c.times[i] >= from })
	for ; i < len(c.times) && c.times[i] <= to; i++ {
		if !c.isStale(i) {
			return true
		}
	}
	return false
}

// previous gives the time and value of the last sample before t that isn't a
// stale marker, and whether there is a live sample at t itself.
func (c *column) previous(t int64) (at int64, v float64, alive bool) {
	get := func(i int) (float64, bool) {
		if c.native {
			return c.hists[i].Count, !c.isStale(i)
		}
		return c.values[i], !c.isStale(i)
	}
	i := sort.Search(len(c.times), func(i int) bool { return c.times[i] >= t })
	if i < len(c.times) && c.times[i] == t {
		_, alive = get(i)
	}
	for i--; i >= 0; i-- {
		if v, ok := get(i); ok {
			return c.times[i], v, alive
		}
	}
	if c.live[1] != 0 && c.live[1] < t {
		return c.live[1], c.liveValue, alive
	}
	return 0, 0, alive
}
