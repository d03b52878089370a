package journal

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aftershock/detector"
)

func toggle(id string, state detector.ToggleState, at time.Time) detector.Toggle {
	return detector.Toggle{
		ID: id, Flag: "payments-backoff", Before: "new", After: "legacy", Reason: "retries", Actor: "ann",
		At: noon, State: state, Updated: at, Value: []byte(`{"n":1}`),
	}
}

func testDefinitions(t *testing.T, p place) {
	j := p.open(t)
	revision, definitions, err := j.Definitions(t.Context())
	if revision != 0 || definitions != nil || err != nil {
		t.Errorf("got %d %q %v from an empty journal", revision, definitions, err)
	}
	first, second := "{\"b\": 1,\n \"a\":1.0, \"s\":\"\\u0000\"}", `{"flags":{}}`
	revision, err = j.PutDefinitions(t.Context(), 0, []byte(first), detector.Toggle{})
	if revision != 1 || err != nil {
		t.Fatalf("got %d %v, want revision 1", revision, err)
	}
	if revision, definitions, err = j.Definitions(t.Context()); revision != 1 || string(definitions) != first || err != nil {
		t.Errorf("got %d %q %v, want the bytes as put", revision, definitions, err)
	}
	revision, err = j.PutDefinitions(t.Context(), 1, []byte(second), toggle("t1", detector.ToggleApplied, noon), Job{Kind: "verify", Key: "t1"})
	if revision != 2 || err != nil {
		t.Fatalf("got %d %v, want revision 2", revision, err)
	}
	// A conflict leaves nothing behind: no audit, no flip, no job.
	_, err = j.PutDefinitions(t.Context(), 1, []byte(`{}`), toggle("t2", detector.ToggleApplied, noon), Job{Kind: "verify", Key: "t2"})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if _, err = j.PutDefinitions(t.Context(), 7, []byte(`{}`), detector.Toggle{}); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v from the future, want ErrConflict", err)
	}
	if _, err = j.PutDefinitions(t.Context(), 2, []byte(`{`), detector.Toggle{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v for broken JSON, want ErrInvalid", err)
	}
	for table, want := range map[string]int{"definitions": 2, "toggles": 1, "flips": 1, "river_job": 1} {
		if got := rows(t, j, table); got != want {
			t.Errorf("got %d rows in %s, want %d", got, table, want)
		}
	}
}

func testDefinitionsRace(t *testing.T, p place) {
	j := p.open(t)
	var won, lost atomic.Int64
	for revision := range int64(5) {
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				_, err := j.PutDefinitions(t.Context(), revision, fmt.Appendf(nil, `{"n":%d}`, n), toggle(fmt.Sprint(revision, n), detector.TogglePlanned, noon))
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, ErrConflict):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if won.Load() != 5 || lost.Load() != 35 || rows(t, j, "toggles") != 5 {
		t.Errorf("got %d winners, %d losers, %d audited; want 5, 35, 5", won.Load(), lost.Load(), rows(t, j, "toggles"))
	}
}

// Of many who decide on one toggle at once, one does.
func testDecisionsRace(t *testing.T, p place) {
	j := p.open(t)
	last := toggle("t1", detector.ToggleWaiting, noon)
	if err := j.AuditToggle(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	states := []detector.ToggleState{detector.ToggleApproved, detector.ToggleRejected, detector.ToggleLapsed}
	for round := range 5 {
		var won, lost atomic.Int64
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				next := toggle("t1", states[n%3], noon.Add(time.Duration(1+round)*time.Hour+time.Duration(n)*time.Second))
				switch err := j.DecideToggle(t.Context(), last, next, Job{Kind: "remind", Key: fmt.Sprint(round, n)}); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, ErrConflict):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || lost.Load() != 7 || rows(t, j, "toggles") != 2+round || rows(t, j, "river_job") != 1+round {
			t.Fatalf("got %d winners, %d losers, %d audited, %d jobs; want 1, 7, %d, %d", won.Load(), lost.Load(),
				rows(t, j, "toggles"), rows(t, j, "river_job"), 2+round, 1+round)
		}
		history, err := j.ToggleHistory(t.Context(), "t1")
		if err != nil {
			t.Fatal(err)
		}
		last = history[len(history)-1]
	}
	if err := j.DecideToggle(t.Context(), last, toggle("nobody's", detector.ToggleApproved, noon)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a toggle that isn't there: got %v", err)
	}
}

func testAudit(t *testing.T, p place) {
	j := p.open(t)
	steps := []detector.ToggleState{detector.TogglePlanned, detector.ToggleApplied, detector.ToggleVerified, detector.ToggleRecovered}
	var want []detector.Toggle
	for n, state := range steps {
		a := toggle("t1", state, noon.Add(time.Duration(n)*time.Minute))
		want = append(want, a)
		for range 2 {
			if err := j.AuditToggle(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
	}
	other := toggle("t2", detector.ToggleFailed, noon)
	other.Flag, other.At = "other", noon.Add(time.Hour)
	if err := j.AuditToggle(t.Context(), other, Job{Kind: "remind", Key: "t2"}); err != nil {
		t.Fatal(err)
	}
	equal(t, "history", must[[]detector.Toggle](t)(j.ToggleHistory(t.Context(), "t1")), want)
	equal(t, "all", must[[]detector.Toggle](t)(j.Toggles(t.Context(), "", 0)), []detector.Toggle{other, want[3]})
	equal(t, "of a flag", must[[]detector.Toggle](t)(j.Toggles(t.Context(), "payments-backoff", 5)), want[3:])
	equal(t, "one", must[[]detector.Toggle](t)(j.Toggles(t.Context(), "", 1)), []detector.Toggle{other})
	// A plan that waits is found behind any number of later ones.
	waits := toggle("t0", detector.ToggleWaiting, noon)
	waits.At = noon.Add(-time.Hour)
	if err := j.AuditToggle(t.Context(), waits); err != nil {
		t.Fatal(err)
	}
	err := j.db.write(t.Context(), func(x tx) error {
		_, err := x.exec(t.Context(), `
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100)
			INSERT INTO toggles (id, flag, state, at_us, updated_us, document)
			SELECT 'later' || i, 'later', 'verified', $1, $1, '{}' FROM n`, micros(noon))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "waiting", must[[]detector.Toggle](t)(j.TogglesIn(t.Context(), detector.ToggleWaiting)), []detector.Toggle{waits})
	equal(t, "in two states", must[[]detector.Toggle](t)(j.TogglesIn(t.Context(), detector.ToggleFailed, detector.ToggleWaiting)), []detector.Toggle{other, waits})
	equal(t, "once waiting", must[[]detector.Toggle](t)(j.TogglesIn(t.Context(), detector.ToggleApplied)), []detector.Toggle(nil))
	if _, err := j.ToggleHistory(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if err := j.AuditToggle(t.Context(), detector.Toggle{ID: "t3"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v for a toggle of no flag, want ErrInvalid", err)
	}
}

func testAppendOnly(t *testing.T, p place) {
	j := p.open(t)
	if err := j.AuditToggle(t.Context(), toggle("t1", detector.TogglePlanned, noon)); err != nil {
		t.Fatal(err)
	}
	if err := j.PutFreeze(t.Context(), detector.Freeze{Frozen: true, Actor: "ann", At: noon}); err != nil {
		t.Fatal(err)
	}
	statements := []string{`UPDATE toggles SET flag = 'x'`, `DELETE FROM toggles`, `UPDATE freezes SET at_us = 0`, `DELETE FROM freezes`}
	if p.config.URL != "" {
		statements = append(statements, `TRUNCATE toggles`, `TRUNCATE freezes`)
	}
	for _, s := range statements {
		err := j.db.write(t.Context(), func(x tx) error {
			_, err := x.exec(t.Context(), s)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: got %v, want a refusal", s, err)
		}
	}
	if rows(t, j, "toggles") != 1 || rows(t, j, "freezes") != 1 {
		t.Error("the audit lost its row")
	}
}

func testAuditPages(t *testing.T, p place) {
	j := p.open(t)
	var want []detector.Toggle
	for n := range 5 {
		line := toggle(fmt.Sprint("t", n/2), []detector.ToggleState{detector.TogglePlanned, detector.ToggleApplied}[n%2], noon.Add(time.Duration(n)*time.Minute))
		line.Scope = detector.Scope{Percent: 12.5, Instances: []string{"a"}, Region: "eu"}
		line.Expires, line.Approvals = noon.Add(time.Hour), []detector.Approval{{Actor: "bob", At: noon}}
		want = append(want, line)
		if err := j.AuditToggle(t.Context(), line); err != nil {
			t.Fatal(err)
		}
	}
	read := func(q AuditQuery) (all []detector.Toggle) {
		t.Helper()
		for pages := 0; ; pages++ {
			part, next, err := j.Audit(t.Context(), q)
			if err != nil || pages > 9 || len(part) == 0 && q.After > 0 {
				t.Fatalf("page %d: got %v, %v", pages, part, err)
			}
			all = append(all, part...)
			if next == 0 {
				return all
			}
			q.After = next
		}
	}
	for _, limit := range []int{0, 1, 2, 5} {
		equal(t, fmt.Sprint("pages of ", limit), read(AuditQuery{Limit: limit}), want)
	}
	equal(t, "since", read(AuditQuery{Since: noon.Add(3 * time.Minute), Limit: 1}), want[3:])
	equal(t, "of a flag", read(AuditQuery{Flag: "payments-backoff"}), want)
	if got, next, err := j.Audit(t.Context(), AuditQuery{Flag: "none"}); len(got) != 0 || next != 0 || err != nil {
		t.Errorf("of no flag: got %v %d %v", got, next, err)
	}
}

func testFreeze(t *testing.T, p place) {
	j := p.open(t)
	equal(t, "never put", must[detector.Freeze](t)(j.Freeze(t.Context())), detector.Freeze{})
	on := detector.Freeze{Frozen: true, Actor: "ann", Reason: "game day", At: noon}
	off := detector.Freeze{Actor: "bob", At: noon.Add(time.Hour)}
	for _, f := range []detector.Freeze{on, off, on} {
		if err := j.PutFreeze(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = p.open(t)
	equal(t, "after a restart", must[detector.Freeze](t)(j.Freeze(t.Context())), on)
	equal(t, "all", must[[]detector.Freeze](t)(j.Freezes(t.Context(), 2)), []detector.Freeze{on, off})
}

func testFlips(t *testing.T, p place) {
	j := p.open(t)
	for n, state := range []detector.ToggleState{detector.TogglePlanned, detector.ToggleApplied, detector.ToggleVerified} {
		if err := j.AuditToggle(t.Context(), toggle("t1", state, noon.Add(time.Duration(n)*time.Minute))); err != nil {
			t.Fatal(err)
		}
	}
	ours := detector.Flip{Flag: "payments-backoff", Variant: "legacy", Before: "new", At: noon.Add(time.Minute), Actor: "ann", Ours: true}
	before := detector.Flip{Flag: "f", Variant: "on", At: noon.Add(-time.Minute)}
	after := detector.Flip{Flag: "f", Variant: "off", At: noon.Add(time.Hour)}
	for range 2 {
		if err := j.PutFlips(t.Context(), after, before); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "all", must[[]detector.Flip](t)(j.Flips(t.Context(), time.Time{})), []detector.Flip{before, ours, after})
	equal(t, "since", must[[]detector.Flip](t)(j.Flips(t.Context(), ours.At)), []detector.Flip{ours, after})
	if err := j.PutFlips(t.Context(), detector.Flip{Flag: "f"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v for a flip at no time, want ErrInvalid", err)
	}
}
