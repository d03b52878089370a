package detector_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"aftershock/detector"
)

// A judge that is saved and restored, after every frame or at any instants, says
// byte for byte what one says that was never stopped.
func TestRestoringChangesNothing(t *testing.T) {
	t.Run("all weighed at each look", func(t *testing.T) { restores(t, 1000) })
	t.Run("one weighed in turn", func(t *testing.T) { restores(t, 1) })
}

func restores(t *testing.T, turns int) {
	s := tell(newTown(5, allKinds))
	events, verdicts := s.hear(func(_ int, j *detector.Judge) *detector.Judge { j.Ration(turns); return j })
	eventful(t, events)
	want := lines(t, events, verdicts)
	hear := func(t rapid.TB, stop func(i int) bool) {
		events, verdicts := s.hear(func(i int, j *detector.Judge) *detector.Judge {
			if j.Ration(turns); !stop(i) {
				return j
			}
			state, err := j.Save()
			if err != nil {
				t.Fatal(err)
			}
			if j, err = detector.Restore(detector.Config{}, state); err != nil {
				t.Fatal(err)
			}
			j.Ration(turns)
			return j
		})
		if d := cmp.Diff(want, lines(t, events, verdicts)); d != "" {
			t.Fatalf("restarts change what is said (-without +with):\n%s", d)
		}
	}
	if !t.Run("after every frame", func(t *testing.T) { hear(t, func(int) bool { return true }) }) {
		return
	}
	t.Run("at any instants", rapid.MakeCheck(func(t *rapid.T) {
		stops := rapid.SliceOfNDistinct(rapid.IntRange(0, len(s.frames)-1), 1, 6, rapid.ID[int]).Draw(t, "stops")
		hear(t, func(i int) bool { return slices.Contains(stops, i) })
	}))
}
