package flags

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags/policy"
)

// sweepEvery is the time between two searches for plans that nobody approved.
const sweepEvery = 30 * time.Second

// maxDecides bounds how often a decision is made anew because others decided on the
// same plan in between: more often than a plan can need approvals.
const maxDecides = 20

// errMoved: the plan that was decided on is in another state by now.
var errMoved = fmt.Errorf("%w: somebody else decided on it", ErrConflict)

// sameActor compares names as people would.
func sameActor(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}

// await audits a plan and lets it wait for its approvals. Nothing is changed.
func (s *Switchboard) await(ctx context.Context, t detector.Toggle, p Plan, proposal bool) (detector.Toggle, error) {
	t.ApproveBy = t.At.Add(s.Rules().Policy.ApproveWithin)
	t.Evidence = p.Effect
	if err := s.store.AuditToggle(ctx, t); err != nil {
		return detector.Toggle{}, fmt.Errorf("audit toggle of flag %q: %w: nothing was changed", t.Flag, err)
	}
	s.metrics.toggles.WithLabelValues(string(t.State)).Inc()
	return s.wait(ctx, t, proposal)
}

// wait lets an audited plan wait, and tells people so.
func (s *Switchboard) wait(ctx context.Context, t detector.Toggle, proposal bool) (detector.Toggle, error) {
	t, err := s.record(ctx, t, detector.ToggleWaiting, t.Evidence)
	if err != nil {
		return t, err
	}
	log := s.log.WithFields(logrus.Fields{"toggle": t.ID, "flag": t.Flag, "after": t.After, "actor": t.Actor, "needs": t.Needs})
	log.Info("a toggle waits for approval")
	if !proposal { // the alert that a proposal answers has its command
		err = s.notify(ctx, Notice{
			Key: t.ID + "|waiting", Flag: t.Flag, Toggle: t.ID, Upgrade: t.Upgrade, At: t.Updated,
			Text:    fmt.Sprintf("%s wants to set flag %s to %s for %s: %s", t.Actor, t.Flag, t.After, t.Scope, t.Reason),
			Command: "aftershock flags approve " + t.ID,
		})
	}
	if err != nil {
		log.WithError(err).Warn("people couldn't be told of a toggle that waits for approval; flags list shows it")
	}
	return t, nil
}

// Approve is one person's consent to a plan that waits; with the last one that it
// needs it is applied and verified as by Set. Whoever planned it can't approve it,
// and nobody twice. A plan is held to the definition that it was made on.
func (s *Switchboard) Approve(ctx context.Context, id, reason, actor string) (detector.Toggle, error) {
	t, err := s.decideOn(ctx, id, Request{Reason: reason, Actor: actor}, func(ctx context.Context, t detector.Toggle) (detector.Toggle, error) {
		if sameActor(actor, t.Actor) {
			return t, fmt.Errorf("approve toggle %s: %w: %s planned it: somebody else has to approve it", id, ErrInvalid, t.Actor)
		}
		if slices.ContainsFunc(t.Approvals, func(a detector.Approval) bool { return sameActor(a.Actor, actor) }) {
			return t, fmt.Errorf("approve toggle %s: %w: %s approved it already: somebody else has to", id, ErrUnchanged, actor)
		}
		if err := s.stillHeld(ctx, t); err != nil {
			return t, err
		}
		t.Needs = max(t.Needs, s.Rules().Policy.For(t.Flag).Approvals())
		t.Approvals = append(slices.Clone(t.Approvals), detector.Approval{Actor: actor, Reason: reason, At: s.now().UTC()})
		if missing := t.Needs - len(t.Approvals); missing > 0 {
			return s.recordBy(ctx, t, detector.ToggleWaiting, actor, fmt.Sprintf("approved by %s; %s more must approve it", actor, people(missing)))
		}
		if !t.Expires.IsZero() { // its time begins now
			t.Expires = t.Expires.Add(s.now().Sub(t.At))
		}
		return s.recordBy(ctx, t, detector.ToggleApproved, actor, "approved by "+actor)
	})
	if err != nil || t.State != detector.ToggleApproved {
		return t, err
	}
	return s.carryOn(context.WithoutCancel(ctx), t)
}

// Reject ends a plan that waits. Whoever planned it may withdraw it this way.
func (s *Switchboard) Reject(ctx context.Context, id, reason, actor string) (detector.Toggle, error) {
	return s.decideOn(ctx, id, Request{Reason: reason, Actor: actor}, func(ctx context.Context, t detector.Toggle) (detector.Toggle, error) {
		return s.recordBy(ctx, t, detector.ToggleRejected, actor, strings.TrimSuffix("rejected by "+actor+": "+reason, ": "))
	})
}

// Withdraw ends a proposal of the automation that is of no use any more. Saying it
// twice is no error.
func (s *Switchboard) Withdraw(ctx context.Context, id, why string) error {
	_, err := s.decideOn(ctx, id, Request{Reason: why, Actor: policy.Actor, Decision: id}, func(ctx context.Context, t detector.Toggle) (detector.Toggle, error) {
		return s.record(ctx, t, detector.ToggleLapsed, why)
	})
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// decideOn finds a plan that waits, and decides one at a time.
func (s *Switchboard) decideOn(ctx context.Context, id string, r Request, decide func(context.Context, detector.Toggle) (detector.Toggle, error)) (detector.Toggle, error) {
	r.Flag = "of plan " + id
	if err := r.checkTexts(); err != nil {
		return detector.Toggle{}, err
	}
	s.deciding.Lock()
	defer s.deciding.Unlock()
	for try := 1; ; try++ {
		t, err := s.find(ctx, "", id)
		if err != nil {
			return t, err
		}
		if t.State != detector.ToggleWaiting {
			return t, fmt.Errorf("decide on toggle %s: it is %s by now: %w", id, t.State, ErrConflict)
		}
		if s.now().After(t.ApproveBy) {
			t, err := s.lapse(ctx, t)
			return t, errors.Join(fmt.Errorf("decide on toggle %s: %w: it waited until %s; plan it again", id, ErrConflict, t.ApproveBy.Format(time.RFC3339)), err)
		}
		decided, err := decide(ctx, t)
		// Somebody was faster on another daemon: what they decided counts.
		if !errors.Is(err, errMoved) || try == maxDecides {
			return decided, err
		}
	}
}

func (s *Switchboard) lapse(ctx context.Context, t detector.Toggle) (detector.Toggle, error) {
	return s.record(ctx, t, detector.ToggleLapsed, "nobody approved it until "+t.ApproveBy.Format(time.RFC3339))
}

// stillHeld ends a plan whose flag was changed since it was made.
func (s *Switchboard) stillHeld(ctx context.Context, t detector.Toggle) error {
	if err := s.refresh(ctx); err != nil {
		return err
	}
	if digest(s.serving.Load().document.Flags[t.Flag]) == t.Held {
		return nil
	}
	// Another daemon may have come to it at the same time.
	now, err := s.find(ctx, t.Flag, t.ID)
	if err != nil {
		return err
	}
	if now.State != t.State || s.serving.Load().stands(t) {
		return fmt.Errorf("set flag %q: %w: toggle %s is %s by now", t.Flag, ErrConflict, t.ID, now.State)
	}
	_, err = s.fail(ctx, t, fmt.Errorf("set flag %q: %w since it was planned at revision %s: %s; plan it again",
		t.Flag, ErrConflict, t.Revision, s.whoChanged(ctx, t.Flag)))
	return err
}

// stands says whether a toggle is in force.
func (n *snapshot) stands(t detector.Toggle) bool {
	return slices.ContainsFunc(n.document.Acts[t.Flag].Standing, func(in standing) bool { return in.Toggle == t.ID })
}

// carryOn applies what was decided before: an approved plan, or an automatic toggle
// that a crash cut off and the policy still allows. It is done once, whoever comes to it.
func (s *Switchboard) carryOn(ctx context.Context, t detector.Toggle) (detector.Toggle, error) {
	start := s.serving.Load()
	if start.stands(t) {
		return s.conclude(ctx, t)
	}
	switch late := s.now().Sub(t.Updated); {
	case late > s.Rules().Policy.ApproveWithin:
		return s.fail(ctx, t, fmt.Errorf("set flag %q: %w: the daemon stopped, and what was decided %s ago may no longer hold; plan it again", t.Flag, ErrConflict, late.Round(time.Second)))
	case t.State == detector.TogglePlanned:
		// Nobody approved it: the kill switch stops it.
		if err := s.frozen(ctx); err != nil {
			return s.fail(ctx, t, err)
		}
		if why := s.Rules().withdraws(t); why != "" {
			return s.recordBy(ctx, t, detector.ToggleRejected, policy.Actor, "withdrawn, since the daemon stopped before it was applied: "+why)
		}
	}
	if err := s.stillHeld(ctx, t); err != nil {
		return t, err
	}
	if now := s.MayLose(ctx, t); len(now) > 0 { // more may be known than when it was planned
		t.MayLose = now
	}
	return s.act(ctx, t, s.serving.Load(), s.setting(t))
}

// PutBack undoes an automatic toggle that didn't help, by the automation, if it is
// the last in force.
func (s *Switchboard) PutBack(ctx context.Context, flag, toggle, why string) (detector.Toggle, error) {
	if err := s.frozen(ctx); err != nil {
		return detector.Toggle{}, err
	}
	return s.undo(ctx, Request{Flag: flag, Reason: why, Actor: policy.Actor, Decision: "put back"}, toggle)
}

// Waiting are all plans that wait for approval, the latest first.
func (s *Switchboard) Waiting(ctx context.Context) ([]detector.Toggle, error) {
	toggles, err := s.store.TogglesIn(ctx, detector.ToggleWaiting)
	if err != nil {
		return nil, fmt.Errorf("read the audit for plans that wait: %w", err)
	}
	return toggles, nil
}

// sweep lets plans lapse that waited long enough.
func (s *Switchboard) sweep(ctx context.Context) error {
	if now := s.now(); now.Sub(s.swept) < min(sweepEvery, s.Rules().Policy.ApproveWithin/10) {
		return nil
	}
	s.swept = s.now()
	waiting, err := s.Waiting(ctx)
	if err != nil {
		return err
	}
	s.metrics.waiting.Set(float64(len(waiting)))
	s.deciding.Lock()
	defer s.deciding.Unlock()
	var errs []error
	for _, t := range waiting {
		if s.now().After(t.ApproveBy) {
			now, err := s.find(ctx, t.Flag, t.ID)
			if err == nil && now.State == detector.ToggleWaiting {
				_, err = s.lapse(ctx, now)
			}
			if errors.Is(err, errMoved) {
				err = nil
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// mayDecide says whether the automation may do what it asks for: it isn't frozen,
// and it didn't ask before.
func (s *Switchboard) mayDecide(ctx context.Context, r Request) error {
	if err := s.frozen(ctx); err != nil {
		return err
	}
	if err := r.hold(s.Rules()); err != nil {
		return err
	}
	known, err := s.store.Toggle(ctx, r.Decision)
	switch {
	case err == nil:
		return fmt.Errorf("set flag %q: %w: decision %s was carried out before: it is %s", r.Flag, ErrUnchanged, r.Decision, known.State)
	case errors.Is(err, ErrUnknown):
		return nil
	}
	return fmt.Errorf("set flag %q: whether decision %s was carried out isn't known: %w", r.Flag, r.Decision, err)
}
