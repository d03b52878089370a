package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/rehearsal"
)

// Runs stand in a row: several as working days, one before and one after right after one
// another, and the instants of verdicts are those at which it was.
func TestRunsInARow(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	for _, n := range []int{1, 2, 7} {
		var before, after []*rehearsal.Measured
		for i := range 2 * n {
			m := &rehearsal.Measured{Run: i%n + 1, Started: begun.Add(time.Duration(i) * time.Hour), Step: rehearsal.Seconds(5 * time.Second), Length: rehearsal.Seconds(10 * time.Minute), Steps: 120}
			if i < n {
				before = append(before, m)
			} else {
				after = append(after, m)
			}
		}
		runs := inRow(before, after)
		last := runs[0].at.Add(-time.Second)
		for i, p := range runs {
			if p.at.Before(last) || n == 1 && i > 0 && !p.at.Equal(last) {
				t.Errorf("of %d: run %d begins at %s, the one before it ended at %s", n, i, p.at, last)
			}
			if days := p.at.Unix() / 600; n > 1 && (p.at.Unix()%600 != 0 || days%7 == 2 || days%7 == 3) {
				t.Errorf("of %d: run %d is no working day: %d", n, i, p.at.Unix())
			}
			last = p.end()
			v := detector.Verdict{Since: p.at.Add(time.Minute), Onset: &detector.Onset{At: p.end()}}
			runs.replace(&v)
			if m := p.run; !v.Since.Equal(m.Started.Add(time.Minute)) || !v.Onset.At.Equal(m.Started.Add(10*time.Minute)) {
				t.Errorf("of %d: a minute after run %d began is %s, its end %s", n, i, v.Since, v.Onset.At)
			}
		}
	}
}

// With several runs a phase, each has a schedule of its own, which its like after the
// upgrade has again; the copy is restarted between them by the command given, and a call of
// its own takes their number from the phase before.
func TestRehearseRepeats(t *testing.T) {
	t.Parallel()
	s := newStaging(t, 3, 200)
	b := stage(t, s)
	short := func(args ...string) *exec.Cmd {
		return b.rehearse(s, append([]string{
			"--duration", "2s", "--warmup", "0s", "--pause", "10ms", "--scale", "0.2", "--restart", "echo again >> " + b.path("restarts"),
		}, args...)...)
	}
	_, stderr, status := play(t, short("--phase", "before", "--profile", b.path("profile.yml"), "--repeats", "3"))
	if status != exitOK || !strings.Contains(stderr, "3 runs a phase") || !strings.Contains(stderr, "Phase before 3/3: ") {
		t.Fatalf("status %d, %s", status, stderr)
	}
	stdout, stderr, status := play(t, short("--phase", "after", "--format", "json"))
	var v verdict
	if err := json.Unmarshal([]byte(stdout), &v); err != nil {
		t.Fatalf("status %d, %v: %s", status, err, stderr)
	}
	if len(v.Before) != 3 || len(v.After) != 3 {
		t.Fatalf("%d runs before and %d after, want 3 of each", len(v.Before), len(v.After))
	}
	seeds := map[uint64]bool{}
	for i, m := range v.Before {
		seeds[m.Seed] = true
		if m.Run != i+1 || v.After[i].Seed != m.Seed || v.After[i].Sent != m.Sent {
			t.Errorf("run %d: %+v before, %+v after", i+1, m, v.After[i])
		}
	}
	if len(seeds) != 3 {
		t.Errorf("the runs have the seeds %v, want three", seeds)
	}
	for _, x := range v.Verdicts {
		if x.Control != "the same traffic in 3 runs before" || x.Since.Before(v.Before[2].Started) || x.Since.After(time.Now()) {
			t.Errorf("%s: control %q, since %s", x.Indicator.Name(), x.Control, x.Since)
		}
	}
	if restarts, err := os.ReadFile(b.path("restarts")); err != nil || strings.Count(string(restarts), "again") != 4 {
		t.Errorf("restarts %q, %v, want two a phase", restarts, err)
	}
	if _, stderr, status := play(t, short("--phase", "before", "--profile", b.path("profile.yml"), "--repeats", "3", "--replace", "--max-duration", "5s")); status != exitUsage || !strings.Contains(stderr, "a phase takes 6.02s with its warm-ups and pauses, the cap is 5s") {
		t.Errorf("over the cap: status %d, %s", status, stderr)
	}
}

// What the upgrade is suspected of stands in its record; a file of findings is instead of that.
func TestRehearseKnowsTheRecordsFindings(t *testing.T) {
	lock := detector.Hypothesis{Kind: detector.HypothesisLock, Says: "orders waits"}
	r := &rehearse{record: detector.Upgrade{Findings: []detector.Finding{{Rule: "migrations/rewrite", Hypotheses: []detector.Hypothesis{lock}}}}}
	if err := r.mirrors(); err != nil || len(r.guesses) != 1 || r.guesses[0].Says != lock.Says {
		t.Errorf("%+v (%v)", r.guesses, err)
	}
	file := filepath.Join(t.TempDir(), "findings.json")
	if err := os.WriteFile(file, []byte(`{"findings": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r.guesses, r.findings = nil, file
	if err := r.mirrors(); err != nil || len(r.guesses) != 0 {
		t.Errorf("%+v (%v)", r.guesses, err)
	}
}
