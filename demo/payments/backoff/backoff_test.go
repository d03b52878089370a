package backoff

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	tuned := New()
	tuned.Base, tuned.MaxAttempts, tuned.Slow = 50*time.Millisecond, 4, 0
	for _, c := range []struct {
		name  string
		value any
		want  Strategy
	}{
		{"legacy", map[string]any{"strategy": "legacy"}, Legacy()},
		{"new", map[string]any{"strategy": "new"}, New()},
		{"constants", map[string]any{"base_ms": 50, "max_attempts": 4, "slow_ms": 0}, tuned},
		{"unknown strategy", map[string]any{"strategy": "x"}, nil},
		{"no object", "legacy", nil},
		{"too many attempts", map[string]any{"max_attempts": 1000}, nil},
		{"no attempt", map[string]any{"max_attempts": 0}, nil},
		{"negative", map[string]any{"base_ms": -5}, nil},
		{"shrinking", map[string]any{"factor": .5}, nil},
		{"absurd", map[string]any{"cap_ms": 1e300}, nil},
		{"wrong type", map[string]any{"jitter": "much"}, nil},
	} {
		got, err := Parse(c.value)
		if c.want == nil {
			if err == nil {
				t.Errorf("%s: got %+v, want an error", c.name, got)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

func TestWaits(t *testing.T) {
	e := Exponential{Base: 100 * time.Millisecond, Cap: 300 * time.Millisecond, Factor: 2, Jitter: .5, MaxAttempts: 4, Slow: time.Second, Timeout: 5 * time.Second}
	for _, c := range []struct {
		retry int
		u     float64
		want  time.Duration
	}{
		{1, .5, 100 * time.Millisecond},
		{1, 0, 50 * time.Millisecond},
		{2, .5, 200 * time.Millisecond},
		{3, .5, 300 * time.Millisecond},
		{9, .5, 300 * time.Millisecond},
	} {
		if got := e.Wait(c.retry, c.u); got != c.want {
			t.Errorf("retry %d, u %v: got %s, want %s", c.retry, c.u, got, c.want)
		}
	}
	if got := e.Patience(1); got != e.Slow {
		t.Errorf("got patience %s with the first attempt, want %s", got, e.Slow)
	}
	if got := e.Patience(4); got != e.Timeout {
		t.Errorf("got patience %s with the last attempt, want %s", got, e.Timeout)
	}
	if got := Legacy().Wait(2, 0); got != 2*Legacy().Step {
		t.Errorf("got %s, want twice the step", got)
	}
}
