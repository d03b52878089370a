package flags

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
)

// misses is how many checks in a row must find a flag not as toggled before
// that is called put back.
const misses = 2

// pinned is what is known of a toggle that is being held.
type pinned struct {
	misses int
	done   bool // nothing more to find out
}

// Run finishes what an earlier run left between two steps, and then, until ctx
// ends, takes up what others write to the store and watches whether somebody
// puts a toggled flag back. Connect comes first.
func (s *Switchboard) Run(ctx context.Context) error {
	if s.itself.Load() == nil {
		return fmt.Errorf("run switchboard: %w: it isn't connected", ErrNotReady)
	}
	defer func() {
		s.stopping.Store(true)
		s.itself.Swap(nil).close()
	}()
	s.stopping.Store(false)
	tending := make(chan struct{})
	go func() {
		defer close(tending)
		s.tend(ctx)
	}()
	defer func() { <-tending }()
	// A verification under way must learn of the end at once.
	stop := context.AfterFunc(ctx, func() { s.stopping.Store(true) })
	defer stop()
	if err := s.Resume(ctx); err != nil && ctx.Err() == nil {
		s.log.WithError(err).Error("couldn't finish toggles of an earlier run")
	}
	tick := time.NewTicker(s.config.Check)
	defer tick.Stop()
	again := time.NewTimer(s.grace)
	defer again.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			if err := s.Resume(ctx); err != nil && ctx.Err() == nil {
				s.log.WithError(err).Error("couldn't finish toggles of an earlier run")
			}
			continue
		case <-tick.C:
		}
		err := errors.Join(s.refresh(ctx), s.hold(ctx), s.tendToggles(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			s.log.WithError(err).Error("couldn't check the toggled flags")
		}
		failing = err != nil
	}
}

// Resume audits the end of toggles that were cut off: those that were planned
// and never applied, those applied and not verified, and those undone whose own
// line doesn't say so yet. What was planned only seconds ago is left alone, as
// another daemon on the same store may be at it. Run calls it, and again when
// those seconds are over.
func (s *Switchboard) Resume(ctx context.Context) error {
	toggles, err := s.store.TogglesIn(ctx, detector.TogglePlanned, detector.ToggleApproved, detector.ToggleApplied)
	if err != nil {
		return fmt.Errorf("read the audit: %w", err)
	}
	var errs []error
	for _, t := range toggles {
		if s.busy(t.ID) || ctx.Err() != nil {
			continue
		}
		errs = append(errs, s.resume(ctx, t))
	}
	n := s.serving.Load()
	for flag, a := range n.document.Acts {
		if a.Undoes == "" || s.busy(a.Last) || ctx.Err() != nil {
			continue
		}
		by, err := s.find(ctx, flag, a.Last)
		if err == nil {
			err = s.auditUndone(ctx, a.Undoes, by)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Switchboard) resume(ctx context.Context, t detector.Toggle) error {
	if ours, err := s.resumable(t); !ours {
		return err
	}
	var err error
	last := s.serving.Load().document.Acts[t.Flag].Last
	switch {
	case t.State == detector.TogglePlanned && t.Decision != "" && t.Needs > 0:
		// The automation doesn't ask for the same twice: without this nobody would see it.
		if s.now().Sub(t.Updated) < s.grace {
			return nil
		}
		_, err = s.wait(ctx, t, false)
	case t.State == detector.ToggleApproved, t.State == detector.TogglePlanned && t.Decision != "":
		if last != t.ID && s.now().Sub(t.Updated) < s.grace {
			return nil
		}
		_, err = s.carryOn(ctx, t)
	case t.State == detector.TogglePlanned && last != t.ID && s.now().Sub(t.Updated) < s.grace:
		return nil
	case t.State == detector.TogglePlanned && last != t.ID:
		_, err = s.record(ctx, t, detector.ToggleFailed, "not applied: the daemon stopped before")
	case t.State == detector.ToggleApplied && last != t.ID:
		_, err = s.record(ctx, t, detector.ToggleFailed, "the daemon stopped before it was verified, and toggle "+last+" came after it")
	case t.State == detector.ToggleApplied, t.State == detector.TogglePlanned:
		_, err = s.conclude(ctx, t)
	default:
		return nil
	}
	s.log.WithFields(logrus.Fields{"toggle": t.ID, "flag": t.Flag, "was": t.State}).Info("finished a toggle of an earlier run")
	return err
}

// hold looks at each flag toggled lately, and audits those that somebody put
// back.
func (s *Switchboard) hold(ctx context.Context) error {
	var errs []error
	n := s.serving.Load()
	for key, a := range n.document.Acts {
		if len(a.Standing) == 0 || a.Standing[len(a.Standing)-1].Toggle != a.Last || s.busy(a.Last) {
			continue
		}
		known := s.known(a.Last)
		if known.done {
			continue
		}
		t, err := s.find(ctx, key, a.Last)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if s.now().Sub(t.Began()) > s.config.Hold || t.State == detector.ToggleReverted || t.State == detector.ToggleFailed {
			s.remember(a.Last, pinned{done: true})
			continue
		}
		if t.State == detector.TogglePlanned || t.State == detector.ToggleApproved || t.State == detector.ToggleApplied {
			continue // another daemon is at it
		}
		errs = append(errs, s.check(ctx, t, known))
	}
	s.forget(n.document)
	return errors.Join(errs...)
}

// check looks at one held toggle.
func (s *Switchboard) check(ctx context.Context, t detector.Toggle, known pinned) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.VerifyTimeout)
	defer cancel()
	why := s.look(ctx, t)
	if why == "" {
		s.remember(t.ID, pinned{})
		return nil
	}
	if ctx.Err() != nil {
		return nil // too slow to tell
	}
	known.misses++
	if known.misses < misses {
		s.remember(t.ID, known)
		return nil
	}
	// Another toggle may have come in between; then it isn't ours any more.
	if s.serving.Load().document.Acts[t.Flag].Last != t.ID {
		return nil
	}
	reverted, err := s.record(ctx, t, detector.ToggleReverted, "somebody put it back: "+why)
	if err != nil {
		return err
	}
	s.remember(t.ID, pinned{done: true})
	s.log.WithFields(logrus.Fields{"toggle": t.ID, "flag": t.Flag, "evidence": why}).Warn("somebody put a toggled flag back")
	if s.config.OnFlip != nil {
		served := s.serving.Load().served(t.Flag, s)
		s.config.OnFlip(detector.Flip{Flag: t.Flag, Variant: served, Before: t.After, At: reverted.Updated, Actor: "", Ours: false})
	}
	return nil
}

func (s *Switchboard) known(id string) pinned {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pinned[id]
}

func (s *Switchboard) remember(id string, p pinned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pinned[id] = p
}

// forget drops what is known of toggles that are no longer the last.
func (s *Switchboard) forget(d document) {
	last := make(map[string]bool, len(d.Acts))
	for _, a := range d.Acts {
		last[a.Last] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.pinned {
		if !last[id] {
			delete(s.pinned, id)
		}
	}
}
