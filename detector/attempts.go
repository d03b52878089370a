package detector

import (
	"fmt"
	"math"
)

// What is assumed of first attempts beside what their counts promise, as standard
// deviations of log ratios: how they wander by themselves, and how far their rise may
// differ from that of the retries that it brings, as a share of it.
const (
	firstsWander = 0.1
	firstsFollow = 0.3
	// firstsOwn is the chance that another cause than the third party, such as a shorter
	// timeout, makes first attempts fail more often.
	firstsOwn = 0.3
	// firstsLeast is the log ratio of retries from which on first attempts are asked, and
	// firstsMost the most that they may say, as a log Bayes factor.
	firstsLeast = 0.1
	firstsMost  = 5
)

// attempts asks whether first attempts fail more often: the third party's own
// doing, whatever its callers make of it. In the third party's trouble they rise as
// the retries do, which follow from them; after a new way to retry they don't. The
// answer is a log Bayes factor for the third party; 0 where the telemetry doesn't
// have first attempts, or retries stayed as they were.
func (h *hearing) attempts(peer string) (w float64, why []string) {
	d := h.m.trial.Verdict.side()
	for _, o := range append([]*sight{h.m}, h.others...) {
		i, tr := o.track.Indicator, o.trial
		if i.Kind != Retry || i.Peer() != peer || !h.s.passes(h.m.track.Indicator, i.Service()) {
			continue
		}
		was, is := tr.FirstsWas, tr.Firsts.share()
		retries := tr.ev[d].since[0].log
		if !(was > 0) || !(is > 0) || float64(1-2*d)*retries < firstsLeast {
			continue
		}
		x := firstsFactor(math.Log(is/was), retries, tr.Firsts.Num)
		w += x
		switch {
		case x > 0.5:
			why = append(why, fmt.Sprintf("first attempts failed at %.2g%% before and %.2g%% after", was*100, is*100))
		case x < -0.5:
			why = append(why, fmt.Sprintf("but first attempts fail as before (%.2g%%, %.2g%%)", was*100, is*100))
		}
	}
	return math.Max(-firstsMost, w), why
}

// firstsFactor is the log Bayes factor for the third party of a log ratio of
// first-attempt failures, of which there were so many, beside that of the retries.
func firstsFactor(firsts, retries, failures float64) float64 {
	v := firstsWander*firstsWander + 1/math.Max(1, failures)
	density := func(mean, v float64) float64 {
		return -(firsts-mean)*(firsts-mean)/(2*v) - math.Log(v)/2
	}
	theirs := density(retries, v+firstsFollow*firstsFollow*retries*retries)
	return theirs - logAdd(math.Log(1-firstsOwn)+density(0, v), math.Log(firstsOwn)+theirs)
}
