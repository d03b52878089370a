package journal

import (
	"context"
	"fmt"
	"time"
)

// Answer is what a write was answered, under the key that its caller gave it.
type Answer struct {
	Caller string `json:"-"`
	Key    string `json:"-"`
	// At is when it was asked.
	At time.Time `json:"at"`
	// Digest is that of the request: the key is for no other one.
	Digest string `json:"digest"`
	// Toggle is the ID of the toggle that the request makes, if it makes one.
	Toggle string `json:"toggle"`
	// Status is 0 while the request is under way, or was cut off.
	Status   int    `json:"status,omitempty"`
	Type     string `json:"type,omitempty"`
	Location string `json:"location,omitempty"`
	Body     []byte `json:"body,omitempty"`
}

// Bounds of what is kept of answers.
const (
	answersAge = 24 * time.Hour
	maxAnswers = 1000 // of a caller
)

// ClaimAnswer puts down that a request is under way, unless its caller gave another one
// the same key within a day: then it gives what is known of that, and false. A caller's
// last thousand keys are kept.
func (j *Journal) ClaimAnswer(ctx context.Context, a Answer) (there Answer, claimed bool, err error) {
	err = j.write(ctx, "claim a key", func(t tx) error {
		if a.Key == "" || a.Digest == "" || a.At.IsZero() {
			return fmt.Errorf("%w: the claim lacks the key, the digest or the time", ErrInvalid)
		}
		if _, err := t.exec(ctx, `DELETE FROM answers WHERE at_us < $1`, micros(a.At.Add(-answersAge))); err != nil {
			return err
		}
		doc, err := encode("a claim", a)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, `INSERT INTO answers (caller, key, at_us, document) VALUES ($1, $2, $3, $4) ON CONFLICT (caller, key) DO NOTHING`,
			text(a.Caller), text(a.Key), micros(a.At), doc)
		if err != nil {
			return err
		}
		if claimed = n > 0; !claimed {
			there = Answer{Caller: a.Caller, Key: a.Key}
			return one(ctx, t, document(&there), `SELECT document FROM answers WHERE caller = $1 AND key = $2`, text(a.Caller), text(a.Key))
		}
		there = a
		_, err = t.exec(ctx, `DELETE FROM answers WHERE caller = $1 AND key NOT IN (
			SELECT key FROM answers WHERE caller = $1 ORDER BY at_us DESC, key LIMIT $2)`, text(a.Caller), maxAnswers)
		return err
	})
	return there, claimed, err
}

// PutAnswer puts down what a claimed request was answered.
func (j *Journal) PutAnswer(ctx context.Context, a Answer) error {
	return j.write(ctx, "put down an answer", func(t tx) error {
		doc, err := encode("an answer", a)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `UPDATE answers SET document = $1 WHERE caller = $2 AND key = $3`, doc, text(a.Caller), text(a.Key))
		return err
	})
}

// DropAnswer forgets a claim, so that its key may be used anew.
func (j *Journal) DropAnswer(ctx context.Context, a Answer) error {
	return j.write(ctx, "drop a claim", func(t tx) error {
		_, err := t.exec(ctx, `DELETE FROM answers WHERE caller = $1 AND key = $2`, text(a.Caller), text(a.Key))
		return err
	})
}
