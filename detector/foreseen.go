package detector

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// What the inspection of the package foresaw sharpens the suspicion afterwards. Assumed,
// not measured: nobody has published how often what stands in a package comes true.
const (
	// foretold is how much likelier a shift by a binary is that was foreseen to behave
	// otherwise: as much as retries are by a change that touches them.
	foretold = fits
	// runPrior and lockPrior are the chances that what was scheduled, or a migration's
	// locks, move an indicator: that of a binary, since they come with the same package.
	runPrior  = binaryPrior
	lockPrior = binaryPrior
)

// String is the place as editors take it: FILE:LINE.
func (p Place) String() string {
	if p.Line > 0 {
		return p.File + ":" + strconv.Itoa(p.Line)
	}
	return p.File
}

// cite is a hypothesis in words, with the finding that it comes from.
func (f Finding) cite(h Hypothesis) string {
	if at := f.Place.String(); at != "" {
		return fmt.Sprintf("%s (%s, %s)", h.Says, f.Rule, at)
	}
	return fmt.Sprintf("%s (%s)", h.Says, f.Rule)
}

// foreseen visits the hypotheses of a kind that speak of indicators like this one.
func (u *Upgrade) foreseen(kind string, i Indicator, visit func(Finding, Hypothesis)) {
	for _, f := range u.Findings {
		for _, h := range f.Hypotheses {
			if h.Kind == kind && (len(h.Indicators) == 0 || slices.Contains(h.Indicators, i.Kind)) {
				visit(f, h)
			}
		}
	}
}

// fallback is what was foreseen of a binary, the first of it, and the factor by which
// that makes it likelier as the cause, as a logarithm.
func (h *hearing) fallback(b Binary) (text string, log float64) {
	h.s.upgrade.foreseen(HypothesisFallback, h.m.track.Indicator, func(f Finding, g Hypothesis) {
		if text == "" && hasBinary(g.Binaries, b.Name) {
			text, log = f.cite(g), math.Log(foretold)
		}
	})
	return text, log
}

// scheduled weighs what the package brought to run at certain times: it shows in the
// step of a run, or the next.
func (h *hearing) scheduled() []hypothesis {
	var out []hypothesis
	own, since := h.m.track.Indicator, h.since()
	h.s.upgrade.foreseen(HypothesisRun, own, func(f Finding, g Hypothesis) {
		moves := h.gated(g.Binaries, g.Services)
		var ways []way
		for _, run := range g.Runs {
			t := run.UnixNano()
			if t < since || run.After(h.s.now) || moves(own) <= movesElse {
				continue
			}
			bf := math.Max(h.m.step[h.m.at(t)], h.m.step[h.m.at(t+int64(h.s.cfg.Step))])
			plus, minus := h.at(moves, t)
			ways = append(ways, way{math.Log(runPrior * moves(own)), bf, plus, minus})
		}
		if len(ways) == 0 || len(out) == mostHeard {
			return
		}
		for i := range ways {
			ways[i].p -= math.Log(float64(len(ways)))
		}
		out = append(out, hypothesis{kind: CauseSchedule, name: f.Place.String(), ways: ways, foreseen: f.cite(g)})
	})
	return out
}

// migrated weighs the locks that the package's statements take while the upgrade lasts.
func (h *hearing) migrated() []hypothesis {
	var out []hypothesis
	own, from, to := h.m.track.Indicator, h.since(), h.s.now.UnixNano()
	if u := h.s.upgrade; !u.FinishedAt.IsZero() {
		to = min(to, u.FinishedAt.Add(h.s.cfg.Step).UnixNano())
	}
	h.s.upgrade.foreseen(HypothesisLock, own, func(f Finding, g Hypothesis) {
		moves := h.gated(g.Binaries, g.Services)
		if moves(own) <= movesElse || len(out) == mostHeard {
			return
		}
		daily := lockPrior * moves(own) * h.day / math.Max(1, float64(to-from))
		if ways := h.anytime(moves, daily, from, to); len(ways) > 0 {
			out = append(out, hypothesis{kind: CauseMigration, name: f.Place.String(), ways: ways, foreseen: f.cite(g)})
		}
	})
	return out
}
