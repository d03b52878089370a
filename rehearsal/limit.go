package rehearsal

import "time"

// limiter holds what is sent under a rate: of any n+1 requests in a row the first and
// the last lie a window apart. It is asked by one goroutine.
type limiter struct {
	window time.Duration
	sent   []time.Time // the last n, a ring
	n      int
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
