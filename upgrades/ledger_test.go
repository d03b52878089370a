package upgrades

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"aftershock/detector"
)

func ledger(t *testing.T) *Ledger {
	t.Helper()
	c := Config{}
	c.SetDefaults()
	log, _ := logtest.NewNullLogger()
	l, err := NewLedger(c, logrus.NewEntry(log))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func frameOf(at time.Time, version string) detector.Frame {
	return detector.Frame{Time: at, Step: time.Minute, Builds: []detector.Build{{
		Binary: "dten-payments", Labels: map[string]string{"service": "payments"},
		Instance: "payments-0", Version: version,
	}}}
}

// switchOver lets the ledger see the binary on its old and then its new build.
func switchOver(l *Ledger, at time.Time) []detector.Upgrade {
	for i := range 5 {
		l.Observe(frameOf(at.Add(time.Duration(i-5)*time.Minute), "4.1.3"))
	}
	var out []detector.Upgrade
	for i := range 5 {
		out = append(out, l.Observe(frameOf(at.Add(time.Duration(i+1)*time.Minute), "4.2.0"))...)
	}
	return out
}

func TestTwoReportsOfOneChangeAreOneUpgrade(t *testing.T) {
	at := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	record := detector.Upgrade{ID: "dten-4.2.0", StartedAt: at, Source: "record", Binaries: []detector.Binary{{Name: "dten-payments", To: "4.2.0"}}}

	first := ledger(t)
	first.Record(record)
	found := switchOver(first, at)
	if len(found) == 0 || found[0].ID != "dten-4.2.0" {
		t.Errorf("report first: got %+v, want the telemetry to go by the report's ID", found)
	}

	second := ledger(t)
	found = switchOver(second, at)
	if len(found) == 0 {
		t.Fatal("the switch was not found")
	}
	got := second.Record(record)
	if got.ID != found[0].ID {
		t.Errorf("telemetry first: got ID %q, want %q, under which the watch began", got.ID, found[0].ID)
	}
	if got.Binaries[0].From != "4.1.3" || len(got.Binaries) != 1 {
		t.Errorf("telemetry first: got %+v, want one binary from 4.1.3", got.Binaries)
	}
}

func TestAClosedUpgradeStaysClosed(t *testing.T) {
	at := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	l := ledger(t)
	u := switchOver(l, at)[0]
	if c := l.Close(u.ID, at.Add(time.Hour)); !c.ClosedAt.Equal(at.Add(time.Hour)) {
		t.Errorf("closed at %v, want an hour later", c.ClosedAt)
	}
	for i := range 60 {
		if again := l.Observe(frameOf(at.Add(time.Duration(10+i)*time.Minute), "4.2.0")); len(again) > 0 {
			t.Fatalf("a closed upgrade is told of again: %+v", again)
		}
	}
}

func TestLedgerIsTheSameAfterARestart(t *testing.T) {
	at := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	l := ledger(t)
	u := switchOver(l, at)[0]
	state, err := l.Save()
	if err != nil {
		t.Fatal(err)
	}
	again := ledger(t)
	if err := again.Restore(state); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(l.whole(u.ID), again.whole(u.ID)); d != "" {
		t.Errorf("after a restart (-before +after):\n%s", d)
	}
	if err := again.Restore([]byte(`{"book":{}}`)); err == nil {
		t.Error("a state without its parts was accepted")
	}
}

// What was planned begins when the telemetry or a record says so, and keeps its plan.
func TestAPlannedUpgradeBegins(t *testing.T) {
	at := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	plan := detector.Plan{PlannedStart: at, PlannedMinutes: 90, BufferMinutes: 30}
	planned := detector.Upgrade{ID: "u", Source: "record", Plan: plan, Binaries: []detector.Binary{{Name: "dten-payments", To: "4.2.0"}}}
	for _, late := range []time.Duration{-10 * time.Minute, 0, 3 * time.Hour} {
		l := ledger(t)
		if got := l.Record(planned); got.Begun() {
			t.Fatalf("a plan has begun: %+v", got)
		}
		found := switchOver(l, at.Add(late))
		if len(found) == 0 || found[0].ID != "u" || !found[0].StartedAt.Equal(at.Add(late-time.Minute)) || found[0].Plan != plan {
			t.Errorf("%s late: got %+v, want the planned upgrade to have begun then", late, found)
		}
	}
	l := ledger(t)
	l.Record(planned)
	begun := planned
	begun.Plan, begun.StartedAt = detector.Plan{}, at.Add(time.Minute)
	if got := l.Record(begun); !got.StartedAt.Equal(begun.StartedAt) || got.Plan != plan {
		t.Errorf("recorded again when it began: got %+v", got)
	}
}

func TestCloseHoldsFromTheFirstTime(t *testing.T) {
	at := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	l := ledger(t)
	l.Record(detector.Upgrade{ID: "u", Source: "record", Plan: detector.Plan{PlannedStart: at}, Binaries: []detector.Binary{{Name: "a"}}})
	l.Close("u", at)
	if got := l.Close("u", at.Add(time.Hour)); !got.ClosedAt.Equal(at) || len(got.Binaries) != 1 {
		t.Errorf("closed again: got %+v", got)
	}
}
