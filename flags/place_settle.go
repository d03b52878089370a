package flags

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags/remote"
)

const (
	// settleWithin is how long a write's effect is waited for where the backend
	// said that it was done, or didn't say; settleAgain the pause between looks.
	settleWithin = 3 * time.Second
	settleAgain  = 200 * time.Millisecond
)

// errCutOff stands for what a backend said of a write whose daemon has stopped.
var errCutOff = fmt.Errorf("%w: the daemon stopped before, or the backend couldn't be reached", remote.ErrUnclear)

// settle looks what became of a write, and puts that down. written is what the
// backend said of it, errCutOff for a toggle of an earlier run. Where it can't be
// found out, the toggle stays pending, and tend looks again.
func (s *Switchboard) settle(ctx context.Context, p *place, t detector.Toggle, w stay, written error) (detector.Toggle, remote.State, error) {
	if written != nil && !errors.Is(written, remote.ErrUnclear) {
		failed, err := s.failAway(ctx, t, fmt.Errorf("set flag %q in the backend %s: %w: nothing was changed", t.Flag, p.Name, inWords(written)))
		return failed, remote.State{}, err
	}
	cutOff := errors.Is(written, errCutOff)
	for deadline := time.Now().Add(settleWithin); ; {
		state, err := p.read(ctx, t.Flag, s.now().UTC())
		last := cutOff || time.Now().After(deadline) || ctx.Err() != nil
		switch {
		case err == nil && w.done(state):
			t, err := s.commitAway(ctx, p, t, w, state)
			return t, state, err
		case err == nil && !remote.Same(state.Definition, w.Replaced):
			failed, err := s.failAway(ctx, t, fmt.Errorf("set flag %q: %w: the backend %s serves %s now, which neither this toggle wrote nor was there before; look again",
				t.Flag, ErrConflict, p.Name, or(state.Variant, "something else")))
			return failed, state, err
		case err == nil && last && (written == nil || cutOff):
			why := "the backend " + p.Name + " said that it was done, and did nothing: it still serves " + or(state.Variant, "what it did")
			if cutOff {
				why = "not applied: " + errCutOff.Error()
			}
			failed, err := s.failAway(ctx, t, fmt.Errorf("set flag %q: %w: %s", t.Flag, ErrNotVerified, why))
			return failed, state, err
		case last:
			t.Evidence = fmt.Sprintf("whether the backend %s did it isn't known: %v; it's looked at again until it is", p.Name, errors.Join(written, err))
			return t, state, fmt.Errorf("set flag %q: %w: %s", t.Flag, ErrNotVerified, t.Evidence)
		}
		select {
		case <-ctx.Done():
		case <-time.After(settleAgain):
		}
	}
}

// done says whether a state is what the toggle wanted. Of a definition that the
// backend wrote in its own way, what is served counts.
func (w stay) done(state remote.State) bool {
	return remote.Same(state.Definition, w.Written) || !w.Exact && state.Everyone && state.Variant == w.Variant
}

// commitAway puts down that a toggle was applied.
func (s *Switchboard) commitAway(ctx context.Context, p *place, t detector.Toggle, w stay, state remote.State) (detector.Toggle, error) {
	applied := t
	applied.State, applied.Updated, applied.Revision = detector.ToggleApplied, s.now().UTC(), cut(state.Revision, 100)
	if value, ok := state.Variants[t.After]; ok {
		applied.Value = value // as it was read back
	}
	err := s.putAway(context.WithoutCancel(ctx), applied, func(a away) (away, error) {
		if a.Pending == nil || a.Pending.Toggle != t.ID {
			return a, fmt.Errorf("%w: another daemon has taken it up", ErrConflict)
		}
		return a.settled(state.Definition), nil
	})
	if err != nil {
		return t, fmt.Errorf("put down toggle %s of flag %q, which the backend %s has carried out: %w", t.ID, t.Flag, p.Name, err)
	}
	s.log.WithFields(logrus.Fields{
		"toggle": t.ID, "flag": t.Flag, "before": t.Before, "after": t.After, "actor": t.Actor, "revision": applied.Revision, "backend": p.Name,
	}).Info("toggled a flag")
	if s.config.OnFlip != nil {
		s.config.OnFlip(flip(applied, true))
	}
	s.knowTerm(applied)
	if w.Undoes != "" {
		if err := s.auditUndone(ctx, w.Undoes, applied); err != nil {
			s.log.WithError(err).WithField("toggle", w.Undoes).Warn("couldn't audit that a toggle was undone; it's tried again")
		}
	}
	return applied, nil
}

// failAway puts down that a toggle wasn't applied, and why.
func (s *Switchboard) failAway(ctx context.Context, t detector.Toggle, cause error) (detector.Toggle, error) {
	failed := t
	failed.State, failed.Updated = detector.ToggleFailed, s.now().UTC()
	failed.Evidence = evidence(t, cause.Error())
	err := s.putAway(context.WithoutCancel(ctx), failed, func(a away) (away, error) {
		if a.Pending == nil || a.Pending.Toggle != t.ID {
			return a, fmt.Errorf("%w: another daemon has taken it up", ErrConflict)
		}
		a.Pending = nil
		return a, nil
	})
	if err != nil {
		return t, errors.Join(cause, fmt.Errorf("put down that toggle %s of flag %q failed: %w", t.ID, t.Flag, err))
	}
	return failed, cause
}

// resumeAway finishes a toggle of the flag that was cut off. What was put down
// only seconds ago is left alone, as another daemon may be at it.
func (s *Switchboard) resumeAway(ctx context.Context, p *place, flag string) error {
	a := s.serving.Load().document.Away[flag]
	id := a.Last
	if a.Pending != nil {
		id = a.Pending.Toggle
	}
	if id == "" || s.busy(id) || p.isOver(id) {
		return nil
	}
	t, err := s.find(ctx, flag, id)
	if err != nil {
		return err
	}
	if s.now().Sub(t.Updated) < s.grace {
		return nil
	}
	if a.Pending == nil {
		return s.reverify(ctx, p, t, a)
	}
	s.begin(id)
	defer s.end(id)
	look, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	t, state, err := s.settle(look, p, t, *a.Pending, errCutOff)
	s.log.WithFields(logrus.Fields{"toggle": t.ID, "flag": t.Flag, "backend": p.Name, "state": t.State}).Info("looked what became of a toggle of an earlier run")
	switch t.State {
	case detector.ToggleApplied:
		_, err = s.concludeAway(ctx, p, t, state)
		return err
	case detector.ToggleFailed:
		return nil // that's in the audit now
	}
	return err
}

// reverify verifies a toggle that was applied and not verified when its daemon
// stopped, and notes an undo at what it undid.
func (s *Switchboard) reverify(ctx context.Context, p *place, t detector.Toggle, a away) error {
	if a.Undoes != "" {
		if err := s.auditUndone(ctx, a.Undoes, t); err != nil {
			return err
		}
	}
	if t.State != detector.ToggleApplied || unverifiable(t) {
		p.setOver(t.ID)
		return nil
	}
	s.begin(t.ID)
	defer s.end(t.ID)
	look, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	state, err := p.read(look, t.Flag, s.now().UTC())
	if err != nil {
		return err
	}
	_, err = s.concludeAway(ctx, p, t, state)
	return err
}

// resumable says whether a toggle is of the switchboard's own definitions; of
// one that isn't, tend finds out more, if its backend is still configured.
func (s *Switchboard) resumable(t detector.Toggle) (ours bool, err error) {
	a, away := s.serving.Load().document.Away[t.Flag]
	p := s.placeOf(t.Flag)
	switch {
	case p == nil && a.Pending != nil && a.Pending.Toggle == t.ID:
		return false, fmt.Errorf("toggle %s of flag %q was cut off, and the backend %s that it was for isn't configured any more: look there", t.ID, t.Flag, a.Backend)
	case p != nil || away && a.Backend != "" && a.Last == t.ID:
		return false, nil
	}
	return true, nil
}
