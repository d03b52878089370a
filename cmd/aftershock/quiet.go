package main

import (
	"context"
	"time"

	"aftershock/alerts/alertmanager"
	"aftershock/detector"
	"aftershock/journal"
	"aftershock/watch"
)

// Bounds of asking for silences.
const (
	// whileSilenced is how often it is looked whether a silence is over.
	whileSilenced = 30 * time.Second
	// shownWithin is how long a page waits for Alertmanagers.
	shownWithin = 2 * time.Second
)

// quiet says whether a receiver isn't told of an alert that fires: it is acknowledged as
// it is now, or a silence covers it. The error has a silenced one looked at again: what
// still holds when the silence is over is told then. An end is always told, and
// Alertmanagers hear everything.
func (d *daemon) quiet(ctx context.Context, in watch.Delivery) (bool, error) {
	sender := d.sender.Load()
	if in.Alert.State != detector.AlertFiring || in.Alert.Notice != nil || sender.KeepsQuietItself(in.Receiver) {
		return false, nil
	}
	log := d.log.WithField("alert", in.Alert.Key).WithField("receiver", in.Receiver)
	said, err := d.journal.Said(ctx, in.Alert.Key)
	if err != nil {
		return false, err
	}
	if k := said[in.Alert.Key].Acknowledgement; k != nil && k.Covers(in.Alert) {
		log.WithField("by", k.Actor).Debug("not sent: the alert is acknowledged")
		return true, nil
	}
	silences, err := sender.Silenced(ctx, in.Receiver, in.Alert)
	if err != nil {
		log.WithError(err).Warn("it isn't known which alerts are silenced")
	}
	if len(silences) > 0 {
		log.WithField("by", silences[0].By).Debug("not sent: the alert is silenced")
		return true, journal.Later(whileSilenced)
	}
	return false, nil
}

// silences are those that cover the alerts, for the pages and the API.
func (d *daemon) silences(ctx context.Context, alerts []detector.Alert) map[string][]alertmanager.Silence {
	ctx, cancel := context.WithTimeout(ctx, shownWithin)
	defer cancel()
	status, err := d.sender.Load().Status(ctx, alerts)
	if err != nil {
		d.log.WithError(err).Debug("the silences can't be shown")
	}
	out := make(map[string][]alertmanager.Silence, len(status))
	for key, s := range status {
		out[key] = s.Silences
	}
	return out
}

// tallied are the alerts with how often people found alerts here false. What isn't known
// holds up nothing.
func (d *daemon) tallied(ctx context.Context, alerts ...detector.Alert) []detector.Alert {
	t, err := d.journal.Tally(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.log.WithError(err).Warn("it isn't known how many alerts were false; they go out without it")
		}
		return alerts
	}
	for n := range alerts {
		alerts[n].Tally = &t
	}
	return alerts
}

// tellsOf is an alert as receivers are told it, for the pages and the API.
func (d *daemon) tellsOf(ctx context.Context, a detector.Alert) string {
	text, err := d.sender.Load().Text(d.tallied(ctx, a)[0])
	if err != nil && ctx.Err() == nil {
		d.log.WithError(err).WithField("alert", a.Key).Warn("an alert can't be shown as it is told")
	}
	return text
}
