package detector

import "aftershock/detector/stat"

// What is kept in large numbers packs itself: to save it and to restore it is one
// function each, so that the two can't differ.

func (l *Line) pack(p *packer) {
	for i := range l.Beta {
		p.double(&l.Beta[i])
	}
	p.double(&l.LogLoad)
	p.count(&l.Seen)
}

func packNoise(p *packer, n *stat.Noise) {
	for i := range n {
		p.double(&n[i])
	}
}

func (b *Bin) pack(p *packer) {
	p.count(&b.Steps)
	if b.Steps == 0 {
		return
	}
	p.number(&b.Obs)
	p.number(&b.Total)
	p.narrow(&b.Exp)
	for i := range b.X {
		p.narrow(&b.X[i])
	}
}

func (s *Stray) pack(p *packer) {
	for _, x := range []*float64{&s.Level, &s.Short, &s.Mean.Num, &s.Mean.Den} {
		p.double(x)
	}
	packNoise(p, &s.Noise)
	p.count(&s.Since)
	for i := range s.Windows {
		w := &s.Windows[i]
		steps := int64(w.Steps)
		p.whole(&steps)
		w.Steps = int32(steps)
		for _, x := range []*float32{&w.Sum, &w.Weight, &w.Excess, &w.Total, &w.Count} {
			p.single(x)
		}
	}
}

func (s *Season) pack(p *packer) {
	for i := range s.Beta {
		p.double(&s.Beta[i])
	}
	p.count(&s.Seen)
}

// pack packs a track without its indicator and its first steps.
func (t *Track) pack(p *packer) {
	p.truth(&t.Chosen)
	for k := range t.Bounds {
		p.double(&t.Bounds[k])
		m := &t.Models[k]
		p.count(&m.Seen)
		t.Bins[k].pack(p)
		if m.Seen == 0 {
			continue
		}
		m.pack(p)
		for i := range m.Cov {
			p.single(&m.Cov[i])
		}
		t.Strays[k].pack(p)
	}
	p.recent(&t.Recent)
	p.histogram(&t.Base, p.narrow)
	p.count(&t.Steps)
	p.count(&t.Stranded)
	for _, x := range []*float64{&t.Firsts.Num, &t.Firsts.Den, &t.LoadLow, &t.LoadHigh} {
		p.double(x)
	}
	t.Season.pack(p)
	for i := range t.Season.Cov {
		for k := range t.Season.Cov[i] {
			p.single(&t.Season.Cov[i][k])
		}
	}
}

// recent packs the memory of what came before now.
func (p *packer) recent(r *Recent) {
	n := p.size(len(r.List))
	if p.read {
		r.List = make([]Past, n)
	}
	var last int64
	for i := range r.List {
		b := &r.List[i]
		p.when(&b.End, &last, &b.Steps, &b.Total, &b.Load)
		p.pairs(&b.Obs, &b.Exp)
	}
}

// when packs when a block ended, after the last, and what was asked for in it.
func (p *packer) when(end, last *int64, steps *int32, total, load *float32) {
	const second = 1e9
	after, unit := *end-*last, int64(second)
	if after%unit != 0 {
		unit = 1
	}
	// Blocks end at whole seconds as a rule; -1 says that this one doesn't.
	v := after / unit
	if unit == 1 {
		v = -1
	}
	if p.whole(&v); v < 0 {
		p.whole(&after)
	} else {
		after = v * second
	}
	*end = *last + after
	*last = *end
	n := int64(*steps)
	p.whole(&n)
	*steps = int32(n)
	p.amount(total)
	same := *load == *total
	if p.truth(&same); same {
		*load = *total
		return
	}
	p.amount(load)
}

// pairs packs what was counted and what was expected at each bound.
func (p *packer) pairs(obs, exp *[bounds]float32) {
	mask := 0
	for k := range obs {
		if obs[k] != 0 || exp[k] != 0 {
			mask |= 1 << k
		}
	}
	p.count(&mask)
	for k := range obs {
		if mask&(1<<k) != 0 {
			p.amount(&obs[k])
			p.single(&exp[k])
		}
	}
}

func (b *Blocks) pack(p *packer) {
	grain := int64(b.Grain)
	p.whole(&grain)
	b.Grain = int32(grain)
	n := p.size(len(b.List))
	if p.read {
		b.List = make([]Block, n)
	}
	var last int64
	for i := range b.List {
		x := &b.List[i]
		p.when(&x.End, &last, &x.Steps, &x.Total, &x.Load)
		p.single(&x.Usual)
		p.pairs(&x.Obs, &x.Exp)
		all := x.FreshObs == x.Obs && x.FreshExp == x.Exp
		if p.truth(&all); all {
			x.FreshObs, x.FreshExp = x.Obs, x.Exp
			continue
		}
		p.pairs(&x.FreshObs, &x.FreshExp)
	}
}

// pack packs what was last said of a trial.
func (e *evidence) pack(p *packer) {
	p.double(&e.log)
	p.count(&e.lead)
	e.lead = min(max(0, e.lead), bounds-1)
	for k := range e.have {
		p.truth(&e.have[k])
		if e.have[k] {
			p.double(&e.at[k].log)
			p.double(&e.at[k].variance)
			p.double(&e.since[k].log)
			p.double(&e.since[k].variance)
			p.whole(&e.from[k])
		}
	}
}

// pack packs the part of a trial that is large.
func (tr *Trial) pack(p *packer) {
	for k := range tr.Lines {
		p.double(&tr.Bounds[k])
		l := &tr.Lines[k]
		p.count(&l.Seen)
		if p.double(&tr.Bias[k]); l.Seen > 0 {
			l.pack(p)
			packNoise(p, &tr.Noise[k])
		}
		p.single(&tr.Level[k])
		for i := range tr.Screen[k] {
			p.single(&tr.Screen[k][i])
		}
	}
	tr.Blocks.pack(p)
	p.histogram(&tr.Before, p.number)
	p.histogram(&tr.After, p.number)
	tr.Season.pack(p)
	for d := range tr.ev {
		tr.ev[d].pack(p)
	}
}
