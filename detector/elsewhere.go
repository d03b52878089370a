package detector

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// thirdParty weighs each third party that requests of the indicator may call, in
// trouble so often a day.
func (h *hearing) thirdParty(daily float64) []hypothesis {
	callers := map[string]map[string]bool{}
	own := h.m.track.Indicator
	for _, o := range append([]*sight{h.m}, h.others...) {
		i := o.track.Indicator
		if i.Kind != Retry || own.Kind == Retry && i.Peer() != own.Peer() {
			continue
		}
		if callers[i.Peer()] == nil {
			callers[i.Peer()] = map[string]bool{}
		}
		callers[i.Peer()][i.Service()] = true
	}
	var out []hypothesis
	for _, peer := range slices.Sorted(maps.Keys(callers)) {
		services := callers[peer]
		near := own.Kind == Retry
		for s := range services {
			near = near || h.s.passes(own, s)
		}
		if !near {
			continue
		}
		from := h.from(services)
		moves := func(i Indicator) float64 {
			if i.Kind == Retry {
				if i.Peer() == peer {
					return movesPeer
				}
				return movesElse
			}
			return from(i)
		}
		c := hypothesis{kind: CauseThirdParty, name: peer}
		c.ways = h.anytime(moves, daily, h.since(), h.s.now.UnixNano())
		w, why := h.attempts(peer)
		for i := range c.ways {
			c.ways[i].p += w + math.Log(moves(own))
		}
		c.why = append(why, h.whyMoved(moves, 0.3)...)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b hypothesis) int { return strings.Compare(a.name, b.name) })
	return out
}

// environment weighs that everything got worse at once.
func (h *hearing) environment() hypothesis {
	moves := func(i Indicator) float64 {
		if i.Kind != Latency {
			return movesBeside
		}
		return movesAll
	}
	c := hypothesis{kind: CauseEnvironment}
	c.ways = h.anytime(moves, environDaily*moves(h.m.track.Indicator), h.since(), h.s.now.UnixNano())
	c.why = h.whyElse()
	return c
}

// load weighs the jumps of load, and load beyond what the baseline has seen.
func (h *hearing) load() hypothesis {
	moves := func(i Indicator) float64 {
		if i.Kind != Latency {
			return movesBeside
		}
		return movesByLoad
	}
	c := hypothesis{kind: CauseLoad}
	if at, size := h.jump(); at > 0 {
		c.why = append(c.why, whyJump(at, size))
	}
	plus, minus := h.along(moves, func(o *sight) float64 { return o.unusual })
	c.ways = []way{{math.Log(loadPrior * moves(h.m.track.Indicator)), h.m.unusual, plus, minus}}
	if h.m.trial.Outside > 0 {
		c.why = append(c.why, fmt.Sprintf("in %d steps traffic was outside the range that the baseline has seen", h.m.trial.Outside))
	}
	return c
}

// jump is the largest jump of load since the upgrade, as a log ratio of the
// quarter of an hour after to that before, and when it was; 0 if there is none to
// speak of.
func (h *hearing) jump() (at int64, size float64) {
	const least = 0.2
	v := h.m
	span := int64(15 * h.s.cfg.Step)
	size = least
	for i := range v.begin {
		if v.begin[i] < h.since()-span {
			continue
		}
		was, before := h.meanLoad(v.begin[i]-span, v.begin[i])
		is, after := h.meanLoad(v.begin[i], v.begin[i]+span)
		if before > 0 && after > 0 && math.Abs(is-was) > math.Abs(size) {
			at, size = v.begin[i], is-was
		}
	}
	return at, size
}

func (h *hearing) meanLoad(from, to int64) (mean, weight float64) {
	v := h.m
	for i := v.at(from); i < len(v.end) && v.begin[i] < to; i++ {
		w := float64(min(v.end[i], to) - max(v.begin[i], from))
		if w > 0 {
			mean, weight = mean+w*v.load[i], weight+w
		}
	}
	return mean / weight, weight
}
