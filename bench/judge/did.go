package main

import (
	"maps"
	"math"
	"slices"
	"time"

	"aftershock/detector"
)

// did names a binary by difference in differences: how much its own instances on the
// new build got worse at what the indicator counts, less how much those got worse that
// hadn't switched. These are the others of its service while the roll-out lasts, for a
// quarter of an hour at least; else those of services that the upgrade leaves alone.
// The largest difference wins, in standard errors over blocks of five minutes.
type did struct {
	paths *paths
	begin time.Time // of block 0, a while before the upgrade
	known map[string]*detector.Indicator
	sums  map[place][]sum // by block
}

// place is an indicator at the instances on one of the builds.
type place struct {
	key      string
	switched bool
}

const (
	block  = 5 * time.Minute
	blocks = 12 // in the hour before, and at most in that after
	enough = 3  // blocks of a roll-out with both builds
)

func newDID(p *paths) *did {
	return &did{paths: p, begin: p.upgrade.StartedAt.Add(-(blocks + 1) * block), known: map[string]*detector.Indicator{}, sums: map[place][]sum{}}
}

func (d *did) block(at time.Time) int { return int(at.Sub(d.begin) / block) }

func (d *did) add(f detector.Frame) {
	if f.Time.Before(d.begin) {
		return
	}
	t := d.block(f.Time.Add(-time.Minute))
	for _, p := range f.Points {
		b, changed := d.binary(p.Indicator.Service())
		switched := changed && (p.Version == b.To || p.Version == "" && !f.Time.Before(b.DeployedAt))
		key := p.Indicator.Key()
		at := place{key, switched}
		for len(d.sums[at]) <= t {
			d.sums[at] = append(d.sums[at], sum{})
		}
		m := &d.sums[at][t]
		m.total, m.bad = m.total+p.Total, m.bad+p.Bad
		m.merge(p.Hist.Bounds, p.Hist.Counts)
		d.known[key] = p.Indicator
	}
}

// binary is the one of a service that the upgrade changes.
func (d *did) binary(service string) (detector.Binary, bool) {
	for _, b := range d.paths.upgrade.Binaries {
		if b.Selector["service"] == service {
			return b, true
		}
	}
	return detector.Binary{}, false
}

// name is the binary with the largest effect on an indicator, and that effect.
func (d *did) name(in *detector.Indicator, now time.Time) (name string, z float64) {
	z = math.Inf(-1)
	for _, b := range d.paths.below(in.Service(), now) {
		if x := d.effect(in, b, now); x > z {
			name, z = b.Name, x
		}
	}
	return name, z
}

// effect is how much worse the instances that switched got, in standard errors; minus
// infinity where the binary's service counts nothing like the indicator.
func (d *did) effect(in *detector.Indicator, b detector.Binary, now time.Time) float64 {
	start, end := d.block(b.DeployedAt), d.block(now.Add(-time.Minute))
	var treated, mates, strangers [][]float64
	for _, key := range slices.Sorted(maps.Keys(d.known)) {
		o := d.known[key]
		_, changed := d.binary(o.Service())
		switch {
		case o.Kind != in.Kind || o.Metric != in.Metric:
		case o.Service() == b.Selector["service"] && alike(o, in):
			treated = append(treated, d.changes(key, true, start, end))
			mates = append(mates, d.changes(key, false, start, end))
		case !changed:
			strangers = append(strangers, d.changes(key, false, start, end))
		}
	}
	before, after := differences(treated, strangers)
	if _, apart := differences(treated, mates); len(apart) >= enough {
		before, after = nil, apart // they have one past
	}
	return standardised(before, after[max(0, len(after)-blocks):])
}

// alike says whether two services count the same under two indicators, each for itself.
func alike(a, b *detector.Indicator) bool {
	for _, label := range []string{"http_route", "peer"} {
		if x, y := a.Labels[label], b.Labels[label]; x != "" && y != "" && x != y {
			return false
		}
	}
	return true
}

// changes is how far the logarithm of an indicator lay from its mean in the hour before
// a start, by block from that hour on. Before the start the new build's past is the old's.
func (d *did) changes(key string, switched bool, start, end int) []float64 {
	var out []float64
	mean, n := 0.0, 0.0
	for t := start - blocks; t <= end; t++ {
		of := d.sums[place{key, switched && t >= start}]
		x := math.NaN()
		if t >= 0 && t < len(of) && of[t].total > 0 {
			x = of[t].level()
		}
		if t < start && !math.IsNaN(x) {
			mean, n = mean+x, n+1
		}
		out = append(out, x)
	}
	for i := range out {
		out[i] -= mean / n // NaN without a past
	}
	return out
}

// level is the logarithm of the p99, or of the share of bad ones.
func (m *sum) level() float64 {
	if m.bounds == nil {
		return math.Log((m.bad + 0.5) / (m.total + 1))
	}
	return math.Log(max(m.value(), 1e-4))
}

// differences are those of the means over some series from the means over others,
// before and after the start. Without any others nothing is taken off.
func differences(of, others [][]float64) (before, after []float64) {
	for i := 0; len(of) > 0 && i < len(of[0]); i++ {
		x := average(of, i)
		if len(others) > 0 {
			x -= average(others, i)
		}
		switch {
		case math.IsNaN(x):
		case i < blocks:
			before = append(before, x)
		default:
			after = append(after, x)
		}
	}
	return before, after
}

func average(of [][]float64, i int) float64 {
	total, n := 0.0, 0.0
	for _, s := range of {
		if !math.IsNaN(s[i]) {
			total, n = total+s[i], n+1
		}
	}
	return total / n
}

// standardised is the difference of two means in standard errors, from 0 where there
// is nothing before. The spread is taken to be a hundredth at least.
func standardised(before, after []float64) float64 {
	diff, parts, squares, free := 0.0, 0.0, 0.0, 0.0
	for i, of := range [][]float64{before, after} {
		if len(of) == 0 {
			continue
		}
		n, mean := float64(len(of)), 0.0
		for _, x := range of {
			mean += x / n
		}
		for _, x := range of {
			squares += (x - mean) * (x - mean)
		}
		diff, parts, free = diff+float64(2*i-1)*mean, parts+1/n, free+n-1
	}
	if len(after) == 0 || free == 0 {
		return math.Inf(-1)
	}
	return diff / math.Sqrt(math.Max(1e-4, squares/free)*parts)
}
