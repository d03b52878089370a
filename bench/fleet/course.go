package fleet

import "math"

// wobble is a first-order autoregressive noise of a logarithm: its standard
// deviation, and the minutes over which it forgets.
type wobble struct{ sd, over float64 }

// walk draws the wobble for every minute.
func (n wobble) walk(r *source, minutes int) []float64 {
	out := make([]float64, minutes)
	keep := math.Exp(-1 / n.over)
	push := n.sd * math.Sqrt(1-keep*keep)
	x := n.sd * r.normal()
	for t := range out {
		out[t] = x
		x = keep*x + push*r.normal()
	}
	return out
}

// course is everything about the fleet that changes from minute to minute and
// isn't a single request's luck. Slices are by entity, then by minute.
type course struct {
	load    [][]float64 // requests a minute, by route
	heavy   [][]float64 // share of heavy requests, by route
	scale   [][]float32 // how slow a service is, about 1
	pauses  [][]float32 // how much more often the collector pauses
	errors  [][]float32 // share of failed requests, by service
	busy    [][]float32 // load over the usual peak, by service
	failing [][]float32 // share of failed first attempts, by third party
	slow    [][]float32 // how slow the third party is, about 1
	rough   [][]bool    // the third party has a long outage or slow phase
}

// draw draws the course, troubles included.
func (w *World) draw(r *source) course {
	var c course
	for i, o := range w.routes {
		load, heavy := w.drawLoad(r.fork(1, uint64(i)), i, o)
		c.load, c.heavy = append(c.load, load), append(c.heavy, heavy)
	}
	for i, p := range w.peers {
		failing, slow, rough := w.drawPeer(r.fork(2, uint64(i)), i, p)
		c.failing, c.slow, c.rough = append(c.failing, failing), append(c.slow, slow), append(c.rough, rough)
	}
	q := r.fork(3)
	infra := wobble{q.between(0.01, 0.05), q.between(15, 60)}.walk(q, w.Minutes)
	long := wobble{q.between(0.005, 0.03), 600}.walk(q, w.Minutes)
	bumps(q, infra, 0.7, 2, 15, 0.1, 0.5)
	for t := range infra {
		infra[t] += long[t]
		for _, d := range w.trouble {
			if d.kind == Infrastructure {
				infra[t] += d.ramp(t) * math.Log(d.size)
			}
		}
	}
	for i, s := range w.services {
		w.drawService(r.fork(4, uint64(i)), i, s, infra, &c)
	}
	return c
}

// bumps adds spikes to a logarithm: so many a day, of so many minutes, of a
// size drawn between two factors of a log.
func bumps(r *source, x []float64, daily, least, most, low, high float64) {
	for range r.poisson(daily * float64(len(x)) / 1440) {
		from, size := r.whole(0, len(x)-1), r.between(low, high)
		for t := from; t < min(len(x), from+int(r.log(least, most))); t++ {
			x[t] += size
		}
	}
}

func (w *World) drawLoad(r *source, i int, o *route) (load, heavy []float64) {
	load, heavy = make([]float64, w.Minutes), make([]float64, w.Minutes)
	short, long := o.noise[0].walk(r, w.Minutes), o.noise[1].walk(r, w.Minutes)
	mood := wobble{0.15, 300}.walk(r, w.Minutes)
	bumps(r, short, 0.7, 3, 40, 0.2, 0.7)
	second, weekend := r.between(0, 0.15), r.between(0.6, 1)
	growth := r.between(-0.02, 0.02)
	for t := range load {
		at := w.Time(t)
		hour := float64(at.Hour()) + float64(at.Minute())/60 - o.phase
		wave := 1 + o.swing*math.Cos((hour-14)*math.Pi/12) + second*math.Cos((hour-19)*math.Pi/6)
		if d := at.Weekday(); d == 0 || d == 6 {
			wave *= weekend
		}
		x := short[t] + long[t] + growth*float64(t)/1440
		for _, d := range w.trouble {
			switch {
			case d.kind == Load:
				x += d.ramp(t) * math.Log(d.size)
			case d.kind == Mix && d.on == i:
				x += d.ramp(t) * math.Log(d.size)
			case d.kind == Mix:
				x -= d.ramp(t) * math.Log(d.size) * 0.3
			}
		}
		load[t] = o.rate * math.Max(wave, 0.05) * math.Exp(x)
		heavy[t] = math.Min(0.6, o.heavy*math.Exp(mood[t]))
	}
	return load, heavy
}

func (w *World) drawPeer(r *source, i int, p *peer) (failing, slow []float32, rough []bool) {
	fail, tempo := p.noise[0].walk(r, w.Minutes), wobble{0.08, 120}.walk(r, w.Minutes)
	for t, x := range p.noise[1].walk(r, w.Minutes) {
		fail[t] += x
	}
	floor := make([]float64, w.Minutes)
	rough = make([]bool, w.Minutes)
	phase := func(daily float64, least, most float64, do func(t int, size float64)) {
		for range r.poisson(daily * float64(w.Minutes) / 1440) {
			from, size := r.whole(0, w.Minutes-1), r.float()
			for t := from; t < min(w.Minutes, from+int(r.log(least, most))); t++ {
				do(t, size)
			}
		}
	}
	phase(p.bursts, 3, 20, func(t int, size float64) { floor[t] = math.Max(floor[t], 0.03+0.25*size) })
	phase(p.outages, 30, 180, func(t int, size float64) { floor[t], rough[t] = math.Max(floor[t], 0.1+0.5*size), true })
	phase(p.slows, 20, 150, func(t int, size float64) { tempo[t] += 0.2 + 0.8*size; rough[t] = true })
	failing, slow = make([]float32, w.Minutes), make([]float32, w.Minutes)
	for t := range fail {
		for _, d := range w.trouble {
			if d.kind == ThirdParty && d.on == i {
				fail[t] += d.ramp(t) * math.Log(d.size)
				tempo[t] += d.ramp(t) * math.Log(d.slow)
			}
		}
		failing[t] = float32(math.Min(0.95, math.Max(floor[t], p.failing*math.Exp(fail[t]))))
		slow[t] = float32(math.Exp(tempo[t]))
	}
	return failing, slow, rough
}

func (w *World) drawService(r *source, i int, s *service, infra []float64, c *course) {
	log := make([]float64, w.Minutes)
	for _, n := range s.noise {
		for t, x := range n.walk(r, w.Minutes) {
			log[t] += x
		}
	}
	bumps(r, log, s.spikes, 1, 8, 0.2, 1)
	pauses := wobble{0.2, 60}.walk(r, w.Minutes)
	bumps(r, pauses, s.storms, 5, 20, 1.5, 2.5)
	fails := wobble{0.15, 90}.walk(r, w.Minutes)
	bumps(r, fails, 1, 2, 15, 0.5, 2)
	slope := r.between(-0.02, 0.02)
	busy, scale := make([]float32, w.Minutes), make([]float32, w.Minutes)
	more, errs := make([]float32, w.Minutes), make([]float32, w.Minutes)
	for t := range log {
		load := 0.0
		for k, o := range w.routes {
			for _, p := range o.path {
				if p == i {
					load += c.load[k][t]
				}
			}
		}
		u := load / s.usual
		x := log[t] + s.infra*infra[t] + slope*float64(t)/1440 + math.Log1p(s.steep*u*u)
		for _, d := range w.trouble {
			if d.kind == Drift && d.on == i {
				x += math.Log(d.size) * float64(max(0, min(t, d.to)-d.from)) / 1440
			}
		}
		busy[t], scale[t] = float32(u), float32(math.Exp(x))
		more[t] = float32(math.Exp(pauses[t]))
		errs[t] = float32(math.Min(0.5, s.errors*math.Exp(fails[t])))
	}
	c.busy, c.scale = append(c.busy, busy), append(c.scale, scale)
	c.pauses, c.errors = append(c.pauses, more), append(c.errors, errs)
}
