// Package reports writes the review of an upgrade, and of a week: what was replaced,
// what it did, why, what was done about it and what is still open, from the journal
// alone. The same journal and the same instant give the same bytes, and the
// figures are worded as in the alerts.
package reports

import (
	"context"
	"fmt"
	"time"

	"aftershock/detector"
)

// Config is the section reports of the config file.
type Config struct {
	// Dir takes the finished reviews; empty: they are made when asked for and
	// not kept.
	Dir string `yaml:"dir"`
	// Weekly is when and to whom the review of each week goes.
	Weekly Weekly `yaml:"weekly"`
	// Browser prints reviews as PDF: a Chromium by its name or path.
	Browser string `yaml:"browser"`
}

// SetDefaults fills in what isn't given; reviews aren't kept unless a directory is named.
func (c *Config) SetDefaults() {
	c.Weekly.SetDefaults()
	if c.Browser == "" {
		c.Browser = Browser
	}
}

// Validate lists what is wrong, under path. Whether a directory can be written to shows
// when it is.
func (c *Config) Validate(path string) []error { return c.Weekly.Validate(path + ".weekly") }

// Journal is what a review is made from.
type Journal interface {
	// Upgrade gives one upgrade.
	Upgrade(ctx context.Context, id string) (detector.Upgrade, error)
	// Verdicts gives the present verdict of every indicator of an upgrade, with
	// the courses.
	Verdicts(ctx context.Context, upgrade string) ([]detector.Verdict, error)
	// Events gives the events of an upgrade in the order of their writing.
	Events(ctx context.Context, upgrade string) ([]detector.Event, error)
	// Alerts gives the alerts of an upgrade.
	Alerts(ctx context.Context, upgrade string) ([]detector.Alert, error)
	// Toggles gives the latest state of each toggle of a flag ("" for all).
	Toggles(ctx context.Context, flag string, limit int) ([]detector.Toggle, error)
	// Flips gives the changes of flags since an instant, whoever made them.
	Flips(ctx context.Context, since time.Time) ([]detector.Flip, error)
}

// maxToggles bounds the toggles that are looked through.
const maxToggles = 1000

// Build makes the review of an upgrade as it stood in the journal, seen from the
// instant now: what happened later is left out.
func Build(ctx context.Context, j Journal, upgrade string, now time.Time) (Review, error) {
	fail := func(what string, err error) (Review, error) {
		return Review{}, fmt.Errorf("review the upgrade: read %s: %w", what, err)
	}
	u, err := j.Upgrade(ctx, upgrade)
	if err != nil {
		return fail("the upgrade", err)
	}
	verdicts, err := j.Verdicts(ctx, upgrade)
	if err != nil {
		return fail("its verdicts", err)
	}
	events, err := j.Events(ctx, upgrade)
	if err != nil {
		return fail("its events", err)
	}
	alerts, err := j.Alerts(ctx, upgrade)
	if err != nil {
		return fail("its alerts", err)
	}
	toggles, err := j.Toggles(ctx, "", maxToggles)
	if err != nil {
		return fail("the toggles", err)
	}
	flips, err := j.Flips(ctx, u.StartedAt)
	if err != nil {
		return fail("the changes of flags", err)
	}
	return build(material{u, verdicts, events, alerts, toggles, flips}, now.UTC().Truncate(time.Second)), nil
}
