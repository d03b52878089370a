package backoff

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// Exponential multiplies its wait by Factor from retry to retry, up to Cap, and
// spreads it by Jitter: 0 always waits the same, 1 anything from nothing to
// twice as long. An attempt that takes longer than Slow counts as failed, except
// the last, which is waited for; a Slow of 0 waits for every attempt.
type Exponential struct {
	Base, Cap      time.Duration
	Factor, Jitter float64
	MaxAttempts    int
	Slow, Timeout  time.Duration
}

// New is the strategy as 4.2 ships it.
func New() Exponential {
	return Exponential{
		Base: 100 * time.Millisecond, Cap: 5 * time.Second, Factor: 2, Jitter: 0.5,
		MaxAttempts: 6, Slow: 200 * time.Millisecond, Timeout: 2 * time.Second,
	}
}

func (e Exponential) Attempts() int { return e.MaxAttempts }

func (e Exponential) Wait(retry int, u float64) time.Duration {
	d := min(float64(e.Base)*math.Pow(e.Factor, float64(retry-1)), float64(e.Cap))
	return time.Duration(d * (1 + e.Jitter*(2*u-1)))
}

func (e Exponential) Patience(attempt int) time.Duration {
	if e.Slow <= 0 || attempt >= e.MaxAttempts {
		return e.Timeout
	}
	return e.Slow
}

// constants is the flag's value: a strategy by name, or an exponential one by
// its constants.
type constants struct {
	Strategy    string   `json:"strategy"`
	BaseMS      *float64 `json:"base_ms"`
	CapMS       *float64 `json:"cap_ms"`
	Factor      *float64 `json:"factor"`
	Jitter      *float64 `json:"jitter"`
	MaxAttempts *int     `json:"max_attempts"`
	SlowMS      *float64 `json:"slow_ms"`
}

// Parse reads the value of the flag payments-backoff: {"strategy": "legacy"},
// {"strategy": "new"}, or {"base_ms", "cap_ms", "factor", "jitter",
// "max_attempts", "slow_ms"}, each of which may be left out and is then as in
// New. Constants beyond reason are errors.
func Parse(value any) (Strategy, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("parse backoff: %w", err)
	}
	var c constants
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("parse backoff: %w", err)
	}
	switch c.Strategy {
	case "legacy":
		return Legacy(), nil
	case "new":
		return New(), nil
	case "", "exponential":
	default:
		return nil, fmt.Errorf("parse backoff: strategy %q is none of legacy, new, exponential", c.Strategy)
	}
	e := New()
	set(&e.Base, c.BaseMS)
	set(&e.Cap, c.CapMS)
	set(&e.Slow, c.SlowMS)
	if c.Factor != nil {
		e.Factor = *c.Factor
	}
	if c.Jitter != nil {
		e.Jitter = *c.Jitter
	}
	if c.MaxAttempts != nil {
		e.MaxAttempts = *c.MaxAttempts
	}
	return e, e.check()
}

func set(d *time.Duration, ms *float64) {
	if ms != nil {
		*d = time.Duration(min(max(*ms, -1), 1e9) * float64(time.Millisecond))
	}
}

func (e Exponential) check() error {
	switch {
	case e.MaxAttempts < 1 || e.MaxAttempts > 20:
		return fmt.Errorf("check backoff: max_attempts %d is outside 1..20", e.MaxAttempts)
	case e.Base < 0 || e.Cap < e.Base || e.Cap > time.Minute:
		return fmt.Errorf("check backoff: base_ms %v and cap_ms %v aren't 0 <= base <= cap <= 60000", e.Base, e.Cap)
	case !(e.Factor >= 1 && e.Factor <= 10):
		return fmt.Errorf("check backoff: factor %v is outside 1..10", e.Factor)
	case !(e.Jitter >= 0 && e.Jitter <= 1):
		return fmt.Errorf("check backoff: jitter %v is outside 0..1", e.Jitter)
	case e.Slow < 0 || e.Slow > time.Minute:
		return fmt.Errorf("check backoff: slow_ms %v is outside 0..60000", e.Slow)
	}
	return nil
}
