package detector

import (
	"fmt"
	"time"
)

// Config holds the few settings of the judgement. The zero value of a field
// means its default.
type Config struct {
	// Step is the length of a frame; everything else is counted in steps.
	Step time.Duration `yaml:"step"`
	// Day is the period of the daily wave; the demo compresses it.
	Day time.Duration `yaml:"day"`
	// Margin is the relative change that nobody minds: 0.05 means that a share
	// of bad requests may rise by 5% before it is called a regression.
	Margin float64 `yaml:"margin"`
	// Confidence is how sure an alarm must be, in (0.5, 1): the false discovery
	// rate over all indicators of an upgrade is held under 1-Confidence.
	Confidence float64 `yaml:"confidence"`
	// Baseline is the half-life of what is remembered of the past.
	Baseline time.Duration `yaml:"baseline"`
	// Duration is how long an upgrade is watched.
	Duration time.Duration `yaml:"duration"`
	// Warmup is how long an instance counts as warming up after its start.
	Warmup time.Duration `yaml:"warmup"`
	// Runs is how many runs the past is made of, each a day long, where it is one of
	// runs as a rehearsal's; 0 where it is that of something that runs on.
	Runs int `yaml:"-"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.Step, time.Minute)
	set(&c.Day, 1440*c.Step)
	set(&c.Baseline, 7*c.Day)
	set(&c.Duration, 7*c.Day)
	set(&c.Warmup, 10*c.Step)
	if c.Margin == 0 {
		c.Margin = 0.05
	}
	if c.Confidence == 0 {
		c.Confidence = 0.95
	}
}

// Validate names every setting that can't be used, by its path.
func (c *Config) Validate(path string) []error {
	var errs []error
	bad := func(ok bool, field, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s.%s: %s", path, field, want))
		}
	}
	bad(c.Step >= time.Second && c.Step <= time.Hour, "step", "must be between 1s and 1h")
	bad(c.Day >= 10*c.Step, "day", "must be at least 10 steps")
	bad(c.Baseline >= c.Day, "baseline", "must be at least one day (watch.day)")
	bad(c.Duration >= 10*c.Step, "duration", "must be at least 10 steps")
	bad(c.Warmup >= 0 && c.Warmup <= c.Duration, "warmup", "must be between 0 and the duration")
	bad(c.Margin > 0 && c.Margin <= 1, "margin", "must be over 0 and at most 1 (0.05 is 5%)")
	bad(c.Confidence > 0.5 && c.Confidence < 1, "confidence", "must be between 0.5 and 1 (0.95 is 95%)")
	return errs
}

func (c *Config) steps(d time.Duration) int { return int((d + c.Step - 1) / c.Step) }

func (c *Config) alpha() float64 { return 1 - c.Confidence }
