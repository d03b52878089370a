package rehearsal

import (
	"context"
	"sync"
	"time"
)

// limiter holds what is sent under a rate: of any n+1 requests in a row the first and
// the last lie a window apart. Traffic claims its turn when a request is handed out and
// uses it when that was taken; logins, which come between, use theirs at once.
type limiter struct {
	window time.Duration

	mu      sync.Mutex
	sent    []time.Time // the last n, a ring
	n       int
	claimed bool
}

func newLimiter(rate float64) *limiter {
	n := max(1, int(rate))
	return &limiter{window: time.Duration(float64(n) / rate * float64(time.Second)), sent: make([]time.Time, n)}
}

// earliest is when the next may be sent.
func (l *limiter) earliest() time.Time {
	if first := l.sent[l.n%len(l.sent)]; !first.IsZero() {
		return first.Add(l.window)
	}
	return time.Time{}
}

// note takes down that one was sent, at this instant or before.
func (l *limiter) note(at time.Time) {
	l.sent[l.n%len(l.sent)] = at
	l.n++
}

// claim takes the turn where it has come, and answers else when it comes.
func (l *limiter) claim(now time.Time) (ok bool, from time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from = l.earliest(); from.After(now) {
		return false, from
	}
	l.claimed = true
	return true, now
}

// use says that what was claimed has been sent, at this instant or before.
func (l *limiter) use(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claimed {
		l.note(at)
		l.claimed = false
	}
}

// between is how often a login looks whether what was handed out has been taken.
const between = time.Millisecond

// wait waits for a turn beside the traffic's, and uses it.
func (l *limiter) wait(ctx context.Context) error {
	for {
		l.mu.Lock()
		now := time.Now()
		from := l.earliest()
		if l.claimed && from.Before(now.Add(between)) {
			from = now.Add(between)
		}
		if !from.After(now) {
			l.note(now)
			l.mu.Unlock()
			return ctx.Err()
		}
		l.mu.Unlock()
		if err := Pause(ctx, from.Sub(now)); err != nil {
			return err
		}
	}
}

// Pause waits for a time, or until the context ends, whose error it gives then.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
