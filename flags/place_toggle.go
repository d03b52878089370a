package flags

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags/definitions"
	"aftershock/flags/remote"
)

// actTimeout bounds a toggle's requests to a backend, its look afterwards
// included. It is shorter than the time after which another daemon takes it for
// cut off.
const actTimeout = 25 * time.Second

// planAway says what a toggle of a flag that lives in a backend would do. The
// state that it returns is the one that the plan was made on.
func (s *Switchboard) planAway(ctx context.Context, p *place, r Request) (Plan, remote.State, error) {
	var state remote.State
	if err := r.check(); err != nil {
		return Plan{}, state, err
	}
	state, err := p.read(ctx, r.Flag, s.now().UTC())
	if err != nil {
		return Plan{}, state, err
	}
	value, ok := state.Variants[r.Variant]
	if !ok {
		return Plan{}, state, fmt.Errorf("set flag %q: variant %q is %w: the backend %s has %s", r.Flag, cut(r.Variant, 100), ErrUnknown,
			p.Name, remote.List(slices.Sorted(maps.Keys(state.Variants))))
	}
	if seen := state.Fingerprint(); r.Revision != 0 && r.Revision != seen {
		return Plan{}, state, fmt.Errorf("set flag %q: %w: it was changed in the backend %s since you looked; look again", r.Flag, ErrConflict, p.Name)
	}
	if len(r.Value) > 0 && !p.Abilities.Value {
		return Plan{}, state, fmt.Errorf("set flag %q: %w: %s serves the declared values alone; set a variant without a value", r.Flag, ErrReadOnly, p.Name)
	}
	a := s.serving.Load().document.Away[r.Flag]
	top := a.top()
	want := r.Value
	if len(want) == 0 && (top == nil || !top.Exact) {
		want = value // what is declared, and no toggle's own
	}
	if state.Everyone && state.Variant == r.Variant && remote.Same(want, value) {
		return Plan{}, state, fmt.Errorf("set flag %q: %w: everyone gets %q already from the backend %s", r.Flag, ErrUnchanged, r.Variant, p.Name)
	}
	if err := room(r.Flag, len(a.Standing)); err != nil {
		return Plan{}, state, err
	}
	base := state.Definition
	// What our own toggles wrapped isn't wrapped again.
	if top != nil && remote.Same(top.Written, state.Definition) {
		base = a.Standing[0].Replaced
	}
	if len(r.Value) > 0 {
		if base, err = definitions.Revalue(base, r.Variant, r.Value); err != nil {
			return Plan{}, state, fmt.Errorf("set flag %q: %w: %w", r.Flag, ErrInvalid, err)
		}
	}
	to, doubts, err := p.Client.Pin(base, r.Variant)
	if err != nil {
		return Plan{}, state, fmt.Errorf("set flag %q in the backend %s: %w", r.Flag, p.Name, inWords(err))
	}
	if len(to) > maxSaved {
		return Plan{}, state, fmt.Errorf("set flag %q: %w: its new definition would have more than %d bytes", r.Flag, ErrReadOnly, maxSaved)
	}
	if !state.Everyone {
		doubts = append(doubts, fmt.Sprintf("what its rules give to whom goes out of force until the toggle is undone; %s is what a caller without properties gets from them", or(state.Variant, "nothing")))
	}
	if p.connection == nil {
		doubts = append(doubts, "it will be read back from the backend, but can't be seen through OpenFeature: no endpoint is configured for "+p.Name)
	}
	if p.Abilities.Value {
		value = valueIn(to, r.Variant, value)
	}
	if err := s.awayRefuses(p, r); err != nil {
		return Plan{}, state, err
	}
	return Plan{
		Flag: r.Flag, Before: state.Variant, After: r.Variant, Revision: state.Fingerprint(), Value: value,
		Diff: diff(state.Definition, to), Warnings: doubts, definition: to,
	}, state, nil
}

// awayRefuses says what of a request isn't there for flags that live in a backend:
// it is refused rather than left out.
func (s *Switchboard) awayRefuses(p *place, r Request) error {
	why := ""
	switch {
	case !r.Scope.Everyone():
		why = "a toggle there is for everyone, and can't be limited"
	case r.Decision != "":
		why = "people alone toggle there, not the automation"
	case !r.DryRun && strings.TrimSpace(r.Emergency) == "" && s.Rules().Policy.For(r.Flag).Approvals() > 0:
		why = "the policy asks for approval, which plans there can't wait for; say why it is an emergency, or let the backend's own approval hold"
	default:
		return nil
	}
	return fmt.Errorf("set flag %q in the backend %s: %w: %s", r.Flag, p.Name, ErrReadOnly, why)
}

// setAway toggles a flag that lives in a backend.
func (s *Switchboard) setAway(ctx context.Context, p *place, r Request) (detector.Toggle, error) {
	plan, state, err := s.planAway(ctx, p, r)
	if err != nil {
		return detector.Toggle{}, err
	}
	s.weigh(ctx, r, &plan)
	t := s.toggle(r, plan)
	s.setTerm(&t, r)
	t.Revision = cut(state.Revision, 100)
	t.Needs = s.Rules().Policy.For(r.Flag).Approvals()
	if r.DryRun {
		t.Evidence = plan.losses() + plan.Diff
		for _, doubt := range plan.Warnings {
			t.Evidence += "! " + doubt + "\n"
		}
		if !p.Abilities.DryRun {
			return t, nil
		}
		c := change(t, state, plan.definition)
		c.DryRun = true
		if err := p.Client.Write(ctx, r.Flag, c); err != nil {
			return detector.Toggle{}, fmt.Errorf("set flag %q: the backend %s wouldn't do it: %w", r.Flag, p.Name, inWords(err))
		}
		return t, nil
	}
	t.ID = s.newID(ctx)
	if t.Needs > 0 {
		if err := s.alertEmergency(ctx, t); err != nil {
			return detector.Toggle{}, err
		}
	}
	return s.actAway(ctx, p, t, state, stay{
		Toggle: t.ID, Variant: r.Variant, Before: plan.Before, Replaced: state.Definition, Written: plan.definition,
		Exact: len(r.Value) > 0,
	})
}

func change(t detector.Toggle, from remote.State, to []byte) remote.Change {
	comment := fmt.Sprintf("%s (by %s with Aftershock", t.Reason, t.Actor)
	if t.Incident != "" {
		comment += ", incident " + t.Incident
	}
	return remote.Change{From: from, To: to, Variant: t.After, Toggle: t.ID, Comment: cut(comment+")", 1000)}
}

// undoAway restores the definition from before the last toggle, which must be the
// named one unless that is "".
func (s *Switchboard) undoAway(ctx context.Context, p *place, r Request, only string) (detector.Toggle, error) {
	none := detector.Toggle{}
	n := s.serving.Load()
	last := n.document.Away[r.Flag].top()
	if err := s.onTop(ctx, n, r.Flag, only); err != nil {
		if last == nil {
			if _, read := p.read(ctx, r.Flag, s.now().UTC()); errors.Is(read, ErrUnknown) {
				return none, read
			}
		}
		return none, err
	}
	state, err := p.read(ctx, r.Flag, s.now().UTC())
	if err != nil {
		return none, err
	}
	if !remote.Same(state.Definition, last.Written) && !remote.Same(state.Definition, last.Replaced) {
		return none, fmt.Errorf("undo toggle of flag %q: %w: somebody changed it in the backend %s since, and undoing would overwrite that; set the variant that is wanted instead",
			r.Flag, ErrConflict, p.Name)
	}
	r.Decision = ""
	t := s.toggle(r, Plan{Before: last.Variant, After: last.Before})
	t.ID, t.Revision, t.Value = s.newID(ctx), cut(state.Revision, 100), state.Variants[last.Before]
	if p.Abilities.Value {
		t.Value = valueIn(last.Replaced, last.Before, t.Value)
	}
	t.Evidence = detector.Undoing + last.Toggle
	return s.actAway(ctx, p, t, state, stay{
		Toggle: t.ID, Undoes: last.Toggle, Variant: last.Before, Before: last.Variant, Replaced: state.Definition, Written: last.Replaced,
		Exact: true,
	})
}

// actAway carries a toggle through: audited and saved, applied, read back,
// verified.
func (s *Switchboard) actAway(ctx context.Context, p *place, t detector.Toggle, state remote.State, w stay) (detector.Toggle, error) {
	if s.stopping.Load() {
		return detector.Toggle{}, fmt.Errorf("set flag %q: %w: the daemon is stopping", t.Flag, ErrNotReady)
	}
	s.begin(t.ID)
	defer s.end(t.ID)
	before := s.serving.Load().document.Away[t.Flag].Last
	err := s.putAway(ctx, t, func(a away) (away, error) {
		switch {
		case a.Pending != nil && a.Pending.Toggle != t.ID:
			return a, fmt.Errorf("set flag %q: %w: toggle %s is under way, or was cut off and waits for its backend", t.Flag, ErrConflict, a.Pending.Toggle)
		case a.Last != before, w.Undoes != "" && (a.top() == nil || a.top().Toggle != w.Undoes):
			return a, fmt.Errorf("set flag %q: %w: %s; look again", t.Flag, ErrConflict, s.whoChanged(ctx, t.Flag))
		}
		a.Backend, a.Pending = p.Name, &w
		return a, nil
	})
	if err != nil {
		return detector.Toggle{}, fmt.Errorf("audit toggle of flag %q: %w: nothing was changed", t.Flag, err)
	}
	// From here on it's in the audit and must come to an end there, even if the
	// person has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), actTimeout)
	defer cancel()
	var written error
	if !remote.Same(state.Definition, w.Written) {
		if written = p.Client.Write(ctx, t.Flag, change(t, state, w.Written)); written != nil {
			s.log.WithError(written).WithFields(logrus.Fields{"toggle": t.ID, "flag": t.Flag, "backend": p.Name}).Warn("a backend didn't take a toggle as it should")
		}
	}
	t, now, err := s.settle(ctx, p, t, w, written)
	if err != nil {
		return t, err
	}
	return s.concludeAway(ctx, p, t, now)
}
