package watch

import (
	"aftershock/detector"
	"aftershock/detector/words"
)

// accuse keeps by an upgrade which of its binaries a story that people are told of names,
// so that whoever reads of the upgrade later finds the culprit first. The first that was
// named stays until its story no longer names it; one whose story is over stays.
func (l *Loop) accuse(u detector.Upgrade, cause detector.Cause, tick *Tick) {
	was := l.memory.Culprits[u.ID]
	switch {
	case words.Named(cause) && was == "":
		u.Culprit = cause.Name
	case !words.Named(cause) && cause.Kind == detector.CauseBinary && was == cause.Name:
		u.Culprit = ""
	default:
		return
	}
	if l.memory.Culprits == nil {
		l.memory.Culprits = map[string]string{}
	}
	l.memory.Culprits[u.ID] = u.Culprit
	for i := range tick.Upgrades {
		if tick.Upgrades[i].ID == u.ID {
			tick.Upgrades[i].Culprit = u.Culprit
			return
		}
	}
	tick.Upgrades = append(tick.Upgrades, u)
}
