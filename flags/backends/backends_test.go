package backends_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/flags"
)

// Every backend, through the whole of a toggle and its undo, and through every
// fault: never a lost line of the audit, never a flag that says one thing and
// serves another, never a silent failure, and never a secret told.
func TestBackends(t *testing.T) {
	stolen := make(chan string, 100)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen <- r.Header.Get("Authorization") }))
	defer thief.Close()
	// One backend after the other harms less on two cores.
	for _, m := range makers(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Run("toggle and undo", func(t *testing.T) { m.make(t).toggle(t) })
			t.Run("two operators", func(t *testing.T) { m.make(t).operators(t) })
			t.Run("put back", func(t *testing.T) { m.make(t).putBack(t) })
			// Most of a fault is waiting: all at once, however few processors there are.
			var wg sync.WaitGroup
			defer wg.Wait()
			for _, f := range faults(thief.URL) {
				wg.Go(func() { t.Run(f.name, func(t *testing.T) { m.make(t).fault(t, f) }) })
			}
		})
	}
	select {
	case got := <-stolen:
		t.Errorf("a request went to another host, with the credentials %q", got)
	default:
	}
}

func (x fixture) toggle(t *testing.T) {
	d := open(t, x)
	dry, err := d.Set(t.Context(), flags.Request{Flag: d.flag, Variant: "legacy", Reason: "r", Actor: "ada", DryRun: true})
	if err != nil || dry.Evidence == "" || d.serves(t) != "new" {
		t.Fatalf("dry run: got %+v, %v", dry, err)
	}
	done, err := d.set("legacy")
	if err != nil || done.State != detector.ToggleVerified || done.Before != "new" || !strings.Contains(done.Evidence, "6 of 6") {
		t.Fatalf("set: got %+v, %v", done, err)
	}
	if got := d.serves(t); got != "legacy" {
		t.Errorf("served: got %q", got)
	}
	if _, err := d.set("legacy"); !errors.Is(err, flags.ErrUnchanged) {
		t.Errorf("set again: got %v, want ErrUnchanged", err)
	}
	if _, err := d.set("nonsense"); !errors.Is(err, flags.ErrUnknown) {
		t.Errorf("an undeclared variant: got %v, want ErrUnknown", err)
	}
	undo, err := d.Undo(t.Context(), d.flag, "it helped", "bob")
	proven := undo.State == detector.ToggleVerified || strings.Contains(undo.Evidence, "who gets what depends on rules that only the backend knows")
	if err != nil || !proven || d.serves(t) != "new" {
		t.Errorf("undo: got %+v, %v", undo, err)
	}
	d.secretsKept(t, err)
}

func (x fixture) operators(t *testing.T) {
	d := open(t, x)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() { _, errs[i] = d.set("legacy") })
	}
	wg.Wait()
	good := 0
	for _, err := range errs {
		switch {
		case err == nil:
			good++
		case !errors.Is(err, flags.ErrConflict) && !errors.Is(err, flags.ErrUnchanged):
			t.Errorf("one that came too late: got %v, want ErrConflict", err)
		}
	}
	if good != 1 {
		t.Errorf("%d succeeded, want 1: %v", good, errs)
	}
	if _, err := d.Undo(t.Context(), d.flag, "back", "bob"); err != nil {
		t.Error(err)
	}
}

// fault is what goes wrong while a toggle writes, or already while it reads.
type fault struct {
	name  string
	harm  harm
	reads bool
	// want is the error, state where the audit ends ("" without a line), serves what
	// the backend has then, says a part of the error.
	want   error
	state  detector.ToggleState
	serves string
	says   string
}

func faults(thief string) []fault {
	return []fault{
		{"down", hangUp, true, nil, "", "new", ""},
		{"refusing all (401)", refuse(401), true, flags.ErrReadOnly, "", "new", "look at the credentials"},
		{"silly", babble, true, nil, "", "new", ""},
		{"endless", flood, true, nil, "", "new", "larger than"},
		{"redirecting elsewhere", elsewhereTo(thief), true, flags.ErrReadOnly, "", "new", "307"},
		{"refusing the write (403)", refuse(403), false, flags.ErrReadOnly, "failed", "new", "nothing was changed"},
		{"invalid (400)", refuse(400), false, flags.ErrReadOnly, "failed", "new", "Oops"},
		{"busy (429)", refuse(429, "Retry-After", "1"), false, nil, "failed", "new", "wants no request for 1s"},
		{"redirecting the write", elsewhereTo(thief), false, flags.ErrReadOnly, "failed", "new", "nothing was changed"},
		{"saying yes and doing nothing", sayYes, false, flags.ErrNotVerified, "failed", "new", "did nothing"},
		{"hanging up", hangUp, false, flags.ErrNotVerified, "planned", "new", "isn't known"},
		{"failing with a secret (500)", refuse(500), false, flags.ErrNotVerified, "planned", "new", "isn't known"},
		{"late", late, false, nil, "verified", "legacy", ""},
		{"endless after the write", flood, false, nil, "verified", "legacy", ""},
	}
}

func (x fixture) fault(t *testing.T, f fault) {
	d := open(t, x)
	d.harm(f.harm, f.reads)
	got, err := d.set("legacy")
	d.harm(nil, false)
	if (err == nil) != (f.state == detector.ToggleVerified) || f.want != nil && !errors.Is(err, f.want) || err != nil && !strings.Contains(err.Error(), f.says) {
		t.Errorf("got %+v, %v; want %v saying %q", got, err, f.want, f.says)
	}
	d.secretsKept(t, err)
	audit, listed := d.journal.Toggles(t.Context(), d.flag, 10)
	if listed != nil {
		t.Fatal(listed)
	}
	last := detector.ToggleState("")
	if len(audit) > 0 {
		last = audit[0].State
	}
	if last != f.state || len(audit) > 1 {
		t.Errorf("the audit ends with %q, want %q: %+v", last, f.state, audit)
	}
	if strings.Contains(f.name, "429") {
		time.Sleep(time.Second) // as the backend asked for
	}
	if got := d.serves(t); got != f.serves {
		t.Errorf("served: got %q, want %q", got, f.serves)
	}
	switch f.state {
	case detector.TogglePlanned: // tend looks again; until then nobody else may
		if _, err := d.set("legacy"); !errors.Is(err, flags.ErrConflict) {
			t.Errorf("another toggle while one isn't known: got %v, want ErrConflict", err)
		}
	case detector.ToggleVerified:
		if _, err := d.Undo(t.Context(), d.flag, "back", "bob"); err != nil || d.serves(t) != "new" {
			t.Errorf("undo: %v", err)
		}
	default: // the fault is over, and nothing of it stands in the way
		if _, err := d.set("legacy"); err != nil {
			t.Errorf("set after the fault: %v", err)
		}
		if _, err := d.Undo(t.Context(), d.flag, "back", "bob"); err != nil {
			t.Errorf("undo after the fault: %v", err)
		}
	}
}

func (x fixture) putBack(t *testing.T) {
	d := open(t, x)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	done, err := d.set("legacy")
	if err != nil {
		t.Fatal(err)
	}
	x.revert()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		states, err := d.journal.ToggleHistory(t.Context(), done.ID)
		if err != nil {
			t.Fatal(err)
		}
		if last := states[len(states)-1]; last.State == detector.ToggleReverted {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not noticed that it was put back: %+v", states)
		}
	}
}
