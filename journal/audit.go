package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"aftershock/detector"
)

// AuditQuery says which lines of the audit are wanted.
type AuditQuery struct {
	// Flag is the flag's name, "" for all; Since the earliest time that a state was
	// reached, zero for all.
	Flag  string
	Since time.Time
	// After is the number of the last line of the page before, 0 for the first page.
	After int64
	// Limit is the most lines wanted; 0 is 100, and 1000 the most.
	Limit int
}

// Audit gives every state of every toggle in the order in which they were put down,
// and the number after which to go on, 0 when there are no more now. Nothing is
// ever removed from it.
func (j *Journal) Audit(ctx context.Context, q AuditQuery) (all []detector.Toggle, next int64, err error) {
	limit, more := limited(q.Limit), false
	since := int64(0)
	if !q.Since.IsZero() {
		since = q.Since.UnixMicro()
	}
	err = j.read("read the audit", func(t tx) error {
		return t.each(ctx, func(r row) error {
			if len(all) == limit { // one more than wanted
				more = true
				return nil
			}
			var seq int64
			var doc []byte
			if err := r.Scan(&seq, &doc); err != nil {
				return err
			}
			var line detector.Toggle
			if err := json.Unmarshal(doc, &line); err != nil {
				return fmt.Errorf("decode line %d of the audit: %w", seq, err)
			}
			all, next = append(all, line), seq
			return nil
		}, `
			SELECT seq, document FROM toggles
			WHERE seq > $1 AND (CAST($2 AS TEXT) = '' OR flag = $2) AND updated_us >= $3
			ORDER BY seq LIMIT $4`, q.After, text(q.Flag), since, limit+1)
	})
	if err != nil || !more {
		return all, 0, err
	}
	return all, next, nil
}

// Freeze gives how the automation's kill switch was put last, its zero value where
// it never was.
func (j *Journal) Freeze(ctx context.Context) (f detector.Freeze, err error) {
	err = j.read("read the automation's kill switch", func(t tx) error {
		err := one(ctx, t, document(&f), `SELECT document FROM freezes ORDER BY seq DESC LIMIT 1`)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	return f, err
}

// PutFreeze puts the automation's kill switch, for good.
func (j *Journal) PutFreeze(ctx context.Context, f detector.Freeze) error {
	return j.write(ctx, "put the automation's kill switch", func(t tx) error {
		doc, err := encode("freeze", f)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO freezes (at_us, document) VALUES ($1, $2)`, micros(f.At), doc)
		return err
	})
}

// Freezes gives each time that the kill switch was put, the last first, at most
// limit (0 is 100, and 1000 the most).
func (j *Journal) Freezes(ctx context.Context, limit int) (all []detector.Freeze, err error) {
	err = j.read("read the automation's kill switch", func(t tx) error {
		return t.each(ctx, documents(&all), `SELECT document FROM freezes ORDER BY seq DESC LIMIT $1`, limited(limit))
	})
	return all, err
}
