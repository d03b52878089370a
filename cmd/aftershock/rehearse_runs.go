package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/rehearsal"
)

// placed is a run in the time of the judgement, from which the gaps between runs are
// taken out: nothing ran in them.
type placed struct {
	run *rehearsal.Measured
	at  time.Time // when it began, by that time
}

func (p placed) end() time.Time {
	return p.at.Add(time.Duration(p.run.Step) * time.Duration(p.run.Steps))
}

// row are the runs of both phases in order.
type row []placed

// inRow puts the runs in a row. Several runs before are days to the judgement, working
// days, each like the others: it learns from them by how much days differ, and what is
// the same in all of them, as it does in production.
func inRow(before, after []*rehearsal.Measured) row {
	var out row
	day := runLength(before[0])
	at := before[0].Started
	if len(before) > 1 {
		at = at.Truncate(day)
	}
	for _, m := range append(before[:len(before):len(before)], after...) {
		for len(before) > 1 && weekend(at, day) {
			at = at.Add(day)
		}
		p := placed{m, at}
		out = append(out, p)
		if at = at.Add(day); len(before) == 1 {
			at = p.end()
		}
	}
	return out
}

// tellRuns names the control of a verdict, which isn't days, and takes back its doubt of
// too little history: a rehearsal has its own.
func tellRuns(v *detector.Verdict, runs int) {
	v.Warnings = slices.DeleteFunc(slices.Clone(v.Warnings), func(w string) bool { return strings.HasPrefix(w, "less than a day of history") })
	v.Control = fmt.Sprintf("the same traffic in %d runs before", runs)
	if runs == 1 {
		v.Control = "the same traffic in one run before"
		if v.State == detector.Undecided && v.Missing != "" {
			v.Missing += "; one run before doesn't tell by how much runs differ (--repeats)"
		}
	}
}

// runLength is how long a run is that isn't partial, in whole steps.
func runLength(m *rehearsal.Measured) time.Duration {
	return time.Duration(m.Step) * time.Duration(m.Length/m.Step)
}

// weekend says whether a day that begins at an instant is one to the judgement.
func weekend(at time.Time, day time.Duration) bool {
	switch at.UnixNano() / int64(day) % 7 {
	case 2, 3:
		return true
	}
	return false
}

// replace puts the instants of a verdict to where they were.
func (r row) replace(v *detector.Verdict) {
	back := func(t *time.Time) {
		for i := len(r) - 1; i >= 0; i-- {
			if t.After(r[i].at) {
				*t = t.Add(r[i].run.Started.Sub(r[i].at))
				return
			}
		}
	}
	back(&v.Since)
	back(&v.Recovered)
	if v.Onset != nil {
		o := *v.Onset
		back(&o.At)
		back(&o.Earliest)
		back(&o.Latest)
		v.Onset = &o
	}
	for i := range v.Course {
		back(&v.Course[i].Time)
	}
}

// phaseName names a run for people.
func phaseName(m *rehearsal.Measured) string {
	if m.Run > 1 {
		return fmt.Sprintf("phase %s, run %d", m.Phase, m.Run)
	}
	return "phase " + m.Phase
}

func (v *verdict) runs() []*rehearsal.Measured {
	return append(v.Before[:len(v.Before):len(v.Before)], v.After...)
}

// rehearsalConfig is the judgement's for a rehearsal: in its steps, warm-ups being over
// when it measures. Of a single run before nothing tells by how much runs differ, and the
// judgement keeps to its cautious guess.
func (r *rehearse) rehearsalConfig(before []*rehearsal.Measured) detector.Config {
	m := before[0]
	cfg := detector.Config{Step: time.Duration(m.Step), Warmup: time.Duration(m.Step), Margin: r.judge.Margin, Confidence: r.judge.Confidence}
	if r.margin > 0 {
		cfg.Margin = r.margin
	}
	if len(before) > 1 {
		cfg.Day, cfg.Runs = runLength(m), len(before)
		cfg.Baseline, cfg.Duration = 1000*cfg.Day, 1000*cfg.Day // all runs tell the same
	}
	cfg.SetDefaults()
	return cfg
}
