package flags

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
)

// writeTimeout bounds one write to the store once a toggle is under way.
const writeTimeout = 10 * time.Second

// Set toggles a flag for those in scope and verifies it. It returns the toggle as
// it stands: where the policy asks for approval it only waits for that. With an
// error that is ErrNotVerified, the toggle was applied all the same. A dry run
// returns the planned toggle, without an ID and with the effect and the diff as
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
	s.weigh(ctx, r, &p)
	t := s.toggle(r, p)
	s.setTerm(&t, r)
	if r.DryRun {
		t.Evidence = p.text()
		return t, nil
	}
	if t.ID = r.Decision; t.ID == "" {
		t.ID = s.newID(ctx)
	} else if err := s.mayDecide(ctx, r); err != nil {
		return detector.Toggle{}, err
	}
	t.Held = digest(start.document.Flags[t.Flag])
	t.Needs = p.Approvals
	if r.Propose {
		t.Needs = max(t.Needs, 1)
	}
	if t.Needs > 0 && t.Emergency == "" {
		return s.await(ctx, t, p, r.Propose)
	}
	if t.Needs > 0 {
		if err := s.alertEmergency(ctx, t); err != nil {
			return detector.Toggle{}, err
		}
	}
	return s.act(ctx, t, start, s.setting(t))
}

// setting makes the new document of a toggle.
func (s *Switchboard) setting(t detector.Toggle) func(*snapshot) (document, error) {
	r := Request{Flag: t.Flag, Variant: t.After, Scope: t.Scope, Reason: t.Reason, Actor: t.Actor, Decision: t.Decision}
	if t.OwnValue {
		r.Value = t.Value
	}
	return func(n *snapshot) (document, error) {
		p, err := n.plan(r, s)
		if err != nil {
			return document{}, err
		}
		next := n.document.toggled(r.Flag, p.definition, standing{Toggle: t.ID, Variant: r.Variant, Before: p.Before, Scope: r.Scope})
		// A rule at the edge of the bounds may not bear the wrapping.
		set, err := next.set()
		if err != nil {
			return document{}, fmt.Errorf("set flag %q: %w: %w", r.Flag, ErrInvalid, err)
		}
		if f, _ := set.Flag(r.Flag); f.Problem != "" {
			return document{}, fmt.Errorf("set flag %q: %w: the new definition couldn't be served: %s", r.Flag, ErrInvalid, f.Problem)
		}
		return next, nil
	}
}

// Undo restores a flag's definition from before its last toggle, to the byte,
// and verifies that. It returns the undo as a toggle of its own.
//
// It needs no approval: it gives back what was there before somebody toggled.
func (s *Switchboard) Undo(ctx context.Context, flag, reason, actor string) (detector.Toggle, error) {
	return s.UndoOnly(ctx, flag, "", reason, actor)
}

// UndoOnly is Undo of the toggle that the person saw. Where another lies over it, or
// it isn't in force any more, that is an ErrConflict that says so.
func (s *Switchboard) UndoOnly(ctx context.Context, flag, toggle, reason, actor string) (detector.Toggle, error) {
	return s.undo(ctx, Request{Flag: flag, Reason: reason, Actor: actor}, toggle)
}

// undo is Undo, of the named toggle alone where that isn't "".
func (s *Switchboard) undo(ctx context.Context, r Request, only string) (detector.Toggle, error) {
	flag := r.Flag
	if err := r.check(); err != nil {
		return detector.Toggle{}, err
	}
	if p := s.placeOf(flag); p != nil {
		return s.undoAway(ctx, p, r, only)
	}
	n := s.serving.Load()
	if _, err := n.flag(flag); err != nil {
		return detector.Toggle{}, err
	}
	if err := s.onTop(ctx, n, flag, only); err != nil {
		return detector.Toggle{}, err
	}
	in := n.document.Acts[flag].Standing
	last := in[len(in)-1]
	r.Scope, r.Decision = last.Scope, ""
	t := s.toggle(r, Plan{Before: last.Variant, After: last.Before, Revision: n.revision})
	t.ID = s.newID(ctx)
	if f, ok := n.set.Flag(flag); ok {
		t.Value = valueIn(last.Replaced, last.Before, f.Variants[last.Before])
	}
	if beneath := len(in) - 2; beneath >= 0 {
		// What is in force again costs what it did.
		if old, err := s.find(ctx, flag, in[beneath].Toggle); err == nil {
			t.Accepts = old.Accepts
		}
	}
	t.Evidence = detector.Undoing + last.Toggle
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

// onTop says why an undo has nothing to take back: no toggle of the flag is in force,
// or, where only isn't "", the last in force is another.
func (s *Switchboard) onTop(ctx context.Context, n *snapshot, flag, only string) error {
	in := n.document.inForce(flag)
	switch {
	case len(in) == 0 && only == "":
		return fmt.Errorf("undo toggle of flag %q: %w: no toggle of it is in force", flag, ErrUnchanged)
	case only == "" || len(in) > 0 && in[len(in)-1].Toggle == only:
		return nil
	}
	t, err := s.find(ctx, flag, only)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(in, func(s standing) bool { return s.Toggle == only }) {
		return fmt.Errorf("undo toggle %s of flag %q: %w: toggle %s lies over it", only, flag, ErrConflict, in[len(in)-1].Toggle)
	}
	return fmt.Errorf("undo toggle %s of flag %q: %w: it isn't in force, it is %s by now: %s", only, flag, ErrConflict, t.State, t.Evidence)
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
	s.knowTerm(t)
	return s.conclude(ctx, t)
}

// apply writes the change. On an error the toggle was audited as failed, unless
// nobody knows whether it was applied.
func (s *Switchboard) apply(ctx context.Context, t detector.Toggle, start *snapshot, change func(*snapshot) (document, error)) (detector.Toggle, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	for n, try := start, 0; ; n, try = s.serving.Load(), try+1 {
		if n.document.Acts[t.Flag].Last == t.ID {
			return s.find(ctx, t.Flag, t.ID) // another daemon was faster with the same
		}
		if !bytes.Equal(n.document.Flags[t.Flag], start.document.Flags[t.Flag]) || try == 10 {
			return s.fail(ctx, t, fmt.Errorf("set flag %q: %w: %s; look again", t.Flag, ErrConflict, s.whoChanged(ctx, t.Flag)))
		}
		d, err := change(n)
		if err != nil {
			return s.fail(ctx, t, err)
		}
		applied := t
		applied.State, applied.Updated, applied.By = detector.ToggleApplied, s.now().UTC(), ""
		applied.Applied = applied.Updated
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
			if t.State.TookEffect() {
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
	return s.recordBy(ctx, t, state, "", text)
}

// recordBy is record of a state that somebody else than the actor brought about.
func (s *Switchboard) recordBy(ctx context.Context, t detector.Toggle, state detector.ToggleState, by, text string) (detector.Toggle, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	next := t
	next.State, next.Updated, next.By = state, s.now().UTC(), by
	next.Evidence = evidence(t, text)
	if why, ok := Unverifiable(t); ok && state == t.State && !unverifiable(next) {
		next.Evidence += "; " + cantVerify + why
	}
	audit := s.store.AuditToggle
	if t.State == detector.ToggleWaiting { // somebody may decide on it on another daemon
		audit = func(ctx context.Context, next detector.Toggle) error {
			err := s.store.DecideToggle(ctx, t, next)
			if isConflict(err) {
				err = fmt.Errorf("%w: %w", errMoved, err)
			}
			return err
		}
	}
	if err := audit(ctx, next); err != nil {
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
	t, err := s.store.Toggle(ctx, id)
	if errors.Is(err, ErrUnknown) {
		return t, fmt.Errorf("toggle %q is %w: aftershock flags list shows what waits", cut(id, 100), ErrUnknown)
	}
	if err != nil {
		return t, fmt.Errorf("read the audit for toggle %q: %w", cut(id, 100), err)
	}
	if flag != "" && t.Flag != flag {
		return t, fmt.Errorf("read the audit for toggle %q of flag %q: %w", cut(id, 100), flag, ErrUnknown)
	}
	return t, nil
}

// flip is a toggle in the judge's words.
func flip(t detector.Toggle, ours bool) detector.Flip {
	return detector.Flip{
		Flag: t.Flag, Variant: t.After, Before: t.Before, At: t.Updated, Actor: t.Actor, Ours: ours, Toggle: t.ID, Upgrade: t.Upgrade,
		Scope: t.Scope, Undoes: t.Undoes(), Accepts: t.Accepts,
	}
}

// newID is the identity that ctx has for a toggle, or a new one.
func (s *Switchboard) newID(ctx context.Context) string {
	if id, ok := ctx.Value(idKey{}).(string); ok {
		return id
	}
	return NewID(s.now())
}

// NewID makes an identity of a toggle that sorts by time.
func NewID(now time.Time) string {
	return now.UTC().Format("20060102T150405.000") + "-" + strings.ToLower(rand.Text()[:8])
}

// idKey is where a context has the identity of a toggle.
type idKey struct{}

// WithID gives the one toggle that is set or undone under the context an identity that
// its caller knows before, so that it can be found in the audit however the call ended.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey{}, id)
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
