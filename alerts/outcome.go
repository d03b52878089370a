package alerts

import (
	"sync"
	"time"
)

// Outcome is how the last attempt to bring something to a receiver ended.
type Outcome struct {
	Receiver string
	// At is when it ended, zero before the first.
	At time.Time
	// Error is why it failed, "" where it didn't.
	Error string
	// Since is when the failures began that haven't ended, zero where none stand.
	Since time.Time
}

// outcomes remembers the last one of each receiver.
type outcomes struct {
	mu   sync.Mutex
	last map[string]Outcome
}

func (o *outcomes) note(receiver string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := Outcome{Receiver: receiver, At: time.Now()}
	if err != nil {
		out.Error, out.Since = err.Error(), o.last[receiver].Since
		if out.Since.IsZero() {
			out.Since = out.At
		}
	}
	if o.last == nil {
		o.last = map[string]Outcome{}
	}
	o.last[receiver] = out
}

// Outcomes are the last of all receivers, heartbeats to Alertmanagers among them, in the
// config's order.
func (s *Sender) Outcomes() []Outcome {
	s.outcomes.mu.Lock()
	defer s.outcomes.mu.Unlock()
	all := make([]Outcome, 0, len(s.names))
	for _, name := range s.names {
		out := s.outcomes.last[name]
		out.Receiver = name
		all = append(all, out)
	}
	return all
}
