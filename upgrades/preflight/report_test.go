package preflight

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aftershock/detector"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sample() Report {
	r := Report{
		Package: "Full-upgrade-package-dten.zip", Form: "zip", Name: "dten", Version: "4.2.0", SHA256: strings.Repeat("ab", 32),
		Files: 12, Bytes: 41_000_000, InspectedAt: time.Date(2026, 3, 6, 8, 0, 0, 0, time.UTC),
		Findings: []detector.Finding{
			{Rule: "manifest/loose", Severity: detector.Note, Place: detector.Place{File: "manifest.yaml"}, What: "a note"},
			{
				Rule: "scripts/unit", Severity: detector.Blocker, Place: detector.Place{File: "scripts/pre install.sh", Line: 14},
				What: "the unit dten-agent.service doesn't exist here", Why: strings.Repeat("it matters to those who operate it ", 6),
				Do:         "name the unit that took its place:\n  systemctl restart dten",
				Hypotheses: []detector.Hypothesis{{Kind: detector.HypothesisOldBuild, Says: "this host still runs the old build"}},
			},
			{Rule: "archive/name", Severity: detector.Risk, What: "hostile \x1b[31m`name` <script>|* \u202e"},
		},
	}
	r.Findings = sortFindings(r.Findings)
	return r
}

func TestForms(t *testing.T) {
	for name, write := range map[string]func(Report, *bytes.Buffer) error{
		"text":   func(r Report, b *bytes.Buffer) error { return r.WriteText(b, false) },
		"colour": func(r Report, b *bytes.Buffer) error { return r.WriteText(b, true) },
		"json":   func(r Report, b *bytes.Buffer) error { return r.WriteJSON(b) },
		"sarif":  func(r Report, b *bytes.Buffer) error { return r.WriteSARIF(b, "1.2.3") },
		"md":     func(r Report, b *bytes.Buffer) error { return r.WriteMarkdown(b) },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := write(sample(), &out); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "report."+name)
			if *update {
				if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), out.String()); d != "" {
				t.Error(d)
			}
			if name == "text" && bytes.ContainsAny(out.Bytes(), "\x1b\u202e") {
				t.Error("a hostile name reaches the terminal")
			}
		})
	}
}

func TestSARIFRefersToItsRules(t *testing.T) {
	var out bytes.Buffer
	if err := sample().WriteSARIF(&out, ""); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if len(run.Results) != 3 {
		t.Fatalf("got %d results, want 3", len(run.Results))
	}
	for _, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("%s has index %d, which is %s", r.RuleID, r.RuleIndex, run.Tool.Driver.Rules[r.RuleIndex].ID)
		}
	}
	if l := run.Results[0].Locations[0].Physical; l.Artifact.URI != "scripts/pre%20install.sh" || l.Region.StartLine != 14 {
		t.Errorf("got %s line %d, want the place as a URI", l.Artifact.URI, l.Region.StartLine)
	}
}

func TestManyFindingsOfOneRuleAreCounted(t *testing.T) {
	var list []detector.Finding
	for i := range 70 {
		f := detector.Finding{Rule: "scripts/sudo", Severity: detector.Risk, Place: detector.Place{File: "a.sh", Line: i + 1}, What: "sudo"}
		list = append(list, f, f)
	}
	list = append(list, detector.Finding{Rule: "scripts/unit", Severity: detector.Blocker, What: "unit"})
	got := sortFindings(list)
	if len(got) != maxFindings+1 {
		t.Fatalf("got %d findings, want %d", len(got), maxFindings+1)
	}
	if want := fmt.Sprintf("sudo (the first of %d such places told of 70)", maxFindings); got[0].What != "unit" || got[1].What != want || got[2].What != "sudo" {
		t.Errorf("got %q, %q, %q", got[0].What, got[1].What, got[2].What)
	}
}

func TestVerdict(t *testing.T) {
	for want, list := range map[string][]detector.Finding{
		"nothing found: nothing stands against it":                    nil,
		"1 note: nothing stands against it":                           {{Severity: detector.Note}},
		"2 risks: somebody has to decide on the risks":                {{Severity: detector.Risk, What: "a"}, {Severity: detector.Risk, What: "b"}},
		"1 blocker, 1 note: don't begin before the blockers are gone": {{Severity: detector.Note}, {Severity: detector.Blocker}},
	} {
		r := Report{Findings: sortFindings(list)}
		if got := r.Verdict(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
