package origin

import (
	"maps"
	"math"
	"slices"
)

// place is what is known of a service.
type place struct {
	// moved is the shift of the target's metric and statistic, with the mean of
	// the e-values of all its statistics, which is an e-value whatever they have to
	// do with one another (Vovk and Wang 2021, proposition 3.1).
	moved shift
	// grown is that of the requests.
	grown shift
	// calls is how often the service is asked for each of the target's requests,
	// in normal times.
	calls float64
}

// added is by how much the service made each of the target's requests worse, in
// seconds or failures, its callees' part included. How often it is called is
// taken from normal times: who calls it more often answers for that.
func (p *place) added() float64 {
	if d := (p.moved.now - p.moved.was) * p.calls; d > 0 {
		return d
	}
	return 0
}

// places judges all services of the question.
func (q *Question) places(series map[key][]float64) map[string]*place {
	stats := map[string][]string{}
	out := map[string]*place{}
	for k := range series {
		if out[k.service] == nil {
			out[k.service] = &place{}
		}
		if k.metric == q.Target.Metric {
			stats[k.service] = append(stats[k.service], k.stat)
		}
	}
	asked := q.asked(series)
	for service, p := range out {
		requests := requestsOf(series, service)
		if requests != nil {
			// Half a request is added, so that rows without any have a logarithm.
			p.grown = q.measure(newLogs(q.Times, q.Normal, requests, 0.5))
		}
		p.calls = asked(service)
		slices.Sort(stats[service])
		sum, n := 0.0, 0.0
		for _, stat := range stats[service] {
			values := series[key{service, q.Target.Metric, stat}]
			var s scores
			switch {
			case q.Target.Metric == Latency:
				s = newLogs(q.Times, q.Normal, values, 0)
			case requests != nil:
				s = newFailures(q.Normal, values, requests)
			default:
				continue
			}
			m := q.measure(s)
			if m.known {
				sum, n = sum+m.e, n+1
			}
			if stat == q.Target.Stat {
				p.moved = m
			}
		}
		if p.moved.known && service != q.Target.Service {
			p.moved.e = sum / n
		}
	}
	return out
}

// requestsOf gives a service's counts of requests, nil without any.
func requestsOf(series map[key][]float64, service string) []float64 {
	if v, ok := series[key{service, Requests, "Sum"}]; ok {
		return v
	}
	return series[key{service, Requests, ""}]
}

// asked answers how often services are asked for each of the target's requests
// in normal times, 1 where that isn't known.
func (q *Question) asked(series map[key][]float64) func(service string) float64 {
	total := func(service string) float64 {
		sum := 0.0
		for i, v := range requestsOf(series, service) {
			if i < q.Normal && !math.IsNaN(v) {
				sum += v
			}
		}
		return sum
	}
	target := total(q.Target.Service)
	return func(service string) float64 {
		if service == q.Target.Service || target == 0 || requestsOf(series, service) == nil {
			return 1
		}
		return total(service) / target
	}
}

// flow shares out what the target lost among the services below it: the parts
// add up to 1.
type flow struct {
	q      *Question
	places map[string]*place
	// passed is what a service that was gone through is believed to have added,
	// its callees' part included; callees are those that it was gone through to,
	// without the calls that lead back (which would go round for ever).
	passed  map[string]float64
	callees map[string][]string
	order   []string // callees before callers
}

// share follows what was lost from the target down the calls.
func (q *Question) share(places map[string]*place) map[string]float64 {
	f := flow{q: q, places: places, passed: map[string]float64{}, callees: map[string][]string{}}
	f.visit(q.Target.Service, map[string]bool{})
	comes := map[string]float64{q.Target.Service: 1}
	own := map[string]float64{}
	for _, at := range slices.Backward(f.order) {
		below := 0.0
		for _, c := range f.callees[at] {
			below += f.passed[c]
		}
		all := max(f.whole(at, below), below)
		if all == 0 {
			own[at] = comes[at]
			continue
		}
		own[at] = comes[at] * (all - below) / all
		for _, c := range f.callees[at] {
			comes[c] += comes[at] * f.passed[c] / all
		}
	}
	maps.DeleteFunc(own, func(_ string, part float64) bool { return part == 0 })
	return own
}

// whole is what a service added itself and by its callees: what these did
// together, where it has no metric of its own.
func (f *flow) whole(service string, below float64) float64 {
	if p := f.places[service]; p != nil && p.moved.known {
		return p.added()
	}
	return below
}

// visit goes through what a service calls, in order of name.
func (f *flow) visit(service string, above map[string]bool) {
	above[service] = true
	below := 0.0
	for _, c := range f.q.Graph.Callees(service) {
		if above[c] {
			continue
		}
		if _, ok := f.passed[c]; !ok {
			f.visit(c, above)
		}
		f.callees[service] = append(f.callees[service], c)
		below += f.passed[c]
	}
	delete(above, service)
	// A service counts as far as it is likely to have shifted.
	f.passed[service] = f.whole(service, below)
	if p := f.places[service]; p != nil && p.moved.known {
		f.passed[service] *= p.moved.likely()
	}
	f.order = append(f.order, service)
}
