package detector

import (
	"fmt"
	"math"
	"time"
)

const (
	// flipPrior is the chance that a flip of a flag that gates something on the path moves
	// an indicator: that of a binary, since it switches code as a new build does.
	flipPrior = binaryPrior
	// mostFlips bounds how many flips are remembered, mostHeard how many are weighed for
	// one shift, the latest of them.
	mostFlips = 64
	mostHeard = 8
)

// remember keeps somebody else's flip as a change that shifts may be put down to, once.
func (j *Judge) remember(f Flip) {
	for _, o := range j.flips {
		if o.Flag == f.Flag && o.At.Equal(f.At) {
			return
		}
	}
	j.flips = append(j.flips, f)
	if n := len(j.flips); n > mostFlips {
		j.flips = append(j.flips[:0], j.flips[n-mostFlips:]...)
	}
}

// flipped weighs the flags that other people flipped since the upgrade began. A flip
// takes effect at once, in the services of the binaries that it gates; where nobody knows
// which those are, anywhere, with little chance.
func (h *hearing) flipped() []hypothesis {
	var out []hypothesis
	own := h.m.track.Indicator
	since := h.since()
	for _, at := range []time.Time{h.m.trial.Treated, h.m.trial.Over} {
		if !at.IsZero() {
			since = max(since, at.UnixNano())
		}
	}
	for i := len(h.s.flips) - 1; i >= 0 && len(out) < mostHeard; i-- {
		f := h.s.flips[i]
		t := f.At.UnixNano()
		if t < since || f.At.After(h.s.now) {
			continue
		}
		moves := h.gated(f.Binaries, nil)
		if moves(own) <= movesElse {
			continue
		}
		// It is served within moments, and shows in the step in which it was or the next.
		from, to := h.m.at(t), h.m.at(t+int64(h.s.cfg.Step))
		bf := math.Max(h.m.step[from], h.m.step[to])
		plus, minus := h.at(moves, t)
		out = append(out, hypothesis{
			kind: CauseFlag, name: f.Flag, ways: []way{{math.Log(flipPrior * moves(own)), bf, plus, minus}},
			why: []string{fmt.Sprintf("it went from %s to %s at %s, flipped by %s",
				or(f.Before, "no variant"), or(f.Variant, "no variant"), instant(f.At), or(f.Actor, "somebody"))},
		})
	}
	return out
}

// gated is the chance to move of an indicator by something in the named binaries and
// services; where nothing is named, it may be anywhere.
func (h *hearing) gated(binaries, named []string) func(Indicator) float64 {
	services := map[string]bool{}
	for _, name := range named {
		services[name] = true
	}
	for _, name := range binaries {
		for known, of := range h.s.services {
			for service := range of {
				if SameBinary(known, name) {
					services[service] = true
				}
			}
		}
		for _, b := range h.s.upgrade.Binaries {
			if SameBinary(b.Name, name) {
				for service := range h.s.servicesOf(b) {
					services[service] = true
				}
			}
		}
	}
	if len(services) == 0 {
		return func(Indicator) float64 { return movesPerhaps }
	}
	return h.from(services)
}
