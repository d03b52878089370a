package flags

import (
	"errors"
	"strings"
	"testing"

	"aftershock/detector"
)

// Two people who undo the toggle that they see take back that one alone, wherever
// the flag lives.
func TestUndoOnly(t *testing.T) {
	s := afar(t, &memory{}, newFar(), true, Config{})
	for flag, variants := range map[string][2]string{"payments-backoff": {"legacy", "tuned"}, "far-masked": {"off", "on"}} {
		var made [2]detector.Toggle
		for i, variant := range variants {
			var err error
			if made[i], err = s.Set(t.Context(), request(flag, variant)); err != nil {
				t.Fatal(err)
			}
		}
		refused := func(name, id, want string, kind error) {
			t.Helper()
			if got, err := s.UndoOnly(t.Context(), flag, id, "over", "bob"); !errors.Is(err, kind) || !strings.Contains(err.Error(), want) || got.ID != "" {
				t.Errorf("%s, %s: got %+v, %v", flag, name, got, err)
			}
		}
		refused("one that another lies over", made[0].ID, "toggle "+made[1].ID+" lies over it", ErrConflict)
		refused("no toggle", "nope", "not declared", ErrUnknown)
		if got, err := s.UndoOnly(t.Context(), flag, made[1].ID, "over", "ann"); err != nil || got.State != detector.ToggleVerified {
			t.Fatalf("%s: got %+v, %v", flag, got, err)
		}
		refused("one that is undone", made[1].ID, "it is undone by now: undone by ann", ErrConflict)
		if got := s.serving.Load().document.inForce(flag); len(got) != 1 || got[0].Toggle != made[0].ID {
			t.Errorf("%s: in force are %+v", flag, got)
		}
		if _, err := s.Undo(t.Context(), flag, "over", "bob"); err != nil {
			t.Errorf("%s: without the ID: %v", flag, err)
		}
		refused("with none in force", made[0].ID, "it is undone by now: undone by bob", ErrConflict)
	}
}

// Who comes second while the backend is asked finds the toggle undone.
func TestUndoneMeanwhile(t *testing.T) {
	s := afar(t, &memory{}, newFar(), true, Config{})
	made, err := s.Set(t.Context(), request("far-masked", "off"))
	if err != nil {
		t.Fatal(err)
	}
	p := s.placeOf("far-masked")
	state, err := p.read(t.Context(), "far-masked", s.now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Undo(t.Context(), "far-masked", "over", "ann"); err != nil {
		t.Fatal(err)
	}
	late := made
	late.ID = s.newID(t.Context())
	if _, err := s.actAway(t.Context(), p, late, state, stay{Toggle: late.ID, Undoes: made.ID, Written: state.Definition}); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v", err)
	}
}
