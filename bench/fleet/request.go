package fleet

import "math"

const (
	maxBuckets   = 25 // of the union of all layouts, with the one above their bounds
	maxInstances = 4
	maxPath      = 4
)

// tally is what was counted of one indicator on one instance.
type tally struct {
	total, bad     uint64
	first, retried uint64 // calls whose first attempt failed, and those with a retry
	sum            float64
	hist           [maxBuckets]uint64
}

func (y *tally) add(o *tally) {
	y.total += o.total
	y.bad += o.bad
	y.first += o.first
	y.retried += o.retried
	y.sum += o.sum
	for i, n := range o.hist {
		y.hist[i] += n
	}
}

// slot is one indicator of the fleet.
type slot struct {
	kind    string // latency, retry, error
	service int
	route   int // -1: none
	peer    int // -1: none
}

// slots lists the indicators, and says which each hop of each route feeds.
func (w *World) slots() (all []slot, latency, failed [][]int, retried []int) {
	index := make(map[slot]int)
	find := func(s slot) int {
		i, ok := index[s]
		if !ok {
			i = len(all)
			index[s] = i
			all = append(all, s)
		}
		return i
	}
	for k, o := range w.routes {
		lat, bad := make([]int, len(o.path)), make([]int, len(o.path))
		for j, s := range o.path {
			of := slot{kind: "latency", service: s, route: k, peer: -1}
			if w.services[s].routeless {
				of.route = -1
			}
			lat[j] = find(of)
			bad[j] = -1
			if w.counted {
				bad[j] = find(slot{kind: "error", service: s, route: k, peer: -1})
			}
		}
		latency, failed = append(latency, lat), append(failed, bad)
		retry := -1
		if o.peer >= 0 {
			retry = find(slot{kind: "retry", service: o.path[o.caller], route: -1, peer: o.peer})
		}
		retried = append(retried, retry)
	}
	return all, latency, failed, retried
}

// runner draws the requests of single minutes.
type runner struct {
	w               *World
	slots           []slot
	latency, failed [][]int
	retried         []int
	// tallies are by slot and instance, of the present minute.
	tallies [][]tally
	// layout, if set, is used instead of the instances' own.
	layout *layout
	hops   [maxPath]hopState
}

type hopState struct {
	own, miss *shape
	pause     float32
	count     uint64
	at        [maxInstances]placeState
}

// placeState is an instance in a minute. Chances are in 1/2^16, 1/2^24.
type placeState struct {
	scale                    float32
	missing, pausing         uint16
	extraShare, errors       uint32
	extra                    float32
	client                   client
	layout                   *layout
	latency, failed, retried *tally
}

func newRunner(w *World) *runner {
	r := &runner{w: w}
	r.slots, r.latency, r.failed, r.retried = w.slots()
	r.tallies = make([][]tally, len(r.slots))
	for i, s := range r.slots {
		r.tallies[i] = make([]tally, len(w.services[s.service].instances))
	}
	return r
}

func (r *runner) clear() {
	for _, ts := range r.tallies {
		clear(ts)
	}
}

func chance16(p float64) uint16 { return uint16(clamp(p, 0, 1) * (1<<16 - 1)) }
func chance24(p float64) uint32 { return uint32(clamp(p, 0, 1) * (1 << 24)) }

// prepare sets up the hops of a route for a minute, with some of the faults.
func (r *runner) prepare(k, t int, faults []*fault) {
	w := r.w
	o := w.routes[k]
	for j, si := range o.path {
		s, h := w.services[si], &r.hops[j]
		h.own, h.miss, h.pause = o.hops[j].own, o.hops[j].miss, o.hops[j].pause
		h.count = uint64(len(s.instances))
		f := has(faults, si, k)
		for n, in := range s.instances {
			p := &h.at[n]
			upgraded, since := in.version(t)
			cold := w.coldness * math.Exp(-float64(t-since)/w.coldFor)
			p.scale = w.course.scale[si][t] * in.skill * float32(1+cold)
			p.missing = chance16(o.hops[j].missing + math.Min(0.5, 0.3*cold))
			p.pausing = chance16(o.hops[j].pausing * float64(w.course.pauses[si][t]))
			p.client, p.extraShare, p.errors = s.client, 0, 0
			errors := w.course.errors[si][t]
			if f != nil && upgraded {
				p.scale *= f.times
				p.client, p.extra = f.client, f.extra
				p.extraShare = chance24(float64(f.chanceAt(w.course.busy[si][t])))
				errors *= f.errors
			}
			p.layout, p.latency = s.layoutOf(in, upgraded), &r.tallies[r.latency[k][j]][n]
			if r.layout != nil {
				p.layout = r.layout
			}
			p.failed = nil
			if i := r.failed[k][j]; i >= 0 {
				p.failed, p.errors = &r.tallies[i][n], chance24(float64(errors))
			}
			if i := r.retried[k]; i >= 0 && j == o.caller {
				p.retried = &r.tallies[i][n]
			}
		}
	}
}

// has finds the fault that a service has on a route.
func has(faults []*fault, service, route int) *fault {
	for _, f := range faults {
		if f.service == service && (f.route < 0 || f.route == route) {
			return f
		}
	}
	return nil
}

// chanceAt is the share of requests that take the fault's extra time at a load.
func (f *fault) chanceAt(busy float32) float32 {
	if f.queue > 0 {
		return min(0.5, max(0, f.queue*(busy-f.over)))
	}
	return f.share
}

const mask24 = 1<<24 - 1

func exponential(bits uint64) float32 { return float32(-math.Log(unit(bits))) }

// run draws n requests of a route in a minute into the tallies. The same seed
// gives the same luck, request for request, with a fault and without.
func (r *runner) run(k, t, n int, seed uint64, faults []*fault) {
	r.prepare(k, t, faults)
	o := r.w.routes[k]
	last := len(o.path) - 1
	caller := -1
	if o.peer >= 0 {
		caller = o.caller
	}
	heavy := chance16(r.w.course.heavy[k][t])
	for i := range n {
		luck := mix(seed + uint64(i)*golden)
		weight := float32(1)
		if uint16(luck>>48) < heavy {
			weight = o.weight
		}
		var took float32
		bad := false
		for j := last; j >= 0; j-- {
			h := &r.hops[j]
			x := mix(luck + uint64(j+1)*golden)
			p := &h.at[(x>>56)*h.count>>8]
			v := h.own.at(uint32(x) & mask24)
			if uint16(x>>24) < p.missing {
				v += h.miss.at(uint32(mix(x+1)) & mask24)
			}
			v *= weight * p.scale
			if uint16(x>>40) < p.pausing {
				v += h.pause * exponential(mix(x+2))
			}
			if p.extraShare > 0 {
				if y := mix(x + 3); uint32(y)&mask24 < p.extraShare {
					v += p.extra * exponential(mix(y))
				}
			}
			if j == caller {
				wait, ok := r.call(o.peer, t, p, x)
				v += wait
				bad = bad || !ok
			}
			took += v
			p.latency.total++
			p.latency.sum += float64(took)
			p.latency.hist[p.layout.bucket(took)]++
			if p.failed != nil {
				bad = bad || uint32(mix(x+4))&mask24 < p.errors
				p.failed.total++
				if bad {
					p.failed.bad++
				}
			}
		}
	}
}

// call is the loop of attempts to reach a third party.
func (r *runner) call(k, t int, p *placeState, luck uint64) (took float32, ok bool) {
	party, c := r.w.peers[k], &p.client
	slow, failing := r.w.course.slow[k][t], float64(r.w.course.failing[k][t])
	p.retried.total++
	fails, sleep := failing, c.base
	for a := range c.attempts {
		x := mix(luck + 0x51ed27*uint64(a+1))
		if a > 0 {
			p.retried.bad++
		}
		if a == 1 {
			p.retried.retried++
		}
		answer := party.ok.at(uint32(x)&mask24) * slow
		failed := unit(mix(x+1)) < fails
		if failed {
			answer *= 0.6 // refusing is quicker
		}
		took += min(answer, c.timeout)
		if !failed && answer <= c.timeout {
			return took, true
		}
		if a == 0 {
			p.retried.first++
		}
		if a+1 < c.attempts {
			rest := sleep * float32(0.5+0.5*unit(mix(x+2)))
			took += rest
			sleep = min(sleep*c.factor, c.most)
			fails = failing
			if party.hold > failing {
				fails += (party.hold - failing) * math.Exp(-float64((answer+rest)/party.fade))
			}
		}
	}
	return took, false
}
