// Package packages learns of upgrades from the logs of dpkg and apt on this
// machine: what a run of the package manager replaced, from which version to
// which, and when.
//
// It promises that a run is told under an ID that its log alone determines, so
// that reading a log again after a restart tells nothing new; that each look
// reads a bounded part of it; and that a line that can't be read keeps no other
// from being read.
package packages

import (
	"fmt"
	"path"
	"time"

	"github.com/prometheus/common/model"
)

// Config is the section "upgrades.packages" of the configuration.
type Config struct {
	// DpkgLog and AptHistory are the logs, such as /var/log/dpkg.log and
	// /var/log/apt/history.log; "" for none. One of them is enough.
	DpkgLog    string `yaml:"dpkg_log"`
	AptHistory string `yaml:"apt_history"`
	// Names are patterns of the packages that count. Empty: those that are called
	// as a binary or service in the telemetry is.
	Names []string `yaml:"names"`
	// LookBack is how far back the logs are read at the start, rotated ones too.
	LookBack model.Duration `yaml:"look_back"`
	// TimeZone is that of the logs, such as Europe/Vienna; "" is this machine's.
	TimeZone string `yaml:"time_zone"`
}

const (
	// DefaultLookBack is how far back the logs are read at the start.
	DefaultLookBack = 24 * time.Hour
	// maxLookBack is as long as an upgrade is watched by default.
	maxLookBack = 7 * 24 * time.Hour
)

// SetDefaults sets what holds for keys that are left out.
func (c *Config) SetDefaults() { c.LookBack = model.Duration(DefaultLookBack) }

// Validate names every setting that can't be used, by its path.
func (c *Config) Validate(at string) []error {
	var errs []error
	for i, n := range c.Names {
		if _, err := path.Match(n, "x"); err != nil || n == "" {
			errs = append(errs, fmt.Errorf("%s.names[%d]: %q is no pattern such as dten-*", at, i, n))
		}
	}
	if len(c.Names) > 0 && c.DpkgLog == "" && c.AptHistory == "" {
		errs = append(errs, fmt.Errorf("%s.names: there is no log to find them in: give dpkg_log or apt_history", at))
	}
	if d := time.Duration(c.LookBack); d < 0 || d > maxLookBack {
		errs = append(errs, fmt.Errorf("%s.look_back: want 0s to 7d, got %s", at, c.LookBack))
	}
	if _, err := c.location(); err != nil {
		errs = append(errs, fmt.Errorf("%s.time_zone: %q isn't known here: want one such as Europe/Vienna", at, c.TimeZone))
	}
	return errs
}

func (c *Config) location() (*time.Location, error) {
	if c.TimeZone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(c.TimeZone)
}

// Counts says whether a package with the name counts; known tells whether the
// telemetry has a binary or service that is called so.
func (c *Config) Counts(name string, known func(string) bool) bool {
	if len(c.Names) == 0 {
		return known(name)
	}
	for _, n := range c.Names {
		if ok, err := path.Match(n, name); ok && err == nil {
			return true
		}
	}
	return false
}
