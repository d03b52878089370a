package watch

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"aftershock/detector"
)

// An upgrade is told of when it is seen and when it is finished, once each, over
// restarts and steps that can't be put down; what else is learnt of it is for those
// who look for it.
func TestAnUpgradeIsLoggedTwice(t *testing.T) {
	s, b, c := &telemetry{upgrade: epoch.Add(1000 * time.Hour)}, newBook(), &clock{epoch.Add(time.Hour)}
	log, hook := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	begin := func() *Loop {
		l := start(t, b, s, c)
		l.o.Log = log
		return l
	}
	l := begin()
	l.runTo(t, c, c.now)
	hook.Reset()
	u := detector.Upgrade{ID: "u", StartedAt: c.now}
	for n := range 9 {
		switch n {
		case 3:
			l = begin() // a restart
		case 5, 7: // a step that the journal doesn't take, for a while
			b.fail = func() bool { return true }
		case 6, 8:
			b.fail = nil
		}
		u.Binaries = append(u.Binaries, detector.Binary{Name: fmt.Sprint("b", n)})
		if n >= 7 {
			u.FinishedAt = c.now
		}
		l.Record(u)
		c.now = c.now.Add(time.Minute)
		l.catchUp(t.Context(), c.now)
	}
	l.CloseUpgrade("u")
	l.runTo(t, c, c.now.Add(time.Minute))
	var told []string
	quiet := 0
	for _, e := range hook.AllEntries() {
		if e.Data["upgrade"] != "u" {
			continue
		}
		if e.Level == logrus.DebugLevel {
			quiet++
			continue
		}
		told = append(told, fmt.Sprintf("%s %s: %v, finished: %v", e.Level, e.Message, e.Data["binaries"], e.Data["finished"]))
	}
	want := []string{"info upgrade seen: 1, finished: false", "info upgrade finished: 8, finished: true"}
	if d := cmp.Diff(want, told); d != "" || quiet < 5 {
		t.Errorf("%d lines for those who look; (-want +got):\n%s", quiet, d)
	}
	l.runTo(t, c, c.now.Add(2*l.o.Config.Duration+time.Hour))
	l.Record(detector.Upgrade{ID: "later", StartedAt: c.now})
	l.runTo(t, c, c.now.Add(time.Minute))
	if _, kept := l.memory.Seen["u"]; kept || len(l.memory.Seen) != 1 {
		t.Errorf("kept for good: %v", l.memory.Seen)
	}
}
