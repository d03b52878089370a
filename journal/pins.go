package journal

import (
	"context"
	"fmt"

	"aftershock/detector"
)

// maxPins bounds the pinned keys of one publisher.
const maxPins = 100

// Pinned gives the keys that are pinned of a publisher, in the order in which they came.
func (j *Journal) Pinned(ctx context.Context, publisher string) (all []detector.Pin, err error) {
	err = j.read("read the pinned keys of "+publisher, func(t tx) error {
		return t.each(ctx, documents(&all), `SELECT document FROM pins WHERE lower(publisher) = lower($1) ORDER BY seq LIMIT $2`, text(publisher), maxPins)
	})
	return all, err
}

// Pin puts down a key of a publisher, for good; nothing where it is there already. Of two at once
// that pin the same, one does.
func (j *Journal) Pin(ctx context.Context, p detector.Pin) error {
	return j.write(ctx, "pin a key of "+p.Publisher, func(t tx) error {
		if p.Publisher == "" || p.Kind == "" || p.Fingerprint == "" || p.FirstSeen.IsZero() {
			return fmt.Errorf("%w: it lacks the publisher, the kind, the fingerprint or the time", ErrInvalid)
		}
		n, same := 0, 0
		err := one(ctx, t, func(r row) error { return r.Scan(&n, &same) },
			`SELECT count(*), count(CASE WHEN kind = $2 AND fingerprint = $3 THEN 1 END) FROM pins WHERE lower(publisher) = lower($1)`,
			text(p.Publisher), text(p.Kind), text(p.Fingerprint))
		if err != nil || same > 0 {
			return err
		}
		if n >= maxPins {
			return fmt.Errorf("%w: the publisher has %d keys already", ErrInvalid, n)
		}
		doc, err := encode("the pin", p)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO pins (publisher, kind, fingerprint, document, at_us) VALUES ($1, $2, $3, $4, $5)`,
			text(p.Publisher), text(p.Kind), text(p.Fingerprint), doc, micros(p.FirstSeen))
		return err
	})
}
