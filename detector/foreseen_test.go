package detector

import (
	"strings"
	"testing"
	"time"
)

// causesOf gives the causes of the retries' shift that begins a time after the upgrade,
// with what the inspection found beforehand.
func causesOf(t *testing.T, seed uint64, after time.Duration, findings ...Finding) []Cause {
	t.Helper()
	f := newFleet(seed, 1500)
	start := epoch.Add(30 * time.Hour)
	j := NewJudge(Config{})
	replay(f, j, epoch, 30*60)
	u := testUpgrade(start)
	u.Findings = findings
	j.Watch(u)
	if after > 0 {
		replay(f, j, start, int(after/time.Minute))
	}
	begun := start.Add(after)
	f.upgrade, f.effect = begun, map[string]float64{"back": 2.5, "retry": 2}
	replay(f, j, begun, 20)
	state, err := j.Save()
	if err != nil {
		t.Fatal(err)
	}
	if j, err = Restore(Config{}, state); err != nil {
		t.Fatal(err)
	}
	replay(f, j, begun.Add(20*time.Minute), 30)
	for _, v := range j.Verdicts("u") {
		if v.Indicator.Kind == Retry && v.State == Regressed {
			return v.Causes
		}
	}
	t.Fatal("the retries didn't regress")
	return nil
}

func named(causes []Cause, kind, name string) Cause {
	for _, c := range causes {
		if c.Kind == kind && c.Name == name {
			return c
		}
	}
	return Cause{}
}

// What the package schedules is told as the cause of what moves when it runs, and isn't of
// what moves at another time.
func TestScheduledRunsAreSuspects(t *testing.T) {
	run := epoch.Add(32 * time.Hour)
	for _, tt := range []struct {
		name string
		h    Hypothesis
		want bool
	}{
		{"as it runs", Hypothesis{Runs: []time.Time{run}, Services: []string{"back"}}, true},
		{"one run of several, by its binary", Hypothesis{Runs: []time.Time{run.Add(-time.Hour), run, run.Add(24 * time.Hour)}, Binaries: []string{"back-bin"}}, true},
		{"an hour before", Hypothesis{Runs: []time.Time{run.Add(-time.Hour)}, Services: []string{"back"}}, false},
		{"of other indicators", Hypothesis{Runs: []time.Time{run}, Services: []string{"back"}, Indicators: []Kind{Latency}}, false},
		{"beside the path", Hypothesis{Runs: []time.Time{run}, Services: []string{"front"}}, false},
	} {
		tt.h.Kind, tt.h.Says = HypothesisRun, "an export runs at 03:00"
		causes := causesOf(t, 61, 2*time.Hour, Finding{Rule: "scripts/schedule", Place: Place{File: "cron.d/export", Line: 4}, Hypotheses: []Hypothesis{tt.h}})
		lead := causes[0]
		if got := lead.Kind == CauseSchedule; got != tt.want {
			t.Errorf("%s: %+v leads, want the schedule: %v", tt.name, lead, tt.want)
		}
		if want := "an export runs at 03:00 (scripts/schedule, cron.d/export:4)"; tt.want && (lead.Foreseen != want || lead.Name != "cron.d/export:4") {
			t.Errorf("%s: foreseen %q of %q, want %q", tt.name, lead.Foreseen, lead.Name, want)
		}
	}
}

// A binary that was foreseen to fall back is likelier than without, and the alert can say
// so; what was foreseen of other binaries or kinds says nothing.
func TestForetoldFallbacksSharpenSuspicion(t *testing.T) {
	fallback := func(binary string, kinds ...Kind) Finding {
		return Finding{Rule: "settings/required", Place: Place{File: "/etc/app.yaml", Line: 3}, Hypotheses: []Hypothesis{{
			Kind: HypothesisFallback, Says: "back-bin falls back to polling", Binaries: []string{binary}, Indicators: kinds, Key: "hybrid.enable",
		}}}
	}
	odds := func(causes []Cause) float64 {
		c := named(causes, CauseBinary, "back-bin")
		return c.Probability / (1 - c.Probability)
	}
	plain := causesOf(t, 62, 0)
	told := causesOf(t, 62, 0, fallback("back_bin"))
	if a, b := odds(plain), odds(told); b <= a {
		t.Errorf("odds %.3g foretold, %.3g not: want more", b, a)
	}
	if c := named(told, CauseBinary, "back-bin"); !strings.HasPrefix(c.Foreseen, "back-bin falls back to polling (settings/required") {
		t.Errorf("foreseen %q, want the finding", c.Foreseen)
	}
	other := causesOf(t, 62, 0, fallback("back-bin", Error))
	if c := named(other, CauseBinary, "back-bin"); c.Foreseen != "" || odds(other) != odds(plain) {
		t.Errorf("foreseen %q with odds %.3g, want nothing of retries: %.3g", c.Foreseen, odds(other), odds(plain))
	}
}

// The locks of a migration are suspects of what moves within the upgrade's window, and
// aren't of what moves long after.
func TestMigrationsAreSuspects(t *testing.T) {
	lock := Finding{Rule: "migrations/lock", Place: Place{File: "m/0042.sql", Line: 2}, Hypotheses: []Hypothesis{{
		Kind: HypothesisLock, Says: "what reads orders waits", Tables: []string{"orders"}, Services: []string{"back"},
	}}}
	during := named(causesOf(t, 63, 0, lock), CauseMigration, "m/0042.sql:2")
	if during.Probability < 0.01 || during.Foreseen == "" {
		t.Errorf("got %+v, want a suspect", during)
	}
	if after := named(causesOf(t, 63, 2*time.Hour, lock), CauseMigration, "m/0042.sql:2"); after.Probability > 0.001 {
		t.Errorf("got %+v of what began two hours later, want none", after)
	}
}
