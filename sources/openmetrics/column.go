package openmetrics

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// column holds one series: the values and, on a clock, their times.
type column struct {
	key    string // name and labels as written
	labels labels.Labels
	values []float64
	clock  *clock
	joined bool    // has changed over to the clock of a neighbour
	follow *column // whose line came after this one's, the last time

	unsorted bool
	skip     bool // not wanted: nothing is kept
	last     int64
	value    float64
	any      bool
}

// clock is a run of times in the order of the file. Series that were scraped
// together go by one clock, each as far as it has values, so that a sample
// takes the eight bytes of its value.
type clock struct {
	times []int64 // only ever appended to
}

// tick puts t as time n of a column, the next one, on its clock. Where that
// clock has another time there, the column changes over to the clock of the
// neighbour, the column read before it, or goes on with one of its own.
func (c *column) tick(n int, t int64, neighbour *column) {
	switch times := c.clock.times; {
	case n < len(times) && times[n] == t:
		return
	case n == len(times):
		c.clock.times = append(times, t)
		return
	}
	own := c.clock.times[:n]
	// Once only: else a hostile file would have every sample cost a comparison
	// of all before it.
	if !c.joined && neighbour != nil {
		if o := neighbour.clock; len(o.times) > n && o.times[n] == t && slices.Equal(o.times[:n], own) {
			c.clock, c.joined = o, true
			return
		}
	}
	c.clock = &clock{times: append(slices.Clone(own), t)}
}

// times are the times of the column's values.
func (c *column) times() []int64 { return c.clock.times[:len(c.values):len(c.values)] }

// sort puts a column in order of time; two samples at one time must be equal.
func (c *column) sort() error {
	from := c.times()
	order := make([]int, len(from))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(min(1, max(-1, from[a]-from[b]))) })
	times, values := make([]int64, 0, len(order)), make([]float64, 0, len(order))
	for _, i := range order {
		if n := len(times); n > 0 && times[n-1] == from[i] {
			if math.Float64bits(values[n-1]) != math.Float64bits(c.values[i]) {
				return fmt.Errorf("series %s has two values at %s: %v and %v", c.labels, time.UnixMilli(from[i]).UTC().Format(time.RFC3339), values[n-1], c.values[i])
			}
			continue
		}
		times, values = append(times, from[i]), append(values, c.values[i])
	}
	c.clock, c.values, c.unsorted = &clock{times: times}, values, false
	return nil
}
