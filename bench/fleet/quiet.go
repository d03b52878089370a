package fleet

import "math"

// quiet is the history of every slot in windows of six hours, from which the
// truth takes how restless an indicator is by itself.
type quiet struct {
	w       *World
	slots   []slot
	windows [][]tally // by slot
	rough   [][]bool  // by third party: it had a long outage in the window
}

const window = 360

func newQuiet(w *World, slots []slot) *quiet {
	q := &quiet{w: w, slots: slots, windows: make([][]tally, len(slots)), rough: make([][]bool, len(w.peers))}
	n := w.Upgrade / window
	for i := range slots {
		q.windows[i] = make([]tally, n)
	}
	for p := range w.peers {
		q.rough[p] = make([]bool, n)
	}
	return q
}

func (q *quiet) note(t int, tallies [][]tally) {
	// Windows end at the upgrade.
	i := t - q.w.Upgrade%window
	if i < 0 || t >= q.w.Upgrade {
		return
	}
	i /= window
	for k, ts := range tallies {
		for n := range ts {
			q.windows[k][i].add(&ts[n])
		}
	}
	for p := range q.rough {
		q.rough[p][i] = q.rough[p][i] || q.w.course.rough[p][t]
	}
}

// bound is the bound of the slot's layout whose share of slower requests is
// nearest to a target, as a factor.
func (q *quiet) bound(slot int, target float64) float64 {
	bounds := q.w.services[q.slots[slot].service].layout.bounds
	best, at := math.Inf(1), bounds[0]
	for b := range len(bounds) - 1 {
		var bad, total float64
		for i := range q.windows[slot] {
			x, n := q.counts(slot, i, bounds[b])
			bad, total = bad+x, total+n
		}
		if d := math.Abs(math.Log((bad + 1e-9) / (total + 1e-9) / target)); d < best {
			best, at = d, bounds[b]
		}
	}
	return at
}

// counts are the bad and all requests of a window.
func (q *quiet) counts(slot, i int, bound float64) (bad, total float64) {
	y := &q.windows[slot][i]
	if q.slots[slot].kind != "latency" {
		return float64(y.bad), float64(y.total)
	}
	for b, upper := range q.w.services[q.slots[slot].service].layout.bounds {
		if upper > bound {
			bad += float64(y.hist[b])
		}
	}
	return bad, float64(y.total)
}

// deviation is the standard deviation of the logarithm of a slot's bad share
// over the windows, those left out in which a third party on its paths had a
// long outage or slow phase.
func (q *quiet) deviation(slot int) float64 {
	bound := 0.0
	if q.slots[slot].kind == "latency" {
		bound = q.bound(slot, 0.01)
	}
	var calm, all []float64
	for i := range q.windows[slot] {
		bad, total := q.counts(slot, i, bound)
		if total == 0 {
			continue
		}
		x := math.Log((bad + 0.5) / (total + 1))
		all = append(all, x)
		if !q.disturbed(slot, i) {
			calm = append(calm, x)
		}
	}
	if len(calm) >= 4 {
		return deviation(calm)
	}
	return deviation(all)
}

// disturbed says whether a third party that the slot feels was out in a window.
func (q *quiet) disturbed(slot, i int) bool {
	s := q.slots[slot]
	for k, o := range q.w.routes {
		if o.peer < 0 || s.route >= 0 && s.route != k || s.peer >= 0 && s.peer != o.peer {
			continue
		}
		if q.rough[o.peer][i] {
			return true
		}
	}
	return false
}

func deviation(x []float64) float64 {
	mean, sum := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum / math.Max(1, float64(len(x)-1)))
}
