// Package backoff says when a call to a third party is tried again: how many
// attempts a call has, how long it waits between them, and how long one attempt
// may take before it counts as failed.
package backoff

import "time"

// Strategy decides over the attempts of one call.
type Strategy interface {
	// Attempts is the most attempts that one call makes, at least 1.
	Attempts() int
	// Wait is the time before the given retry, counted from 1. u is uniform
	// in [0, 1) and drawn anew for every wait.
	Wait(retry int, u float64) time.Duration
	// Patience is how long the given attempt, counted from 1, may take.
	Patience(attempt int) time.Duration
}

// Linear waits Step before the first retry, twice Step before the second, and
// so on: the shop's strategy up to 4.1.
type Linear struct {
	Step        time.Duration
	MaxAttempts int
	Timeout     time.Duration
}

// Legacy is the strategy as 4.1 runs it.
func Legacy() Linear {
	return Linear{Step: 20 * time.Millisecond, MaxAttempts: 3, Timeout: 2 * time.Second}
}

func (l Linear) Attempts() int { return l.MaxAttempts }

func (l Linear) Wait(retry int, _ float64) time.Duration { return time.Duration(retry) * l.Step }

func (l Linear) Patience(int) time.Duration { return l.Timeout }
