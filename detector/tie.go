package detector

import (
	"fmt"
	"math"
	"time"
)

const (
	// tied is the least probability of each of two binaries that are told to be tied.
	tied = 0.15
	// parted is the log Bayes factor that parts two binaries: odds of a hundred to one.
	parted = 4.6
	// longestParting is the longest time that a step is proposed for.
	longestParting = 7 * 24 * time.Hour
)

// tie says that the leading binary can't be told from another yet, and proposes the
// cheapest step that would part them, with about the time that it takes: to restart
// one instance of one of them on its old build. It is "" where there is no tie.
func (h *hearing) tie(causes []Cause) string {
	var two []Cause
	for _, c := range causes {
		if c.Kind == CauseBinary && c.Probability >= tied && len(two) < 2 {
			two = append(two, c)
		}
	}
	if len(two) < 2 {
		return ""
	}
	text := fmt.Sprintf("it can't be told from %s yet (%.0f%% and %.0f%%)", two[1].Name, 100*two[0].Probability, 100*two[1].Probability)
	best, least := "", time.Duration(math.MaxInt64)
	for _, c := range two {
		for _, b := range h.s.upgrade.Binaries {
			if took := h.parting(b); b.Name == c.Name && took < least {
				best, least = h.restart(b), took
			}
		}
	}
	if least > longestParting {
		return text + "; no restart of one instance would part them within a week at present traffic"
	}
	return fmt.Sprintf("%s; %s would part them in about %s", text, best, rounded(least))
}

// restart says what to do to one instance of a binary.
func (h *hearing) restart(b Binary) string {
	which := "one instance of " + b.Name
	if n := len(b.Instances); n > 0 {
		which = fmt.Sprintf("%s, one of the %d instances of %s,", b.Instances[n-1].Instance, n, b.Name)
	}
	return fmt.Sprintf("a restart of %s on %s", which, or(b.From, "its old build"))
}

// parting is about how long it takes, after one instance of the binary was put back,
// until the shift of that instance's share of the traffic is seen to go back, or not
// to: the z of the change reaches sqrt(2 parted). The indicator's own instances are
// compared side by side; of what lies below only the whole indicator is seen.
func (h *hearing) parting(b Binary) time.Duration {
	tr := h.m.trial
	ev := tr.side()
	w := tr.Blocks.since(ev.start())
	k := ev.lead
	if w.Steps == 0 || !(w.Obs[k] > 0) || !ev.have[k] {
		return math.MaxInt64
	}
	rate := float64(w.Obs[k]) / float64(w.Steps)
	n := float64(max(len(b.Instances), 1))
	if len(b.Instances) == 0 {
		n = fewInstances
	}
	size, each, common := ev.at[k].log, 1/rate, true
	if h.s.owns(b, h.m.track.Indicator) && n > 1 {
		each, common = n/rate+n/(rate*(n-1)), false // what is common to both arms cancels
	} else {
		size = math.Log1p(math.Expm1(math.Abs(size)) / n)
	}
	need := size * size / (2 * parted)
	for steps := 1.0; steps < 1e6; steps *= 1.25 {
		v := each / steps
		if common {
			v += tr.Noise[k].Over(steps)
		}
		if v <= need {
			return h.s.cfg.Warmup + time.Duration(math.Ceil(steps))*h.s.cfg.Step
		}
	}
	return math.MaxInt64
}

// rounded is a time to the next five minutes, as people plan.
func rounded(d time.Duration) string {
	const grain = 5 * time.Minute
	if d < grain {
		return d.Round(time.Second).String()
	}
	d = (d + grain - 1).Truncate(grain)
	if d < time.Hour {
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
