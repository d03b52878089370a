package flags

import (
	"errors"
	"strings"
	"testing"

	"aftershock/detector"
)

// What a toggle accepts is in the audit and with the flip, ends with the next toggle, and
// is in force again once that is undone.
func TestAcceptedPrice(t *testing.T) {
	store := &memory{}
	var flips []detector.Flip
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet), OnFlip: func(f detector.Flip) { flips = append(flips, f) }})
	r := request("payments-backoff", "tuned")
	for _, wrong := range []float64{-1, 0.5, 1, 11} {
		r.Accepts = wrong
		if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "ratio") {
			t.Errorf("accepting ×%g: got %v, want it refused", wrong, err)
		}
	}
	r.Accepts = 1.5
	first, err := s.Set(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := store.Toggle(t.Context(), first.ID); err != nil || kept.Accepts != 1.5 {
		t.Errorf("the audit holds %+v (%v), want ×1.5", kept, err)
	}
	if _, err := s.Set(t.Context(), request("payments-backoff", "legacy")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Undo(t.Context(), "payments-backoff", "that was it", "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Undo(t.Context(), "payments-backoff", "all back", "bob"); err != nil {
		t.Fatal(err)
	}
	var got []float64
	for _, f := range flips {
		got = append(got, f.Accepts)
	}
	if len(got) != 4 || got[0] != 1.5 || got[1] != 0 || got[2] != 1.5 || got[3] != 0 {
		t.Errorf("the flips accept %v, want 1.5, 0, 1.5, 0", got)
	}
}
