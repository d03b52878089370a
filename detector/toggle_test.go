package detector

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReplaced(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 3, 6, 9, minute, 0, 0, time.UTC) }
	toggle := func(id string, minute int, state ToggleState) Toggle {
		return Toggle{ID: id, Flag: "backoff", After: "v" + id, At: at(minute), State: state}
	}
	some := func(x Toggle, percent float64) Toggle { x.Scope.Percent = percent; return x }
	undo := func(x Toggle) Toggle { x.Evidence = Undoing + "x; seen"; return x }
	other := toggle("o", 9, ToggleVerified)
	other.Flag = "another"
	late := toggle("late", 1, ToggleVerified) // asked for first, applied last
	late.Applied = at(50)
	for _, tt := range []struct {
		name string
		in   []Toggle
		want map[string]string
	}{
		{"one over the other, whatever their order", []Toggle{toggle("2", 2, ToggleVerified), toggle("1", 1, ToggleRecovered)}, map[string]string{"1": "2 v2"}},
		{"by the next, not the last", []Toggle{toggle("1", 1, ToggleNoHelp), toggle("2", 2, ToggleVerified), toggle("3", 3, ToggleVerified)}, map[string]string{"1": "2 v2", "2": "3 v3"}},
		{"of another flag", []Toggle{toggle("1", 1, ToggleVerified), other}, nil},
		{"a proposal replaces nothing", []Toggle{toggle("1", 1, ToggleVerified), toggle("2", 2, ToggleWaiting), toggle("3", 3, ToggleRejected), toggle("4", 4, ToggleFailed)}, nil},
		{"what was undone lies over nothing", []Toggle{toggle("1", 1, ToggleRecovered), toggle("2", 2, ToggleUndone), undo(toggle("3", 3, ToggleVerified))}, nil},
		{"nor is it replaced", []Toggle{toggle("1", 1, ToggleReverted), toggle("2", 2, ToggleVerified)}, nil},
		{"some don't replace everyone", []Toggle{toggle("1", 1, ToggleVerified), some(toggle("2", 2, ToggleVerified), 25)}, nil},
		{"everyone replaces some, and more of them fewer", []Toggle{some(toggle("1", 1, ToggleVerified), 25), some(toggle("2", 2, ToggleVerified), 50), toggle("3", 3, ToggleVerified)}, map[string]string{"1": "2 v2", "2": "3 v3"}},
		{"by when it took effect", []Toggle{late, toggle("2", 20, ToggleVerified)}, map[string]string{"2": "late vlate"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := fmt.Sprint(tt.in)
			got := map[string]string{}
			for n, x := range Replaced(tt.in) {
				if x.ID != tt.in[n].ID {
					t.Errorf("the order changed: %s at %d", x.ID, n)
				}
				if r := x.ReplacedBy; r != nil {
					got[x.ID] = r.Toggle + " " + r.Variant
				}
			}
			if tt.want == nil {
				tt.want = map[string]string{}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("replaced (-want +got):\n%s", d)
			}
			if fmt.Sprint(tt.in) != before {
				t.Error("what was asked about was changed")
			}
		})
	}
}
