package origin

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// NoTrouble is the chance beforehand that nothing is wrong at the target, three
// in four. To speak needs an e-value of its odds, 3, which the calibrator gives
// to p = 0.02: about so many healthy windows are spoken of, which is what is
// aimed at.
const NoTrouble = 0.75

// Cause is one answer to where the trouble comes from.
type Cause struct {
	// Service is empty for "nothing is wrong".
	Service string
	// Probability is 0 to 1; those of all causes add up to 1.
	Probability float64
	// Load is the part of the probability that is put down to load which came in
	// at the service, rather than to the service itself.
	Load float64
	// Reasons are plain sentences. Names stand in them as they came in.
	Reasons []string
}

// Silent says that more likely than not nothing is wrong.
func Silent(causes []Cause) bool {
	return slices.ContainsFunc(causes, func(c Cause) bool { return c.Service == "" && c.Probability >= 0.5 })
}

// Rank ranks the causes of a trouble, the likeliest first, among them that there
// is none. It fails where the question contradicts itself.
func Rank(q *Question) ([]Cause, error) {
	series, err := q.check()
	if err != nil {
		return nil, err
	}
	all := q.gauges(series)
	var noticed *gauge
	for _, g := range all {
		if g.name == q.Target.Service {
			noticed = g.same
		}
	}
	places := q.places(all, noticed, q.Onset)
	q.grow(all, noticed, places)
	target := places[q.Target.Service]
	own := q.share(places)
	none := 1.0
	if target.moved.known {
		e := (target.moved.e + q.together(all, noticed, joint(q, places, own))) / 2
		none = NoTrouble / (NoTrouble + (1-NoTrouble)*e)
	}
	causes := []Cause{{Probability: none, Reasons: []string{q.seen(target)}}}
	for service, p := range q.uphill(own, places) {
		if all := (1 - none) * (p.own + p.load); all > 0 {
			causes = append(causes, Cause{
				Service: service, Probability: all, Load: (1 - none) * p.load,
				Reasons: q.reasons(service, places[service], target, own[service], p),
			})
		}
	}
	slices.SortFunc(causes, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Probability, a.Probability), cmp.Compare(a.Service, b.Service))
	})
	return causes, nil
}

// joint is how much the target's shift and those of the services that it is put
// down to say together: the sum of the logarithms of their e-values, the latter
// by their share.
func joint(q *Question, places map[string]*place, own map[string]float64) float64 {
	sum := math.Log(places[q.Target.Service].moved.e)
	for _, service := range slices.Sorted(maps.Keys(own)) {
		if p := places[service]; p != nil && p.moved.known && service != q.Target.Service {
			sum += own[service] * math.Log(p.moved.e)
		}
	}
	return sum
}

// together is the e-value of the joint score: a target that is a little off may
// be seen clearly to be so by what it calls. The shifts depend on one another and
// the services are chosen by them, so that their e-values can't be multiplied;
// but all of it can be done in each window of normal times, and the rank taken.
func (q *Question) together(all []*gauges, noticed *gauge, score float64) float64 {
	as, n := 0, 0
	from, to := noticed.onsets()
	for onset := from; onset < to; onset++ {
		places := q.places(all, noticed, onset)
		if !places[q.Target.Service].moved.known {
			continue
		}
		n++
		if joint(q, places, q.share(places)) >= score {
			as++
		}
	}
	return evalue(rank(as, n))
}

// seen says what is to be seen of a service's shift.
func (q *Question) seen(p *place) string {
	if p == nil || !p.moved.known {
		return fmt.Sprintf("nothing is known of its %s", q.Target.Metric)
	}
	m := p.moved
	if m.p == 1 {
		return fmt.Sprintf("%s isn't worse than normal", q.Target.Metric)
	}
	now, was := fmt.Sprintf("%.4g s", m.now), fmt.Sprintf("%.4g s", m.was)
	if q.Target.Metric == Availability {
		now, was = fmt.Sprintf("%.4g%%", 100*(1-m.now)), fmt.Sprintf("%.4g%%", 100*(1-m.was))
	}
	return fmt.Sprintf("%s is %s where %s was to be expected; %.0f in %d windows of normal times are as bad", q.Target.Metric, now, was,
		m.p*float64(m.windows+1)-1, m.windows)
}

// reasons puts in words why a service has the probability that it has.
func (q *Question) reasons(service string, p, target *place, own float64, parts part) []string {
	out := []string{q.seen(p)}
	if p != nil && p.moved.known && service != q.Target.Service && target.added() > 0 {
		out = append(out, fmt.Sprintf("it adds %.0f%% of what %s lost, at %.3g calls for each of its requests",
			100*p.added()/target.added(), q.Target.Service, p.calls))
	}
	out = append(out, fmt.Sprintf("%.0f%% of what was lost isn't explained by what it calls", 100*own))
	if parts.load > 0 && p != nil {
		out = append(out, fmt.Sprintf("requests are %.3g times those expected: load has %.0f%% of its part",
			p.grown.now/p.grown.was, 100*parts.load/(parts.own+parts.load)))
	}
	return out
}
