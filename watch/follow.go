package watch

import (
	"encoding/json"
	"fmt"
	"time"

	"aftershock/detector"
)

// Treatment is a flag flip of ours whose effect is followed: did the indicators
// come back?
type Treatment struct {
	Toggle string
	Flip   detector.Flip
}

// recoverySteps is how many steps a toggle has to show that it helped.
const recoverySteps = 120

// hear acts on what the loop was told from outside.
func (l *Loop) hear(m message, now time.Time, tick *Tick) {
	switch {
	case m.flip != nil:
		l.flipped(*m.flip)
	case m.upgrade != nil:
		l.upgrade(l.o.Changes.Record(*m.upgrade), tick)
	case m.report != nil:
		if u, known := l.o.Changes.Report(*m.report, m.update); known {
			l.upgrade(u, tick)
		}
	case m.closing != "":
		l.closeUpgrade(m.closing, now, tick)
	}
}

// rememberToggles is for how long a toggle is known to have been heard of. The
// audit tells of the last toggles again at each start; older ones than the last
// step by more than this are taken as known.
const rememberToggles = 10 * time.Minute

// flipped takes in a flip, once.
func (l *Loop) flipped(t Treatment) {
	if t.Toggle != "" {
		if _, known := l.memory.Toggles[t.Toggle]; known || t.Flip.At.Before(l.memory.At.Add(-rememberToggles)) {
			return
		}
		if l.memory.Toggles == nil {
			l.memory.Toggles = map[string]time.Time{}
		}
		l.memory.Toggles[t.Toggle] = t.Flip.At
		for id, at := range l.memory.Toggles {
			if at.Before(l.memory.At.Add(-2 * rememberToggles)) {
				delete(l.memory.Toggles, id)
			}
		}
	}
	l.memory.Flips = append(l.memory.Flips, t)
}

// upgrade begins or goes on with the watch over an upgrade.
func (l *Loop) upgrade(u detector.Upgrade, tick *Tick) {
	u.Culprit = l.memory.Culprits[u.ID]
	tick.Upgrades = append(tick.Upgrades, u)
	if !u.ClosedAt.IsZero() {
		l.judge.Unwatch(u.ID)
		return
	}
	if !u.Begun() {
		return // it is only planned
	}
	if l.o.Watchable != nil && !l.o.Watchable(u) {
		l.o.Log.WithField("upgrade", u.ID).Debug("no telemetry of what this upgrade replaced: it is not watched until there is")
		return
	}
	if !l.judge.Watch(u) {
		l.o.Log.WithField("upgrade", u.ID).Warn("too many upgrades are being watched: this one is not; close another")
	}
}

// expire ends the watches that have lasted long enough.
func (l *Loop) expire(now time.Time, tick *Tick) {
	for _, u := range l.judge.Watched() {
		if now.Sub(u.StartedAt) > l.o.Config.Duration {
			l.closeUpgrade(u.ID, now, tick)
		}
	}
}

func (l *Loop) closeUpgrade(id string, now time.Time, tick *Tick) {
	for _, u := range l.judge.Watched() {
		if u.ID == id {
			// The last verdicts are put down before they are forgotten.
			tick.Verdicts = append(tick.Verdicts, l.judge.Verdicts(id)...)
			l.upgrade(l.o.Changes.Close(id, now), tick)
			l.forgetDoubts(id)
			tick.Jobs = append(tick.Jobs, Job{Kind: JobReview, Key: id})
			return
		}
	}
	// What was only planned, or isn't measured, was never watched.
	if u := l.o.Changes.Close(id, now); len(u.Binaries) > 0 {
		l.upgrade(u, tick)
	}
}

// applyFlips hands the flips whose instant has come to the judgement.
func (l *Loop) applyFlips(now time.Time) {
	waiting := l.memory.Flips[:0]
	for _, t := range l.memory.Flips {
		if t.Flip.At.After(now) {
			waiting = append(waiting, t)
			continue
		}
		l.judge.Flip(t.Flip)
		if t.Flip.Ours {
			l.memory.Treatments = append(l.memory.Treatments, t)
		}
	}
	l.memory.Flips = waiting
}

// follow asks after each treatment whether the indicators are back, and reports
// the outcome once.
func (l *Loop) follow(now time.Time, tick *Tick) {
	open := l.memory.Treatments[:0]
	for _, t := range l.memory.Treatments {
		o, done := l.outcome(t, now)
		if !done {
			open = append(open, t)
			continue
		}
		// A toggle for a part of the callers can't bring all of it back.
		if !o.Recovered && !t.Flip.Scope.Everyone() {
			continue
		}
		if !o.Recovered && !t.Flip.Undoes {
			l.doubt(t, o)
		}
		payload, err := json.Marshal(o)
		if err != nil {
			l.o.Log.WithError(err).Error("the outcome of a toggle can't be written down")
			continue
		}
		tick.Jobs = append(tick.Jobs, Job{JobRecovery, t.Toggle, payload})
	}
	l.memory.Treatments = open
}

// outcome says whether the indicators that had shifted before the treatment are
// back; done is false while that is open. What had improved and is back at its old level
// hasn't recovered, but is lost again.
func (l *Loop) outcome(t Treatment, now time.Time) (o Outcome, done bool) {
	o, done, lost := l.back(t, now)
	switch n := len(lost); {
	case n == 1:
		o.Evidence += "; one that had improved is lost again: " + lost[0]
	case n > 1:
		o.Evidence += fmt.Sprintf("; %d that had improved are lost again, %s among them", n, lost[0])
	}
	return o, done
}

// back is outcome without what is lost, and the names of that.
func (l *Loop) back(t Treatment, now time.Time) (o Outcome, done bool, lost []string) {
	o.Toggle = t.Toggle
	shifted, back, taken, waiting := 0, 0, 0, ""
	for _, u := range l.judge.Watched() {
		for _, v := range l.judge.Verdicts(u.ID) {
			switch {
			case v.Lost() && v.Recovered.After(t.Flip.At):
				lost = append(lost, v.Indicator.Name())
			case v.Accepted != nil && v.Accepted.Toggle == t.Toggle:
				taken++
			case v.State == detector.Regressed && v.Since.Before(t.Flip.At):
				shifted++
				waiting = v.Indicator.Name()
			case v.Direction == detector.Worse && v.State != detector.Regressed && v.Recovered.After(t.Flip.At):
				shifted++
				back++
			}
		}
	}
	after := now.Sub(t.Flip.At)
	switch {
	case shifted > 0 && shifted == back:
		o.Recovered = true
		o.Evidence = fmt.Sprintf("all %d shifted indicators are back %s after the toggle", shifted, after.Round(time.Second))
		return o, true, lost
	case after < recoverySteps*l.o.Config.Step:
		return o, false, lost
	case shifted == 0:
		o.Recovered = true
		o.Evidence = "nothing was out of its margin at the toggle, and nothing is since"
		if taken > 0 {
			o.Evidence = fmt.Sprintf("nothing was out of its margin at the toggle; %d indicators are since, within what was accepted", taken)
		}
		return o, true, lost
	}
	o.Evidence = fmt.Sprintf("%d of %d shifted indicators are back %s after the toggle; %s is not", back, shifted, after.Round(time.Second), waiting)
	return o, true, lost
}

// verdicts adds the verdicts worth putting down: all of an upgrade when
// something was said of it, and now and then for the courses.
func (l *Loop) verdicts(tick *Tick) {
	said := map[string]bool{}
	for _, e := range tick.Events {
		said[e.Upgrade] = true
	}
	for _, u := range l.judge.Watched() {
		if said[u.ID] || l.memory.Steps%5 == 0 {
			tick.Verdicts = append(tick.Verdicts, l.judge.Verdicts(u.ID)...)
		}
	}
}
