package fleet

import (
	"fmt"
	"math"
	"slices"
)

// Rise is a world beside the kinds, from which the delay of an alert is
// measured: the last service of one route gets slower by as much as raises its
// p99 on that route by a given factor, and nothing else happens. The service,
// its noise and the rest of the fleet are drawn as in every world.
type Rise struct {
	// Rate is the route's requests a minute in the two hours after the upgrade.
	Rate float64
	// P99 is the factor, over 1.
	P99 float64
	// Apart is how many minutes lie between the first switch of an instance of
	// each service and those of its others. 0 means that all switch within minutes.
	Apart int
	// Days, if not 0, is how much history there is at the most.
	Days int
}

const (
	rising = "rise"
	// riseAfter is how long a rise is lived with, in minutes.
	riseAfter = 7 * 60
	// beside is how many instances a service has of which one switches first.
	beside = 4
)

// NewRise plans the world of a rise and a seed.
func NewRise(r Rise, seed uint64) (*World, error) {
	if !(r.Rate > 0) || !(r.P99 > 1) || r.Apart < 0 || r.Apart > riseAfter-120 || r.Days < 0 {
		return nil, fmt.Errorf("plan a rise: %+v is none", r)
	}
	root := source(mix(seed*golden + 54321))
	w := &World{Kind: rising, Seed: seed, rand: *root.fork(1), Covariates: Usual}
	w.plan(root.fork(2))
	w.shorten(r.Days)
	k := w.single()
	w.rollRise(root.fork(3), k, r.Apart)
	w.course = w.draw(root.fork(5))
	w.rate(k, r.Rate)
	w.course = w.draw(root.fork(5))
	if err := w.slow(k, r.P99); err != nil {
		return nil, err
	}
	return w, nil
}

// shorten leaves out the first days, so that there are at most so many before the
// upgrade.
func (w *World) shorten(days int) {
	for days > 0 && w.Upgrade >= (days+1)*1440 {
		w.Upgrade -= 1440
		w.Start = w.Start.AddDate(0, 0, 1)
	}
	w.Minutes = w.Upgrade + riseAfter
}

// single is the route of the rise. It calls no third party: else the waits for
// that, rather than the service's own time, would make the p99; and, likewise, a
// collector's pauses may make a fifth of it at the most.
func (w *World) single() int {
	k := len(w.routes) - 1
	o := w.routes[k]
	o.peer = -1
	last := &o.hops[len(o.hops)-1]
	last.pausing = math.Min(last.pausing, 0.002)
	return k
}

// rollRise plans which instances restart when: an upgrade of the route's last
// service and of one to three others, each either within minutes or with one
// instance of four ahead of the others.
func (w *World) rollRise(r *source, k, apart int) {
	path := w.routes[k].path
	culprit := path[len(path)-1]
	var order []int
	for s := 1; s < len(w.services); s++ {
		if s != culprit {
			order = append(order, s)
		}
	}
	shuffle(r, order)
	order = append(order[:min(len(order), r.whole(1, 3))], culprit)
	shuffle(r, order)
	if apart > 0 {
		for _, s := range order {
			w.widen(r, w.services[s])
		}
	}
	w.ordinary(r)
	at := w.Upgrade + r.whole(0, 3)
	for _, s := range order {
		w.deploys = append(w.deploys, deploy{service: s, at: at})
		t := at
		for n, in := range w.services[s].instances {
			if n == 1 {
				t += apart
			}
			in.restarts = append(in.restarts, t)
			in.upgraded = t
			t += r.whole(1, 3)
		}
		at += r.whole(1, 5)
	}
}

// widen adds instances to a service.
func (w *World) widen(r *source, s *service) {
	for len(s.instances) < beside {
		in := &instance{slot: len(s.instances), skill: float32(math.Exp(0.03 * r.normal())), upgraded: -1}
		s.instances = append(s.instances, in)
	}
}

// rate gives a route so many requests a minute in the two hours after the
// upgrade. The course must be drawn anew, since services follow their load.
func (w *World) rate(k int, want float64) {
	o, mean := w.routes[k], 0.0
	const hours = 120
	for _, x := range w.course.load[k][w.Upgrade : w.Upgrade+hours] {
		mean += x / hours
	}
	more := o.rate * (want/mean - 1)
	o.rate += more
	for _, s := range o.path {
		w.services[s].usual += more * (1 + o.swing)
	}
}

// slow finds the fault that raises the p99 by a factor.
func (w *World) slow(k int, factor float64) error {
	path := w.routes[k].path
	s := path[len(path)-1]
	f := &fault{service: s, route: k, times: 1, errors: 1, client: w.services[s].client}
	w.faults = []*fault{f}
	p := newProbe(w, k)
	limit := factor * p.quantile(0.99, false)
	// The share over the limit rises with the factor on the service's own time,
	// request for request, so that halving finds it.
	low, high := 1.0, 8.0
	for high/low > 1.0005 {
		mid := math.Sqrt(low * high)
		f.times = float32(mid)
		if p.over(limit) < 0.01 {
			low = mid
		} else {
			high = mid
		}
	}
	if high == 8 {
		return fmt.Errorf("plan a rise: seed %d: the p99 of %s isn't of its own making", w.Seed, w.services[s].name)
	}
	return nil
}

// probe draws requests of a route after all instances have switched and warmed
// up, always with the same luck.
type probe struct {
	w       *World
	runner  *runner
	k       int
	minutes []int
	luck    *source
}

// probed is how many requests a probe draws in each of its minutes.
const probed = 2000

func newProbe(w *World, k int) *probe {
	p := &probe{w: w, runner: newRunner(w), k: k, luck: w.rand.fork(3)}
	for t := w.finish() + 40; t < w.Minutes; t += 5 {
		p.minutes = append(p.minutes, t)
	}
	return p
}

// hist is the distribution of the last hop's latency over the bounds of a layout.
func (p *probe) hist(l *layout, faulty bool) tally {
	var sum tally
	var faults []*fault
	if faulty {
		faults = p.w.faults
	}
	p.runner.layout = l
	slots := p.runner.latency[p.k]
	for _, t := range p.minutes {
		p.runner.clear()
		p.runner.run(p.k, t, probed, p.luck.fork(uint64(t)).next(), faults)
		for n := range p.runner.tallies[slots[len(slots)-1]] {
			sum.add(&p.runner.tallies[slots[len(slots)-1]][n])
		}
	}
	return sum
}

// over is the share of requests over a limit, with the fault.
func (p *probe) over(limit float64) float64 {
	sum := p.hist(newLayout(limit), true)
	return float64(sum.hist[1]) / float64(sum.total)
}

// quantile is the q-quantile, found by ever finer buckets around it.
func (p *probe) quantile(q float64, faulty bool) float64 {
	low, high := 1e-4, 100.0
	for high/low > 1.0005 {
		const cells = maxBuckets - 2
		bounds := make([]float64, cells+1)
		for i := range bounds {
			bounds[i] = low * math.Pow(high/low, float64(i)/cells)
		}
		sum := p.hist(newLayout(bounds...), faulty)
		below := 0.0
		i := slices.IndexFunc(sum.hist[:], func(n uint64) bool {
			below += float64(n)
			return below >= q*float64(sum.total)
		})
		i = min(max(i, 1), cells)
		low, high = bounds[i-1], bounds[i]
	}
	return math.Sqrt(low * high)
}
