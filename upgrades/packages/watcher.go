package packages

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ahead is how far a log's time may be before the clock; a zone that is wrong
// is farther.
const ahead = 5 * time.Minute

// Watcher watches the logs. It is not safe for concurrent use.
type Watcher struct {
	lookBack time.Duration
	tails    []*tail
	// told are the problems told of already, by the log.
	told map[string]string
}

// NewWatcher gives a watcher of the logs, which need not exist yet; nil where
// the configuration names none.
func NewWatcher(c Config) (*Watcher, error) {
	if errs := c.Validate("upgrades.packages"); len(errs) > 0 {
		return nil, fmt.Errorf("watch the logs of packages: %w", errors.Join(errs...))
	}
	place, err := c.location()
	if err != nil {
		return nil, err
	}
	w := &Watcher{lookBack: time.Duration(c.LookBack), told: map[string]string{}}
	if c.DpkgLog != "" {
		w.tails = append(w.tails, &tail{path: c.DpkgLog, read: NewDpkg(place).Line})
	}
	if c.AptHistory != "" {
		w.tails = append(w.tails, &tail{path: c.AptHistory, read: NewApt(place).Line})
	}
	if len(w.tails) == 0 {
		return nil, nil //nolint:nilnil // no logs are no error
	}
	return w, nil
}

// Poll reads what was added to the logs, a bounded part at a time, and gives the
// runs that are new or go on, in order of their start; and the problems that are
// new.
func (w *Watcher) Poll(now time.Time) (runs []Run, problems []error) {
	latest := map[string]Run{}
	for _, t := range w.tails {
		found, err := t.poll(now.Add(-w.lookBack))
		for _, r := range found {
			switch {
			case r.Started.After(now.Add(ahead)):
				err = fmt.Errorf("read %s: a run of %s lies ahead of the clock: is upgrades.packages.time_zone the log's?", t.path, r.Started.Format(time.RFC3339))
			case !r.Started.Before(now.Add(-w.lookBack)):
				latest[r.ID()] = r
			}
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != "" && text != w.told[t.path] {
			problems = append(problems, err)
		}
		w.told[t.path] = text
	}
	for _, r := range latest {
		runs = append(runs, r)
	}
	slices.SortFunc(runs, func(a, b Run) int { return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Log, b.Log)) })
	return runs, problems
}

// Close lets go of the logs.
func (w *Watcher) Close() {
	for _, t := range w.tails {
		t.close()
	}
}
