package origin

import (
	"maps"
	"math"
	"slices"
)

// gauges are those of a service.
type gauges struct {
	name string
	// same is of the target's metric and statistic, others are of its other
	// statistics, grown of the requests; nil where there is none.
	same   *gauge
	others []*gauge
	grown  *gauge
	// calls is how often the service is asked for each of the target's requests,
	// in normal times.
	calls float64
}

// gauges prepares all services for being judged, in order of name.
func (q *Question) gauges(series map[key][]float64) []*gauges {
	stats := map[string][]string{}
	for k := range series {
		of := stats[k.service]
		if k.metric == q.Target.Metric {
			of = append(of, k.stat)
		}
		stats[k.service] = of
	}
	asked := q.asked(series)
	var out []*gauges
	for _, service := range slices.Sorted(maps.Keys(stats)) {
		g := &gauges{name: service, calls: asked(service)}
		requests := requestsOf(series, service)
		if requests != nil {
			// Half a request is added, so that rows without any have a logarithm.
			g.grown = q.gauge(newLogs(q.Times, q.Normal, requests, 0.5))
		}
		slices.Sort(stats[service])
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
			if stat == q.Target.Stat {
				g.same = q.gauge(s)
			} else if service != q.Target.Service {
				g.others = append(g.others, q.gauge(s))
			}
		}
		out = append(out, g)
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

// place is what is known of a service in a window.
type place struct {
	// moved is the shift of the target's metric and statistic, with the mean of
	// the e-values of all its statistics, which is an e-value whatever they have to
	// do with one another (Vovk and Wang 2021).
	moved shift
	// grown is that of the requests.
	grown shift
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

// places judges all services in the window with an onset, in the rows at which
// the target is furthest off. (At the target these are chosen anew in each window
// of normal times, or else the choice would look like a shift.)
func (q *Question) places(all []*gauges, target *gauge, onset int) map[string]*place {
	run := target.worst(onset)
	out := make(map[string]*place, len(all))
	for _, g := range all {
		p := &place{calls: g.calls}
		out[g.name] = p
		if g.same == target {
			p.moved = target.at(onset, scan)
			continue
		}
		sum, n := 0.0, 0.0
		take := func(of *gauge) shift {
			s := of.at(onset, run)
			if s.known {
				sum, n = sum+s.e, n+1
			}
			return s
		}
		if g.same != nil {
			p.moved = take(g.same)
		}
		for _, of := range g.others {
			take(of)
		}
		if p.moved.known {
			p.moved.e = sum / n
		}
	}
	return out
}

// grow judges the requests of all services, in the same rows.
func (q *Question) grow(all []*gauges, target *gauge, places map[string]*place) {
	run := target.worst(q.Onset)
	for _, g := range all {
		if g.grown != nil {
			places[g.name].grown = g.grown.at(q.Onset, run)
		}
	}
}
