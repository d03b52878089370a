package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"aftershock/detector"
)

// maxDefinitions bounds the flag definitions, in bytes.
const maxDefinitions = 4 << 20

// Definitions gives the flag definitions as they were put, to the byte, and
// their revision; revision 0 and nil when there are none yet.
func (j *Journal) Definitions(ctx context.Context) (revision int64, definitions []byte, err error) {
	err = j.read("read the flag definitions", func(t tx) error {
		err := one(ctx, t, func(r row) error { return r.Scan(&revision, &definitions) },
			`SELECT revision, document FROM definitions ORDER BY revision DESC LIMIT 1`)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	return revision, definitions, err
}

// PutDefinitions replaces the flag definitions of the revision expected (0 for
// none yet), audits the toggle that is the reason, and puts down its jobs, all
// or nothing. A toggle without an ID is not audited. It gives the new
// revision, or ErrConflict when the revision is another by now.
func (j *Journal) PutDefinitions(ctx context.Context, expected int64, definitions []byte, t detector.Toggle, jobs ...Job) (revision int64, err error) {
	if len(definitions) > maxDefinitions {
		return 0, fmt.Errorf("put the flag definitions: %w: %d bytes, and %d are allowed", ErrInvalid, len(definitions), maxDefinitions)
	}
	if !json.Valid(definitions) {
		return 0, fmt.Errorf("put the flag definitions: %w: they are no JSON", ErrInvalid)
	}
	err = j.write(ctx, "put the flag definitions", func(x tx) error {
		n, err := x.exec(ctx, `
			INSERT INTO definitions (revision, at_us, document) SELECT $1, $2, $3
			WHERE (SELECT coalesce(max(revision), 0) FROM definitions) = $4`,
			expected+1, time.Now().UnixMicro(), string(definitions), expected)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: revision %d is no longer the last", ErrConflict, expected)
		}
		if t.ID != "" {
			if err := audit(ctx, x, t); err != nil {
				return err
			}
		}
		return j.jobs.insert(ctx, x, jobs)
	})
	if err != nil {
		return 0, err
	}
	return expected + 1, nil
}

// AuditToggle adds the toggle's state to the audit, and puts down its jobs, all
// or nothing. The audit only grows: the database refuses to change it. A
// repeated call (same ID, state and Updated) adds nothing.
func (j *Journal) AuditToggle(ctx context.Context, t detector.Toggle, jobs ...Job) error {
	return j.write(ctx, "audit toggle "+t.ID, func(x tx) error {
		if err := audit(ctx, x, t); err != nil {
			return err
		}
		return j.jobs.insert(ctx, x, jobs)
	})
}

// DecideToggle is AuditToggle of a state that follows on last, and ErrConflict when the
// toggle's last state in the audit is another by now: of two who decide at once on
// two daemons, one does.
func (j *Journal) DecideToggle(ctx context.Context, last, next detector.Toggle, jobs ...Job) error {
	return j.write(ctx, "audit toggle "+next.ID, func(x tx) error {
		var state string
		var updated int64
		err := one(ctx, x, func(r row) error { return r.Scan(&state, &updated) },
			`SELECT state, updated_us FROM toggles WHERE id = $1 ORDER BY seq DESC LIMIT 1`, text(next.ID))
		if err != nil {
			return err
		}
		if state != string(last.State) || updated != micros(last.Updated) {
			return fmt.Errorf("%w: toggle %s is %s by now", ErrConflict, next.ID, state)
		}
		if err := audit(ctx, x, next); err != nil {
			return err
		}
		return j.jobs.insert(ctx, x, jobs)
	})
}

func audit(ctx context.Context, x tx, t detector.Toggle) error {
	if t.ID == "" || t.Flag == "" || t.State == "" {
		return fmt.Errorf("%w: toggle %q of flag %q in state %q lacks one of these", ErrInvalid, t.ID, t.Flag, t.State)
	}
	doc, err := encode("toggle "+t.ID, t)
	if err != nil {
		return err
	}
	_, err = x.exec(ctx, `
		INSERT INTO toggles (id, flag, state, at_us, updated_us, document) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id, state, updated_us) DO NOTHING`,
		text(t.ID), text(t.Flag), string(t.State), micros(t.At), micros(t.Updated), doc)
	if err != nil {
		return err
	}
	if t.State != detector.ToggleApplied && t.State != detector.ToggleVerified {
		return nil
	}
	// What was applied is a flip of ours, from the first such state on.
	return flip(ctx, x, "toggle "+t.ID, detector.Flip{
		Flag: t.Flag, Variant: t.After, Before: t.Before, At: t.Updated, Actor: t.Actor, Ours: true, Scope: t.Scope,
	})
}

// Toggles gives the latest state of each toggle of a flag ("" for all), the
// last act first, at most limit (0 is 100, and 1000 the most).
func (j *Journal) Toggles(ctx context.Context, flag string, limit int) (all []detector.Toggle, err error) {
	err = j.read("read the toggles", func(t tx) error {
		return t.each(ctx, documents(&all), `
			SELECT document FROM toggles
			WHERE (CAST($1 AS TEXT) = '' OR flag = $1)
				AND NOT EXISTS (SELECT 1 FROM toggles later WHERE later.id = toggles.id AND later.seq > toggles.seq)
			ORDER BY at_us DESC, seq DESC LIMIT $2`, text(flag), limited(limit))
	})
	return all, err
}

// TogglesIn gives the latest state of every toggle in which that is one of the
// states, the last act first, without a bound: what waits for somebody must not get
// lost behind what came later.
func (j *Journal) TogglesIn(ctx context.Context, states ...detector.ToggleState) (all []detector.Toggle, err error) {
	var places []string
	var args []any
	for _, s := range states {
		args = append(args, string(s))
		places = append(places, fmt.Sprintf("$%d", len(args)))
	}
	err = j.read("read the toggles", func(t tx) error {
		return t.each(ctx, documents(&all), `
			SELECT document FROM toggles
			WHERE state IN (`+strings.Join(places, ", ")+`)
				AND NOT EXISTS (SELECT 1 FROM toggles later WHERE later.id = toggles.id AND later.seq > toggles.seq)
			ORDER BY at_us DESC, seq DESC`, args...)
	})
	return all, err
}

// ToggleHistory gives every state of one toggle in the order they were audited,
// or ErrNotFound.
func (j *Journal) ToggleHistory(ctx context.Context, id string) (all []detector.Toggle, err error) {
	err = j.read("read the audit of toggle "+id, func(t tx) error {
		err := t.each(ctx, documents(&all), `SELECT document FROM toggles WHERE id = $1 ORDER BY seq`, text(id))
		if err == nil && len(all) == 0 {
			return ErrNotFound
		}
		return err
	})
	return all, err
}

// PutFlips adds flips that were seen but not made by a toggle of the audit; one
// that is there already (same flag, variant and time) is dropped.
func (j *Journal) PutFlips(ctx context.Context, flips ...detector.Flip) error {
	return j.write(ctx, "put down flips", func(x tx) error {
		for _, f := range flips {
			if f.Flag == "" || f.At.IsZero() {
				return fmt.Errorf("%w: a flip has no flag or no time", ErrInvalid)
			}
			if err := flip(ctx, x, fmt.Sprintf("seen %d %q %q", micros(f.At), f.Flag, f.Variant), f); err != nil {
				return err
			}
		}
		return nil
	})
}

func flip(ctx context.Context, x tx, id string, f detector.Flip) error {
	doc, err := encode("flip of "+f.Flag, f)
	if err != nil {
		return err
	}
	_, err = x.exec(ctx, `INSERT INTO flips (id, flag, at_us, document) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
		text(id), text(f.Flag), micros(f.At), doc)
	return err
}

// Flips gives the flips at or after since, in order of time: those that
// toggles of the audit made (from when they were applied) and those put by
// PutFlips. It gives the last 1000 at most.
func (j *Journal) Flips(ctx context.Context, since time.Time) (all []detector.Flip, err error) {
	err = j.read("read the flips", func(t tx) error {
		return t.each(ctx, documents(&all), `
			SELECT document FROM (
				SELECT at_us, id, document FROM flips WHERE at_us >= $1 ORDER BY at_us DESC, id DESC LIMIT $2
			) AS latest ORDER BY at_us, id`, micros(since), maxLimit)
	})
	return all, err
}

// Setting gives a value that PutSetting wrote, or ErrNotFound.
func (j *Journal) Setting(ctx context.Context, key string) (value string, err error) {
	err = j.read("read setting "+key, func(t tx) error {
		return one(ctx, t, func(r row) error { return r.Scan(&value) }, `SELECT value FROM settings WHERE key = $1`, text(key))
	})
	return value, err
}

// PutSetting writes a small value under a key. Both are text: bytes that
// aren't UTF-8, and NUL, are replaced.
func (j *Journal) PutSetting(ctx context.Context, key, value string) error {
	return j.write(ctx, "write setting "+key, func(t tx) error {
		_, err := t.exec(ctx, `
			INSERT INTO settings (key, value, at_us) VALUES ($1, $2, $3)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value, at_us = excluded.at_us`,
			text(key), text(value), time.Now().UnixMicro())
		return err
	})
}
