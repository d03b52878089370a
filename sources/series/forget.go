package series

import "slices"

// forget drops the folded samples, and now and then the series that have been
// silent for long, so that churning pods don't add up.
func (f *Fold) forget() {
	for _, cs := range f.columns {
		for _, c := range cs {
			c.forget()
		}
	}
	if f.at-f.swept < f.keep/4 {
		return
	}
	f.swept = f.at
	f.sweep(f.at - f.keep)
}

// sweep forgets every series without a sample since before.
func (f *Fold) sweep(before int64) {
	dead := func(c *column) bool { return c.next >= len(c.times) && c.last < before }
	for h, cs := range f.columns {
		n := len(cs)
		cs = slices.DeleteFunc(cs, dead)
		f.size -= n - len(cs)
		if len(cs) == 0 {
			delete(f.columns, h)
		} else {
			f.columns[h] = cs
		}
	}
	f.ups = slices.DeleteFunc(f.ups, dead)
	for k, c := range f.starts {
		if dead(c) {
			delete(f.starts, k)
		}
	}
	gone := func(fm *family) bool { return fm.prune(dead) }
	for _, fm := range f.order {
		if gone(fm) {
			delete(f.families, fm.key)
		}
	}
	f.order = slices.DeleteFunc(f.order, gone)
	for name, m := range f.metrics {
		m.families = slices.DeleteFunc(m.families, gone)
		if len(m.families) == 0 {
			delete(f.metrics, name)
		}
	}
	for _, in := range f.people {
		in.families = slices.DeleteFunc(in.families, gone)
		in.builds = slices.DeleteFunc(in.builds, func(b *build) bool { return dead(b.col) })
		in.starts = slices.DeleteFunc(in.starts, dead)
	}
	f.people = slices.DeleteFunc(f.people, func(in *instance) bool {
		empty := len(in.families) == 0 && len(in.builds) == 0 && len(in.starts) == 0
		if empty {
			delete(f.instances, in.key)
		}
		return empty
	})
	f.sweepCells()
}

// prune drops the family's dead series and says whether none is left.
func (fm *family) prune(dead func(*column) bool) bool {
	if fm.count != nil && dead(fm.count) {
		fm.count = nil
	}
	if fm.native != nil && dead(fm.native) {
		fm.native, fm.nativeHist, fm.nativeLast = nil, nil, 0
	}
	if fm.created != nil && dead(fm.created) {
		fm.created = nil
	}
	fm.quantiles = slices.DeleteFunc(fm.quantiles, func(q quantileSeries) bool { return dead(q.col) })
	for _, b := range fm.buckets {
		b.cols = slices.DeleteFunc(b.cols, dead)
	}
	if slices.ContainsFunc(fm.buckets, func(b *bucketSeries) bool { return len(b.cols) == 0 }) {
		fm.buckets = slices.DeleteFunc(fm.buckets, func(b *bucketSeries) bool { return len(b.cols) == 0 })
		fm.layout, fm.acc = nil, nil
		for _, b := range fm.buckets {
			if b.active {
				b.slot = len(fm.layout)
				fm.layout = append(fm.layout, b.le*fm.scale)
			}
		}
		fm.acc = make([]float64, len(fm.layout))
	}
	return fm.count == nil && fm.native == nil && len(fm.quantiles) == 0 && len(fm.buckets) == 0
}

// sweepCells forgets the cells and indicators that no family uses.
func (f *Fold) sweepCells() {
	used := make(map[*cell]bool)
	edges := make(map[*edge]bool)
	for _, fm := range f.order {
		for _, u := range fm.uses {
			used[u.cell] = true
		}
		if fm.calls != nil {
			edges[fm.calls] = true
		}
	}
	live := make(map[*indicator]bool)
	f.sorted = slices.DeleteFunc(f.sorted, func(c *cell) bool { return !used[c] })
	for k, c := range f.cells {
		if used[c] {
			live[c.indicator] = true
		} else {
			delete(f.cells, k)
		}
	}
	for k, in := range f.indicators {
		if !live[in] {
			delete(f.indicators, k)
			f.perMetric[string(in.Kind)+in.Metric]--
		}
	}
	f.sortedEdge = slices.DeleteFunc(f.sortedEdge, func(e *edge) bool { return !edges[e] })
	for k, e := range f.edges {
		if !edges[e] {
			delete(f.edges, k)
		}
	}
}
