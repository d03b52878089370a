package watch

import (
	"maps"
	"slices"

	"aftershock/detector"
	"aftershock/detector/words"
)

// accuse keeps by the watched upgrades which of their binaries a firing alert names, so
// that whoever reads of an upgrade later finds the culprit first. The first that was named
// stays until its alert no longer names it; one whose alert is over stays.
func (l *Loop) accuse(tick *Tick) {
	for _, u := range l.judge.Watched() {
		was := l.memory.Culprits[u.ID]
		now, doubted := "", false
		for _, key := range slices.Sorted(maps.Keys(l.memory.Open)) {
			a := l.memory.Open[key]
			switch {
			case a.Upgrade != u.ID || a.State != detector.AlertFiring || a.Cause.Kind != detector.CauseBinary:
			case !words.Named(a.Cause):
				doubted = doubted || a.Cause.Name == was
			case now == "" || a.Cause.Name == was:
				now = a.Cause.Name
			}
		}
		if now == "" && !doubted || now == was {
			continue
		}
		if l.memory.Culprits == nil {
			l.memory.Culprits = map[string]string{}
		}
		l.memory.Culprits[u.ID] = now
		u.Culprit = now
		known := false
		for i := range tick.Upgrades {
			if tick.Upgrades[i].ID == u.ID {
				tick.Upgrades[i].Culprit, known = now, true
			}
		}
		if !known {
			tick.Upgrades = append(tick.Upgrades, u)
		}
	}
}
