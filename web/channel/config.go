package channel

import (
	"fmt"
	"slices"

	"aftershock/detector"
)

// Config is the section status of the configuration.
type Config struct {
	// Auto are the steps whose posts go out by themselves; the others wait as drafts for a
	// person. Left out: planned, window, finished and closed.
	Auto []detector.Step `yaml:"auto"`
	// Receivers are names of alerts.receivers that get each post that is sent.
	Receivers []string `yaml:"receivers"`
	// Read is who may read the pages and feeds: "" for whoever may read the console, or
	// anyone.
	Read string `yaml:"read"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	if c.Auto == nil {
		c.Auto = []detector.Step{detector.StepPlanned, detector.StepWindow, detector.StepFinished, detector.StepClosed}
	}
}

// Validate names every setting that can't be used, by its path.
func (c *Config) Validate(path string) (errs []error) {
	for i, s := range c.Auto {
		if !slices.Contains(detector.Steps, s) {
			errs = append(errs, fmt.Errorf("%s.auto[%d]: %.40q is none of %v", path, i, s, detector.Steps))
		}
	}
	for i, name := range c.Receivers {
		if slices.Contains(c.Receivers[:i], name) {
			errs = append(errs, fmt.Errorf("%s.receivers[%d]: %q comes twice", path, i, name))
		}
	}
	if c.Read != "" && c.Read != "anyone" {
		errs = append(errs, fmt.Errorf("%s.read: %q isn't anyone", path, c.Read))
	}
	return errs
}

// auto says whether a post goes out by itself. The end of a watch that leaves something
// wrong doesn't, unless what is wrong does.
func (c *Config) auto(p detector.Post) bool {
	return slices.Contains(c.Auto, p.Step) && (!p.Wrong || p.Step != detector.StepClosed || slices.Contains(c.Auto, detector.StepShift))
}
