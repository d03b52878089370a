package upgrades

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
)

// TestFleet: those that have not switched, that were started anew and that are gone are
// told of beside those that switched.
func TestFleet(t *testing.T) {
	old := func(names ...string) (all []detector.Build) {
		for _, n := range names {
			all = append(all, payments(n, "4.1.3"))
		}
		return all
	}
	fresh := func(names ...string) (all []detector.Build) {
		for _, n := range names {
			all = append(all, payments(n, "4.2.0"))
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		story story
		until int
		want  []detector.Fleet // of each upgrade
	}{
		{
			"three of five, and it stays so",
			story{0: old("a", "b", "c", "d", "e"), 10: append(old("b", "c", "d", "e"), fresh("a")...), 12: append(old("d", "e"), fresh("a", "b", "c")...)},
			60,
			[]detector.Fleet{{Since: at(12), New: 3, Old: 2, OldNames: []string{"d", "e"}}},
		},
		{
			"pods that are replaced by others",
			story{0: old("p1", "p2", "p3"), 10: append(old("p2", "p3"), fresh("q1")...), 12: append(old("p3"), fresh("q1", "q2")...)},
			60,
			[]detector.Fleet{{Since: at(14), New: 2, Old: 1, Born: 2, Gone: 2, OldNames: []string{"p3"}, BornNames: []string{"q1", "q2"}, GoneNames: []string{"p1", "p2"}}},
		},
		{
			"one that switched dies",
			story{0: old("a", "b", "c"), 10: append(old("b", "c"), fresh("a")...), 20: old("b", "c")},
			30,
			[]detector.Fleet{{Since: at(22), Old: 2, Gone: 1, OldNames: []string{"b", "c"}, GoneNames: []string{"a"}}},
		},
		{
			"one that was gone long before is none of its",
			story{0: old("z", "a", "b"), 1: old("a", "b"), 10: append(old("b"), fresh("a")...)},
			30,
			[]detector.Fleet{{Since: at(10), New: 1, Old: 1, OldNames: []string{"b"}}},
		},
		{
			"a scrape that fails for a step is none",
			story{0: old("a", "b"), 10: append(old("b"), fresh("a")...), 15: fresh("a"), 17: append(old("b"), fresh("a")...)},
			30,
			[]detector.Fleet{{Since: at(10), New: 1, Old: 1, OldNames: []string{"b"}}},
		},
		{
			"nothing can be read",
			story{0: old("a", "b"), 10: append(old("b"), fresh("a")...), 15: nil},
			60,
			[]detector.Fleet{{Since: at(10), New: 1, Old: 1, OldNames: []string{"b"}}},
		},
		{
			"all of it is gone while others are there",
			story{0: append(old("a"), checkout("c", "1")), 10: append(fresh("a"), checkout("c", "1")), 15: {checkout("c", "1")}},
			60,
			[]detector.Fleet{{Since: at(17), Gone: 1, GoneNames: []string{"a"}}},
		},
		{
			"back on the old build, and what took it back",
			story{0: old("a", "b"), 10: append(old("b"), fresh("a")...), 20: old("a", "b")},
			60,
			// In order of ID: the way back is to the lower version, and believed after three steps.
			[]detector.Fleet{{Since: at(22), New: 2}, {Since: at(20), Old: 2, OldNames: []string{"a", "b"}}},
		},
		{
			"on to a further build",
			story{0: old("a", "b"), 10: append(old("b"), fresh("a")...), 20: {payments("a", "4.3.0"), payments("b", "4.1.3")}},
			30,
			[]detector.Fleet{{Since: at(10), New: 1, Old: 1, OldNames: []string{"b"}}, {Since: at(20), New: 1, Old: 1, OldNames: []string{"b"}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []detector.Fleet
			for _, u := range play(t, newDetector(t), tt.story, tt.until) {
				for _, b := range u.Binaries {
					got = append(got, *b.Fleet)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestFleetOfMany: thousands of instances are counted, the first are named, and it is told
// again only when something changed, a restart or not.
func TestFleetOfMany(t *testing.T) {
	const many = 3000
	builds := make([]detector.Build, many)
	d, told := newDetector(t), 0
	var last detector.Upgrade
	for m := range 60 {
		for n := range builds {
			builds[n] = payments(fmt.Sprintf("i-%04d", n), "4.1.3")
			if m >= 10 && n < 1000 {
				builds[n].Version = "4.2.0"
			}
		}
		for _, u := range d.Observe(detector.Frame{Time: at(m), Step: time.Minute, Builds: builds}) {
			last = u
			told++
		}
		state, err := d.Save()
		if err != nil {
			t.Fatal(err)
		}
		if d = newDetector(t); d.Restore(state) != nil {
			t.Fatal("it can't be restored")
		}
	}
	f := last.Binaries[0].Fleet
	if f.New != 1000 || f.Old != 2000 || len(f.OldNames) != detector.FleetNames || f.OldNames[0] != "i-1000" || !f.Since.Equal(at(10)) {
		t.Errorf("got %+v", f)
	}
	if told != 2 {
		t.Errorf("told %d times, want once at its beginning and once at its end", told)
	}
}

// TestFleetIsMerged: a record gets what is seen, the latest of it, and tells none itself.
func TestFleetIsMerged(t *testing.T) {
	early, late := &detector.Fleet{Since: at(10), New: 1, Old: 4}, &detector.Fleet{Since: at(20), New: 5}
	of := func(id string, f *detector.Fleet) detector.Upgrade {
		return detector.Upgrade{ID: id, StartedAt: at(0), Binaries: []detector.Binary{{Name: "a", To: "2", Fleet: f}}}
	}
	for _, x := range [][2]*detector.Fleet{{nil, late}, {early, late}, {late, early}, {late, nil}} {
		got, ok := Merge(of("record", x[0]), of("found", x[1]), time.Hour)
		if !ok || got.Binaries[0].Fleet != late {
			t.Errorf("of %+v and %+v: %+v", x[0], x[1], got.Binaries[0].Fleet)
		}
	}
	shown, err := json.Marshal(of("x", early))
	if err != nil {
		t.Fatal(err)
	}
	u, err := ParseRecord(shown)
	if err != nil || u.Binaries[0].Fleet != nil {
		t.Errorf("what the API shows is recorded as %+v, %v", u, err)
	}
	if _, err = ParseRecord([]byte(strings.Replace(string(shown), `"fleet":{`, `"fleet":7,"x":{`, 1))); err == nil || !strings.Contains(err.Error(), "fleet: want fields") {
		t.Errorf("a fleet that is a number: %v", err)
	}
}
