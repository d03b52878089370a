package rehearsal

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestComparable(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	phases := func() (before, after []*Measured) {
		for i := range 3 {
			begun := at.Add(time.Duration(i) * time.Minute)
			m := Measured{Phase: Before, Run: i + 1, Profile: "a", Seed: uint64(i), Started: begun, Step: 5, Length: 10}
			before = append(before, &m)
			n := m
			n.Phase, n.Started = After, begun.Add(time.Hour)
			after = append(after, &n)
		}
		return before, after
	}
	for name, change := range map[string]func(before, after []*Measured){
		"different traffic":           func(_, after []*Measured) { after[2].Profile = "b" },
		"different schedules":         func(_, after []*Measured) { after[1].Seed = 2 },
		"want the phases":             func(_, after []*Measured) { after[0].Phase = Before },
		"not after":                   func(_, after []*Measured) { after[0].Started = at.Add(2 * time.Minute) },
		"isn't like the first":        func(before, _ []*Measured) { before[1].Step = 6 },
		"began before run 2":          func(before, _ []*Measured) { before[2].Started = at },
		"1 runs before and 3 after":   func(before, _ []*Measured) { before[0] = nil },
		"run 3 after began at":        func(_, after []*Measured) { after[2].Started = after[1].Started },
		"schedules in run 3":          func(_, after []*Measured) { after[2].Uniform = true },
		"3 runs before and 0 after: ": func(_, after []*Measured) { after[0] = nil },
	} {
		before, after := phases()
		if err := Comparable(before, after); err != nil {
			t.Fatal(err)
		}
		if err := Comparable(before, after[:2]); err != nil {
			t.Errorf("a run less after: %v", err)
		}
		change(before, after)
		if before[0] == nil {
			before = before[1:2]
		}
		if after[0] == nil {
			after = nil
		}
		if err := Comparable(before, after); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

// The runs of a phase are kept beside one another, and the first takes the place of all
// that were there.
func TestStoreKeepsRuns(t *testing.T) {
	t.Parallel()
	s := Store{Dir: t.TempDir()}
	for _, tt := range []struct{ run, want int }{{1, 1}, {2, 2}, {3, 3}, {2, 2}, {1, 1}} {
		m := &Measured{Phase: After, Run: tt.run, Started: time.UnixMilli(1).UTC(), Step: 1e9, Length: 1e9, tally: newTally(time.Second, time.Second, 0)}
		if err := s.Keep(m); err != nil {
			t.Fatal(err)
		}
		runs, err := s.Load(After)
		files, _ := os.ReadDir(s.Dir)
		if err != nil || len(runs) != tt.want || len(files) != 2*tt.want {
			t.Errorf("after run %d: %d runs in %d files, %v, want %d", tt.run, len(runs), len(files), err, tt.want)
		}
	}
	if s.Has(Before) || !s.Has(After) {
		t.Error("want the phase after alone")
	}
}

func TestRunSeeds(t *testing.T) {
	t.Parallel()
	seen := map[uint64]bool{}
	for _, seed := range []uint64{1, 2, 1 << 51} {
		for run := 1; run <= MaxRepeats; run++ {
			x := RunSeed(seed, run)
			if seen[x] || x >= 1<<52 || run == 1 && x != seed {
				t.Errorf("seed %d, run %d: %d", seed, run, x)
			}
			seen[x] = true
		}
	}
}
