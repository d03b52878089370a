package detector

import (
	"math"
	"sort"

	"aftershock/detector/stat"
)

// A look does not weigh every trial: that would cost a minute where 100,000
// indicators are watched. Weighed are those that shifted or are under treatment,
// those that say something for a shift already, those whose screen moved, and of
// the rest some in turn. What was said of a trial before stands until it is weighed
// again: an e-value of an earlier look is an e-value still.

const (
	// fewTurns is how many trials are weighed at every look because it is their
	// turn, beside one in turnEach of them all: few are always all weighed.
	fewTurns = 256
	turnEach = 100
	// promising is the log e-value from which on a trial is weighed at every look.
	promising = 1
)

// Look weighs everything seen so far and answers what is new: shifts,
// recoveries and changed verdicts, in a reproducible order.
func (j *Judge) Look() []Event {
	var events []Event
	for _, w := range j.watches {
		if j.last.After(w.Upgrade.StartedAt) {
			events = append(events, j.look(w)...)
		}
	}
	return events
}

func (j *Judge) look(w *Watch) []Event {
	s := j.scene(w)
	for _, t := range j.order {
		if tr := w.Trials[t.key]; tr != nil {
			s.all = append(s.all, moved{track: t, trial: tr})
		}
	}
	due := j.due(w, s)
	j.weighDue(s, due)
	logWorse, logBetter := make([]float64, len(s.all)), make([]float64, len(s.all))
	for i, m := range s.all {
		logWorse[i], logBetter[i] = m.trial.ev[0].log, m.trial.ev[1].log
	}
	worse := stat.EBH(logWorse, j.cfg.alpha())
	better := stat.EBH(logBetter, j.cfg.alpha())
	silent := w.Down*2 > w.Steps
	var events []Event
	for i, m := range s.all {
		if due[i] || worse[i] || better[i] || silent || m.trial.Weighed.IsZero() {
			events = append(events, j.decide(w, s, m, worse[i], better[i])...)
		}
	}
	return events
}

// due says which of the trials are to be weighed.
func (j *Judge) due(w *Watch, s *scene) []bool {
	due := make([]bool, len(s.all))
	screens := make([]screen, len(s.all))
	j.share(len(s.all), func(_ *Judge, i int) {
		tr := s.all[i].trial
		screens[i] = tr.screen(s.upgrade.StartedAt)
		due[i] = tr.Verdict.State == Regressed || tr.Verdict.State == Improved || !tr.Treated.IsZero() ||
			math.Max(tr.ev[0].log, tr.ev[1].log) > promising || screens[i].moved(&tr.Screen) ||
			!tr.Weighed.IsZero() && !tr.Weighed.After(w.Changed)
	})
	n := len(s.all)
	from := sort.Search(n, func(i int) bool { return s.all[i].track.key > w.Turn })
	turns := j.turns + n/turnEach
	for i := 0; i < n && turns > 0; i++ {
		if at := (from + i) % n; !due[at] {
			due[at] = true
			w.Turn = s.all[at].track.key
			turns--
		}
	}
	for i, m := range s.all {
		if due[i] {
			m.trial.Weighed, m.trial.Screen = j.last, screens[i]
		}
	}
	return due
}

// weighDue weighs the trials that are due. Where a shift may begin is found anew for
// the others, too, once there is something new to know of it: what their courses
// say is asked for when another's causes are weighed.
func (j *Judge) weighDue(s *scene, due []bool) {
	var at []int
	var begin []starts
	for i, m := range s.all {
		if !due[i] && m.trial.knew == j.known {
			continue
		}
		b := j.starts(s, m.trial)
		if m.trial.knew = j.known; due[i] {
			at, begin = append(at, i), append(begin, b)
		}
	}
	hot := map[Kind]float64{}
	for k := range j.placebos {
		hot[k] = j.temper(k)
	}
	j.share(len(at), func(hand *Judge, n int) {
		m := s.all[at[n]]
		hand.weigh(s, m, begin[n], hot[m.track.noiseKind()])
	})
}

// Hands do pieces of work side by side. The judgement itself knows no processors: who
// has some to spare lends them.
type Hands interface {
	// Number is how many hands there are, from 1.
	Number() int
	// Do does the pieces 0 to n-1, each once, in any order, and answers when all are
	// done. hand, from 0 to Number-1, does one piece at a time.
	Do(n int, do func(hand, i int))
}

// Employ lets hands share the work of many indicators, which changes nothing that is
// said. They must not be used by anybody else meanwhile.
func (j *Judge) Employ(hands Hands) { j.hands = hands }

// shareLeast is how many pieces of work are worth sharing.
const shareLeast = 64

// share has n pieces of work done, by several hands where there are some. A hand is
// the judge with scratch of its own. What is done must not depend on the order, and
// change nothing that another piece looks at.
func (j *Judge) share(n int, do func(hand *Judge, i int)) {
	if j.hands == nil || n < shareLeast || j.hands.Number() < 2 {
		for i := range n {
			do(j, i)
		}
		return
	}
	hands := make([]Judge, j.hands.Number())
	for i := range hands {
		hands[i] = *j
		hands[i].scratch, hands[i].onsets, hands[i].past = course{}, nil, nil
	}
	j.hands.Do(n, func(hand, i int) { do(&hands[hand], i) })
}
