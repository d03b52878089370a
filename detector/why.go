package detector

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// telling is the log Bayes factor from which an indicator is said to have moved,
// and below minus which to have stayed.
const telling = 3

// whyBinary says what speaks for and against binary k.
func (h *hearing) whyBinary(k int, to time.Time) []string {
	b := h.s.upgrade.Binaries[k]
	from := h.s.upgrade.Time(b)
	when := "at " + instant(from)
	if to.Sub(from) >= h.s.cfg.Step {
		when = fmt.Sprintf("instance by instance from %s to %s", from.UTC().Format("2006-01-02 15:04:05"), instant(to))
	}
	why := []string{fmt.Sprintf("%s went from %s to %s %s, on the call path of %s",
		b.Name, or(b.From, "an unknown version"), or(b.To, "an unknown version"), when, h.m.track.Indicator.Name())}
	why = append(why, b.Inside.why(h.m.track.Indicator.Kind)...)
	moved, stayed, named := 0, 0, 0
	for _, o := range h.others {
		switch i := o.track.Indicator; {
		case math.IsInf(o.along[k], -1):
			if o.step[o.at(from.UnixNano())] < 0 {
				stayed++
			}
		case o.along[k] > telling:
			moved++
			if h.s.owns(b, i) && named < 2 {
				named++
				why = append(why, "its own indicator moved as it went out: "+i.Name())
			}
		}
	}
	if moved > named {
		why = append(why, indicators(moved)+" on whose call path it is moved as it went out")
	}
	if stayed > 0 {
		why = append(why, indicators(stayed)+" that it can't reach stayed as they were")
	}
	if !h.ownMoved(k) {
		why = append(why, "but none of its own indicators moved as it went out")
	}
	return why
}

const (
	// outBelow is the probability under which a binary beside the leading one is out,
	// and mostOut how many such are told of.
	outBelow = 0.05
	mostOut  = 3
)

// cleared says why the upgrade's binaries beside the leading one are out.
func (h *hearing) cleared(causes []Cause) []string {
	var out []string
	for k, b := range h.s.upgrade.Binaries {
		at := slices.IndexFunc(causes, func(c Cause) bool { return c.Kind == CauseBinary && c.Name == b.Name })
		if at == 0 || len(out) == mostOut || at > 0 && causes[at].Probability >= outBelow {
			continue
		}
		out = append(out, b.Name+" is out: "+h.whyNot(k, at > 0))
	}
	return out
}

// whyNot says what clears binary k most.
func (h *hearing) whyNot(k int, suspected bool) string {
	b := h.s.upgrade.Binaries[k]
	from := h.s.upgrade.Time(b)
	at := from.UTC().Format("15:04:05")
	switch i := h.m.track.Indicator; {
	case !h.s.reaches(b, i):
		return "it isn't on the call path of " + i.Name()
	case from.After(h.s.now):
		return "it wasn't running yet"
	case !suspected:
		return "what the flag changed can't be its doing"
	case b.Inside != nil && b.Inside.Same:
		return "nothing differs between its two builds"
	case h.m.along[k] < 0:
		return "nothing moved as its instances switched from " + at + " on"
	case !h.ownMoved(k):
		return "none of its own indicators moved as it went out at " + at
	case b.Inside.mechanism(i.Kind) < 0:
		return "what changed inside it hardly fits, and what moved follows its switches less"
	}
	return "what moved follows its switches from " + at + " on less"
}

func (h *hearing) ownMoved(k int) bool {
	b := h.s.upgrade.Binaries[k]
	if h.s.owns(b, h.m.track.Indicator) {
		return true
	}
	for _, o := range h.others {
		if h.s.owns(b, o.track.Indicator) && o.along[k] > 1 {
			return true
		}
	}
	return false
}

// whyMoved names the untouched indicators that a cause would move, and that
// moved with the shift.
func (h *hearing) whyMoved(moves func(Indicator) float64, least float64) []string {
	at := h.m.begin[h.best()]
	for _, o := range h.others {
		if i := o.track.Indicator; moves(i) >= least && o.step[o.at(at)] > telling && !h.touched(i) {
			return []string{i.Name() + " moved at the same time, which the upgrade can't reach"}
		}
	}
	return nil
}

// whyElse says how many of the indicators that the upgrade can't reach moved.
func (h *hearing) whyElse() []string {
	at := h.m.begin[h.best()]
	n, moved := 0, 0
	for _, o := range h.others {
		if !h.touched(o.track.Indicator) {
			n++
			if o.step[o.at(at)] > telling {
				moved++
			}
		}
	}
	if n == 0 || moved == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d of %d indicators that the upgrade can't reach moved at the same time", moved, n)}
}

func (h *hearing) touched(i Indicator) bool {
	for _, b := range h.s.upgrade.Binaries {
		if h.s.reaches(b, i) {
			return true
		}
	}
	return false
}

// best is the reading with which the shift most likely began.
func (h *hearing) best() int {
	best := h.list[0]
	for _, i := range h.list {
		if h.m.step[i] > h.m.step[best] {
			best = i
		}
	}
	return best
}

func whyJump(at int64, size float64) string {
	return fmt.Sprintf("traffic changed by a factor of %.2g at %s", math.Exp(size), instant(time.Unix(0, at)))
}

// instant writes an instant for people: 2026-03-06 09:15:00 UTC.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// indicators counts them in words.
func indicators(n int) string {
	if n == 1 {
		return "1 indicator"
	}
	return fmt.Sprintf("%d indicators", n)
}
