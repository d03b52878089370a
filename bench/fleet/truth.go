package fleet

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"aftershock/detector"
)

// Answer is what is true of a world, in the form of an answer file.
type Answer struct {
	Kind       string      `json:"kind"`
	Culprits   []string    `json:"culprits"`
	Onset      *time.Time  `json:"onset"`
	Shifted    []Shifted   `json:"shifted"`
	Changed    []string    `json:"changed"`
	Routes     []RouteSays `json:"routes"`
	ThirdParty *PartySays  `json:"third_party,omitempty"`
	Besides    []string    `json:"besides,omitempty"` // troubles
}

// Shifted is an indicator that a culprit moved. Ratios are of bad shares, with
// all faults over without any, from the onset to the end.
type Shifted struct {
	// Culprits are those that moved it: two if each would have alone.
	Culprits []string `json:"culprits"`
	Kind     string   `json:"kind"`
	Service  string   `json:"service"`
	Route    string   `json:"route,omitempty"`
	Peer     string   `json:"peer,omitempty"`
	P99      float64  `json:"exceed_p99,omitempty"` // at the bound next to the p99 before
	P95      float64  `json:"exceed_p95,omitempty"`
	Ratio    float64  `json:"ratio"`
	SNR      float64  `json:"snr"`
	Material bool     `json:"material"` // the ratio is at least 1.1

	Key string `json:"-"` // of the detector.Indicator
	// Onset is when the first of its culprits is felt. Deployed and Sure bound it:
	// they differ for queueing, which comes with the load and is felt a little some
	// time before it is felt much.
	Onset, Deployed, Sure time.Time `json:"-"`
	// Worse says that its bad share rose at all, be it at another bound.
	Worse bool `json:"-"`
	// Bounds and Ratios are a latency's ratio at each bound.
	Bounds, Ratios []float64 `json:"-"`
}

// RouteSays describes a route.
type RouteSays struct {
	Route      string   `json:"route"`
	Calls      []string `json:"calls"`
	ThirdParty *string  `json:"third_party"`
	Rate       int      `json:"requests_per_minute"`
}

// PartySays describes a third party that got worse.
type PartySays struct {
	Name  string    `json:"name"`
	Worse time.Time `json:"worse_from"`
}

// Least ratio of an indicator that is said to have moved at all, and of one
// that ought to be found.
const (
	moved    = 1.02
	material = 1.1
)

// ID names the world.
func (w *World) ID() string { return fmt.Sprintf("%s-%d", w.Kind, w.Seed) }

// Answer gives the truth. It needs the history: Frames or WriteFiles first.
func (w *World) Answer() Answer {
	a := Answer{Kind: w.Kind, Shifted: []Shifted{}}
	for _, d := range w.deploys {
		a.Changed = append(a.Changed, w.services[d.service].binary())
	}
	for _, o := range w.routes {
		says := RouteSays{Route: o.name, Rate: int(math.Round(o.rate))}
		for _, s := range o.path {
			says.Calls = append(says.Calls, w.services[s].name)
		}
		if o.peer >= 0 {
			says.ThirdParty = &w.peers[o.peer].name
		}
		a.Routes = append(a.Routes, says)
	}
	for _, d := range w.trouble {
		a.Besides = append(a.Besides, fmt.Sprintf("%s x%.2f from %s", d.kind, d.size, w.Time(d.from).Format(time.RFC3339)))
		if d.kind == ThirdParty {
			a.ThirdParty = &PartySays{w.peers[d.on].name, w.Time(d.from)}
		}
	}
	for _, f := range w.faults {
		a.Culprits = append(a.Culprits, w.services[f.service].binary())
		if from := w.Time(w.felt(f, little)); a.Onset == nil || from.Before(*a.Onset) {
			a.Onset = &from
		}
	}
	a.Shifted = append(a.Shifted, w.shifts()...)
	return a
}

// Shares of requests that queue, from which a queue is felt a little, and much.
const little, much = 0.005, 0.05

// felt is the minute from which a fault does anything, or queues this share of the
// requests.
func (w *World) felt(f *fault, share float32) int {
	from := w.onset(f)
	if f.queue > 0 {
		for t := from; t < w.Minutes; t++ {
			if f.chanceAt(w.course.busy[f.service][t]) > share {
				return t
			}
		}
	}
	return from
}

// shifts gives what the faults moved. Each acts alone first, which tells whose
// doing a shift is; how large it is, is told by all of them at once.
func (w *World) shifts() []Shifted {
	faults := slices.Clone(w.faults)
	slices.SortStableFunc(faults, func(a, b *fault) int { return cmp.Compare(w.felt(a, little), w.felt(b, little)) })
	var alone [][]*Shifted // by fault, then by slot
	for _, f := range faults {
		alone = append(alone, w.compare(w.felt(f, little), []*fault{f}))
	}
	together := alone
	if len(faults) > 1 {
		together = nil
		for _, f := range faults {
			together = append(together, w.compare(w.felt(f, little), faults))
		}
	}
	var out []Shifted
	for slot := range newRunner(w).slots {
		who := movers(alone, slot)
		if len(who) == 0 || together[who[0]][slot] == nil {
			continue
		}
		s, first := *together[who[0]][slot], faults[who[0]]
		for _, i := range who {
			s.Culprits = append(s.Culprits, w.services[faults[i].service].binary())
		}
		s.Onset, s.Deployed, s.Sure = w.Time(w.felt(first, little)), w.Time(w.onset(first)), w.Time(w.felt(first, much))
		out = append(out, s)
	}
	return out
}

// movers are the faults that made an indicator worse by enough to be found, or, if
// none did, the one that moved it most.
func movers(alone [][]*Shifted, slot int) []int {
	var out []int
	most := -1
	for i, by := range alone {
		if by[slot] == nil {
			continue
		}
		if by[slot].Material {
			out = append(out, i)
		}
		if most < 0 || by[slot].Ratio > alone[most][slot].Ratio {
			most = i
		}
	}
	if len(out) == 0 && most >= 0 {
		out = append(out, most)
	}
	return out
}

// share is an indicator's counts in one of the two runs.
type share struct {
	total, bad float64
	hist       [maxBuckets]float64
}

func (s *share) above(bucket int) float64 {
	sum := 0.0
	for _, n := range s.hist[bucket+1:] {
		sum += n
	}
	return sum / s.total
}

// requests of each route in each of the two runs that the truth is taken from.
const compared = 400_000

// compare lives through the time after an onset twice, with some faults and
// without, and gives what moved by slot, nil for what didn't. The routes' requests are as many as make the
// ratios sure to about a hundredth, weighted by the load of each minute.
func (w *World) compare(from int, faults []*fault) []*Shifted {
	union := []float64{}
	for _, l := range layouts() {
		union = append(union, l.bounds[:len(l.bounds)-1]...)
	}
	slices.Sort(union)
	union = slices.Compact(union)
	r := newRunner(w)
	r.layout = newLayout(union...)
	luck := w.rand.fork(2)
	arms := [2][]share{make([]share, len(r.slots)), make([]share, len(r.slots))}
	n := max(40, compared/(w.Minutes-from))
	for t := from; t < w.Minutes; t++ {
		for k := range w.routes {
			weight := w.course.load[k][t] / float64(n)
			seed := luck.fork(uint64(t), uint64(k)).next()
			for arm, with := range [][]*fault{nil, faults} {
				r.clear()
				r.run(k, t, n, seed, with)
				r.fold(arms[arm], weight)
			}
		}
	}
	out := make([]*Shifted, len(r.slots))
	for i := range r.slots {
		if s, ok := w.shifted(&r.slots[i], i, union, &arms[0][i], &arms[1][i]); ok {
			out[i] = &s
		}
	}
	return out
}

func (r *runner) fold(into []share, weight float64) {
	for i, ts := range r.tallies {
		s := &into[i]
		for n := range ts {
			if ts[n].total == 0 {
				continue
			}
			s.total += weight * float64(ts[n].total)
			s.bad += weight * float64(ts[n].bad)
			for b, c := range ts[n].hist {
				s.hist[b] += weight * float64(c)
			}
		}
	}
}

// shifted compares the two runs of a slot.
func (w *World) shifted(s *slot, index int, union []float64, without, with *share) (Shifted, bool) {
	if without.total == 0 {
		return Shifted{}, false
	}
	out := Shifted{Kind: s.kind, Service: w.services[s.service].name, Key: w.indicator(s).Key()}
	if s.route >= 0 {
		out.Route = w.routes[s.route].name
	}
	if s.peer >= 0 {
		out.Peer = w.peers[s.peer].name
	}
	var rise, fall float64
	note := func(ratio float64) {
		rise, fall = math.Max(rise, math.Log(ratio)), math.Max(fall, -math.Log(ratio))
	}
	if s.kind == string(detector.Latency) {
		for b, bound := range union {
			old := without.above(b)
			out.Bounds = append(out.Bounds, bound)
			out.Ratios = append(out.Ratios, ratio(with.above(b), old))
			if old*without.total > 200 {
				note(out.Ratios[b])
			}
		}
		p99, p95 := w.quiet.bound(index, 0.01), w.quiet.bound(index, 0.05)
		out.P99, out.P95 = out.At(p99), out.At(p95)
		out.Ratio = out.P99
	} else {
		out.Ratio = ratio(with.bad/with.total, without.bad/without.total)
		note(out.Ratio)
	}
	out.SNR = round(math.Abs(math.Log(out.Ratio)) / math.Max(1e-3, w.quiet.deviation(index)))
	out.P99, out.P95, out.Ratio = round(out.P99), round(out.P95), round(out.Ratio)
	out.Material = out.Ratio >= material
	out.Worse = rise >= math.Log(moved)
	return out, math.Max(rise, fall) >= math.Log(moved)
}

// At is the ratio of the share of requests over a bound, NaN for a bound that no
// layout has.
func (s Shifted) At(bound float64) float64 {
	i := slices.IndexFunc(s.Bounds, func(b float64) bool { return math.Abs(b-bound) < 1e-6*b })
	if i < 0 {
		return math.NaN()
	}
	return s.Ratios[i]
}

// mostRatio stands for more than that, and for something where there was nothing.
const mostRatio = 1000

func ratio(with, without float64) float64 {
	if without <= 0 {
		if with <= 0 {
			return 1
		}
		return mostRatio
	}
	return math.Min(mostRatio, with/without)
}

func round(x float64) float64 { return math.Round(x*1000) / 1000 }
