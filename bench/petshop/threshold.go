package main

import (
	"cmp"
	"math"
	"slices"

	"aftershock/detector"
	"aftershock/detector/origin"
)

// sigmas is the threshold of the plain traversal, the usual one.
const sigmas = 3

// traverse is the plain traversal of the call graph, as the data set's paper has
// it: a service is abnormal where a row since the onset is over three standard
// deviations worse than the mean of normal rows; the causes are the abnormal
// services that are reached from the target by abnormal ones and call no
// abnormal one. They are ranked by the sum of the deviations on the way there, by
// the way with the greatest sum.
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
	t := traversal{graph: q.Graph, off: off, callees: map[string][]string{}, done: map[string]bool{}}
	t.visit(q.Target.Service, map[string]bool{})
	var roots []string
	sum := map[string]float64{q.Target.Service: off[q.Target.Service]}
	for _, at := range slices.Backward(t.order) {
		for _, c := range t.callees[at] {
			sum[c] = max(sum[c], sum[at]+off[c])
		}
		if len(t.callees[at]) == 0 {
			roots = append(roots, at)
		}
	}
	slices.SortFunc(roots, func(a, b string) int { return cmp.Or(cmp.Compare(sum[b], sum[a]), cmp.Compare(a, b)) })
	return roots
}

// traversal goes through the abnormal services.
type traversal struct {
	graph   *detector.Graph
	off     map[string]float64
	callees map[string][]string // without those that lead back
	done    map[string]bool
	order   []string // callees before callers
}

func (t *traversal) visit(service string, above map[string]bool) {
	above[service] = true
	for _, c := range t.graph.Callees(service) {
		if t.off[c] == 0 || above[c] {
			continue
		}
		if !t.done[c] {
			t.visit(c, above)
		}
		t.callees[service] = append(t.callees[service], c)
	}
	delete(above, service)
	t.done[service] = true
	t.order = append(t.order, service)
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
		z := (v - mean) / deviation
		if q.Target.Metric == origin.Availability {
			z = -z
		}
		if z > worst { // false for NaN, as for a constant metric at its constant
			worst = z
		}
	}
	return worst
}
