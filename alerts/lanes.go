package alerts

import (
	"context"
	"fmt"
	"sync"
)

// maxLanes bounds the keys whose last delivered revision is remembered.
const maxLanes = 10_000

// lanes keep the deliveries of one alert to one receiver in order: one at a time,
// and none older than what was delivered.
type lanes struct {
	mu    sync.Mutex
	open  map[laneKey]*lane
	order []laneKey
}

type laneKey struct{ receiver, alert string }

// lane is held from enter to leave.
type lane struct {
	// delivered is the revision that the receiver has; it is read under the
	// lanes' lock by those who don't hold the lane.
	delivered int64

	turn  chan struct{}
	users int
	all   *lanes
}

func newLanes() *lanes { return &lanes{open: make(map[laneKey]*lane)} }

// enter waits for the alert's turn at the receiver.
func (l *lanes) enter(ctx context.Context, receiver, alert string) (*lane, error) {
	key := laneKey{receiver, alert}
	l.mu.Lock()
	one, ok := l.open[key]
	if !ok {
		one = &lane{turn: make(chan struct{}, 1), all: l, users: 1}
		l.open[key] = one
		l.order = append(l.order, key)
		l.forget()
	} else {
		one.users++
	}
	l.mu.Unlock()
	select {
	case one.turn <- struct{}{}:
		return one, nil
	case <-ctx.Done():
		l.mu.Lock()
		one.users--
		l.mu.Unlock()
		return nil, fmt.Errorf("wait for an earlier delivery of the alert: %w", ctx.Err())
	}
}

// forget drops the oldest lanes that nobody is in; l.mu is held.
func (l *lanes) forget() {
	for n := 0; len(l.open) > maxLanes && n < len(l.order); {
		key := l.order[n]
		if one := l.open[key]; one != nil && one.users > 0 {
			n++
			continue
		}
		delete(l.open, key)
		l.order = append(l.order[:n], l.order[n+1:]...)
	}
}

// last is the revision of the alert that the receiver has, or 0.
func (l *lanes) last(receiver, alert string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.open[laneKey{receiver, alert}]; one != nil {
		return one.delivered
	}
	return 0
}

// done notes that the receiver has the revision.
func (l *lane) done(revision int64) {
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	l.delivered = revision
}

func (l *lane) leave() {
	<-l.turn
	l.all.mu.Lock()
	l.users--
	l.all.mu.Unlock()
}
