package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/alerts"
	"aftershock/detector"
	"aftershock/flags"
	"aftershock/journal"
	"aftershock/reports"
	"aftershock/watch"
	"aftershock/web/channel"
)

// ticks lets the watch put its steps down in the journal.
type ticks struct{ *journal.Journal }

func (t ticks) Commit(ctx context.Context, in watch.Tick) error {
	out := journal.Tick{
		Time: in.Time, State: in.State, Upgrades: in.Upgrades, Verdicts: in.Verdicts,
		Events: in.Events, Alerts: in.Alerts, Coverage: in.Coverage,
	}
	for _, j := range in.Jobs {
		out.Jobs = append(out.Jobs, journal.Job{Kind: j.Kind, Key: j.Key, Payload: j.Payload})
	}
	err := t.Journal.Commit(ctx, out)
	if errors.Is(err, journal.ErrInvalid) {
		return fmt.Errorf("%w: %w", watch.ErrInvalid, err)
	}
	return err
}

// store lets the switchboard keep its definitions and its audit in the journal.
type store struct{ j *journal.Journal }

func (s store) Definitions(ctx context.Context) (int64, []byte, error) { return s.j.Definitions(ctx) }

func (s store) PutDefinitions(ctx context.Context, expected int64, document []byte, t detector.Toggle) (int64, error) {
	revision, err := s.j.PutDefinitions(ctx, expected, document, t)
	if errors.Is(err, journal.ErrConflict) {
		return 0, fmt.Errorf("%w: %w", flags.ErrConflict, err)
	}
	return revision, err
}

func (s store) AuditToggle(ctx context.Context, t detector.Toggle) error {
	return s.j.AuditToggle(ctx, t)
}

func (s store) DecideToggle(ctx context.Context, last, next detector.Toggle) error {
	err := s.j.DecideToggle(ctx, last, next)
	if errors.Is(err, journal.ErrConflict) {
		return fmt.Errorf("%w: %w", flags.ErrConflict, err)
	}
	return err
}

func (s store) Toggles(ctx context.Context, flag string, limit int) ([]detector.Toggle, error) {
	return s.j.Toggles(ctx, flag, limit)
}

func (s store) TogglesIn(ctx context.Context, states ...detector.ToggleState) ([]detector.Toggle, error) {
	return s.j.TogglesIn(ctx, states...)
}

func (s store) Toggle(ctx context.Context, id string) (detector.Toggle, error) {
	states, err := s.j.ToggleHistory(ctx, id)
	if errors.Is(err, journal.ErrNotFound) {
		return detector.Toggle{}, fmt.Errorf("%w: %w", flags.ErrUnknown, err)
	}
	if err != nil {
		return detector.Toggle{}, err
	}
	return states[len(states)-1], nil
}

func (s store) Freeze(ctx context.Context) (detector.Freeze, error) { return s.j.Freeze(ctx) }

func (s store) PutFreeze(ctx context.Context, f detector.Freeze) error { return s.j.PutFreeze(ctx, f) }

// history lets the review read one upgrade's part of the journal.
type history struct{ *journal.Journal }

// maxEvents bounds how many events of one upgrade a review reads.
const maxEvents = 20_000

func (h history) Events(ctx context.Context, upgrade string) ([]detector.Event, error) {
	var out []detector.Event
	after := int64(0)
	for {
		part, next, err := h.Journal.Events(ctx, journal.EventQuery{Upgrade: upgrade, After: after, Limit: 1000})
		if err != nil {
			return nil, err
		}
		for _, e := range part {
			out = append(out, e.Event)
		}
		if next == 0 || len(out) >= maxEvents {
			return out, nil
		}
		after = next
	}
}

func (h history) Alerts(ctx context.Context, upgrade string) ([]detector.Alert, error) {
	all, _, err := h.Journal.Alerts(ctx, journal.AlertQuery{Upgrade: upgrade, Fired: true, Page: journal.Page{Limit: 1000}})
	return all, err
}

// Marks says which of the alerts people judged, and whether to be false.
func (h history) Marks(ctx context.Context, keys []string) (map[string]bool, error) {
	said, err := h.Said(ctx, keys...)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for key, s := range said {
		if s.Mark != nil {
			out[key] = s.Mark.False
		}
	}
	return out, nil
}

// teller lets people tell the watch of upgrades: what the API has acknowledged
// survives a crash, since it is a job until the watch has put it down.
type teller struct{ *daemon }

// Kinds of the teller's jobs.
const (
	jobRecord = "record"
	jobClose  = "close"
)

func (t teller) Status() watch.Status { return t.loop.Status() }

func (t teller) Record(u detector.Upgrade) {
	if !t.keep(jobRecord, u.ID, u) {
		t.loop.Record(u)
	}
}

func (t teller) CloseUpgrade(id string) {
	if !t.keep(jobClose, id, id) {
		t.loop.CloseUpgrade(id)
	}
}

// keep makes it a job and says whether that succeeded.
func (t teller) keep(kind, id string, payload any) bool {
	b, err := json.Marshal(payload)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = t.journal.Enqueue(ctx, journal.Job{Kind: kind, Key: id + "|" + rand.Text(), Payload: b})
	}
	if err != nil {
		t.log.WithError(err).WithField("upgrade", id).Error("an upgrade that was told of can't be kept safe; it is lost if the daemon dies now")
	}
	return err == nil
}

func (t teller) tell(ctx context.Context, kind string, payload []byte) error {
	if kind == jobClose {
		var id string
		if err := json.Unmarshal(payload, &id); err != nil {
			return journal.Permanent(err)
		}
		return t.loop.AwaitClose(ctx, id)
	}
	var u detector.Upgrade
	if err := json.Unmarshal(payload, &u); err != nil {
		return journal.Permanent(err)
	}
	return t.loop.AwaitRecord(ctx, u)
}

// endJob is how long a job under way may take once the daemon is told to end;
// the next start works it again.
const endJob = 3 * time.Second

// handlers work the journal's jobs; running ends when the daemon is to end.
func (d *daemon) handlers(running context.Context) map[string]journal.Handler {
	bounded := func(limit time.Duration, h journal.Handler) journal.Handler {
		return func(ctx context.Context, j journal.Job) error {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			stop := context.AfterFunc(running, func() {
				select {
				case <-ctx.Done():
				case <-time.After(endJob):
					cancel()
				}
			})
			defer stop()
			return h(ctx, j)
		}
	}
	told := func(ctx context.Context, j journal.Job) error {
		return teller{d}.tell(ctx, j.Kind, j.Payload)
	}
	patience := 3*d.cfg.Watch.Step + d.cfg.Watch.Lag + time.Minute
	return map[string]journal.Handler{
		watch.JobAlert:    bounded(time.Minute, d.deliver),
		watch.JobRecovery: bounded(time.Minute, d.outcome),
		watch.JobReview:   bounded(time.Minute, d.writeReview),
		jobWeekly:         bounded(2*time.Minute, d.runErrand),
		channel.JobStatus: bounded(time.Minute, d.sendPost),
		jobRecord:         bounded(patience, told),
		jobClose:          bounded(patience, told),
		jobReport:         bounded(time.Minute, teller{d}.takeIn),
	}
}

func (d *daemon) deliver(ctx context.Context, j journal.Job) error {
	var in watch.Delivery
	if err := json.Unmarshal(j.Payload, &in); err != nil {
		return journal.Permanent(fmt.Errorf("read the delivery: %w", err))
	}
	// A delivery that was held up comes after the alert has moved on, perhaps
	// to its end; the newer state has a delivery of its own.
	now, err := d.journal.Alert(ctx, in.Alert.Key)
	if err == nil && now.Revision > in.Alert.Revision {
		return nil
	}
	if err != nil && !errors.Is(err, journal.ErrNotFound) {
		return err
	}
	if quiet, err := d.quiet(ctx, in); quiet || err != nil {
		return err
	}
	err = d.sender.Load().Deliver(ctx, in.Receiver, d.tallied(ctx, in.Alert)[0])
	var failed *alerts.Error
	switch {
	case errors.As(err, &failed) && failed.Permanent():
		return journal.Permanent(err)
	case failed != nil && failed.RetryAfter() > 0:
		d.log.WithError(err).WithFields(logrus.Fields{"receiver": in.Receiver, "wait": failed.RetryAfter()}).Warn("a receiver asked to be left alone for a while")
		return journal.Later(failed.RetryAfter())
	}
	return err
}

func (d *daemon) outcome(ctx context.Context, j journal.Job) error {
	var in watch.Outcome
	if err := json.Unmarshal(j.Payload, &in); err != nil {
		return journal.Permanent(fmt.Errorf("read the outcome: %w", err))
	}
	report := d.board.NotRecovered
	if in.Recovered {
		report = d.board.Recovered
	}
	_, err := report(ctx, in.Toggle, in.Evidence)
	if errors.Is(err, flags.ErrUnknown) {
		return journal.Permanent(err)
	}
	return err
}

// writeReview writes the review of an upgrade whose watch has ended, where the
// configuration names a directory for it.
func (d *daemon) writeReview(ctx context.Context, j journal.Job) error {
	d.mu.Lock()
	dir := d.cfg.Reports.Dir
	d.mu.Unlock()
	if dir == "" {
		return nil
	}
	r, err := reports.Build(ctx, history{d.journal}, j.Key, time.Now().UTC())
	if err != nil {
		return err
	}
	_, err = r.Write(dir)
	return err
}
