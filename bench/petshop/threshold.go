package main

import (
	"cmp"
	"math"
	"slices"

	"aftershock/detector/origin"
)

// sigmas is the threshold of the plain traversal, the usual one.
const sigmas = 3

// traverse is the plain traversal of the call graph that the data set's paper
// compares with: a service is abnormal where a row since the onset is over three
// standard deviations worse than the mean of normal rows; the causes are the
// abnormal services that are reached from the target by abnormal ones and call
// no abnormal one, those furthest out first.
func traverse(q *origin.Question) []string {
	off := map[string]float64{}
	for _, s := range q.Series {
		if s.Metric != q.Target.Metric || s.Stat != q.Target.Stat {
			continue
		}
		if z := furthest(q, s.Values); z > sigmas {
			off[s.Service] = z
		}
	}
	if off[q.Target.Service] == 0 {
		return nil
	}
	var roots []string
	seen := map[string]bool{q.Target.Service: true}
	for next := []string{q.Target.Service}; len(next) > 0; {
		at := next[0]
		next = next[1:]
		deeper := false
		for _, c := range q.Graph.Callees(at) {
			if off[c] == 0 {
				continue
			}
			deeper = true
			if !seen[c] {
				seen[c] = true
				next = append(next, c)
			}
		}
		if !deeper {
			roots = append(roots, at)
		}
	}
	slices.SortFunc(roots, func(a, b string) int { return cmp.Or(cmp.Compare(off[b], off[a]), cmp.Compare(a, b)) })
	return roots
}

// furthest is by how many standard deviations the worst row since the onset is
// worse than the mean of the normal rows.
func furthest(q *origin.Question, values []float64) float64 {
	var n, sum, squares float64
	for _, v := range values[:q.Normal] {
		if !math.IsNaN(v) {
			n, sum, squares = n+1, sum+v, squares+v*v
		}
	}
	mean := sum / n
	deviation := math.Sqrt(max(0, squares/n-mean*mean))
	worst := 0.0
	for _, v := range values[q.Onset:] {
		if q.Target.Metric == origin.Availability {
			v, mean := -v, -mean
			worst = larger(worst, (v-mean)/deviation)
		} else {
			worst = larger(worst, (v-mean)/deviation)
		}
	}
	return worst
}

// larger takes NaN, which a constant metric gives at its constant, for less.
func larger(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}
