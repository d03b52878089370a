package cleanup

import (
	"strings"
	"testing"
	"time"

	"aftershock/detector"
)

// Instances that were left behind are told of at once where the upgrade was to be
// everywhere, with the finding that foresaw it, and are done once they have followed.
func TestLeftBehind(t *testing.T) {
	fleet := func(old int, names ...string) *detector.Fleet {
		return &detector.Fleet{Since: noon, New: 3 - old, Old: old, OldNames: names}
	}
	u := detector.Upgrade{
		ID: "u", StartedAt: noon, FinishedAt: noon.Add(time.Hour), Source: "record",
		Binaries: []detector.Binary{{Name: "dten-payments", From: "4.1.3", To: "4.2.0", Fleet: fleet(1, "pod-2")}},
		Findings: []detector.Finding{{
			Rule: "scripts/unit-missing", Place: detector.Place{File: "install.sh", Line: 7},
			Hypotheses: []detector.Hypothesis{{Kind: detector.HypothesisOldBuild, Unit: "dtend.service", Says: "dtend.service wasn't restarted"}},
		}},
	}
	s, told := &shelf{}, map[string]string{}
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	step := func(u detector.Upgrade, minutes int) {
		t.Helper()
		k := keeper(s, u, Prober{Config: config()}, told)
		if err := k.Advance(t.Context(), at(minutes)); err != nil {
			t.Fatal(err)
		}
	}
	step(u, 89)
	if len(s.all) != 0 || len(told) != 0 {
		t.Fatalf("told before its time: %v %v", s.all, told)
	}
	step(u, 91)
	step(u, 92)
	want := "Upgrade u is done, and instances were left behind: dten-payments: 1 of 3 instances still runs 4.1.3 (pod-2), " +
		"foreseen before the upgrade: dtend.service wasn't restarted (scripts/unit-missing, install.sh:7)"
	if len(told) != 1 {
		t.Errorf("told %d times: %v", len(told), told)
	}
	for _, text := range told {
		if text != want {
			t.Errorf("got  %q\nwant %q", text, want)
		}
	}
	if got := s.state("instance"); got != "open: 1 of 3 instances still runs 4.1.3 (pod-2)" {
		t.Errorf("got %q", got)
	}
	u.Binaries[0].Fleet = fleet(0)
	step(u, 120)
	if got := s.state("instance"); got != "done: no instance runs the old build" {
		t.Errorf("got %q", got)
	}
	u.Binaries[0].Fleet = fleet(2, "pod-1", "pod-2")
	step(u, 140)
	if got := s.state("instance"); got != "open: 2 of 3 instances still run 4.1.3 (pod-1, pod-2)" {
		t.Errorf("got %q", got)
	}
	u.ClosedAt = at(150)
	step(u, 160)
	if got := s.state("instance"); !strings.HasPrefix(got, "open: can't tell: the watch") {
		t.Errorf("got %q", got)
	}
}

// What was only found, and foreseen by nobody, may be a canary: it has the time that chores
// have.
func TestCanariesHaveTime(t *testing.T) {
	s, told := &shelf{}, map[string]string{}
	u := detector.Upgrade{
		ID: "u", StartedAt: noon, FinishedAt: noon.Add(time.Hour), Source: "build-info",
		Binaries: []detector.Binary{{Name: "a", From: "1", To: "2", Fleet: &detector.Fleet{Since: noon, New: 1, Old: 9}}},
	}
	k := keeper(s, u, Prober{Config: config()}, told)
	if err := k.Advance(t.Context(), noon.Add(3*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if len(s.all) != 1 || !s.all[0].Due.Equal(noon.Add(time.Hour+7*day)) || len(told) != 0 {
		t.Errorf("got %+v, told %v", s.all, told)
	}
}

// The chores of a planned upgrade are there before it begins, aren't reminded of until it
// has, and move with it.
func TestPlannedChores(t *testing.T) {
	s, told := &shelf{}, map[string]string{}
	u := upgrade()
	u.StartedAt, u.FinishedAt, u.PlannedStart = time.Time{}, time.Time{}, noon.Add(day)
	step := func(u detector.Upgrade, now time.Time) {
		t.Helper()
		k := keeper(s, u, Prober{Config: config()}, told)
		if err := k.Advance(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	due := func(kind string) time.Duration {
		for _, e := range s.all {
			if e.Kind == kind {
				return e.Due.Sub(noon)
			}
		}
		return -1
	}
	step(u, noon)
	if len(s.all) != 2 || due("cron") != 8*day || due("banner") != 2*time.Hour {
		t.Fatalf("got %+v", s.all)
	}
	for _, e := range s.all {
		if e.State != detector.ChoreOpen || e.Found != "" {
			t.Errorf("probed before the upgrade, when nothing is there that could be gone: %+v", e)
		}
	}
	u.PlannedStart = noon.Add(3 * day) // put off
	step(u, noon.Add(time.Hour))
	if due("cron") != 10*day || due("banner") != 2*time.Hour {
		t.Errorf("got %+v", s.all)
	}
	step(u, noon.Add(3*time.Hour))
	if len(told) != 0 {
		t.Errorf("reminded before the upgrade: %v", told)
	}
	s.all[0] = Change{Due: noon.Add(5 * day), Actor: "ann"}.Apply(s.all[0], noon)
	u.StartedAt, u.FinishedAt = noon.Add(3*day), noon.Add(3*day+time.Hour)
	step(u, noon.Add(3*day+2*time.Hour))
	if due("cron") != 5*day {
		t.Errorf("a date that a person gave was moved: %+v", s.all[0])
	}
	if len(told) != 1 {
		t.Errorf("told %v", told)
	}
	u.StartedAt, u.PlannedStart = time.Time{}, time.Time{}
	s.all = nil
	step(u, noon.Add(9*day))
	if len(s.all) != 0 {
		t.Errorf("an upgrade of which nobody knows when: %+v", s.all)
	}
}
