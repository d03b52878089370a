package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aftershock/detector"
)

// maxChores bounds the chores of one upgrade.
const maxChores = 1000

// Chores gives the clean-up ledger of an upgrade as it stands, in the order in which the
// chores came.
func (j *Journal) Chores(ctx context.Context, upgrade string) (all []detector.LedgerEntry, err error) {
	err = j.read("read the chores of upgrade "+upgrade, func(t tx) error {
		return t.each(ctx, documents(&all), `
			SELECT c.document FROM chores c
			JOIN (SELECT min(seq) AS first, max(seq) AS last FROM chores WHERE upgrade = $1 GROUP BY id) s ON c.seq = s.last
			ORDER BY s.first`, text(upgrade))
	})
	return all, err
}

// ChoresAt gives the chores of all upgrades as they stood at an instant, in the order in
// which they came, at most 10000.
func (j *Journal) ChoresAt(ctx context.Context, at time.Time) (all []detector.LedgerEntry, err error) {
	err = j.read("read the chores", func(t tx) error {
		return t.each(ctx, documents(&all), `
			SELECT c.document FROM chores c
			JOIN (SELECT min(seq) AS first, max(seq) AS last FROM chores WHERE at_us <= $1 GROUP BY upgrade, id) s ON c.seq = s.last
			ORDER BY s.first LIMIT 10000`, micros(at))
	})
	return all, err
}

// ChoreHistory gives every state that a chore had, in order.
func (j *Journal) ChoreHistory(ctx context.Context, upgrade, id string) (all []detector.LedgerEntry, err error) {
	err = j.read("read the history of chore "+id, func(t tx) error {
		return t.each(ctx, documents(&all), `SELECT document FROM chores WHERE upgrade = $1 AND id = $2 ORDER BY seq LIMIT $3`, text(upgrade), text(id), maxLimit)
	})
	return all, err
}

// ChangeChore puts down what change makes of a chore, unless it says that nothing changes:
// it gets the chore as it stands, and whether there is one. Nobody else's change comes in
// between.
func (j *Journal) ChangeChore(ctx context.Context, upgrade, id string, change func(e detector.LedgerEntry, known bool) (detector.LedgerEntry, bool, error)) (e detector.LedgerEntry, err error) {
	err = j.write(ctx, "change chore "+id+" of upgrade "+upgrade, func(t tx) error {
		known := true
		err := one(ctx, t, document(&e), `SELECT document FROM chores WHERE upgrade = $1 AND id = $2 ORDER BY seq DESC LIMIT 1`, text(upgrade), text(id))
		if errors.Is(err, ErrNotFound) {
			known, err = false, nil
		}
		if err != nil {
			return err
		}
		next, changed, err := change(e, known)
		if err != nil || !changed {
			return err
		}
		next.Upgrade, next.ID = upgrade, id
		if upgrade == "" || id == "" || next.Name == "" || next.At.IsZero() {
			return fmt.Errorf("%w: it lacks the upgrade, the ID, the name or the time", ErrInvalid)
		}
		if !known {
			n := 0
			if err := one(ctx, t, func(r row) error { return r.Scan(&n) }, `SELECT count(DISTINCT id) FROM chores WHERE upgrade = $1`, text(upgrade)); err != nil {
				return err
			}
			if n >= maxChores {
				return fmt.Errorf("%w: the upgrade has %d chores already", ErrInvalid, n)
			}
		}
		doc, err := encode("chore "+id, next)
		if err != nil {
			return err
		}
		e = next
		_, err = t.exec(ctx, `INSERT INTO chores (upgrade, id, at_us, document) VALUES ($1, $2, $3, $4)`, text(upgrade), text(id), micros(next.At), doc)
		return err
	})
	return e, err
}
