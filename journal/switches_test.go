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
	statements := []string{`UPDATE toggles SET flag = 'x'`, `DELETE FROM toggles`}
	if p.config.URL != "" {
		statements = append(statements, `TRUNCATE toggles`)
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
	if rows(t, j, "toggles") != 1 {
		t.Error("the audit lost its row")
	}
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
