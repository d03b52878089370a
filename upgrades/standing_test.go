package upgrades

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
)

// TestStanding: what was left behind is known after the upgrade is done, until it isn't any
// more, whether a switch was seen or a report alone tells of the upgrade.
func TestStanding(t *testing.T) {
	run := func(versions ...string) (all []detector.Build) {
		for i, v := range versions {
			all = append(all, payments(fmt.Sprintf("p%d", i), v))
		}
		return all
	}
	record := detector.Upgrade{
		ID: "dten-4.2.0", StartedAt: at(10), FinishedAt: at(20), Source: "record",
		Binaries: []detector.Binary{{Name: "dten-payments", From: "4.1.3", To: "v4.2.0"}},
	}
	for _, tt := range []struct {
		name   string
		record bool
		story  story
		minute []int    // when is looked
		want   []string // old of all, then
	}{
		{"one is left, until it is restarted", true, story{0: run("4.1.3", "4.1.3", "4.1.3"), 10: run("4.2.0", "4.2.0", "4.1.3"), 300: run("4.2.0", "4.2.0", "4.2.0")}, []int{60, 299, 306}, []string{"1/3 p2", "1/3 p2", "0/3"}},
		{"found by itself", false, story{0: run("4.1.3", "4.1.3"), 10: run("4.2.0", "4.1.3"), 300: run("4.2.0", "4.2.0")}, []int{60, 299, 306}, []string{"1/2 p1", "1/2 p1", "0/2"}},
		{"none switched", true, story{0: run("4.1.3", "4.1.3"), 300: run("4.2.0", "4.2.0")}, []int{60, 299, 306}, []string{"2/2 p0 p1", "2/2 p0 p1", "0/2"}},
		{"all switched, and one comes back old", true, story{0: run("4.1.3", "4.1.3"), 10: run("4.2.0", "4.2.0"), 200: run("4.2.0", "4.1.3")}, []int{60, 210}, []string{"0/2", "1/2 p1"}},
		{"what is gone isn't left", true, story{0: run("4.1.3", "4.1.3"), 10: run("4.2.0", "4.1.3"), 100: run("4.2.0")}, []int{60, 120}, []string{"1/2 p1", "0/1"}},
		{"another version is none of it", true, story{0: run("4.0.0", "4.1.3"), 10: run("4.0.0", "4.2.0")}, []int{120}, []string{"1/2 p0"}},
		{"nothing is seen", true, story{0: {checkout("c", "1")}}, []int{120}, []string{"unknown"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := ledger(t)
			var got []string
			var now []detector.Build
			for m := 0; m <= tt.minute[len(tt.minute)-1]; m++ {
				if m == 5 && tt.record {
					l.Record(record)
				}
				if b, ok := tt.story[m]; ok {
					now = b
				}
				l.Observe(detector.Frame{Time: at(m), Step: time.Minute, Builds: now})
				state, err := l.Save()
				if err != nil {
					t.Fatal(err)
				}
				if l = ledger(t); l.Restore(state) != nil {
					t.Fatal("it can't be restored")
				}
				if len(got) < len(tt.minute) && m == tt.minute[len(got)] {
					got = append(got, standingOf(l))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// standingOf is what the first upgrade's first binary runs.
func standingOf(l *Ledger) string {
	u := detector.Upgrade{}
	for _, id := range l.book.As {
		if o := l.whole(id); u.ID == "" || o.StartedAt.Before(u.StartedAt) {
			u = o
		}
	}
	if len(u.Binaries) == 0 || u.Binaries[0].Fleet == nil {
		return "unknown"
	}
	f := u.Binaries[0].Fleet
	text := fmt.Sprintf("%d/%d", f.Old, f.Old+f.New)
	for _, n := range f.OldNames {
		text += " " + n
	}
	return text
}

func TestCalled(t *testing.T) {
	b := build{Version: "4.2.0", Revision: "0123456789abcdef", Toolchain: "go1.26"}
	for name, want := range map[string]bool{
		"4.2.0": true, "v4.2.0": true, "0123456789ab": true, "4.2.0 (0123456789ab)": true, "4.2.0 (go1.26)": true,
		"4.2.1": false, "4.2.0 (abcdef012345)": false, "": false, "0123456789ac": false,
	} {
		if got := b.called(name); got != want {
			t.Errorf("%q: got %t", name, got)
		}
	}
	if (build{}).called("") {
		t.Error("an empty build has a name")
	}
}
