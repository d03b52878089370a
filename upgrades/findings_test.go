package upgrades

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"aftershock/detector"

	"github.com/google/go-cmp/cmp"
)

func TestFindingsComeBackAsTheyWere(t *testing.T) {
	run := time.Date(2026, 3, 7, 2, 0, 0, 0, time.UTC)
	want := []detector.Finding{{
		Rule: "scripts/schedule", Severity: detector.Risk, Place: detector.Place{File: "cron.d/export", Line: 4},
		What: "a cron entry runs at 03:00", Why: "it talks to\nsftp.old", Do: "ask",
		Hypotheses: []detector.Hypothesis{{
			Kind: detector.HypothesisRun, Says: "the export runs", Binaries: []string{"pay"}, Services: []string{"pay"},
			Indicators: []detector.Kind{detector.Latency}, Runs: []time.Time{run, run.Add(24 * time.Hour)}, Schedule: "0 3 * * *", Zone: "Europe/Berlin",
			Key: "k", Tables: []string{"orders"}, Unit: "u.service",
		}},
		Chores:     []detector.Chore{{Kind: "cron", Name: "export", What: "enable it again", Owner: "ops", Due: run, Probe: "cron export"}},
		Reversions: []detector.Reversion{{Level: detector.LevelData, Step: "DROP TABLE a", Lost: "its rows", Place: detector.Place{File: "m.sql", Line: 2}}},
	}}
	data, err := json.Marshal(detector.Upgrade{ID: "u", StartedAt: run, Binaries: []detector.Binary{{Name: "pay"}}, Findings: want})
	if err != nil {
		t.Fatal(err)
	}
	u, err := ParseRecord(data)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, u.Findings); d != "" {
		t.Error(d)
	}
	if !detector.SameFindings(want, u.Findings) {
		t.Error("the findings aren't told to be the same")
	}
	u.Findings[0].Hypotheses[0].Runs[1] = run
	if detector.SameFindings(want, u.Findings) {
		t.Error("findings with another run are told to be the same")
	}
	found := u
	found.Findings = nil
	if merged, ok := Merge(found, u, time.Hour); !ok || len(merged.Findings) != 1 {
		t.Errorf("merged %t with %d findings, want the other's one", ok, len(merged.Findings))
	}
}

func TestFindingsAreRefused(t *testing.T) {
	const head = "id: u\nstarted_at: 2026-03-06T09:00:00Z\nbinaries: [{name: a}]\nfindings:\n"
	for text, want := range map[string]string{
		"- {severity: risk, what: w}":                                          "findings[0].rule: is missing (line 5)",
		"- {rule: r, severity: awful, what: w}":                                `findings[0].severity: want blocker, risk, note, got "awful" (line 5)`,
		"- {rule: r, severity: risk, what: w, more: x}":                        `findings[0].more: unknown field "more" (line 5)`,
		"- {rule: r, severity: risk, what: w, place: {line: -1}}":              `findings[0].place.line: want the number of a line, got "-1" (line 5)`,
		"- {rule: r, severity: risk, what: w, chores: [{kind: odd}]}":          `findings[0].chores[0].kind: want flag, webhook`,
		"- {rule: r, severity: risk, what: \"a\\u202eb\"}":                     "findings[0].what: holds a control character",
		"- {rule: r, severity: risk, what: " + strings.Repeat("w", 5000) + "}": "findings[0].what: has 5000 bytes, want at most 4096",
	} {
		if _, err := ParseRecord([]byte(head + text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %s", text, err, want)
		}
	}
}
