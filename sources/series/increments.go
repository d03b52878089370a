package series

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
)

// foldFamily takes the family's samples up to hi into the cells of its uses, and
// says whether there were any.
func (f *Fold) foldFamily(fm *family, hi int64) bool {
	any := false
	for {
		t := int64(never)
		for c := range fm.columns() {
			t = min(t, c.peek())
		}
		if t > hi {
			break
		}
		any = true
		f.scrape(fm, t)
	}
	fm.flush()
	return any
}

// scrape takes the family's samples at t.
func (f *Fold) scrape(fm *family, t int64) {
	version := fm.inst.versionAt(t)
	for _, q := range fm.quantiles {
		if q.col.peek() == t {
			q.col.take()
			if v := q.col.value * fm.scale; !math.IsNaN(v) && !math.IsInf(v, 0) {
				for _, u := range fm.uses {
					if u.part == useLatency {
						p := u.cell.part(version)
						p.seen = true
						p.setQuantile(q.q, v)
					}
				}
			}
		}
	}
	// Where a process exposes one metric as a native and as a classic
	// histogram, the native one is taken: it has the finer buckets. The classic
	// one goes on being followed, but counts nothing.
	if fm.native.peek() == t {
		f.scrapeNative(fm, t, version)
	}
	s := fm.gather(t)
	if !s.any {
		return
	}
	silent := fm.nativeLast != 0 && t-fm.nativeLast <= f.lookback
	f.scrapeClassic(fm, s, t, version, silent)
}

// sample is a family's classic series at one instant.
type sample struct {
	any      bool // there is a usable value
	hasCount bool
	count    float64
	start    int64
	values   []float64 // by bucket; NaN where there is none
}

func (fm *family) gather(t int64) sample {
	var s sample
	if fm.count.peek() == t {
		fm.count.take()
		if fm.count.usable() {
			s.any, s.hasCount, s.count, s.start = true, true, fm.count.value, fm.count.start
		}
	}
	if len(fm.buckets) == 0 {
		return s
	}
	s.values = fm.scratch(len(fm.buckets))
	for i, b := range fm.buckets {
		s.values[i] = math.NaN()
		for _, c := range b.cols {
			if c.peek() != t {
				continue
			}
			c.take()
			if c.usable() {
				s.any, s.values[i], s.start = true, c.value, max(s.start, c.start)
			}
		}
	}
	if n := len(fm.buckets) - 1; !s.hasCount && fm.count == nil && math.IsInf(fm.buckets[n].le, 1) && !math.IsNaN(s.values[n]) {
		s.hasCount, s.count = true, s.values[n]
	}
	return s
}

func (fm *family) scratch(n int) []float64 {
	if cap(fm.values) < n {
		fm.values = make([]float64, n)
	}
	return fm.values[:n]
}

// scrapeClassic counts what the classic series have gained at t.
func (f *Fold) scrapeClassic(fm *family, s sample, t int64, version string, silent bool) {
	if s.start == 0 {
		s.start = fm.createdAt(t)
	}
	process := fm.inst.processAt(t)
	var begin, known bool // counts begin at zero; the gain since the last scrape is known
	if fm.last == 0 {
		begin = f.born(fm, t, s.start, s.count)
		known = begin
	} else {
		begin = fm.reset(s) || restarted(fm.start, s.start, fm.last) || restarted(fm.process, process, fm.last)
		known = begin || t-fm.last <= f.lookback
	}
	fm.last, fm.start, fm.process = t, keep(fm.start, s.start), keep(fm.process, process)
	if s.hasCount {
		gain := s.count - fm.total
		if begin {
			gain = s.count
		}
		fm.total = s.count
		if known && !silent {
			fm.deposit(gain, version, t, f.lookback)
		}
	}
	if len(fm.buckets) > 0 {
		fm.gainBuckets(s, t, version, begin, known, !silent)
	}
}

// keep is the newer knowledge of a start time, if there is any.
func keep(old, now int64) int64 {
	if now != 0 {
		return now
	}
	return old
}

// restarted says whether a changed start time (0: unknown) tells of a restart
// since the last scrape. The change alone isn't enough: where series aren't
// scraped together, the first sample after the restart may lie before the
// change.
func restarted(was, is, last int64) bool {
	return is > last && is-was > 1000
}

// reset says whether the family's counters began anew: one that fell means
// that all of them did, also those that have already passed their old value.
func (fm *family) reset(s sample) bool {
	if s.hasCount && s.count < fm.total {
		return true
	}
	for i, b := range fm.buckets {
		if b.at != 0 && b.active && s.values[i] < b.prev {
			return true
		}
	}
	return false
}

func (fm *family) createdAt(t int64) int64 {
	if fm.created == nil {
		return 0
	}
	fm.created.takeUntil(t)
	if v := fm.created.value; v > 0 && v < 1e12 {
		return int64(v * 1000)
	}
	return 0
}

// gainBuckets adds to acc what each bucket has gained.
func (fm *family) gainBuckets(s sample, t int64, version string, begin, known, loud bool) {
	changed, lost := false, false
	for i, b := range fm.buckets {
		has := !math.IsNaN(s.values[i])
		switch {
		case begin && b.active != has, has && !b.active:
			changed = true
		case b.active && !has:
			lost = true
		}
	}
	if version != fm.version || changed {
		fm.flush()
		fm.version = version
	}
	if changed {
		fm.relayout(s, begin || lost)
	}
	below := 0.0 // previous value of the bucket below
	for i, b := range fm.buckets {
		v := s.values[i]
		if math.IsNaN(v) {
			if b.active {
				below = b.prev
			}
			continue
		}
		prev := b.prev
		switch {
		case begin:
			prev = 0
		case b.at == 0 || b.at == dormant:
			// A bucket that appears in a running histogram: exporters that
			// leave out empty buckets mean the value of the bucket below. If
			// others vanished, the layout was changed and nothing is known.
			prev = below
			if lost || !known {
				prev = v
			}
		}
		below = b.prev
		b.prev, b.at = v, t
		if known && loud {
			fm.acc[b.slot] += max(0, v-prev)
			fm.accSince = true
		}
	}
	if !known {
		return
	}
	// A bucket that misses this scrape begins anew with the others.
	for i, b := range fm.buckets {
		if begin && math.IsNaN(s.values[i]) {
			b.prev = 0
		}
	}
}

// dormant marks a bucket that was there and isn't in the layout any more.
const dormant = -1

// relayout settles which buckets are active: those that are there now, and
// those that were unless anew.
func (fm *family) relayout(s sample, anew bool) {
	fm.layout = nil
	for i, b := range fm.buckets {
		has := !math.IsNaN(s.values[i])
		if b.active && !has && anew {
			b.active, b.at = false, dormant
		}
		b.active = b.active || has
		if b.active {
			b.slot = len(fm.layout)
			fm.layout = append(fm.layout, b.le*fm.scale)
		}
	}
	fm.acc = make([]float64, len(fm.layout))
}

// deposit adds a gain of the count to every use but latency's buckets.
func (fm *family) deposit(gain float64, version string, t, lookback int64) {
	if fm.calls != nil {
		fm.calls.count += gain
		fm.calls.seen = true
	}
	for _, u := range fm.uses {
		p := u.cell.part(version)
		if u.part != useRetries && u.part != useFirstFailures && u.part != useRetriedCalls && u.part != useFailedCalls {
			u.cell.note(gain, t, lookback)
		}
		switch u.part {
		case useLatency:
			p.total += gain
			p.seen = true
		case useTotal:
			p.total += gain
			p.seen = true
		case useBad:
			p.total += gain
			p.bad += gain
			p.seen = true
		case useRetries:
			p.bad += gain
		case useFirstFailures:
			p.first += gain
			p.hasFirst = true
		case useRetriedCalls:
			p.retried += gain
			p.hasRetried = true
		case useFailedCalls:
			p.failed += gain
			p.hasFailed = true
		case useRetriesAndCalls:
			p.total += gain
			p.bad += gain
			p.retried += gain
			p.seen, p.hasRetried = true, true
		}
	}
}

// flush moves what acc holds to the latency cell.
func (fm *family) flush() {
	if !fm.accSince {
		return
	}
	fm.accSince = false
	// Buckets are cumulative, and a scrape may catch them in the middle of an
	// observation: a bucket never has less than the one below.
	floor := 0.0
	for i, v := range fm.acc {
		v = max(v, floor)
		fm.acc[i] = v - floor
		floor = v
	}
	for _, u := range fm.uses {
		if u.part == useLatency {
			u.cell.part(fm.version).addCounts(fm.layout, fm.acc)
		}
	}
	clear(fm.acc)
}

// scrapeNative counts what the native histogram has gained at t.
func (f *Fold) scrapeNative(fm *family, t int64, version string) {
	c := fm.native
	was, wasStart, last := fm.nativeHist, c.start, fm.nativeLast
	c.take()
	if !c.usable() {
		return
	}
	h := c.hist
	if h.Validate() != nil {
		// Spans that don't fit their buckets would make its methods panic.
		f.dropped["invalid native histogram"]++
		return
	}
	start := c.start
	if start == 0 {
		start = fm.createdAt(t)
	}
	process := fm.inst.processAt(t)
	var begin, known bool
	if last == 0 {
		begin = f.born(fm, t, start, h.Count)
		known = begin
	} else {
		begin = h.DetectReset(was) || restarted(wasStart, c.start, last) || restarted(fm.process, process, last)
		known = begin || t-last <= f.lookback
	}
	fm.nativeHist, fm.nativeLast = h, t
	if fm.last == 0 {
		fm.process = keep(fm.process, process)
	}
	if !known {
		return
	}
	gain := h.Copy()
	gain.CounterResetHint = histogram.GaugeType
	if !begin {
		other := was.Copy()
		other.CounterResetHint = histogram.GaugeType
		d, _, _, err := gain.Sub(other)
		if err != nil {
			return // the form changed: a new base
		}
		gain = d.Compact(0)
	}
	fm.deposit(gain.Count, version, t, f.lookback)
	for _, u := range fm.uses {
		if u.part == useLatency {
			u.cell.part(version).addNative(gain, fm.scale)
		}
	}
}
