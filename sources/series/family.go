package series

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"aftershock/detector"
)

// family is what one process counts under one label set: a plain counter, or a
// histogram or summary with all its series. Its series reset together.
type family struct {
	key    string
	metric string
	labels labels.Labels // of its first series
	inst   *instance
	scale  float64

	buckets   []*bucketSeries // in order of le
	count     *column         // the counter, or _count
	native    *column
	quantiles []quantileSeries
	created   *column

	last       int64 // time of the last folded classic scrape, 0 before the first
	nativeLast int64 // the same for the native histogram
	nativeHist *histogram.FloatHistogram
	total      float64 // value of the count at last
	start      int64   // last known start time of the counter
	process    int64   // last known start time of the process

	layout   []float64 // the active buckets' bounds in seconds, never written after it was made
	acc      []float64 // cumulative increments of the step by bound of layout
	accSince bool      // acc holds something
	version  string    // of what acc holds

	uses   []use
	calls  *edge
	values []float64 // scratch
}

// use is one place to which a family's count goes.
type use struct {
	cell *cell
	part usePart
	pair *pair
}

type usePart int

const (
	useLatency usePart = iota
	useTotal
	useBad // bad and total
	useRetries
	useFirstFailures
	useRetriedCalls
	useFailedCalls
	useRetriesAndCalls // a call that ended with a retry: resilience4j
)

type bucketSeries struct {
	le float64
	// cols are the series of this bound: one for each spelling of it, since
	// le="1" may have become le="1.0".
	cols   []*column
	prev   float64
	at     int64 // time of prev, 0 before the first sample
	active bool  // part of the layout
	slot   int   // index in layout
}

type quantileSeries struct {
	q   float64
	col *column
}

// metric is what is known of one metric's name.
type metric struct {
	families []*family
	labels   map[string]bool
	pairs    map[*pair]retryPart
}

// instance is one process, or whatever counts where there is no label for it.
type instance struct {
	key, name string
	families  []*family
	builds    []*build
	starts    []*column
	first     int64 // time of its first sample
	metrics   map[string]bool

	version  string // before the step
	changes  []change
	process  int64 // process start in milliseconds, 0 if unknown
	restarts []restart
}

type change struct {
	at      int64
	version string
}

type restart struct{ at, process int64 }

func (i *instance) versionAt(t int64) string {
	v := i.version
	for _, c := range i.changes {
		if c.at <= t || v == "" {
			v = c.version
		}
	}
	return v
}

func (i *instance) processAt(t int64) int64 {
	p := i.process
	for _, r := range i.restarts {
		if r.at <= t || p == 0 {
			p = r.process
		}
	}
	return p
}

// seen says whether the instance had any sample in [from, to].
func (i *instance) seen(from, to int64) bool {
	for _, fm := range i.families {
		for c := range fm.columns() {
			if c.seen(from, to) {
				return true
			}
		}
	}
	return false
}

func (f *Fold) instance(ls labels.Labels) *instance {
	name := first(ls, instanceNames)
	key := ls.Get("job") + "\xff" + name
	in := f.instances[key]
	if in == nil {
		in = &instance{key: key, name: name, first: never, metrics: make(map[string]bool)}
		f.instances[key] = in
		f.people = append(f.people, in)
	}
	return in
}

// columns runs over the family's series.
func (fm *family) columns() func(func(*column) bool) {
	return func(yield func(*column) bool) {
		for _, c := range [...]*column{fm.count, fm.native} {
			if c != nil && !yield(c) {
				return
			}
		}
		for _, b := range fm.buckets {
			for _, c := range b.cols {
				if !yield(c) {
					return
				}
			}
		}
		for _, q := range fm.quantiles {
			if !yield(q.col) {
				return
			}
		}
	}
}

// place puts a new series where it serves, and says whether it does.
func (f *Fold) place(col *column, metric string, n name) bool {
	switch n.role {
	case buildInfo, startTime, upness:
		f.placeInfo(col, metric, n)
		return true
	case created:
		f.starts[familyKey(n.base, col.labels)] = col
		f.unlinked = true
		return !col.native
	case counter, edgeCount:
		if col.native {
			return false
		}
	}
	q := n.quantile
	le := math.NaN()
	switch n.role {
	case bucket:
		v, err := strconv.ParseFloat(col.labels.Get("le"), 64)
		if err != nil || math.IsNaN(v) {
			f.dropped["le is no number"]++
			return false
		}
		le = v
	case whole:
		if s := col.labels.Get("quantile"); s != "" {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil || !(v >= 0 && v <= 1) {
				f.dropped["quantile is no number in 0..1"]++
				return false
			}
			q = v
		}
		if !col.native && q < 0 {
			return false // a plain gauge
		}
	}
	fm := f.family(col, n)
	if fm == nil {
		f.dropped["too many indicators"]++
		return false
	}
	switch n.role {
	case bucket:
		fm.addBucket(le, col)
	case whole:
		if col.native {
			fm.native = col
		} else {
			fm.quantiles = append(fm.quantiles, quantileSeries{q, col})
			sort.SliceStable(fm.quantiles, func(i, j int) bool { return fm.quantiles[i].q < fm.quantiles[j].q })
		}
	default:
		if fm.count != nil {
			f.dropped["series told twice"]++
			return false
		}
		fm.count = col
	}
	return true
}

func (fm *family) addBucket(le float64, col *column) {
	i, ok := slices.BinarySearchFunc(fm.buckets, le, func(b *bucketSeries, le float64) int {
		return cmp.Compare(b.le, le)
	})
	if ok {
		fm.buckets[i].cols = append(fm.buckets[i].cols, col)
		return
	}
	fm.buckets = slices.Insert(fm.buckets, i, &bucketSeries{le: le, cols: []*column{col}})
}

// family finds or makes the family of a series; nil if a limit leaves it
// without a use.
func (f *Fold) family(col *column, n name) *family {
	key := familyKey(n.base, col.labels)
	fm := f.families[key]
	if fm != nil {
		col.inst = fm.inst
		return fm
	}
	in := f.instance(col.labels)
	col.inst = in
	fm = &family{key: key, metric: n.base, labels: col.labels, inst: in, scale: n.scale}
	f.assign(fm, n)
	if len(fm.uses) == 0 && fm.calls == nil && n.role != counter {
		return nil
	}
	in.families = append(in.families, fm)
	in.metrics[n.base] = true
	f.families[key] = fm
	f.order = append(f.order, fm)
	m := f.metric(n.base)
	m.families = append(m.families, fm)
	col.labels.Range(func(l labels.Label) { m.labels[l.Name] = true })
	f.unlinked = true
	return fm
}

func (f *Fold) metric(base string) *metric {
	m := f.metrics[base]
	if m == nil {
		m = &metric{labels: make(map[string]bool), pairs: make(map[*pair]retryPart)}
		f.metrics[base] = m
	}
	return m
}

// createdKey is the family key of the series that tells when a family's
// counters were created.
func createdKey(fm *family) string {
	return strings.TrimSuffix(fm.metric, "_total") + fm.key[len(fm.metric):]
}

// assign gives a new family its uses, save those in retries, which need the
// other metrics' names.
func (f *Fold) assign(fm *family, n name) {
	if n.role == edgeCount {
		fm.calls = f.edge(fm.labels)
		return
	}
	if n.role != counter {
		if c := f.cell(detector.Latency, fm.metric, fm, nil); c != nil {
			fm.uses = append(fm.uses, use{cell: c, part: useLatency})
		}
	}
	if bad, known := status(fm.labels); known && (n.role != counter || isCallsName(fm.metric)) {
		metric := fm.metric
		if n.role != counter {
			metric += "_count"
		}
		if c := f.cell(detector.Error, metric, fm, isStatusName); c != nil {
			u := use{cell: c, part: useTotal}
			if bad {
				u.part = useBad
			}
			fm.uses = append(fm.uses, u)
		}
	}
}

func (f *Fold) edge(ls labels.Labels) *edge {
	k := [2]string{ls.Get("client"), ls.Get("server")}
	e := f.edges[k]
	if e == nil {
		e = &edge{client: k[0], server: k[1]}
		f.edges[k] = e
		f.sortedEdge = append(f.sortedEdge, e)
		sort.Slice(f.sortedEdge, func(i, j int) bool {
			a, b := f.sortedEdge[i], f.sortedEdge[j]
			return a.client < b.client || a.client == b.client && a.server < b.server
		})
	}
	return e
}
