package detector_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
)

// However many processors share the work, the same is said of many indicators.
func TestProcessorsChangeNothing(t *testing.T) {
	hear := func(h detector.Hands) string {
		c, j := newCity(200), detector.NewJudge(detector.Config{})
		j.Employ(h)
		j.Ration(20)
		var events []detector.Event
		for i := range 150 {
			if i == 90 {
				j.Watch(c.upgrade())
			}
			f := c.frame()
			if i > 100 {
				f.Points = worsened(f.Points)
			}
			j.Observe(f)
			events = append(events, j.Look()...)
		}
		if len(events) == 0 {
			t.Fatal("nothing is said: there is nothing to compare")
		}
		return lines(t, events, j.Verdicts("u"))
	}
	if d := cmp.Diff(hear(nil), hear(hands(4))); d != "" {
		t.Errorf("processors change what is said (-one +four):\n%s", d)
	}
}

// hands are so many, each of which does its share of the pieces in order.
type hands int

func (h hands) Number() int { return int(h) }

func (h hands) Do(n int, do func(hand, i int)) {
	var wait sync.WaitGroup
	for hand := range int(h) {
		wait.Go(func() {
			for i := hand; i < n; i += int(h) {
				do(hand, i)
			}
		})
	}
	wait.Wait()
}

// worsened has one in ten of the errors and retries happen three times as often.
func worsened(points []detector.Point) []detector.Point {
	out := append([]detector.Point(nil), points...)
	for i := range out {
		if p := &out[i]; i%20 == 7 {
			p.Bad = min(p.Total, 3*p.Bad)
		}
	}
	return out
}
