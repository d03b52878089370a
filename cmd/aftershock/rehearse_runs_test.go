package main

import (
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
