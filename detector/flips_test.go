package detector

import (
	"testing"
	"time"
)

// A flag that somebody flipped two hours after the upgrade is told as the cause of what
// moved with it, and the upgrade's binaries aren't; a flip at another time isn't.
func TestOtherPeoplesFlipsAreSuspects(t *testing.T) {
	for _, tt := range []struct {
		name  string
		flip  Flip
		after time.Duration // of the flip, from the shift on
		want  bool
	}{
		{"flips what it gates", Flip{Flag: "cache", Before: "on", Variant: "off", Actor: "bo", Binaries: []string{"back-bin"}}, 0, true},
		{"a name as metrics have it", Flip{Flag: "cache", Before: "on", Variant: "off", Binaries: []string{"back_bin"}}, 0, true},
		{"an hour before", Flip{Flag: "cache", Before: "on", Variant: "off", Binaries: []string{"back-bin"}}, -time.Hour, false},
		{"gates something beside the path", Flip{Flag: "cache", Before: "on", Variant: "off", Binaries: []string{"front-bin"}}, 0, false},
	} {
		f := newFleet(61, 1500)
		start := epoch.Add(30 * time.Hour)
		j := NewJudge(Config{})
		replay(f, j, epoch, 30*60)
		j.Watch(testUpgrade(start))
		replay(f, j, start, 120)
		begun := start.Add(2 * time.Hour)
		f.upgrade, f.effect = begun, map[string]float64{"back": 2.5, "retry": 2}
		tt.flip.At = begun.Add(tt.after)
		j.Flip(tt.flip)
		replay(f, j, begun, 20)
		state, err := j.Save()
		if err != nil {
			t.Fatal(err)
		}
		if j, err = Restore(Config{}, state); err != nil {
			t.Fatal(err)
		}
		replay(f, j, begun.Add(20*time.Minute), 30)
		for _, v := range j.Verdicts("u") {
			if v.Indicator.Kind != Retry {
				continue
			}
			if v.State != Regressed {
				t.Errorf("%s: retries are %s, want regressed", tt.name, v.State)
				continue
			}
			lead := v.Causes[0]
			if got := lead.Kind == CauseFlag && lead.Name == "cache"; got != tt.want {
				t.Errorf("%s: %+v leads, want the flag: %v", tt.name, v.Causes, tt.want)
			}
			if lead.Kind == CauseBinary {
				t.Errorf("%s: a binary that went out two hours before is blamed: %+v", tt.name, v.Causes)
			}
		}
	}
}

func TestFlipsAreBounded(t *testing.T) {
	j := NewJudge(Config{})
	for i := range 6 * mostFlips {
		i /= 2 // each is told twice
		j.Flip(Flip{Flag: "x", At: epoch.Add(time.Duration(i) * time.Minute)})
	}
	if n := len(j.flips); n != mostFlips || !j.flips[n-1].At.Equal(epoch.Add((3*mostFlips-1)*time.Minute)) {
		t.Errorf("%d flips are remembered, want the last %d", n, mostFlips)
	}
}
