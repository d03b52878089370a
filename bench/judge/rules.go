package main

import (
	"math"
	"slices"
	"time"

	"aftershock/detector"
)

// The two baselines look at an indicator's value minute by minute (p99 by
// interpolation in its bucket, retries per call, share of errors), compare with
// the same time yesterday, and blame the binary on the path that was deployed
// last.

const day = 1440

// series keeps each indicator's values of the last day and a bit.
type series struct {
	paths
	order  []string
	values map[string]*values
	minute int
	begin  time.Time
}

// paths is who calls whom beside one upgrade.
type paths struct {
	upgrade detector.Upgrade
	calls   map[string]map[string]bool
}

type values struct {
	service string
	by      [2 * day]float64 // minute modulo length; NaN where there is none
	since   int              // minutes over the threshold
	done    bool             // the threshold rule has fired
	ranked  bool             // the rank rule has
}

func newSeries(u detector.Upgrade) *series {
	return &series{paths: paths{upgrade: u, calls: make(map[string]map[string]bool)}, values: make(map[string]*values)}
}

// sum is an indicator's counts of a minute over all instances.
type sum struct {
	total, bad float64
	bounds     []float64
	counts     []float64
	service    string
}

func (s *series) add(f detector.Frame) {
	if s.begin.IsZero() {
		s.begin = f.Time
	}
	now := int(f.Time.Sub(s.begin) / time.Minute)
	for s.minute < now {
		s.minute++
		for _, v := range s.values {
			v.by[s.minute%len(v.by)] = math.NaN()
		}
	}
	for _, c := range f.Calls {
		if s.calls[c.Client] == nil {
			s.calls[c.Client] = make(map[string]bool)
		}
		s.calls[c.Client][c.Server] = true
	}
	sums := make(map[*detector.Indicator]*sum)
	for _, p := range f.Points {
		m := sums[p.Indicator]
		if m == nil {
			m = &sum{service: p.Indicator.Service()}
			sums[p.Indicator] = m
		}
		m.total += p.Total
		m.bad += p.Bad
		m.merge(p.Hist.Bounds, p.Hist.Counts)
	}
	for in, m := range sums {
		key := in.Key()
		v := s.values[key]
		if v == nil {
			v = &values{service: m.service}
			for i := range v.by {
				v.by[i] = math.NaN()
			}
			s.values[key] = v
			s.order = append(s.order, key)
			slices.Sort(s.order)
		}
		v.by[s.minute%len(v.by)] = m.value()
	}
}

// merge adds a histogram; while layouts differ within a minute the first stays.
func (m *sum) merge(bounds, counts []float64) {
	if m.bounds == nil {
		m.bounds, m.counts = bounds, slices.Clone(counts)
		return
	}
	if len(bounds) == len(m.bounds) {
		for i, c := range counts {
			m.counts[i] += c
		}
	}
}

// value is the minute's value, NaN without requests.
func (m *sum) value() float64 {
	if m.total == 0 {
		return math.NaN()
	}
	if m.bounds == nil {
		return m.bad / m.total
	}
	total := 0.0
	for _, c := range m.counts {
		total += c
	}
	rank, below, lower := 0.99*total, 0.0, 0.0
	for i, c := range m.counts {
		upper := m.bounds[i]
		if below+c >= rank && c > 0 {
			if math.IsInf(upper, 1) {
				return lower
			}
			return lower + (upper-lower)*(rank-below)/c
		}
		below, lower = below+c, upper
	}
	return math.NaN()
}

// below are the binaries on the path of a service that were deployed by then. Where
// nobody knows who calls whom, all may be.
func (s *paths) below(service string, now time.Time) []detector.Binary {
	reach := map[string]bool{service: true}
	for queue := []string{service}; len(queue) > 0; queue = queue[1:] {
		for c := range s.calls[queue[0]] {
			if !reach[c] {
				reach[c] = true
				queue = append(queue, c)
			}
		}
	}
	var out []detector.Binary
	for _, b := range s.upgrade.Binaries {
		if (reach[b.Selector["service"]] || len(s.calls) == 0) && !b.DeployedAt.After(now) {
			out = append(out, b)
		}
	}
	return out
}

// latest is the binary on the path of a service that was deployed last.
func (s *paths) latest(service string, now time.Time) string {
	name, at := "", time.Time{}
	for _, b := range s.below(service, now) {
		if b.DeployedAt.After(at) {
			name, at = b.Name, b.DeployedAt
		}
	}
	return name
}

func (s *series) say(key string, v *values, now time.Time) said {
	out := said{at: now, key: key, worse: true, sure: 1, binary: s.latest(v.service, now)}
	out.cause = "binary " + out.binary
	return out
}

// threshold is the rule of most dashboards: worse than 1.25 times yesterday's
// same time for ten minutes.
type threshold struct{ series *series }

func (h *threshold) observe(f detector.Frame) []said {
	s := h.series
	if f.Time.Before(s.upgrade.StartedAt) {
		return nil
	}
	var out []said
	for _, key := range s.order {
		v := s.values[key]
		n := len(v.by)
		if v.by[s.minute%n] > 1.25*v.by[(s.minute+n-day)%n] { // false for NaN
			v.since++
		} else {
			v.since = 0
		}
		if v.since >= 10 && !v.done {
			v.done = true
			out = append(out, s.say(key, v, f.Time))
		}
	}
	return out
}

// rank is the judge of canary analysis: the Mann-Whitney test of the last hour
// against the same hour yesterday. It fires when the 98% Hodges-Lehmann
// interval of the difference lies over a quarter of its estimate.
type rank struct{ series *series }

func (k *rank) observe(f detector.Frame) []said {
	const hour, pause = 60, 30
	s := k.series
	since := int(f.Time.Sub(s.upgrade.StartedAt) / time.Minute)
	if since < hour || since%pause != 0 {
		return nil
	}
	var out []said
	for _, key := range s.order {
		v := s.values[key]
		var now, then []float64
		for t := s.minute - hour + 1; t <= s.minute; t++ {
			n := len(v.by)
			if x := v.by[(t+n)%n]; !math.IsNaN(x) {
				now = append(now, x)
			}
			if x := v.by[(t+n-day)%n]; !math.IsNaN(x) {
				then = append(then, x)
			}
		}
		if v.ranked || len(now) < 30 || len(then) < 30 {
			continue
		}
		if low, estimate := hodgesLehmann(now, then, 2.326); low > 0.25*math.Abs(estimate) {
			v.ranked = true
			out = append(out, s.say(key, v, f.Time))
		}
	}
	return out
}

// hodgesLehmann is the median of all differences between a and b, and the lower
// end of its interval by the normal approximation of the rank sum.
func hodgesLehmann(a, b []float64, z float64) (low, estimate float64) {
	d := make([]float64, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			d = append(d, x-y)
		}
	}
	slices.Sort(d)
	n, m := float64(len(a)), float64(len(b))
	k := int(math.Max(0, math.Round(n*m/2-z*math.Sqrt(n*m*(n+m+1)/12))))
	return d[k], d[len(d)/2]
}
