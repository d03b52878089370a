package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/flags/automation"
	"aftershock/journal"
	"aftershock/watch"
)

// notify makes a notice of the switchboard a job for each receiver: it goes out by
// the way of alerts, and once.
func (d *daemon) notify(ctx context.Context, n flags.Notice) error {
	return d.notice(ctx, n.Key, n.Upgrade, n.At, detector.Notice{Flag: n.Flag, Text: n.Text, Command: n.Command})
}

func (d *daemon) notice(ctx context.Context, key, upgrade string, at time.Time, n detector.Notice) error {
	sender := d.sender.Load()
	if sender == nil {
		return fmt.Errorf("tell receivers that %s: the daemon is starting", n.Text)
	}
	a := detector.Alert{
		Key: "notice/" + key, Upgrade: upgrade, State: detector.AlertFiring, StartsAt: at, UpdatedAt: at, Revision: 1, Notice: &n,
	}
	var jobs []journal.Job
	for _, receiver := range sender.Receivers() {
		payload, err := json.Marshal(watch.Delivery{Receiver: receiver, Alert: a})
		if err != nil {
			return fmt.Errorf("write down a notice: %w", err)
		}
		jobs = append(jobs, journal.Job{Kind: watch.JobAlert, Key: a.Key + "|" + receiver, Payload: payload})
	}
	if len(jobs) == 0 {
		return nil
	}
	return d.journal.Enqueue(ctx, jobs...)
}

func (d *daemon) newAutomation() (*automation.Automation, error) {
	return automation.New(automation.Options{
		Board: d.board, Journal: judged{d.journal},
		Blind: d.blind, Log: d.log.WithField("part", "automation"), Registry: d.registry,
	})
}

// registerOverdue registers the gauge of toggles that people were to look at by now.
func (d *daemon) registerOverdue() error {
	return d.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "aftershock_flag_toggles_overdue", Help: "Toggles in force that have expired, and that nobody acknowledged.",
	}, func() float64 {
		n := 0
		for _, v := range d.board.List() {
			for _, s := range v.Standing {
				if s.Overdue {
					n++
				}
			}
		}
		return float64(n)
	}))
}

// staleSteps is how many steps the judgement may be late.
const staleSteps = 5

// blind says why what was judged may be out of date.
func (d *daemon) blind() string {
	s := d.loop.Status()
	switch {
	case s.Blind != "":
		return s.Blind
	case s.CatchingUp || s.Time.IsZero():
		return "the watch is catching up"
	case time.Since(s.Time) > d.cfg.Watch.Lag+staleSteps*d.cfg.Watch.Step:
		return "nothing was judged since " + s.Time.Format(time.RFC3339)
	}
	return ""
}

// judged lets the automation read what was judged.
type judged struct{ *journal.Journal }

func (j judged) Firing(ctx context.Context) ([]detector.Alert, error) {
	all, _, err := j.Alerts(ctx, journal.AlertQuery{State: detector.AlertFiring, Page: journal.Page{Limit: 1000}})
	return all, err
}
