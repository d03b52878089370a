package rehearsal

import (
	"fmt"
	"time"
)

// Ceilings that no configuration exceeds.
const (
	CeilingRate     = 10_000 // requests per second
	CeilingDuration = 24 * time.Hour
	CeilingInFlight = 10_000 // requests under way at once
	// MaxRepeats is how often a phase runs at most.
	MaxRepeats = 20
)

// Config says what may be rehearsed against, and how hard.
type Config struct {
	// Allow lists the hosts that may be rehearsed against: host:port, host, address or
	// range. Nothing is allowed by itself, this machine included.
	Allow []string `yaml:"allow"`
	// MaxRate caps the requests per second (default 200, at most 10,000), MaxDuration
	// the length of a phase with all its runs (default 1h, at most 24h), MaxInFlight the requests under
	// way at once (default 1,000, at most 10,000).
	MaxRate     float64       `yaml:"max_rate"`
	MaxDuration time.Duration `yaml:"max_duration"`
	MaxInFlight int           `yaml:"max_in_flight"`
	// StopErrors is the share of failed requests of the last 10 seconds at which a phase
	// ends early (default 0.5); 1 never ends one.
	StopErrors float64 `yaml:"stop_errors"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	if c.MaxRate == 0 {
		c.MaxRate = 200
	}
	if c.MaxDuration == 0 {
		c.MaxDuration = time.Hour
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 1000
	}
	if c.StopErrors == 0 {
		c.StopErrors = 0.5
	}
}

// Validate names every setting that can't be used, by its path.
func (c *Config) Validate(path string) []error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(path+"."+format, args...)) }
	if len(c.Allow) > 1000 {
		fail("allow: %d entries, want at most 1000", len(c.Allow))
	}
	for i, text := range c.Allow[:min(len(c.Allow), 1000)] {
		if _, err := parseEntry(text); err != nil {
			fail("allow[%d]: %w", i, err)
		}
	}
	if !(c.MaxRate > 0 && c.MaxRate <= CeilingRate) {
		fail("max_rate: want requests per second, over 0 and at most %d", CeilingRate)
	}
	if c.MaxDuration < time.Second || c.MaxDuration > CeilingDuration {
		fail("max_duration: must be between 1s and %s", CeilingDuration)
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > CeilingInFlight {
		fail("max_in_flight: must be between 1 and %d", CeilingInFlight)
	}
	if !(c.StopErrors > 0 && c.StopErrors <= 1) {
		fail("stop_errors: must be over 0 and at most 1 (0.5 is half of the requests)")
	}
	return errs
}
