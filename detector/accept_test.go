package detector

import (
	"testing"
	"time"
)

// A toggle whose tail was accepted: what becomes longer with it is told as accepted and
// makes no story, until it is proven to be more than that, or the flag is flipped again.
func TestAcceptedTails(t *testing.T) {
	for _, tt := range []struct {
		name    string
		accepts float64
		gates   string
		onset   time.Duration // from the toggle on
		again   bool          // somebody flips the flag once more
		want    bool
	}{
		{"within", 3.5, "back-bin", 0, false, true},
		{"nothing accepted", 0, "back-bin", 0, false, false},
		{"more than accepted", 1.3, "back-bin", 0, false, false},
		{"began before the toggle", 3.5, "back-bin", -time.Hour, false, false},
		{"gates what isn't on the path", 3.5, "front-bin", 0, false, false},
		{"flipped again", 3.5, "back-bin", 0, true, false},
	} {
		f := newFleet(61, 3000)
		start := epoch.Add(30 * time.Hour)
		j := NewJudge(Config{})
		replay(f, j, epoch, 30*60)
		j.Watch(testUpgrade(start))
		replay(f, j, start, 60)
		flipped := start.Add(2 * time.Hour)
		begun := flipped.Add(tt.onset)
		replay(f, j, start.Add(time.Hour), int(begun.Sub(start.Add(time.Hour))/time.Minute))
		f.upgrade, f.effect = begun, map[string]float64{"back": 2.2}
		if tt.onset < 0 {
			replay(f, j, begun, int(-tt.onset/time.Minute))
		}
		j.Flip(Flip{Flag: "backoff", Variant: "tuned", At: flipped, Actor: "ana", Ours: true, Toggle: "t1", Binaries: []string{tt.gates}, Accepts: tt.accepts})
		replay(f, j, flipped, 60)
		if tt.again {
			j.Flip(Flip{Flag: "backoff", Variant: "new", At: flipped.Add(time.Hour), Actor: "bo", Binaries: []string{tt.gates}})
		}
		state, err := j.Save()
		if err != nil {
			t.Fatal(err)
		}
		if j, err = Restore(Config{}, state); err != nil {
			t.Fatal(err)
		}
		replay(f, j, flipped.Add(time.Hour), 30)
		seen := 0
		for _, v := range j.Verdicts("u") {
			if v.State != Regressed || v.Indicator.Kind != Latency {
				continue
			}
			seen++
			if got := v.Accepted != nil; got != tt.want {
				t.Errorf("%s: %s, %+v since %s, onset %+v: accepted %+v, want %v", tt.name, v.Indicator.Name(), v.Effect, v.Since, v.Onset, v.Accepted, tt.want)
			} else if got && (v.Accepted.Flag != "backoff" || v.Accepted.Toggle != "t1" || v.Accepted.Actor != "ana") {
				t.Errorf("%s: accepted %+v, want who took it with what", tt.name, v.Accepted)
			}
		}
		if seen == 0 {
			t.Errorf("%s: no latency regressed", tt.name)
		}
		for _, s := range j.Stories("u") {
			if tt.want && s.Root.Indicator.Kind == Latency {
				t.Errorf("%s: a story is made of %s", tt.name, s.Root.Indicator.Name())
			}
		}
	}
}

func TestAcceptedAreBounded(t *testing.T) {
	j := NewJudge(Config{})
	for i := range 3 * maxAccepted {
		j.Flip(Flip{Flag: string(rune('a' + i)), At: epoch.Add(time.Duration(i) * time.Minute), Ours: true, Accepts: 2})
	}
	if n := len(j.accepted); n != maxAccepted || j.accepted[n-1].Flag != string(rune('a'+3*maxAccepted-1)) {
		t.Errorf("%d prices are kept, want the last %d", n, maxAccepted)
	}
	last := j.accepted[maxAccepted-1].Flag
	j.Flip(Flip{Flag: last, At: epoch.Add(time.Hour * 10), Ours: true, Accepts: 3})
	if n := len(j.accepted); n != maxAccepted || j.accepted[n-1].Ratio != 3 {
		t.Errorf("a flag has more than one price: %d are kept", n)
	}
}
