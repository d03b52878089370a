package fleet

// ramp is how far the trouble has come in a minute, 0 to 1: it comes within
// five minutes, and goes likewise.
func (d trouble) ramp(t int) float64 {
	const rise = 5
	switch {
	case t < d.from || t >= d.to+rise:
		return 0
	case t < d.from+rise:
		return float64(t-d.from+1) / rise
	case t >= d.to:
		return 1 - float64(t-d.to+1)/rise
	}
	return 1
}

// setTrouble plans what befalls the fleet around the upgrade: what the kind is
// named after, and in some of the guilty worlds something besides the fault.
func (w *World) setTrouble(r *source) {
	kind := w.Kind
	if Guilty(kind) && r.chance(0.25) {
		kind = pick(r, []string{ThirdParty, Load, Infrastructure, Drift, Mix})
	}
	from := w.Upgrade + r.whole(-10, 60)
	if r.chance(0.4) {
		from = w.Upgrade + r.whole(0, 240)
	}
	to := w.Minutes
	if r.chance(0.4) {
		to = from + r.whole(120, 480)
	}
	d := trouble{kind: kind, from: from, to: to}
	switch kind {
	case ThirdParty:
		o := w.routes[r.whole(0, 1)]
		d.on, d.size, d.slow = o.peer, r.log(2, 8), 1
		if r.chance(0.5) {
			d.slow = r.log(1.2, 2)
		}
	case Load:
		d.size = r.log(1.4, 2.5)
	case Infrastructure:
		d.size = r.log(1.1, 1.5)
	case Drift:
		d.from, d.to = max(0, w.Upgrade-r.whole(360, 2160)), w.Minutes
		d.size, d.on = r.log(1.15, 1.7), r.whole(1, len(w.services)-1)
		if r.chance(0.7) {
			d.on = pick(r, w.deploys).service
		}
	case Mix:
		d.on, d.size = r.whole(0, len(w.routes)-1), r.log(1.5, 3)
		if w.Kind == Mix {
			w.unroute(r)
		}
	default:
		return
	}
	w.trouble = append(w.trouble, d)
}

// unroute makes a service that serves several routes not tell them apart.
func (w *World) unroute(r *source) {
	var many []*service
	for i, s := range w.services {
		n := 0
		for _, o := range w.routes {
			for _, p := range o.path {
				if p == i {
					n++
				}
			}
		}
		if i > 0 && n > 1 {
			many = append(many, s)
		}
	}
	if len(many) > 0 {
		pick(r, many).routeless = true
	}
}
