package watch

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

const (
	// surely is the probability at which a binary is blamed once the story has
	// stood for surelySteps.
	surely      = 0.9
	surelySteps = 3
	// pendingSteps is how long a story without a sure culprit has to stand.
	pendingSteps = 5
	// repeat is after how many steps an alert whose figures alone have moved is
	// told again.
	repeat = 60
	// maxOthers bounds the further shifts that a receiver is told of.
	maxOthers = 100
)

// tellStories turns the stories of the watched upgrades into alerts: one alert
// for each cause that is a binary or unknown. What a third party, load, the
// infrastructure or something earlier did is put down, but wakes nobody. A story
// that lacks a sure culprit is pending for longer; one that is over is resolved, or
// inactive where it never fired.
func (l *Loop) tellStories(now time.Time, tick *Tick) {
	told := map[string]bool{}
	for _, u := range l.judge.Watched() {
		for _, s := range l.judge.Stories(u.ID) {
			if s.Cause.Kind != detector.CauseBinary && s.Cause.Kind != detector.CauseUnknown {
				continue
			}
			key := u.ID + "/" + s.Cause.Name
			told[key] = true
			l.tellStory(key, u, s, now, tick)
		}
	}
	var over []string
	for key := range l.memory.Open {
		if !told[key] {
			over = append(over, key)
		}
	}
	sort.Strings(over)
	for _, key := range over {
		a := l.memory.Open[key]
		delete(l.memory.Open, key)
		end := detector.AlertResolved
		if a.State == detector.AlertPending {
			end = detector.AlertInactive
		}
		a.State, a.EndsAt, a.UpdatedAt = end, now, now
		a.Revision++
		l.refresh(&a)
		l.put(a, tick)
	}
}

func (l *Loop) tellStory(key string, u detector.Upgrade, s detector.Story, now time.Time, tick *Tick) {
	a, known := l.memory.Open[key]
	if !known {
		a = detector.Alert{
			Key:     fmt.Sprintf("%s/%s/%d", u.ID, s.Cause.Name, now.Unix()),
			Upgrade: u.ID, State: detector.AlertPending, StartsAt: now,
		}
	}
	var news bool
	s.Cause, news = l.doubted(key, s.Cause, a)
	stood := now.Sub(a.StartsAt)
	fire := s.Cause.Probability >= surely && stood >= surelySteps*l.o.Config.Step ||
		stood >= pendingSteps*l.o.Config.Step
	if fire {
		l.accuse(u, s.Cause, tick)
	}
	reasoned := words.Accusation(detector.Alert{Cause: s.Cause, Binaries: u.Binaries}) != "" && words.Accusation(a) == ""
	changed := !known || news || a.State == detector.AlertPending && fire || joined(a, s) || reasoned ||
		now.Sub(a.UpdatedAt) >= repeat*l.o.Config.Step
	if !changed {
		return
	}
	if a.State == detector.AlertFiring {
		l.arrange(&a, s)
	} else {
		a.Cause, a.Root, a.Others = s.Cause, s.Root, s.Others
	}
	if fire {
		a.State = detector.AlertFiring
	}
	u.Culprit = l.memory.Culprits[u.ID]
	a.Title, a.Binaries = words.Upgrade(u), u.Binaries
	a.Flags = l.gating(s.Cause.Name)
	a.UpdatedAt = now
	a.Revision++
	l.memory.Open[key] = a
	l.put(a, tick)
}

// arrange puts the story's verdicts into a firing alert. What it is told by
// stays what it was when it fired, since receivers know the alert by it.
func (l *Loop) arrange(a *detector.Alert, s detector.Story) {
	root := a.Root.Indicator.Key()
	a.Cause, a.Others = s.Cause, nil
	for _, v := range append([]detector.Verdict{s.Root}, s.Others...) {
		if v.Indicator.Key() != root {
			a.Others = append(a.Others, v)
		}
	}
	l.refresh(a)
}

// joined says whether the story has a shift that the alert doesn't tell of.
func joined(a detector.Alert, s detector.Story) bool {
	had := map[string]bool{a.Root.Indicator.Key(): true}
	for _, v := range a.Others {
		had[v.Indicator.Key()] = true
	}
	for _, v := range s.Others {
		if !had[v.Indicator.Key()] {
			return true
		}
	}
	return !had[s.Root.Indicator.Key()]
}

// refresh brings the verdicts that the alert tells of up to date, for its last
// word.
func (l *Loop) refresh(a *detector.Alert) {
	now := map[string]detector.Verdict{}
	for _, v := range l.judge.Verdicts(a.Upgrade) {
		now[v.Indicator.Key()] = v
	}
	if v, ok := now[a.Root.Indicator.Key()]; ok {
		a.Root = v
	}
	for i, o := range a.Others {
		if v, ok := now[o.Indicator.Key()]; ok {
			a.Others[i] = v
		}
	}
}

// put puts the alert into the tick, with its deliveries where it fires or fired.
// Courses and distributions stay with the verdicts.
func (l *Loop) put(a detector.Alert, tick *Tick) {
	a.Root.Course, a.Root.Distribution = nil, nil
	others := make([]detector.Verdict, len(a.Others))
	for i, v := range a.Others {
		v.Course, v.Distribution = nil, nil
		others[i] = v
	}
	a.Others = others
	if n := mendVerdicts(append([]*detector.Verdict{&a.Root}, pointers(a.Others)...)); n > 0 {
		l.metrics.refused.Add(float64(n))
		l.o.Log.WithField("alert", a.Key).WithField("verdicts", n).Error("figures of an alert are no numbers and were left out")
	}
	tick.Alerts = append(tick.Alerts, a)
	if !a.State.Fired() {
		return
	}
	if len(a.Others) > maxOthers {
		a.Others = a.Others[:maxOthers]
	}
	l.mu.Lock()
	receivers := l.receivers
	l.mu.Unlock()
	for _, r := range receivers {
		payload, err := json.Marshal(Delivery{r, a})
		if err != nil {
			l.o.Log.WithError(err).WithField("alert", a.Key).Error("an alert can't be written down for a receiver")
			continue
		}
		tick.Jobs = append(tick.Jobs, Job{JobAlert, fmt.Sprintf("%s|%d|%s", a.Key, a.Revision, r), payload})
	}
}

// gating are the flags that gate something in a binary.
func (l *Loop) gating(binary string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(l.flags)) {
		if detector.SameBinary(name, binary) {
			out = append(out, l.flags[name]...)
		}
	}
	return out
}
