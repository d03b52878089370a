package flags

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags/remote"
)

// tend looks after the flags that live in backends until ctx ends: it finishes
// toggles that were cut off, watches whether somebody puts one back, and reads
// what is listed. A backend that is slow holds up no other.
func (s *Switchboard) tend(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range s.places {
		wg.Go(func() { s.tendPlace(ctx, p) })
	}
	wg.Wait()
	for _, p := range s.places {
		p.connection.close()
	}
}

func (s *Switchboard) tendPlace(ctx context.Context, p *place) {
	tick := time.NewTicker(p.Check)
	defer tick.Stop()
	failing := false
	var next time.Time
	for {
		err := s.tendFlags(ctx, p)
		if now := time.Now(); !now.Before(next) {
			next = now.Add(p.Refresh)
			err = errors.Join(err, s.readAll(ctx, p))
		}
		if err != nil && !failing && ctx.Err() == nil {
			s.log.WithError(err).WithField("backend", p.Name).Error("couldn't look after the flags of a backend")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tendFlags looks at each toggled flag of the backend.
func (s *Switchboard) tendFlags(ctx context.Context, p *place) error {
	var errs []error
	for flag, a := range s.serving.Load().document.Away {
		if ctx.Err() != nil {
			return nil
		}
		if a.Backend == p.Name {
			errs = append(errs, s.resumeAway(ctx, p, flag), s.holdAway(ctx, p, flag), s.expireAway(ctx, flag, a))
		}
	}
	return errors.Join(errs...)
}

// expireAway reminds of the flag's toggles that expire, and undoes those whose makers
// asked for that.
func (s *Switchboard) expireAway(ctx context.Context, flag string, a away) error {
	var errs []error
	for _, in := range a.Standing {
		if a.Pending == nil && !s.busy(in.Toggle) {
			errs = append(errs, s.tendOne(ctx, flag, in.Toggle))
		}
	}
	return errors.Join(errs...)
}

// readAll reads the backend's flags for the list.
func (s *Switchboard) readAll(ctx context.Context, p *place) error {
	look, cancel := context.WithTimeout(ctx, readTimeout)
	keys, err := p.Client.Keys(look)
	cancel()
	if err != nil {
		return fmt.Errorf("list the flags of the backend %s: %w", p.Name, err)
	}
	var errs []error
	there := map[string]bool{}
	for _, key := range keys {
		if !p.Has(key) || there[key] {
			continue
		}
		if len(there) == maxAway {
			errs = append(errs, fmt.Errorf("list the flags of the backend %s: there are more than %d", p.Name, maxAway))
			break
		}
		there[key] = true
		look, cancel := context.WithTimeout(ctx, readTimeout)
		_, err := p.read(look, key, s.now().UTC())
		cancel()
		errs = append(errs, err)
		if err != nil {
			break // the others would wait for the same failure
		}
	}
	if len(errs) == 0 || errors.Join(errs...) == nil {
		p.keep(there)
	}
	return errors.Join(errs...)
}

// keep drops what was seen of flags that are gone.
func (p *place) keep(there map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.seen {
		if !there[key] {
			delete(p.seen, key)
		}
	}
}

// holdAway looks whether somebody put a toggled flag back.
func (s *Switchboard) holdAway(ctx context.Context, p *place, flag string) error {
	a := s.serving.Load().document.Away[flag]
	top := a.top()
	if top == nil || top.Toggle != a.Last || a.Pending != nil || s.busy(a.Last) || p.known(a.Last).done {
		return nil
	}
	t, err := s.find(ctx, flag, a.Last)
	if err != nil {
		return err
	}
	if s.now().Sub(t.At) > s.config.Hold || t.State == detector.ToggleReverted || t.State == detector.ToggleFailed {
		p.remember(a.Last, pinned{done: true})
		return nil
	}
	if t.State == detector.TogglePlanned || t.State == detector.ToggleApplied && !unverifiable(t) {
		return nil // it's being verified
	}
	look, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	state, err := p.read(look, flag, s.now().UTC())
	if err != nil {
		return err
	}
	why := ""
	switch value := state.Variants[t.After]; {
	case !state.Everyone || state.Variant != t.After:
		why = fmt.Sprintf("the backend %s serves %s at revision %s", p.Name, or(state.Variant, "something else"), cut(state.Revision, 100))
		if state.Variant == t.After {
			why += ", and not to everyone"
		}
	case len(t.Value) > 0 && !remote.Same(value, t.Value):
		why = fmt.Sprintf("the backend %s serves %s with another value at revision %s", p.Name, or(t.After, "it"), cut(state.Revision, 100))
	case p.connection != nil:
		why = p.look(look, flag, state, s.now())
	}
	if look.Err() != nil {
		return nil // too slow to tell
	}
	return s.judgeAway(ctx, p, t, state.Variant, why)
}

// judgeAway audits a toggle as put back once it was found so often enough.
func (s *Switchboard) judgeAway(ctx context.Context, p *place, t detector.Toggle, served, why string) error {
	known := p.known(t.ID)
	if known.misses++; why == "" || known.misses < misses {
		if why == "" {
			known.misses = 0
		}
		p.remember(t.ID, known)
		return nil
	}
	// Another toggle may have come in between; then it isn't ours any more.
	if a := s.serving.Load().document.Away[t.Flag]; a.Last != t.ID || a.Pending != nil {
		return nil
	}
	reverted, err := s.record(ctx, t, detector.ToggleReverted, "somebody put it back: "+why)
	if err != nil {
		return err
	}
	p.remember(t.ID, pinned{done: true})
	s.log.WithFields(logrus.Fields{"toggle": t.ID, "flag": t.Flag, "backend": p.Name, "evidence": why}).Warn("somebody put a toggled flag back")
	if s.config.OnFlip != nil {
		s.config.OnFlip(detector.Flip{Flag: t.Flag, Variant: served, Before: t.After, At: reverted.Updated})
	}
	return nil
}

func (p *place) known(toggle string) pinned {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[toggle]
}

func (p *place) remember(toggle string, known pinned) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.held) > maxAway { // those are over: what matters is found out anew
		clear(p.held)
	}
	p.held[toggle] = known
}

func (p *place) isOver(toggle string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over[toggle]
}

func (p *place) setOver(toggle string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.over) > maxAway {
		clear(p.over)
	}
	p.over[toggle] = true
}

// noticed tells of a flag that somebody else flipped. What is ours, or put back
// while it's being held, is told of elsewhere.
func (s *Switchboard) noticed(p *place) func(flag, before, after string) {
	return func(flag, before, after string) {
		a := s.serving.Load().document.Away[flag]
		if a.Pending != nil || s.config.OnFlip == nil {
			return
		}
		if top := a.top(); top != nil && top.Toggle == a.Last && !p.known(a.Last).done {
			return
		}
		s.config.OnFlip(detector.Flip{Flag: flag, Before: before, Variant: after, At: s.now().UTC(), Actor: "somebody in " + p.Name})
	}
}
