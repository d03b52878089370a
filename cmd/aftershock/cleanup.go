package main

import (
	"context"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/upgrades/cleanup"
)

// kept is how long after its watch ended an upgrade's clean-up is looked after.
const kept = 90 * 24 * time.Hour

// newKeeper makes what keeps the ledgers of clean-up.
func (d *daemon) newKeeper() *cleanup.Keeper {
	return cleanup.New(cleanup.Options{
		Store: d.journal, Log: d.log.WithField("part", "cleanup"),
		Upgrades: func(ctx context.Context) ([]detector.Upgrade, error) {
			return d.journal.UpgradesKept(ctx, time.Now().Add(-kept))
		},
		Toggles: func(ctx context.Context) ([]detector.Toggle, error) { return d.journal.Toggles(ctx, "", 1000) },
		Prober: cleanup.Prober{
			Config: d.cfg.Cleanup, Client: cleanup.NewClient(), Flag: d.toggledTo,
			Silence: func(ctx context.Context, id string) (bool, error) { return d.sender.Load().InForce(ctx, id) },
		},
		Remind: func(ctx context.Context, key, upgrade, text string, at time.Time) error {
			return d.notice(ctx, key, upgrade, at, detector.Notice{
				Text: text, Command: "aftershock upgrades cleanup " + words.Shell(upgrade), Page: packagePath(upgrade) + "#cleanup",
			})
		},
	})
}

// toggledTo is what a flag serves by a toggle that is in force, "" where none is.
func (d *daemon) toggledTo(_ context.Context, key string) (string, error) {
	for _, v := range d.board.List() {
		if v.Key == key && v.Toggles > 0 {
			return v.Serving, nil
		}
	}
	return "", nil
}

// escalate tells all receivers of a key that signed a package and that nobody expected.
func (d *daemon) escalate(ctx context.Context, key, text string) error {
	return d.notice(ctx, key, "", time.Now().UTC(), detector.Notice{Text: text})
}
