package watch

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
)

// clean leaves out the figures that are no numbers, so that one broken figure
// holds up nothing else.
func (l *Loop) clean(t *Tick) {
	n := mendVerdicts(pointers(t.Verdicts))
	for i := range t.Events {
		if mendEvent(&t.Events[i]) {
			n++
		}
	}
	if n > 0 {
		l.metrics.refused.Add(float64(n))
		l.o.Log.WithField("documents", n).WithField("step", t.Time).Error("figures of verdicts are no numbers and were left out")
	}
}

// commitRest puts down what the journal can take of a tick that it refused:
// without it the step would be repeated for ever.
func (l *Loop) commitRest(ctx context.Context, t Tick, why error) error {
	lost := 0
	var failed error
	try := func(one Tick) {
		one.Time = t.Time
		switch err := l.o.Journal.Commit(ctx, one); {
		case errors.Is(err, ErrInvalid):
			lost++
		case err != nil && failed == nil:
			failed = err
		}
	}
	// One document at a time, without the state: if the process dies in between
	// the step is repeated, and doubles are dropped.
	for _, u := range t.Upgrades {
		try(Tick{Upgrades: []detector.Upgrade{u}})
	}
	for _, v := range t.Verdicts {
		try(Tick{Verdicts: []detector.Verdict{v}})
	}
	for _, e := range t.Events {
		try(Tick{Events: []detector.Event{e}})
	}
	for _, a := range t.Alerts {
		try(Tick{Alerts: []detector.Alert{a}})
	}
	for _, j := range t.Jobs {
		try(Tick{Jobs: []Job{j}})
	}
	if failed != nil {
		return failed
	}
	if err := l.o.Journal.Commit(ctx, Tick{Time: t.Time, State: t.State, Coverage: t.Coverage}); err != nil {
		return err
	}
	l.metrics.refused.Add(float64(lost))
	l.o.Log.WithError(why).WithFields(logrus.Fields{"documents": lost, "step": t.Time}).
		Error("the journal can't take a part of a step; it was left out")
	return nil
}

func pointers[T any](list []T) []*T {
	out := make([]*T, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

// mendVerdicts leaves out what is no number and counts the verdicts that had
// such figures.
func mendVerdicts(list []*detector.Verdict) (n int) {
	for _, v := range list {
		bad := false
		v.Effect, v.Causes, v.DecidedIn, bad = mend(v.Effect, v.Causes, v.DecidedIn)
		if d := v.Distribution; d != nil && !finite(slices.Concat(d.Bounds, d.Before, d.After)...) {
			v.Distribution, bad = nil, true
		}
		for _, p := range v.Course {
			if !finite(p.Bad, p.Total, p.Expected, p.Low, p.High) {
				v.Course, bad = nil, true
				break
			}
		}
		if bad {
			n++
		}
	}
	return n
}

func mendEvent(e *detector.Event) (bad bool) {
	e.Effect, e.Causes, e.DecidedIn, bad = mend(e.Effect, e.Causes, e.DecidedIn)
	return mendVerdicts(pointers(e.Verdicts)) > 0 || bad
}

func mend(e *detector.Effect, causes []detector.Cause, decidedIn float64) (*detector.Effect, []detector.Cause, float64, bool) {
	bad := false
	if e != nil && !finite(e.Before, e.After, e.Ratio, e.Low, e.High) {
		e, bad = nil, true
	}
	for _, c := range causes {
		if !finite(c.Probability) {
			causes, bad = nil, true
			break
		}
	}
	if !finite(decidedIn) {
		decidedIn, bad = 0, true
	}
	return e, causes, decidedIn, bad
}

func finite(list ...float64) bool {
	for _, x := range list {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}
