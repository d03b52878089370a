package journal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftershock/detector"
)

// Limits of lists: what a query without one gets, and the most.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func limited(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}

// Page is a part of a list that goes from the newest to the oldest.
type Page struct {
	// After is what the page before gave as next; "" for the first.
	After string
	// Limit is the most items wanted; 0 is 100, and 1000 the most.
	Limit int
}

// State gives the judge's last saved state and the time up to which it has seen
// everything; the zero time when there is none.
func (j *Journal) State(ctx context.Context) (at time.Time, state []byte, err error) {
	err = j.read("read the judge's state", func(t tx) error {
		us := int64(0)
		err := one(ctx, t, func(r row) error { return r.Scan(&us, &state) }, `SELECT at_us, state FROM judge`)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		at = fromMicros(us)
		return err
	})
	return at, state, err
}

// Upgrades lists the upgrades, the last started (or planned to) first, and where the next page
// begins ("" when there is none).
func (j *Journal) Upgrades(ctx context.Context, p Page) (all []detector.Upgrade, next string, err error) {
	err = j.read("list the upgrades", func(t tx) error {
		all, next, err = list[detector.Upgrade](ctx, t, p, `
			SELECT document, started_us, id FROM upgrades WHERE (started_us, id) < ($1, $2)
			ORDER BY started_us DESC, id DESC LIMIT $3`)
		return err
	})
	return all, next, err
}

// UpgradesWithin gives the upgrades that were under watch at some time from an instant
// to another, in order of their start, at most 1000. Those that are only planned aren't
// under watch.
func (j *Journal) UpgradesWithin(ctx context.Context, from, to time.Time) (all []detector.Upgrade, err error) {
	err = j.read("read the upgrades of a time", func(t tx) error {
		return t.each(ctx, documents(&all), `
			SELECT document FROM upgrades WHERE started_us < $2 AND (closed_us = 0 OR closed_us > $1)
			ORDER BY started_us, id LIMIT $3`, micros(from), micros(to), maxLimit)
	})
	return slices.DeleteFunc(all, func(u detector.Upgrade) bool { return !u.Begun() }), err
}

// UpgradesKept gives the upgrades that are planned, or were under watch at some time since
// an instant, the latest first, at most 1000.
func (j *Journal) UpgradesKept(ctx context.Context, since time.Time) (all []detector.Upgrade, err error) {
	err = j.read("read the upgrades since a time", func(t tx) error {
		return t.each(ctx, documents(&all), `
			SELECT document FROM upgrades WHERE closed_us = 0 OR closed_us > $1
			ORDER BY started_us DESC, id LIMIT $2`, micros(since), maxLimit)
	})
	return all, err
}

// Upgrade gives one upgrade, or ErrNotFound.
func (j *Journal) Upgrade(ctx context.Context, id string) (u detector.Upgrade, err error) {
	err = j.read("read upgrade "+id, func(t tx) error {
		return one(ctx, t, document(&u), `SELECT document FROM upgrades WHERE id = $1`, text(id))
	})
	return u, err
}

// Verdicts gives the verdicts of an upgrade in order of their indicator's key.
func (j *Journal) Verdicts(ctx context.Context, upgrade string) (all []detector.Verdict, err error) {
	err = j.read("read the verdicts of upgrade "+upgrade, func(t tx) error {
		return t.each(ctx, documents(&all), `SELECT document FROM verdicts WHERE upgrade = $1 ORDER BY indicator`, text(upgrade))
	})
	return all, err
}

// Summary is what a list tells of a verdict.
type Summary struct {
	Upgrade   string               `json:"upgrade"`
	Indicator detector.Indicator   `json:"indicator"`
	State     detector.State       `json:"verdict"`
	Direction string               `json:"direction"`
	Effect    *detector.Effect     `json:"effect"`
	Missing   string               `json:"missing"`
	DecidedIn float64              `json:"decided_in_seconds"`
	Accepted  *detector.Acceptance `json:"accepted"`
	Recovered time.Time            `json:"recovered_at"`
}

// Summaries gives the verdicts of an upgrade in short, in order of their indicator's key.
func (j *Journal) Summaries(ctx context.Context, upgrade string) (all []Summary, err error) {
	err = j.read("read the verdicts of upgrade "+upgrade, func(t tx) error {
		return t.each(ctx, func(r row) error {
			var doc []byte
			var s Summary
			if err := r.Scan(&doc); err != nil {
				return err
			}
			if err := json.Unmarshal(courseless(doc), &s); err != nil {
				return fmt.Errorf("decode a document: %w", err)
			}
			all = append(all, s)
			return nil
		}, `SELECT document FROM verdicts WHERE upgrade = $1 ORDER BY indicator`, text(upgrade))
	})
	return all, err
}

// courseless cuts the course off a verdict's document, whose last member it is and most of
// what there is to read. No string
// looks like the cut, for its quotes would be escaped, nor does a label, whose value is no
// list.
func courseless(doc []byte) []byte {
	if n := bytes.LastIndex(doc, []byte(`,"course":[`)); n >= 0 {
		return append(doc[:n:n], '}')
	}
	return doc
}

// Verdict gives the verdict of an upgrade on the indicator with that ID, or ErrNotFound.
func (j *Journal) Verdict(ctx context.Context, upgrade, id string) (v detector.Verdict, err error) {
	err = j.read("read the verdict of upgrade "+upgrade+" on indicator "+id, func(t tx) error {
		// The keys alone are read from the index, which takes a millisecond for thousands.
		found := ""
		err := t.each(ctx, func(r row) error {
			var key string
			err := r.Scan(&key)
			if detector.KeyID(key) == id {
				found = key
			}
			return err
		}, `SELECT indicator FROM verdicts WHERE upgrade = $1`, text(upgrade))
		if err != nil {
			return err
		}
		return one(ctx, t, document(&v), `SELECT document FROM verdicts WHERE upgrade = $1 AND indicator = $2`, text(upgrade), found)
	})
	return v, err
}

// VerdictOn is Verdict by the indicator itself.
func (j *Journal) VerdictOn(ctx context.Context, upgrade string, i detector.Indicator) (v detector.Verdict, err error) {
	err = j.read("read the verdict of upgrade "+upgrade+" on "+i.Key(), func(t tx) error {
		return one(ctx, t, document(&v), `SELECT document FROM verdicts WHERE upgrade = $1 AND indicator = $2`, text(upgrade), text(i.Key()))
	})
	return v, err
}

// Coverage gives how much telemetry was judged of each hour from an instant to another,
// in order of time; hours of which nothing was judged are missing.
func (j *Journal) Coverage(ctx context.Context, from, to time.Time) (all []detector.Coverage, err error) {
	err = j.read("read the coverage", func(t tx) error {
		return t.each(ctx, documents(&all), `SELECT document FROM coverage WHERE hour_us >= $1 AND hour_us < $2 ORDER BY hour_us`, micros(from), micros(to))
	})
	return all, err
}

// EventQuery says which events are wanted.
type EventQuery struct {
	Upgrade string // "" for all
	// After is the ID of the last event known; 0 for the beginning.
	After int64
	// Limit is the most events wanted; 0 is 100, and 1000 the most.
	Limit int
}

// StoredEvent is an event with its number: later ones have higher numbers.
type StoredEvent struct {
	ID int64 `json:"id"`
	detector.Event
}

// Events gives events in the order they were written, and the After of the next
// call, 0 when there are no more now.
func (j *Journal) Events(ctx context.Context, q EventQuery) (all []StoredEvent, next int64, err error) {
	limit := limited(q.Limit)
	query, args := `SELECT id, document FROM events WHERE id > $1 ORDER BY id LIMIT $2`, []any{q.After, limit + 1}
	if q.Upgrade != "" {
		query = `SELECT id, document FROM events WHERE id > $1 AND upgrade = $3 ORDER BY id LIMIT $2`
		args = append(args, text(q.Upgrade))
	}
	err = j.read("read the events", func(t tx) error {
		return t.each(ctx, func(r row) error {
			var e StoredEvent
			var doc []byte
			if err := r.Scan(&e.ID, &doc); err != nil {
				return err
			}
			if err := json.Unmarshal(doc, &e.Event); err != nil {
				return fmt.Errorf("decode event %d: %w", e.ID, err)
			}
			all = append(all, e)
			return nil
		}, query, args...)
	})
	if len(all) > limit {
		all = all[:limit]
		next = all[limit-1].ID
	}
	return all, next, err
}

// AlertQuery says which alerts are wanted.
type AlertQuery struct {
	Upgrade string              // "" for all
	State   detector.AlertState // "" for all
	Fired   bool                // only those that fire or did
	Page
}

// Alerts lists alerts, the last begun first, and where the next page begins
// ("" when there is none).
func (j *Journal) Alerts(ctx context.Context, q AlertQuery) (all []detector.Alert, next string, err error) {
	query := `SELECT document, starts_us, key FROM alerts WHERE (starts_us, key) < ($1, $2)`
	var args []any
	if q.Upgrade != "" {
		args = append(args, text(q.Upgrade))
		query += fmt.Sprintf(` AND upgrade = $%d`, len(args)+3)
	}
	if q.State != "" {
		args = append(args, text(string(q.State)))
		query += fmt.Sprintf(` AND state = $%d`, len(args)+3)
	}
	if q.Fired {
		query += ` AND state IN ('firing', 'resolved')`
	}
	err = j.read("list the alerts", func(t tx) error {
		all, next, err = list[detector.Alert](ctx, t, q.Page, query+` ORDER BY starts_us DESC, key DESC LIMIT $3`, args...)
		return err
	})
	return all, next, err
}

// AlertsWithin gives the alerts that began from an instant to another, in order of
// their start, at most 1000.
func (j *Journal) AlertsWithin(ctx context.Context, from, to time.Time) (all []detector.Alert, err error) {
	err = j.read("read the alerts of a time", func(t tx) error {
		return t.each(ctx, documents(&all), `
			SELECT document FROM alerts WHERE starts_us >= $1 AND starts_us < $2
			ORDER BY starts_us, key LIMIT $3`, micros(from), micros(to), maxLimit)
	})
	return all, err
}

// Alert gives one alert, or ErrNotFound.
func (j *Journal) Alert(ctx context.Context, key string) (a detector.Alert, err error) {
	err = j.read("read alert "+key, func(t tx) error {
		return one(ctx, t, document(&a), `SELECT document FROM alerts WHERE key = $1`, text(key))
	})
	return a, err
}

// list reads a page of documents that are sorted by a time and a key, both
// descending. The query gives document, time and key; $1 and $2 are the time
// and key that the page begins below, $3 its length.
func list[T any](ctx context.Context, t tx, p Page, query string, more ...any) (all []T, next string, err error) {
	us, key, err := p.position()
	if err != nil {
		return nil, "", err
	}
	limit := limited(p.Limit)
	positions := make([]string, 0, limit)
	err = t.each(ctx, func(r row) error {
		var doc []byte
		var item T
		if err := r.Scan(&doc, &us, &key); err != nil {
			return err
		}
		if err := json.Unmarshal(doc, &item); err != nil {
			return fmt.Errorf("decode %s: %w", key, err)
		}
		all = append(all, item)
		positions = append(positions, position(us, key))
		return nil
	}, query, append([]any{us, key, limit + 1}, more...)...)
	if len(all) > limit {
		all, next = all[:limit], positions[limit-1]
	}
	return all, next, err
}

func position(us int64, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(us, 10) + " " + key))
}

func (p Page) position() (us int64, key string, err error) {
	if p.After == "" {
		return math.MaxInt64, "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(p.After)
	if err == nil {
		digits, rest, _ := strings.Cut(string(b), " ")
		key = rest
		us, err = strconv.ParseInt(digits, 10, 64)
	}
	if err != nil {
		return 0, "", fmt.Errorf("%w: %.40q is no cursor that a list gave", ErrInvalid, p.After)
	}
	return us, text(key), nil
}

// document scans a row's one column as JSON into v.
func document(v any) func(row) error {
	return func(r row) error {
		var doc []byte
		if err := r.Scan(&doc); err != nil {
			return err
		}
		if err := json.Unmarshal(doc, v); err != nil {
			return fmt.Errorf("decode a document: %w", err)
		}
		return nil
	}
}

// documents appends each row's one column to all.
func documents[T any](all *[]T) func(row) error {
	return func(r row) error {
		var item T
		if err := document(&item)(r); err != nil {
			return err
		}
		*all = append(*all, item)
		return nil
	}
}
