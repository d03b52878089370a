package alerts

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestLanesForget: what is remembered is bounded, and a lane that somebody is in
// is never forgotten.
func TestLanesForget(t *testing.T) {
	l := newLanes()
	held, err := l.enter(t.Context(), "r", "held")
	if err != nil {
		t.Fatal(err)
	}
	for n := range maxLanes + 500 {
		one, err := l.enter(t.Context(), "r", fmt.Sprint(n))
		if err != nil {
			t.Fatal(err)
		}
		one.done(int64(n + 1))
		one.leave()
	}
	if len(l.open) > maxLanes || len(l.order) != len(l.open) {
		t.Errorf("got %d lanes and %d in order, want at most %d of each", len(l.open), len(l.order), maxLanes)
	}
	if l.open[laneKey{"r", "held"}] != held {
		t.Error("the lane that is held was forgotten")
	}
	if got := l.last("r", fmt.Sprint(maxLanes+499)); got != maxLanes+500 {
		t.Errorf("got revision %d of the newest, want %d", got, maxLanes+500)
	}
}

// TestLaneWaits: the second delivery of an alert waits for the first, no longer
// than its context lasts.
func TestLaneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLanes()
		first, err := l.enter(t.Context(), "r", "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := l.enter(ctx, "r", "a"); err == nil {
			t.Error("entered a lane that is held")
		}
		if _, err := l.enter(t.Context(), "other", "a"); err != nil {
			t.Errorf("another receiver: %v", err)
		}
		entered := make(chan struct{})
		go func() {
			defer close(entered)
			second, err := l.enter(t.Context(), "r", "a")
			if err != nil {
				t.Error(err)
				return
			}
			second.leave()
		}()
		synctest.Wait()
		select {
		case <-entered:
			t.Error("entered a lane that is held")
		default:
		}
		first.leave()
		<-entered
	})
}
