package detector

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// Two binaries that went out in the same minute, of one of which nothing is
// measured, can't be told apart by what there is.
func TestTieIsToldWithTheStepThatPartsIt(t *testing.T) {
	f := newFleet(21, 2000)
	f.upgrade = epoch.Add(48 * time.Hour)
	f.effect["front"] = 2
	j := NewJudge(Config{})
	u := testUpgrade(f.upgrade)
	for i := range u.Binaries {
		b := &u.Binaries[i]
		for _, n := range []string{"-0", "-1", "-2", "-3"} {
			b.Instances = append(b.Instances, Deployment{b.Selector["service"] + n, f.upgrade})
		}
	}
	j.Watch(u)
	var why []string
	for i := 1; i <= 51*60; i++ {
		fr := f.frame(epoch.Add(time.Duration(i) * time.Minute))
		for k := len(fr.Points) - 1; k >= 0; k-- {
			if fr.Points[k].Indicator.Service() == "back" {
				fr.Points = append(fr.Points[:k], fr.Points[k+1:]...)
			}
		}
		j.Observe(fr)
		for _, e := range j.Look() {
			if e.Event == EventShift && e.Indicator.Service() == "front" {
				for _, c := range e.Causes {
					if c.Kind == CauseBinary {
						why = append(why, c.Why...)
					}
				}
			}
		}
	}
	text := strings.Join(why, "\n")
	// front's own instances are compared side by side, which is sooner told than a
	// quarter of the traffic of those below.
	want := regexp.MustCompile(`it can't be told from (front|back)-bin yet \(\d+% and \d+%\); a restart of front-3, one of the 4 instances of front-bin, on 1 would part them in about \d+ min`)
	if !want.MatchString(text) {
		t.Errorf("got\n%s\nwant it to match %s", text, want)
	}
}

func TestRounded(t *testing.T) {
	for d, want := range map[time.Duration]string{
		90 * time.Second: "1m30s", 5 * time.Minute: "5 min", 21 * time.Minute: "25 min", 61 * time.Minute: "1 h 5 min",
	} {
		if got := rounded(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}
