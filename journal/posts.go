package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"aftershock/detector"
)

// StoredPost is a draft, or a post that was sent, with its number: later ones have higher
// numbers.
type StoredPost struct {
	Seq int64
	detector.Post
}

// PutPost puts down a post, once: as a draft, and where it has the time at which it was
// sent, as sent together with the jobs that it owes. It answers false, and does nothing,
// where the post is known already.
func (j *Journal) PutPost(ctx context.Context, p detector.Post, jobs ...Job) (fresh bool, err error) {
	err = j.write(ctx, "put down post "+p.ID+" of upgrade "+p.Upgrade, func(t tx) error {
		draft := p
		draft.Actor, draft.SentAt = "", time.Time{}
		fresh, err = putPost(ctx, t, draft, postDraft)
		if err != nil || !fresh || p.SentAt.IsZero() {
			return err
		}
		if _, err := putPost(ctx, t, p, postSent); err != nil {
			return err
		}
		return j.jobs.insert(ctx, t, jobs)
	})
	return fresh && err == nil, err
}

// SendPost puts down that a draft was sent, in these words, and the jobs that it owes. It
// gives ErrNotFound where there is no draft, and ErrConflict where it was sent before.
func (j *Journal) SendPost(ctx context.Context, p detector.Post, jobs ...Job) error {
	return j.write(ctx, "send post "+p.ID+" of upgrade "+p.Upgrade, func(t tx) error {
		if p.Actor == "" || p.SentAt.IsZero() {
			return fmt.Errorf("%w: it lacks the actor or the time", ErrInvalid)
		}
		last, err := lastOf(ctx, t, p)
		switch {
		case err != nil:
			return err
		case last == postDiscarded:
			return fmt.Errorf("%w: it was discarded", ErrConflict)
		case last != postDraft:
			return fmt.Errorf("%w: it was sent already", ErrConflict)
		}
		if _, err := putPost(ctx, t, p, postSent); err != nil {
			return err
		}
		return j.jobs.insert(ctx, t, jobs)
	})
}

// States of a post, as its rows have them; corrections are counted from postCorrected on.
const (
	postDraft = iota
	postSent
	postDiscarded
	postCorrected
)

// lastOf is the last state of a post, or ErrNotFound.
func lastOf(ctx context.Context, t tx, p detector.Post) (last int64, err error) {
	err = one(ctx, t, func(r row) error { return r.Scan(&last) },
		`SELECT sent FROM posts WHERE upgrade = $1 AND id = $2 ORDER BY sent DESC LIMIT 1`, text(p.Upgrade), text(p.ID))
	return last, err
}

// DiscardPost puts down that a draft was thrown away, by whom and why. It gives ErrNotFound
// where there is no draft, and ErrConflict where it was sent or discarded before.
func (j *Journal) DiscardPost(ctx context.Context, p detector.Post) error {
	return j.write(ctx, "discard post "+p.ID+" of upgrade "+p.Upgrade, func(t tx) error {
		if p.Actor == "" || p.Reason == "" || !p.Discarded || !p.SentAt.IsZero() {
			return fmt.Errorf("%w: it lacks the actor or the reason", ErrInvalid)
		}
		last, err := lastOf(ctx, t, p)
		switch {
		case err != nil:
			return err
		case last != postDraft:
			return fmt.Errorf("%w: it was sent or discarded already", ErrConflict)
		}
		_, err = putPost(ctx, t, p, postDiscarded)
		return err
	})
}

// CorrectPost puts down a correction of a post that was sent, and the jobs that it owes. It
// gives ErrNotFound where there is no such post, and ErrConflict where it wasn't sent, or was
// corrected meanwhile.
func (j *Journal) CorrectPost(ctx context.Context, p detector.Post, jobs ...Job) error {
	return j.write(ctx, "correct post "+p.ID+" of upgrade "+p.Upgrade, func(t tx) error {
		if p.CorrectedBy == "" || p.CorrectedAt.IsZero() || p.SentAt.IsZero() || len(p.Earlier) == 0 {
			return fmt.Errorf("%w: it lacks the actor, the time or the earlier text", ErrInvalid)
		}
		last, err := lastOf(ctx, t, p)
		if err != nil {
			return err
		}
		next := postCorrected + int64(len(p.Earlier)) - 1
		if last == postDraft || last == postDiscarded || next != max(last+1, postCorrected) {
			return fmt.Errorf("%w: it wasn't sent, or was corrected meanwhile", ErrConflict)
		}
		if _, err := putPost(ctx, t, p, next); err != nil {
			return err
		}
		return j.jobs.insert(ctx, t, jobs)
	})
}

func putPost(ctx context.Context, t tx, p detector.Post, sent int64) (fresh bool, err error) {
	if p.Upgrade == "" || p.ID == "" {
		return false, fmt.Errorf("%w: post %q of upgrade %q lacks one of these", ErrInvalid, p.ID, p.Upgrade)
	}
	doc, err := encode("post "+p.ID, p)
	if err != nil {
		return false, err
	}
	n, err := t.exec(ctx, `
		INSERT INTO posts (upgrade, id, sent, at_us, document) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (upgrade, id, sent) DO NOTHING`, text(p.Upgrade), text(p.ID), sent, micros(p.At), doc)
	return n > 0, err
}

// Posts gives the drafts of an upgrade and the posts that were sent, those after a number
// and in order of it, at most 1000.
func (j *Journal) Posts(ctx context.Context, upgrade string, after int64) (all []StoredPost, err error) {
	err = j.read("read the posts of upgrade "+upgrade, func(t tx) error {
		return t.each(ctx, func(r row) error {
			var p StoredPost
			var doc []byte
			if err := r.Scan(&p.Seq, &doc); err != nil {
				return err
			}
			if err := json.Unmarshal(doc, &p.Post); err != nil {
				return fmt.Errorf("decode post %d: %w", p.Seq, err)
			}
			all = append(all, p)
			return nil
		}, `SELECT seq, document FROM posts WHERE upgrade = $1 AND seq > $2 ORDER BY seq LIMIT $3`, text(upgrade), after, maxLimit)
	})
	return all, err
}
