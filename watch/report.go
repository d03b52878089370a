package watch

import (
	"fmt"
	"maps"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
)

// seen is what the log told of an upgrade: when it last came up, and whether it was
// finished by then.
type seen struct {
	At       time.Time
	Finished bool
}

// headings are what the log is to say of each of the tick's upgrades: that it is seen
// and that it is finished, once each, and "" for what else is learnt of it.
func (l *Loop) headings(t Tick) []string {
	maps.DeleteFunc(l.memory.Seen, func(_ string, s seen) bool { return t.Time.Sub(s.At) > 2*l.o.Config.Duration })
	var all []string
	for _, u := range t.Upgrades {
		was, known := l.memory.Seen[u.ID]
		now := seen{t.Time, was.Finished || !u.FinishedAt.IsZero()}
		switch {
		case !known:
			all = append(all, "upgrade seen")
		case now.Finished && !was.Finished:
			all = append(all, "upgrade finished")
		default:
			all = append(all, "")
		}
		if l.memory.Seen == nil {
			l.memory.Seen = map[string]seen{}
		}
		l.memory.Seen[u.ID] = now
	}
	maps.DeleteFunc(l.memory.Culprits, func(id, _ string) bool { _, known := l.memory.Seen[id]; return !known })
	return all
}

// report logs what was put down, each upgrade under its heading.
func (l *Loop) report(t Tick, headings []string) {
	for i, u := range t.Upgrades {
		log := l.o.Log.WithFields(logrus.Fields{"upgrade": u.ID, "binaries": len(u.Binaries), "source": u.Source, "finished": !u.FinishedAt.IsZero()})
		if headings[i] == "" {
			log.Debug("more is known of an upgrade")
			continue
		}
		log.Info(headings[i])
	}
	for _, e := range t.Events {
		if e.Event != detector.EventShift && e.Event != detector.EventRecovered {
			continue
		}
		fields := logrus.Fields{"upgrade": e.Upgrade, "indicator": e.Indicator.Name(), "direction": e.Direction}
		if e.Effect != nil {
			fields["ratio"] = fmt.Sprintf("%.2f", e.Effect.Ratio)
		}
		if len(e.Causes) > 0 {
			fields["cause"] = e.Causes[0].Kind + " " + e.Causes[0].Name
			fields["probability"] = fmt.Sprintf("%.2f", e.Causes[0].Probability)
		}
		l.o.Log.WithFields(fields).Info(e.Event)
	}
}
