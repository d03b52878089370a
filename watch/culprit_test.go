package watch

import (
	"testing"
	"time"

	"aftershock/detector"
)

// TestTheCulpritIsKept: an upgrade that was found by itself is put down anew when an alert
// names one of its binaries, that comes first in the alert's own title, and a restart and
// the end of the alert change nothing.
func TestTheCulpritIsKept(t *testing.T) {
	up := epoch.Add(30 * time.Hour)
	b, c := newBook(), &clock{up}
	s := &telemetry{upgrade: up}
	l := start(t, b, s, c)
	l.runTo(t, c, up)
	for at := up; at.Before(up.Add(time.Hour)); at = at.Add(time.Minute) {
		l.runTo(t, c, at)
	}
	if len(b.alerts) == 0 || b.upgrades["u"].Culprit != "pay-bin" {
		t.Fatalf("with %d alerts the culprit is %q, want pay-bin", len(b.alerts), b.upgrades["u"].Culprit)
	}
	for _, a := range b.alerts {
		if want := "pay-bin 1 → 2 on " + up.Format("2006-01-02 15:04") + " UTC"; a.Title != want {
			t.Errorf("the alert calls the upgrade %q, want %q", a.Title, want)
		}
	}
	if err := l.restore(t.Context()); err != nil || l.memory.Culprits["u"] != "pay-bin" {
		t.Errorf("after a restart the culprit is %q (%v)", l.memory.Culprits["u"], err)
	}
	var tick Tick
	l.closeUpgrade("u", c.now, &tick)
	if len(tick.Upgrades) != 1 || tick.Upgrades[0].Culprit != "pay-bin" {
		t.Errorf("closed, it is put down as %+v", tick.Upgrades)
	}
}

// TestWhoIsAccused: the first that is named, until its story no longer names it.
func TestWhoIsAccused(t *testing.T) {
	l := start(t, newBook(), &telemetry{upgrade: epoch}, &clock{epoch})
	u := detector.Upgrade{ID: "x", StartedAt: epoch, Source: "build-info", Binaries: []detector.Binary{{Name: "a"}, {Name: "b"}}}
	for n, step := range []struct {
		kind, binary string
		p            float64
		want         string
		told         bool
	}{
		{detector.CauseBinary, "b", 0.45, "", false},
		{detector.CauseUnknown, "", 0.9, "", false},
		{detector.CauseBinary, "b", 0.9, "b", true},
		{detector.CauseBinary, "b", 0.95, "b", false},
		{detector.CauseBinary, "a", 0.9, "b", false},
		{detector.CauseBinary, "a", 0.3, "b", false},
		{detector.CauseBinary, "b", 0.3, "", true},
		{detector.CauseBinary, "a", 0.9, "a", true},
	} {
		tick := Tick{}
		l.accuse(u, detector.Cause{Kind: step.kind, Name: step.binary, Probability: step.p}, &tick)
		if got := l.memory.Culprits["x"]; got != step.want || len(tick.Upgrades) > 0 != step.told || step.told && tick.Upgrades[0].Culprit != step.want {
			t.Errorf("step %d: got %q and %+v put down, want %q, told: %t", n, got, tick.Upgrades, step.want, step.told)
		}
	}
	tick := Tick{Upgrades: []detector.Upgrade{{ID: "x"}}}
	delete(l.memory.Culprits, "x")
	l.accuse(u, detector.Cause{Kind: detector.CauseBinary, Name: "a", Probability: 0.9}, &tick)
	if len(tick.Upgrades) != 1 || tick.Upgrades[0].Culprit != "a" {
		t.Errorf("an upgrade that is put down anyway is put down as %+v", tick.Upgrades)
	}
}
