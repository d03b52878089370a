package flags

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
)

// writeTimeout bounds one write to the store once a toggle is under way.
const writeTimeout = 10 * time.Second

// Set toggles a flag for everyone and verifies it. It returns the toggle as it
// stands; with an error that is ErrNotVerified, the toggle was applied all the
// same. A dry run returns the planned toggle, without an ID and with the diff as
// evidence. What is under way goes on when ctx ends.
func (s *Switchboard) Set(ctx context.Context, r Request) (detector.Toggle, error) {
	if p := s.placeOf(r.Flag); p != nil {
		return s.setAway(ctx, p, r)
	}
	start := s.serving.Load()
	p, err := start.plan(r, s)
	if err != nil {
		return detector.Toggle{}, err
	}
	if r.DryRun {
		t := s.toggle(r, p)
		t.Evidence = p.Diff
		return t, nil
	}
	t := s.toggle(r, p)
	t.ID = s.newID()
	return s.act(ctx, t, start, func(n *snapshot) (document, error) {
		r.Revision = 0 // held against the first plan; a change of another flag since is fine
		p, err := n.plan(r, s)
		if err != nil {
			return document{}, err
		}
		next := n.document.toggled(r.Flag, p.definition, standing{Toggle: t.ID, Variant: r.Variant, Before: p.Before})
		// A rule at the edge of the bounds may not bear the wrapping.
		set, err := next.set()
		if err != nil {
			return document{}, fmt.Errorf("set flag %q: %w: %w", r.Flag, ErrInvalid, err)
		}
		if f, _ := set.Flag(r.Flag); f.Problem != "" {
			return document{}, fmt.Errorf("set flag %q: %w: the new definition couldn't be served: %s", r.Flag, ErrInvalid, f.Problem)
		}
		return next, nil
	})
}

// Undo restores a flag's definition from before its last toggle, to the byte,
// and verifies that. It returns the undo as a toggle of its own.
func (s *Switchboard) Undo(ctx context.Context, flag, reason, actor string) (detector.Toggle, error) {
	r := Request{Flag: flag, Reason: reason, Actor: actor}
	if err := r.check(); err != nil {
		return detector.Toggle{}, err
	}
	if p := s.placeOf(flag); p != nil {
		return s.undoAway(ctx, p, r)
	}
	n := s.serving.Load()
	if _, err := n.flag(flag); err != nil {
		return detector.Toggle{}, err
	}
	in := n.document.Acts[flag].Standing
	if len(in) == 0 {
		return detector.Toggle{}, fmt.Errorf("undo toggle of flag %q: %w: no toggle of it is in force", flag, ErrUnchanged)
	}
	last := in[len(in)-1]
	t := s.toggle(r, Plan{Before: last.Variant, After: last.Before, Revision: n.revision})
	t.ID = s.newID()
	if f, ok := n.set.Flag(flag); ok {
		t.Value = f.Variants[last.Before]
	}
	t.Evidence = "undoes " + last.Toggle
	done, err := s.act(ctx, t, n, func(n *snapshot) (document, error) {
		in := n.document.Acts[flag].Standing
		if len(in) == 0 || in[len(in)-1].Toggle != last.Toggle {
			return document{}, fmt.Errorf("undo toggle of flag %q: %w: look again", flag, ErrConflict)
		}
		return n.document.undone(flag, t.ID), nil
	})
	if done.State != detector.TogglePlanned && done.State != "" && s.serving.Load().document.Acts[flag].Last == t.ID {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		err = errors.Join(err, s.auditUndone(ctx, last.Toggle, t))
	}
	return done, err
}

// act carries a toggle through: audited, applied, verified. change makes the
// new document of start, which the toggle was planned on; it is asked again
// where somebody changed another flag since.
func (s *Switchboard) act(ctx context.Context, t detector.Toggle, start *snapshot, change func(*snapshot) (document, error)) (detector.Toggle, error) {
	if s.itself.Load() == nil || s.stopping.Load() {
		return detector.Toggle{}, fmt.Errorf("set flag %q: %w: the daemon isn't serving flags, so that it couldn't be verified", t.Flag, ErrNotReady)
	}
	s.begin(t.ID)
	defer s.end(t.ID)
	if err := s.store.AuditToggle(ctx, t); err != nil {
		return detector.Toggle{}, fmt.Errorf("audit toggle of flag %q: %w: nothing was changed", t.Flag, err)
	}
	s.metrics.toggles.WithLabelValues(string(t.State)).Inc()
	// From here on it's in the audit and must come to an end there, even if the
	// person has gone.
	ctx = context.WithoutCancel(ctx)
	t, err := s.apply(ctx, t, start, change)
	if err != nil {
		return t, err
	}
	s.log.WithFields(logrus.Fields{
		"toggle": t.ID, "flag": t.Flag, "before": t.Before, "after": t.After, "actor": t.Actor, "revision": t.Revision,
	}).Info("toggled a flag")
	if s.config.OnFlip != nil {
		s.config.OnFlip(flip(t, true))
	}
	return s.conclude(ctx, t)
}

// apply writes the change. On an error the toggle was audited as failed, unless
// nobody knows whether it was applied.
func (s *Switchboard) apply(ctx context.Context, t detector.Toggle, start *snapshot, change func(*snapshot) (document, error)) (detector.Toggle, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	for n, try := start, 0; ; n, try = s.serving.Load(), try+1 {
		if !bytes.Equal(n.document.Flags[t.Flag], start.document.Flags[t.Flag]) || try == 10 {
			return s.fail(ctx, t, fmt.Errorf("set flag %q: %w: %s; look again", t.Flag, ErrConflict, s.whoChanged(ctx, t.Flag)))
		}
		d, err := change(n)
		if err != nil {
			return s.fail(ctx, t, err)
		}
		applied := t
		applied.State, applied.Updated = detector.ToggleApplied, s.now().UTC()
		applied.Revision = strconv.FormatInt(n.revision+1, 10)
		revision, err := s.put(ctx, n.revision, d, applied)
		if err == nil {
			applied.Revision = strconv.FormatInt(revision, 10)
			s.metrics.toggles.WithLabelValues(string(applied.State)).Inc()
			return applied, nil
		}
		// Whether it's a conflict or an answer that got lost, the store knows.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		read := s.refresh(ctx)
		cancel()
		if read != nil {
			return t, fmt.Errorf("set flag %q: %w: whether it was applied isn't known: look again", t.Flag, errors.Join(err, read))
		}
		if now := s.serving.Load(); now.document.Acts[t.Flag].Last == t.ID {
			return applied, nil
		}
		if !isConflict(err) {
			return s.fail(ctx, t, fmt.Errorf("set flag %q: %w: nothing was changed", t.Flag, err))
		}
	}
}

// whoChanged says who toggled a flag last.
func (s *Switchboard) whoChanged(ctx context.Context, flag string) string {
	toggles, err := s.store.Toggles(ctx, flag, 10)
	if err == nil {
		for _, t := range toggles {
			if t.State != detector.TogglePlanned && t.State != detector.ToggleFailed {
				return fmt.Sprintf("%s set it to %q at %s", t.Actor, t.After, t.At.Format(time.RFC3339))
			}
		}
	}
	return "somebody else did"
}

// fail audits that a toggle wasn't applied and returns why.
func (s *Switchboard) fail(ctx context.Context, t detector.Toggle, why error) (detector.Toggle, error) {
	failed, err := s.record(ctx, t, detector.ToggleFailed, "not applied: "+why.Error())
	return failed, errors.Join(why, err)
}

// conclude verifies an applied toggle and audits what came of it.
func (s *Switchboard) conclude(ctx context.Context, t detector.Toggle) (detector.Toggle, error) {
	seen, evidence := s.verify(ctx, t)
	switch {
	case seen:
		return s.record(ctx, t, detector.ToggleVerified, evidence)
	case s.stopping.Load():
		// Nothing was found out: the next start takes it up.
		return t, fmt.Errorf("set flag %q: %w: the daemon is stopping; the next start verifies it", t.Flag, ErrNotVerified)
	}
	failed, err := s.record(ctx, t, detector.ToggleFailed, evidence)
	return failed, errors.Join(fmt.Errorf("set flag %q to %q: %w: it was written as revision %s, but %s; undo it or look at its callers",
		t.Flag, t.After, ErrNotVerified, t.Revision, evidence), err)
}

// record adds a state of a toggle to the audit and returns the toggle in it.
func (s *Switchboard) record(ctx context.Context, t detector.Toggle, state detector.ToggleState, text string) (detector.Toggle, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	next := t
	next.State, next.Updated = state, s.now().UTC()
	next.Evidence = evidence(t, text)
	if err := s.store.AuditToggle(ctx, next); err != nil {
		return t, fmt.Errorf("audit toggle %s of flag %q as %s: %w", t.ID, t.Flag, state, err)
	}
	s.metrics.toggles.WithLabelValues(string(state)).Inc()
	return next, nil
}

// auditUndone notes at the toggle that was undone who undid it.
func (s *Switchboard) auditUndone(ctx context.Context, id string, by detector.Toggle) error {
	t, err := s.find(ctx, by.Flag, id)
	if err != nil {
		return err
	}
	if t.State == detector.ToggleUndone {
		return nil
	}
	_, err = s.record(ctx, t, detector.ToggleUndone, fmt.Sprintf("undone by %s with %s: %s", by.Actor, by.ID, by.Reason))
	return err
}

// find returns the latest state of a toggle.
func (s *Switchboard) find(ctx context.Context, flag, id string) (detector.Toggle, error) {
	toggles, err := s.store.Toggles(ctx, flag, 1000)
	if err != nil {
		return detector.Toggle{}, fmt.Errorf("read the audit for toggle %q: %w", id, err)
	}
	for _, t := range toggles {
		if t.ID == id {
			return t, nil
		}
	}
	return detector.Toggle{}, fmt.Errorf("read the audit for toggle %q: %w", cut(id, 100), ErrUnknown)
}

// flip is a toggle in the judge's words.
func flip(t detector.Toggle, ours bool) detector.Flip {
	return detector.Flip{Flag: t.Flag, Variant: t.After, Before: t.Before, At: t.Updated, Actor: t.Actor, Ours: ours, Toggle: t.ID, Upgrade: t.Upgrade}
}

// newID makes an identity that sorts by time.
func (s *Switchboard) newID() string {
	return s.now().UTC().Format("20060102T150405.000") + "-" + strings.ToLower(rand.Text()[:8])
}

func (s *Switchboard) begin(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight[id] = true
}

func (s *Switchboard) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inFlight, id)
}

func (s *Switchboard) busy(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight[id]
}
