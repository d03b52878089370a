package journal

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aftershock/detector"
)

func chore(id string) detector.LedgerEntry {
	return detector.LedgerEntry{ID: id, Upgrade: "u", Chore: detector.Chore{Kind: "cron", Name: "export " + id, Due: noon}, State: detector.ChoreOpen, At: noon}
}

func addChore(t *testing.T, j *Journal, id string) {
	t.Helper()
	must[detector.LedgerEntry](t)(j.ChangeChore(t.Context(), "u", id, func(_ detector.LedgerEntry, known bool) (detector.LedgerEntry, bool, error) {
		return chore(id), !known, nil
	}))
}

func testChores(t *testing.T, p place) {
	j := p.open(t)
	addChore(t, j, "b")
	addChore(t, j, "a")
	addChore(t, j, "b") // again, as after a crash
	done := chore("b")
	done.State, done.Actor, done.At = detector.ChoreDone, "ann", noon.Add(time.Hour)
	got := must[detector.LedgerEntry](t)(j.ChangeChore(t.Context(), "u", "b", func(e detector.LedgerEntry, known bool) (detector.LedgerEntry, bool, error) {
		if !known {
			t.Error("the chore isn't known")
		}
		equal(t, "the chore as it stands", e, chore("b"))
		return done, true, nil
	}))
	equal(t, "the changed chore", got, done)
	_, err := j.ChangeChore(t.Context(), "u", "c", func(e detector.LedgerEntry, _ bool) (detector.LedgerEntry, bool, error) { return e, true, nil })
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("a chore without a name: %v", err)
	}
	refused := errors.New("refused")
	if _, err := j.ChangeChore(t.Context(), "u", "a", func(e detector.LedgerEntry, _ bool) (detector.LedgerEntry, bool, error) { return done, true, refused }); !errors.Is(err, refused) {
		t.Errorf("got %v, want what refused it", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = p.open(t)
	equal(t, "chores", must[[]detector.LedgerEntry](t)(j.Chores(t.Context(), "u")), []detector.LedgerEntry{done, chore("a")})
	equal(t, "history", must[[]detector.LedgerEntry](t)(j.ChoreHistory(t.Context(), "u", "b")), []detector.LedgerEntry{chore("b"), done})
	equal(t, "as they stood", must[[]detector.LedgerEntry](t)(j.ChoresAt(t.Context(), noon.Add(time.Minute))), []detector.LedgerEntry{chore("b"), chore("a")})
	equal(t, "as they stand", must[[]detector.LedgerEntry](t)(j.ChoresAt(t.Context(), noon.Add(2*time.Hour))), []detector.LedgerEntry{done, chore("a")})
	equal(t, "of another", must[[]detector.LedgerEntry](t)(j.Chores(t.Context(), "v")), []detector.LedgerEntry(nil))
}

// Changes at once come one after the other: none is lost.
func testChoresRace(t *testing.T, p place) {
	j := p.open(t)
	addChore(t, j, "a")
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			_, err := j.ChangeChore(t.Context(), "u", "a", func(e detector.LedgerEntry, _ bool) (detector.LedgerEntry, bool, error) {
				e.Note += fmt.Sprint(n)
				return e, true, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if e := must[[]detector.LedgerEntry](t)(j.Chores(t.Context(), "u"))[0]; len(e.Note) != 8 {
		t.Errorf("note %q, want eight changes", e.Note)
	}
}

func testChoresBounded(t *testing.T, p place) {
	j := p.open(t)
	for i := range maxChores {
		addChore(t, j, fmt.Sprint(i))
	}
	_, err := j.ChangeChore(t.Context(), "u", "more", func(detector.LedgerEntry, bool) (detector.LedgerEntry, bool, error) { return chore("more"), true, nil })
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "1000 chores") {
		t.Errorf("one too many: %v", err)
	}
}
