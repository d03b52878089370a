package series

// born says whether a family that is first seen at t counted from zero within
// reach, so that its first value is a gain. If not, that value is only a base.
func (f *Fold) born(fm *family, t, start int64, v float64) bool {
	const skew = 5 * 60 * 1000
	reach := t - f.lookback
	known := false
	for _, s := range [...]int64{start, fm.inst.processAt(t)} {
		if s == 0 {
			continue
		}
		if s >= reach && s <= t+skew {
			return true
		}
		known = true
	}
	if t-fm.inst.first > f.guard {
		// A label set that appears in a running process had no events before:
		// clients make such series with their first event.
		return fm.inst.seen(reach, t-f.guard-1) && !fm.replaces(t, v)
	}
	if known {
		return false // an old process that was not read before
	}
	// An instance that appears in the middle of a recording has just begun;
	// one that is there from the recording's beginning may be old, and so is
	// one that has counted more than its busiest peer could have in reach.
	return t-f.first > f.lookback/2 && !fm.older(t, v, f.lookback)
}

// older says whether v is more than a process can have counted since it came
// in reach, going by the others of its indicators.
func (fm *family) older(t int64, v float64, lookback int64) bool {
	for _, u := range fm.uses {
		if in := u.cell.indicator; in.at != 0 && v > 3*fade(in.busy, in.at, t, lookback)+100 {
			return true
		}
	}
	return false
}

// replaces says whether the family looks like another one of its instance and
// metric under new labels: that one ended at the same scrape, with a value that
// this one can have gone on from. Then its first value isn't a gain.
func (fm *family) replaces(t int64, v float64) bool {
	for _, o := range fm.inst.families {
		if o == fm || o.metric != fm.metric {
			continue
		}
		c := o.count
		if o.native != nil {
			c = o.native
		}
		if n := len(o.buckets); c == nil && n > 0 {
			c = o.buckets[n-1].cols[0]
		}
		if c == nil {
			continue
		}
		at, was, alive := c.previous(t)
		if at != 0 && !alive && was > 0 && was <= v && fm.inst.processAt(t) < at {
			return true
		}
	}
	return false
}
