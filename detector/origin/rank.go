package origin

import (
	"cmp"
	"fmt"
	"slices"
)

// NoTrouble is the chance beforehand that nothing is wrong at the target, three
// in four. A blame needs an e-value of about its odds, 3, which the calibrator
// gives to p = 0.02: about that share of healthy windows are blamed, which is
// what is aimed at.
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

// Silent says that the leading cause is that nothing is wrong.
func Silent(causes []Cause) bool { return len(causes) > 0 && causes[0].Service == "" }

// Rank ranks the causes of a trouble, the likeliest first, among them that there
// is none. It fails where the question contradicts itself.
func Rank(q *Question) ([]Cause, error) {
	series, err := q.check()
	if err != nil {
		return nil, err
	}
	places := q.places(series)
	target := places[q.Target.Service]
	none := 1.0
	if target.moved.known {
		none = NoTrouble / (NoTrouble + (1-NoTrouble)*target.moved.e)
	}
	own := q.share(places)
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
