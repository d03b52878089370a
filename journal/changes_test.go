package journal

import (
	"errors"
	"testing"
)

func testChanges(t *testing.T, p place) {
	j := p.open(t)
	before, next := j.Changes()
	if _, err := j.Upgrade(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if err := j.Commit(t.Context(), Tick{Jobs: []Job{{Kind: "no key"}}}); !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	select {
	case <-next:
		t.Error("what changed nothing is told as a change")
	default:
	}
	commit(t, j, tick())
	select {
	case <-next:
	default:
		t.Error("a commit isn't told")
	}
	if after, again := j.Changes(); after != before+1 || again == next {
		t.Errorf("%d writes after %d", after, before)
	}
}
