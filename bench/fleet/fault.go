package fleet

import "slices"

// fault is what the culprit's new build does worse.
type fault struct {
	service int
	route   int // -1: all
	client  client
	times   float32 // its own time is longer by this factor
	share   float32 // of requests that take the extra time
	extra   float32 // mean of it, seconds
	over    float32 // load over the usual peak above which requests queue
	queue   float32 // share that queues, for each unit of load above
	errors  float32 // share of failures, by this factor
}

// addFault gives a changed binary a fault of a kind.
func (w *World) addFault(r *source, kind string) {
	f := &fault{route: -1, times: 1, errors: 1}
	on := w.deployedFor(kind)
	if len(on) == 0 && len(w.faults) > 0 { // no second binary calls a third party
		kind = Latency
		on = w.deployedFor(kind)
	}
	if len(on) == 0 { // then the fleet's upgrade reaches no traffic; take the route's last
		s := w.routes[0].path[w.routes[0].caller]
		if w.faultOf(s) != nil {
			s = w.routes[0].path[w.routes[0].caller-1]
		}
		w.deployAlso(s)
		on = append(on, s)
	}
	f.service = pick(r, on)
	f.client = w.services[f.service].client
	if kind != Backoff && r.chance(0.5) {
		f.route = pick(r, w.routesOf(f.service))
	}
	switch kind {
	case Backoff:
		f.setClient(r, w.partyOf(f.service))
	case Latency:
		switch r.whole(0, 2) {
		case 0:
			f.times = float32(r.log(1.15, 2.2))
		case 1:
			f.share, f.extra = float32(r.log(0.005, 0.06)), float32(r.log(0.15, 1))
		default:
			f.share, f.extra = 1, float32(r.log(0.008, 0.1))
		}
	case Pool:
		after := slices.Clone(w.course.busy[f.service][w.Upgrade:])
		slices.Sort(after)
		f.over = after[int(r.between(0.1, 0.6)*float64(len(after)))]
		f.queue, f.extra = float32(r.log(0.2, 2)), float32(r.log(0.05, 0.5))
	case Errors:
		f.errors = float32(r.log(1.3, 8))
	}
	w.faults = append(w.faults, f)
}

// deployedFor are the changed services without a fault that can have one of a kind.
func (w *World) deployedFor(kind string) []int {
	var out []int
	for _, d := range w.deploys {
		if w.faultOf(d.service) == nil && len(w.routesOf(d.service)) > 0 && (kind != Backoff || w.calls(d.service)) {
			out = append(out, d.service)
		}
	}
	return out
}

// faultOf is the fault of a service's new build, nil if it has none.
func (w *World) faultOf(service int) *fault {
	for _, f := range w.faults {
		if f.service == service {
			return f
		}
	}
	return nil
}

// setClient draws other constants for the loop of attempts.
func (f *fault) setClient(r *source, party *peer) {
	c := &f.client
	switch r.whole(0, 3) {
	case 0: // eager: more attempts, soon
		c.attempts += r.whole(2, 5)
		c.base /= float32(r.log(3, 10))
	case 1: // patient: longer sleeps
		c.base *= float32(r.log(4, 12))
		c.attempts += r.whole(0, 1)
	case 2: // hasty: gives up on slow answers
		c.timeout = party.ok.at(uint32(r.between(0.9, 0.985) * (1 << 24)))
		c.attempts++
	default: // dogged: more attempts, longer sleeps
		c.attempts += r.whole(1, 3)
		c.base *= float32(r.log(1.5, 5))
	}
}

func (w *World) routesOf(service int) []int {
	var out []int
	for i, o := range w.routes {
		if slices.Contains(o.path, service) {
			out = append(out, i)
		}
	}
	return out
}

func (w *World) calls(service int) bool {
	return slices.ContainsFunc(w.routes, func(o *route) bool { return o.peer >= 0 && o.path[o.caller] == service })
}

// partyOf is a third party that the service calls.
func (w *World) partyOf(service int) *peer {
	for _, o := range w.routes {
		if o.peer >= 0 && o.path[o.caller] == service {
			return w.peers[o.peer]
		}
	}
	return w.peers[0]
}

// deployAlso adds a service to the upgrade.
func (w *World) deployAlso(s int) {
	w.deploys = append(w.deploys, deploy{service: s, at: w.Upgrade})
	for n, in := range w.services[s].instances {
		in.upgraded = w.Upgrade + n
		in.restarts = append(in.restarts, in.upgraded)
	}
}

// onset is the minute in which the first new instance with a fault starts.
func (w *World) onset(f *fault) int {
	for _, d := range w.deploys {
		if d.service == f.service {
			return d.at
		}
	}
	return w.Upgrade
}
