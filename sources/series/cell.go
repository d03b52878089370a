package series

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"aftershock/detector"
	"aftershock/detector/hist"
)

// indicator is a detector.Indicator with what the fold knows of it.
type indicator struct {
	detector.Indicator
	key     string
	retried bool // a series of retries exists
	// busy is about what the busiest instance counted in the lookback before
	// at, as an exponentially fading sum.
	busy float64
	at   int64
}

type cellKey struct{ indicator, instance, version string }

// cell gathers one indicator's counts on one instance in the present step.
type cell struct {
	indicator *indicator
	inst      *instance
	version   string  // told by the series themselves
	pair      *pair   // of a retry cell
	parts     []part  // by version, usually one
	recent    float64 // the instance's own share in indicator.busy
	at        int64
}

// note remembers that the instance counted gain at t.
func (c *cell) note(gain float64, t, lookback int64) {
	c.recent, c.at = fade(c.recent, c.at, t, lookback)+gain, t
	in := c.indicator
	in.busy, in.at = max(fade(in.busy, in.at, t, lookback), c.recent), t
}

func fade(v float64, from, to, over int64) float64 {
	if v == 0 || to <= from {
		return v
	}
	return v * math.Exp(-float64(to-from)/float64(over))
}

// part is a point in the making.
type part struct {
	version              string
	seen                 bool // something was counted, be it nothing
	total, bad           float64
	first, retried       float64
	failed               float64
	hasFirst, hasRetried bool
	hasFailed            bool
	bounds, counts       []float64
	native               *histogram.FloatHistogram
	scale                float64
	quantiles            []detector.Quantile
}

// edge is one call of the service graph.
type edge struct {
	client, server string
	count          float64
	seen           bool
}

// cell finds or makes the cell of a family for an indicator; nil at a limit.
func (f *Fold) cell(kind detector.Kind, metric string, fm *family, drop func(string) bool) *cell {
	in := f.indicator(kind, metric, identity(fm.labels, drop))
	if in == nil {
		return nil
	}
	return f.cellOf(in, fm)
}

func (f *Fold) cellOf(in *indicator, fm *family) *cell {
	k := cellKey{in.key, fm.inst.key, first(fm.labels, versionNames)}
	c := f.cells[k]
	if c == nil {
		c = &cell{indicator: in, inst: fm.inst, version: k.version}
		f.cells[k] = c
		f.sorted = append(f.sorted, c)
		f.unsorted = true
	}
	return c
}

func (f *Fold) indicator(kind detector.Kind, metric string, ls map[string]string) *indicator {
	d := detector.Indicator{Kind: kind, Metric: metric, Labels: ls}
	key := d.Key()
	in := f.indicators[key]
	if in != nil {
		return in
	}
	per := string(kind) + metric
	if len(f.indicators) >= f.cfg.MaxIndicators || f.perMetric[per] >= f.cfg.MaxPerMetric {
		return nil
	}
	f.perMetric[per]++
	in = &indicator{Indicator: d, key: key}
	f.indicators[key] = in
	return in
}

// part is the cell's point in the making for what was counted at t.
func (c *cell) part(version string) *part {
	if c.version != "" {
		version = c.version
	}
	for i := range c.parts {
		if c.parts[i].version == version {
			return &c.parts[i]
		}
	}
	c.parts = append(c.parts, part{version: version})
	return &c.parts[len(c.parts)-1]
}

// addCounts adds counts by bucket. Buckets of two layouts meet at the bounds
// that both have.
func (p *part) addCounts(bounds, counts []float64) {
	p.seen = true
	if p.bounds == nil {
		p.bounds, p.counts = bounds, slices.Clone(counts)
		return
	}
	if !slices.Equal(p.bounds, bounds) {
		var shared []float64
		for _, b := range p.bounds {
			if _, ok := slices.BinarySearch(bounds, b); ok {
				shared = append(shared, b)
			}
		}
		p.counts = coarsen(p.bounds, p.counts, shared)
		p.bounds = shared
		counts = coarsen(bounds, counts, shared)
	}
	for i, c := range counts {
		p.counts[i] += c
	}
}

// coarsen brings counts to fewer bounds. Counts above the last bound are lost
// if that isn't +Inf; both layouts of a histogram have +Inf.
func coarsen(bounds, counts, to []float64) []float64 {
	out := make([]float64, len(to))
	j := 0
	for i, b := range bounds {
		for j < len(to) && to[j] < b {
			j++
		}
		if j == len(to) {
			break
		}
		out[j] += counts[i]
	}
	return out
}

func (p *part) addNative(h *histogram.FloatHistogram, scale float64) {
	p.seen = true
	p.scale = scale
	if p.native == nil {
		p.native = h.Copy()
		return
	}
	if sum, _, _, err := p.native.Add(h.Copy()); err == nil {
		p.native = sum.Compact(0)
		return
	}
	// Exponential and custom buckets in one step: the later form stays, as the
	// process was replaced.
	p.native = h.Copy()
}

func (p *part) setQuantile(q, v float64) {
	for i := range p.quantiles {
		if p.quantiles[i].Q == q {
			p.quantiles[i].Value = v
			return
		}
	}
	p.quantiles = append(p.quantiles, detector.Quantile{Q: q, Value: v})
	sort.SliceStable(p.quantiles, func(i, j int) bool { return p.quantiles[i].Q < p.quantiles[j].Q })
}

// points moves the cell's points of the step to ps.
func (c *cell) points(ps []detector.Point) []detector.Point {
	if len(c.parts) > 1 {
		slices.SortFunc(c.parts, func(a, b part) int { return cmp.Compare(a.version, b.version) })
	}
	for i := range c.parts {
		p := &c.parts[i]
		if !p.seen {
			continue
		}
		pt := detector.Point{
			Indicator: &c.indicator.Indicator, Instance: c.inst.name, Version: p.version,
			Total: p.total, Bad: p.bad, FirstFailures: -1, Retried: -1,
		}
		switch c.indicator.Kind {
		case detector.Latency:
			switch {
			case p.native != nil:
				pt.Hist = hist.FromNative(p.native, p.scale)
			case p.bounds != nil:
				pt.Hist = hist.Histogram{Bounds: p.bounds, Counts: p.counts}
			}
			if pt.Hist.Bounds != nil {
				pt.Total = 0
				for _, n := range pt.Hist.Counts {
					pt.Total += n
				}
			}
			if pt.Hist.Bounds == nil && p.native == nil && len(p.quantiles) == 0 {
				continue // a count alone is no latency
			}
			pt.Quantiles = p.quantiles
		case detector.Retry:
			if !c.indicator.retried && !c.pair.tells(c.inst, retries) {
				continue
			}
			if p.hasFirst || c.pair.tells(c.inst, firstFailures) {
				pt.FirstFailures = p.first
			}
			if p.hasRetried || c.pair.tells(c.inst, retriedCalls) {
				pt.Retried = p.retried
			}
			if p.hasFailed || c.pair.tells(c.inst, failedCalls) {
				pt.Failed, pt.CountsFailed = p.failed, true
			}
		}
		ps = append(ps, pt)
	}
	c.parts = c.parts[:0]
	return ps
}

// pair is a counter of retries with the counter of the calls that were
// retried.
type pair struct {
	prefix  string
	metrics map[retryPart]string
	// names are the labels of the indicator: those that both counters have.
	// They are settled when both have been seen, and stay.
	names map[string]bool
}

// tells says whether an instance has the counter of a part at all, so that a
// missing series means zero.
func (p *pair) tells(in *instance, part retryPart) bool {
	m := p.metrics[part]
	return m != "" && in.metrics[m]
}

// link joins retries with their calls, and series of created times with their
// counters. It works on what is new since the last time.
func (f *Fold) link() {
	if !f.unlinked {
		return
	}
	f.unlinked = false
	for _, fm := range f.order {
		if fm.created == nil && len(f.starts) > 0 {
			fm.created = f.starts[createdKey(fm)]
		}
	}
	for _, name := range sortedKeys(f.metrics) {
		if prefix, part := retryName(name); part != noRetry {
			p := f.pairs[prefix]
			if p == nil {
				p = &pair{prefix: prefix, metrics: make(map[retryPart]string)}
				f.pairs[prefix] = p
			}
			if p.metrics[part] == "" || part == retries && len(name) < len(p.metrics[part]) && p.names == nil {
				p.metrics[part] = name
			}
		}
	}
	for _, prefix := range sortedKeys(f.pairs) {
		f.linkPair(f.pairs[prefix])
	}
}

func (f *Fold) linkPair(p *pair) {
	r := p.metrics[retries]
	if r == "" {
		return
	}
	if p.names == nil {
		var c string
		for _, name := range callsOf(p.prefix, r) {
			if f.callsMetric(name) != nil {
				c = name
				break
			}
		}
		if c == "" {
			return
		}
		p.metrics[calls] = c
		p.names = make(map[string]bool)
		both := f.callsMetric(c).labels
		for n := range f.metrics[r].labels {
			if both[n] && !instanceLike[n] && !isStatusName(n) && (c != r || n != "kind") {
				p.names[n] = true
			}
		}
	}
	for _, part := range []retryPart{retries, calls, firstFailures, retriedCalls, failedCalls} {
		if m := f.callsMetric(p.metrics[part]); m != nil {
			for _, fm := range m.families {
				f.linkFamily(p, part, fm)
			}
		}
	}
}

// callsMetric finds a counter, be it the count of a histogram.
func (f *Fold) callsMetric(name string) *metric {
	if m := f.metrics[name]; m != nil {
		return m
	}
	if n := parseName(name); n.role == count {
		return f.metrics[n.base]
	}
	return nil
}

func (f *Fold) linkFamily(p *pair, part retryPart, fm *family) {
	var u use
	switch part {
	case retries:
		u.part = useRetries
	case calls:
		u.part = useTotal
		if p.metrics[calls] == p.metrics[retries] {
			u.part = useRetriesAndCalls
			if kind := fm.labels.Get("kind"); kind != "successful_with_retry" && kind != "failed_with_retry" {
				u.part = useTotal
			}
		}
	case firstFailures:
		u.part = useFirstFailures
	case retriedCalls:
		u.part = useRetriedCalls
	case failedCalls:
		u.part = useFailedCalls
	}
	if part == retries && p.metrics[calls] == p.metrics[retries] {
		return
	}
	for _, o := range fm.uses {
		if o.pair == p && o.part == u.part {
			return
		}
	}
	ls := make(map[string]string, len(p.names))
	fm.labels.Range(func(l labels.Label) {
		if p.names[l.Name] {
			ls[l.Name] = l.Value
		}
	})
	in := f.indicator(detector.Retry, p.metrics[retries], ls)
	if in == nil {
		f.dropped["too many indicators"]++
		return
	}
	if u.part == useRetries || u.part == useRetriesAndCalls {
		in.retried = true
	}
	c := f.cellOf(in, fm)
	c.pair = p
	u.cell, u.pair = c, p
	fm.uses = append(fm.uses, u)
}
