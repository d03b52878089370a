package watch

import (
	"testing"
	"time"

	"aftershock/detector"
)

// planner knows what it was told, and closes it.
type planner struct {
	changes
	known detector.Upgrade
}

func (p *planner) Record(u detector.Upgrade) detector.Upgrade { p.known = u; return u }

func (p *planner) Close(_ string, at time.Time) detector.Upgrade {
	p.known.ClosedAt = at
	return p.known
}

// What is only planned is put down, but not watched before it begins; it can be called off.
func TestAPlannedUpgradeIsWatchedOnceItBegins(t *testing.T) {
	at := epoch.Add(time.Hour)
	c := &clock{at}
	l := start(t, newBook(), &telemetry{upgrade: at.Add(1000 * time.Hour)}, c)
	p := &planner{changes: changes{at: at.Add(1000 * time.Hour)}}
	l.o.Changes = p
	l.runTo(t, c, at)
	u := detector.Upgrade{ID: "p", Plan: detector.Plan{PlannedStart: at.Add(time.Hour)}, Binaries: []detector.Binary{{Name: "pay-bin"}}}
	var tick Tick
	l.hear(message{upgrade: &u}, at, &tick)
	if len(tick.Upgrades) != 1 || len(l.judge.Watched()) != 0 {
		t.Fatalf("planned: put down %+v and watch %+v", tick.Upgrades, l.judge.Watched())
	}
	u.StartedAt = at
	l.hear(message{upgrade: &u}, at, &tick)
	if got := l.judge.Watched(); len(got) != 1 || got[0].ID != "p" {
		t.Errorf("begun: watch %+v", got)
	}
	q := detector.Upgrade{ID: "q", Plan: u.Plan, Binaries: u.Binaries}
	l.hear(message{upgrade: &q}, at, &tick)
	tick = Tick{}
	l.hear(message{closing: "q"}, at, &tick)
	if len(tick.Upgrades) != 1 || tick.Upgrades[0].ID != "q" || !tick.Upgrades[0].ClosedAt.Equal(at) || len(tick.Jobs) != 0 {
		t.Errorf("called off: got %+v", tick)
	}
}
