package weather

import (
	"math"
	"testing"
	"time"
)

func TestWeatherHasItsClimate(t *testing.T) {
	start := time.Unix(0, 0)
	w := New(Config{Seed: 1, Shards: 50, Burst: time.Second, FailShare: .1, Phase: 2 * time.Second, SlowShare: .05}, start)
	const steps = 20000
	var failing, slow, turns int
	was := make([]bool, 50)
	for n := range steps {
		for shard := range uint32(50) {
			s := w.At(shard, start.Add(time.Duration(n)*100*time.Millisecond))
			if s.Failing {
				failing++
			}
			if s.Slow {
				slow++
			}
			if s.Failing && !was[shard] {
				turns++
			}
			was[shard] = s.Failing
		}
	}
	// 10000 bursts: the shares are known to about 1.5%.
	if got := float64(failing) / steps / 50; math.Abs(got-.1) > .006 {
		t.Errorf("got %.4f of the time failing, want 0.1", got)
	}
	if got := float64(slow) / steps / 50; math.Abs(got-.05) > .005 {
		t.Errorf("got %.4f of the time slow, want 0.05", got)
	}
	if got := float64(failing) / float64(turns) / 10; math.Abs(got-1) > .1 {
		t.Errorf("got bursts of %.3f s, want 1", got)
	}
}

func TestWeatherFollowsItsSeedAlone(t *testing.T) {
	start := time.Unix(0, 0)
	c := Config{Seed: 7, Shards: 4, Burst: time.Second, FailShare: .3, Phase: time.Second, SlowShare: .3}
	often, seldom := New(c, start), New(c, start)
	for n := range 1000 {
		at := start.Add(time.Duration(n) * 100 * time.Millisecond)
		got := often.At(1, at)
		if n%50 != 0 {
			continue
		}
		if want := seldom.At(1, at); got != want {
			t.Fatalf("at %s: got %+v when asked often and %+v when asked seldom", at.Sub(start), got, want)
		}
	}
}

func TestNoTrouble(t *testing.T) {
	start := time.Unix(0, 0)
	if got := New(Config{}, start).At(3, start.Add(24*time.Hour)); got != (Sky{}) {
		t.Errorf("got %+v, want a clear sky", got)
	}
}
