package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"aftershock/alerts"
	"aftershock/alerts/notify"
	"aftershock/journal"
	"aftershock/reports"
	"aftershock/reports/paper"
	"aftershock/web"
)

const (
	// jobWeekly brings the review of a week to one place.
	jobWeekly = "weekly"
	// weeklyDone is the setting that holds the last week whose review was sent off.
	weeklyDone = "weekly-review"
	// weeklyEvery is how often is looked whether one is due.
	weeklyEvery = 30 * time.Second
)

// errand is the payload of jobWeekly: a directory or a receiver for a week's review.
type errand struct {
	Week     string `json:"week"`
	Dir      string `json:"dir,omitempty"`
	Receiver string `json:"receiver,omitempty"`
}

// weekly sends off the review of the last week when it is due, and once: also where the
// daemon was down at that time.
func (d *daemon) weekly(ctx context.Context) {
	tick := time.NewTicker(weeklyEvery)
	defer tick.Stop()
	for {
		if err := d.sendWeekly(ctx, time.Now()); err != nil && ctx.Err() == nil {
			d.log.WithError(err).Error("the review of the last week isn't sent off; trying again")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sendWeekly makes the jobs for the review that is due at now, unless that was done. The
// first start of a daemon owes nobody a review of what it hasn't seen.
func (d *daemon) sendWeekly(ctx context.Context, now time.Time) error {
	d.mu.Lock()
	w := d.cfg.Reports.Weekly
	d.mu.Unlock()
	due := w.Due(now).Name
	done, err := d.journal.Setting(ctx, weeklyDone)
	switch {
	case errors.Is(err, journal.ErrNotFound) || err == nil && w.Off() && done != due:
		return d.journal.PutSetting(ctx, weeklyDone, due)
	case err != nil || done >= due:
		return err
	}
	var jobs []journal.Job
	add := func(e errand) error {
		b, err := json.Marshal(e)
		jobs = append(jobs, journal.Job{Kind: jobWeekly, Key: due + "|" + e.Dir + "|" + e.Receiver, Payload: b})
		return err
	}
	if w.Dir != "" {
		err = add(errand{Week: due, Dir: w.Dir})
	}
	for _, r := range w.Receivers {
		err = errors.Join(err, add(errand{Week: due, Receiver: r}))
	}
	if err != nil {
		return err
	}
	// The jobs are kept first: should the daemon die in between, they are known by their
	// keys the next time.
	if err := d.journal.Enqueue(ctx, jobs...); err != nil {
		return err
	}
	d.log.WithField("week", due).WithField("places", len(jobs)).Info("the review of the week is due")
	return d.journal.PutSetting(ctx, weeklyDone, due)
}

// runErrand brings a week's review to its place.
func (d *daemon) runErrand(ctx context.Context, j journal.Job) error {
	var e errand
	if err := json.Unmarshal(j.Payload, &e); err != nil {
		return journal.Permanent(fmt.Errorf("read the errand: %w", err))
	}
	d.mu.Lock()
	cfg := d.cfg.Reports
	d.mu.Unlock()
	w, err := d.week(ctx, e.Week)
	if err != nil {
		return err
	}
	if e.Receiver == "" {
		_, err := w.Write(ctx, e.Dir, cfg.Weekly.Forms, cfg.Browser)
		return unprinted(err)
	}
	r := alerts.Report{
		Key: "week/" + w.Name, Title: "Post-upgrade review of week " + w.Name, Lines: w.Head, Page: "/reports/" + w.Name, At: w.Now,
	}
	for _, form := range cfg.Weekly.Forms {
		b, err := w.Form(ctx, form, cfg.Browser)
		if err != nil {
			return unprinted(err)
		}
		r.Files = append(r.Files, notify.File{Name: w.FileName(form), Type: reports.MediaType(form), Content: b})
	}
	err = d.sender.Load().Report(ctx, e.Receiver, r)
	var p interface{ Permanent() bool }
	if errors.As(err, &p) && p.Permanent() {
		return journal.Permanent(err)
	}
	return err
}

// unprinted says of a missing browser that trying again can't help.
func unprinted(err error) error {
	if errors.Is(err, paper.ErrNoBrowser) {
		return journal.Permanent(err)
	}
	return err
}

// Names that a week goes by besides its own.
const (
	lastWeek = "last"
	thisWeek = "this"
	// latestWeek is the last, or this one where nothing is known of the last.
	latestWeek = "latest"
)

// week makes the review of a week by its name.
func (d *daemon) week(ctx context.Context, name string) (reports.Week, error) {
	d.mu.Lock()
	zone := d.cfg.Reports.Weekly.Location()
	d.mu.Unlock()
	now := time.Now()
	var s reports.Span
	var err error
	switch name {
	case thisWeek:
		s = reports.WeekOf(now, zone)
	case lastWeek, latestWeek:
		s = reports.WeekOf(now, zone).Before(1)
	default:
		if s, err = reports.ParseWeek(name, zone); err != nil {
			return reports.Week{}, web.BadRequest(err.Error())
		}
	}
	if s.From.After(now) {
		return reports.Week{}, web.BadRequest("week " + s.Name + " hasn't begun")
	}
	w, err := reports.BuildWeek(ctx, history{d.journal}, s, now)
	if err == nil && name == latestWeek && len(w.Upgrades) == 0 && w.Data.Steps == 0 {
		return reports.BuildWeek(ctx, history{d.journal}, reports.WeekOf(now, zone), now)
	}
	return w, err
}

// weeks are the last n weeks, the present one first.
func (d *daemon) weeks(n int) (all []web.WeekSpan) {
	d.mu.Lock()
	zone := d.cfg.Reports.Weekly.Location()
	d.mu.Unlock()
	this := reports.WeekOf(time.Now(), zone)
	for k := range n {
		s := this.Before(k)
		all = append(all, web.WeekSpan{Name: s.Name, From: s.From, To: s.To})
	}
	return all
}

// weekPage answers the review of a week in a form.
func (d *daemon) weekPage(ctx context.Context, name, form string, w http.ResponseWriter) error {
	r, err := d.week(ctx, name)
	if err != nil {
		return err
	}
	d.mu.Lock()
	browser := d.cfg.Reports.Browser
	d.mu.Unlock()
	b, err := r.Form(ctx, form, browser)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", reports.MediaType(form))
	w.Header().Set("Content-Disposition", fmt.Sprintf(`inline; filename=%q`, r.FileName(form)))
	_, err = w.Write(b)
	return err
}
