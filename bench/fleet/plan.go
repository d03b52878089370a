package fleet

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// hops a world may simulate, requests times services: what keeps it under about
// a second.
const maxHops = 45e6

// plan draws the fleet's structure.
func (w *World) plan(r *source) {
	days, after := r.whole(2, 7), r.whole(6, 24)*60
	names := []string{"checkout", "payments", "catalog", "search", "notify", "sync", "profile"}
	shuffle(r, names)
	names = append([]string{"gateway"}, names[:r.whole(3, 6)]...)
	forms := layouts()
	calm := r.log(0.15, 0.9) // fleets differ in how restless they are
	for _, n := range names {
		w.services = append(w.services, planService(r, n, forms, calm))
	}
	parties := []string{"acme-pay", "mail-relay", "geo-lookup", "bank-link", "sms-hub"}
	shuffle(r, parties)
	for _, n := range parties[:r.whole(2, 3)] {
		w.peers = append(w.peers, planPeer(r, n))
	}
	count := r.whole(3, 5)
	for i := range count {
		w.routes = append(w.routes, w.planRoute(r, i))
	}
	if r.chance(0.12) {
		w.routes[0].rate = r.log(2000, 10000)
		days = 2
	}
	if r.chance(0.2) {
		w.routes[len(w.routes)-1].rate = r.log(1, 10)
	}
	cost := func() float64 {
		sum := 0.0
		for _, o := range w.routes {
			sum += o.rate * float64(len(o.path))
		}
		return sum * float64(days*1440+after)
	}
	for days > 2 && cost() > maxHops {
		days--
	}
	if cost() > maxHops {
		after = min(after, 480)
	}
	if c := cost(); c > maxHops {
		for _, o := range w.routes {
			o.rate *= maxHops / c
		}
	}
	for _, o := range w.routes {
		for _, s := range o.path {
			w.services[s].usual += o.rate * (1 + o.swing)
		}
	}
	hour := r.whole(7, 18)
	if r.chance(0.2) {
		hour = r.whole(0, 23)
	}
	w.Upgrade = days*1440 + r.whole(0, 59)
	w.Minutes = w.Upgrade + after
	day := time.Date(2026, 3, 2+r.whole(0, 20), hour, 0, 0, 0, time.UTC)
	w.Start = day.Add(-time.Duration(days) * 24 * time.Hour)
	w.counted = slices.Contains(w.ills, Errors) || r.chance(0.4)
	w.renames = r.chance(0.5)
	w.missed = r.log(0.001, 0.01)
	for range r.poisson(0.3 * float64(w.Minutes) / 1440) {
		from := r.whole(0, w.Minutes-1)
		w.gaps = append(w.gaps, [2]int{from, from + r.whole(2, 20)})
	}
	w.coldness, w.coldFor = r.log(0.1, 1), r.between(2, 6)
	if w.Kind == WarmUp {
		w.coldness, w.coldFor = r.log(1, 3), r.between(3, 8)
	}
}

func planService(r *source, name string, forms []*layout, calm float64) *service {
	s := &service{
		name: name, layout: pick(r, forms), infra: calm * r.between(0.6, 1.3), steep: r.between(0, 0.15),
		storms: r.between(0, 0.5), spikes: r.between(0.5, 4), errors: r.log(0.0003, 0.01),
		client: client{attempts: r.whole(2, 4), base: float32(r.log(0.05, 0.4)), factor: 2, most: 3, timeout: float32(r.between(1, 3))},
	}
	s.noise = [3]wobble{
		{sd: calm * r.between(0.02, 0.06), over: r.between(3, 8)},
		{sd: calm * r.between(0.01, 0.05), over: r.between(40, 120)},
		{sd: calm * r.between(0.005, 0.04), over: r.between(400, 1500)},
	}
	for i := range r.whole(2, 4) {
		s.instances = append(s.instances, &instance{slot: i, skill: float32(math.Exp(0.03 * r.normal())), upgraded: -1})
	}
	return s
}

func planPeer(r *source, name string) *peer {
	return &peer{
		name: name, ok: lognormal(r.log(0.03, 0.15), r.between(0.3, 0.6)), failing: r.log(0.005, 0.04),
		hold: r.between(0.3, 0.8), fade: float32(r.log(0.2, 2)),
		bursts: r.between(0.5, 4), outages: r.between(0, 0.3), slows: r.between(0, 0.6),
		noise: [2]wobble{{sd: r.between(0.1, 0.25), over: r.between(5, 30)}, {sd: r.between(0.03, 0.18), over: r.between(200, 900)}},
	}
}

// planRoute draws a path from the gateway through two or three services, and
// what each does on it. The first two routes call a third party.
func (w *World) planRoute(r *source, i int) *route {
	rest := make([]int, 0, len(w.services)-1)
	for s := 1; s < len(w.services); s++ {
		rest = append(rest, s)
	}
	shuffle(r, rest)
	o := &route{path: append([]int{0}, rest[:r.whole(1, 3)]...), peer: -1, rate: r.log(30, 500), phase: r.between(-1.5, 1.5), swing: r.between(0.3, 0.7)}
	last := len(o.path) - 1
	o.name = fmt.Sprintf("/%s/%d", w.services[o.path[last]].name, i)
	o.noise = [2]wobble{{sd: r.between(0.03, 0.1), over: r.between(10, 60)}, {sd: r.between(0.05, 0.12), over: r.between(300, 900)}}
	if i < 2 || r.chance(0.4) {
		o.peer, o.caller = r.whole(0, len(w.peers)-1), last
		if r.chance(0.25) {
			o.caller = r.whole(1, last)
		}
	}
	if r.chance(0.5) {
		o.heavy, o.weight = r.log(0.02, 0.2), float32(r.between(1.5, 3))
	}
	for range o.path {
		o.hops = append(o.hops, planHop(r))
	}
	return o
}

func planHop(r *source) hop {
	h := hop{missing: r.log(0.002, 0.08), pausing: r.log(0.0005, 0.008), pause: float32(r.log(0.03, 0.25))}
	median := r.log(0.004, 0.08)
	if r.chance(0.6) {
		h.own = lognormal(median, r.between(0.3, 0.7))
	} else {
		h.own = gammas(r, median, r.between(1.5, 6), r.between(1, 3), r.between(2, 5), r.between(0.02, 0.2))
	}
	h.miss = lognormal(median*r.between(1.5, 8), r.between(0.3, 0.6))
	return h
}

// roll plans which instances restart when: the upgrade, and what happens on
// other days. It changes two to four binaries if it isn't told how many.
func (w *World) roll(r *source, binaries int) {
	order := make([]int, 0, len(w.services))
	for s := range w.services {
		if s > 0 || r.chance(0.4) {
			order = append(order, s)
		}
	}
	shuffle(r, order)
	few := r.whole(2, 4)
	if binaries > 0 {
		few = binaries
	}
	order = order[:min(len(order), few)]
	// In every world the first binary is one that calls a third party if the
	// fault needs that; the order of deployment is drawn after.
	if slices.Contains(w.ills, Backoff) {
		var callers []int
		for _, o := range w.routes {
			if o.peer >= 0 {
				callers = append(callers, o.path[o.caller])
			}
		}
		c := pick(r, callers)
		for i := range order {
			if order[i] == c {
				order[0], order[i] = order[i], order[0]
			}
		}
		order[0] = c
		shuffle(r, order)
	}
	w.ordinary(r)
	at := w.Upgrade + r.whole(0, 3)
	together, slow := r.chance(0.2), r.chance(0.25)
	forms := layouts()
	other := w.Kind == Layout || r.chance(0.08)
	for _, s := range order {
		w.deploys = append(w.deploys, deploy{service: s, at: at})
		form := w.services[s].layout
		for other && w.services[s].layout.same(form) {
			form = pick(r, forms)
		}
		t := at
		for _, in := range w.services[s].instances {
			in.restarts = append(in.restarts, t)
			in.upgraded = t
			if other {
				in.layout = form
			}
			switch {
			case slow:
				t += r.whole(5, 40)
			case !together:
				t += r.whole(1, 3)
			}
		}
		if !together {
			at += r.whole(1, 20)
		}
	}
}

// ordinary plans restarts that no upgrade brings.
func (w *World) ordinary(r *source) {
	for _, s := range w.services {
		for range r.poisson(0.15 * float64(w.Upgrade) / 1440) {
			t := r.whole(0, w.Upgrade-60)
			for _, in := range s.instances {
				if len(in.restarts) == 0 || in.restarts[len(in.restarts)-1]+60 < t {
					in.restarts = append(in.restarts, t)
				}
				t += r.whole(1, 4)
			}
		}
	}
}

func (l *layout) same(o *layout) bool { return len(l.bounds) == len(o.bounds) }

// finish is the minute after the last switch.
func (w *World) finish() int {
	last := w.Upgrade
	for _, s := range w.services {
		for _, in := range s.instances {
			last = max(last, in.upgraded+1)
		}
	}
	return last
}
