package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"aftershock/journal"
	"aftershock/upgrades/inbox"
	"aftershock/web"
)

// jobReport is what a deployment tool told: a job until the watch has put it
// down, so that what was acknowledged survives a crash.
const jobReport = "report"

// Bounds of the reports that wait for the watch.
const (
	// maxReports is how many may wait.
	maxReports = 2000
	// lookAgain is how often is looked whether the watch has put one down.
	lookAgain = 2 * time.Second
	// keepTimeout bounds one write to the journal.
	keepTimeout = 5 * time.Second
)

// waiting are the reports that were told to the watch and not yet put down, by
// the keys of their jobs.
type waiting struct {
	mu   sync.Mutex
	told map[string]<-chan struct{}
}

// Report makes jobs of the reports. Their keys are their contents, so that what
// is delivered again while its job is remembered is dropped.
func (t teller) Report(ctx context.Context, all []inbox.Report) error {
	t.reports.mu.Lock()
	full := len(t.reports.told)+len(all) > maxReports
	t.reports.mu.Unlock()
	if full {
		return web.ErrBusy
	}
	jobs := make([]journal.Job, 0, len(all))
	for _, r := range all {
		payload, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("write down a report: %w", err)
		}
		sum := sha256.Sum256(payload)
		jobs = append(jobs, journal.Job{Kind: jobReport, Key: r.Upgrade.ID + "|" + hex.EncodeToString(sum[:]), Payload: payload})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	return t.journal.Enqueue(ctx, jobs...)
}

// takeIn tells the watch of a report, once, and is done when it was put down.
// Until then the job gives its place to others: a step may be minutes away.
func (t teller) takeIn(_ context.Context, j journal.Job) error {
	w := &t.reports
	w.mu.Lock()
	defer w.mu.Unlock()
	done, known := w.told[j.Key]
	if !known {
		var r inbox.Report
		if err := json.Unmarshal(j.Payload, &r); err != nil {
			return journal.Permanent(fmt.Errorf("read a report: %w", err))
		}
		if w.told == nil {
			w.told = map[string]<-chan struct{}{}
		}
		done = t.loop.Report(r.Upgrade, r.Update)
		w.told[j.Key] = done
	}
	select {
	case <-done:
		delete(w.told, j.Key)
		return nil
	default:
		return journal.Later(min(lookAgain, t.cfg.Watch.Step))
	}
}
