package flags

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags/policy"
)

// What a toggle's audit says of the reminders that have gone out.
const (
	remindedSoon = "soon" // before it expired
	remindedOver = "over" // when it did
)

// termAge is for how long what is known of a standing toggle's expiry is believed;
// another daemon on the same store may extend it.
const termAge = time.Minute

// term is what the audit said last of a standing toggle.
type term struct {
	read   time.Time
	toggle detector.Toggle
	tried  time.Time // the last attempt to undo it at its expiry
}

// Standing is a toggle in force, as people look at it.
type Standing struct {
	Toggle  string `json:"toggle"`
	Variant string `json:"variant"`
	// Scope names whom it is for in words.
	Scope string `json:"scope"`
	// Expires is when it is due for a person's look, zero for never; Overdue says
	// that it has been, and that nobody acknowledged it.
	Expires  time.Time `json:"expires_at,omitzero"`
	Overdue  bool      `json:"overdue,omitempty"`
	OnExpiry string    `json:"on_expiry,omitempty"`
	// ReplacedBy is the toggle that lies over it, so that nobody gets what it set until
	// that is undone; nil where it is in force.
	ReplacedBy *detector.Replacement `json:"replaced_by,omitempty"`
}

// standing are the toggles of a flag that stand, whether in force or under another.
func (s *Switchboard) standing(n *snapshot, key string) []Standing {
	var all []Standing
	s.mu.Lock()
	defer s.mu.Unlock()
	stack := n.document.inForce(key)
	for i, in := range stack {
		t := s.terms[in.Toggle].toggle
		all = append(all, Standing{
			ReplacedBy: over(stack, i),
			Toggle:     in.Toggle, Variant: in.Variant, Scope: in.Scope.String(), Expires: t.Expires, OnExpiry: t.OnExpiry,
			Overdue: !t.Expires.IsZero() && s.now().After(t.Expires) && !t.Acknowledged,
		})
	}
	return all
}

// checkTerm says what is wrong with a request's expiry.
func (r Request) checkTerm() error {
	if e := r.Expires; e != nil && *e != 0 && (*e < time.Second || *e > policy.MaxExpiry) {
		return fmt.Errorf("it can't expire in %s: from 1s to %s, or 0 for never", *e, policy.MaxExpiry)
	}
	if r.OnExpiry != "" && r.OnExpiry != detector.ExpiryRemind && r.OnExpiry != detector.ExpiryUndo {
		return fmt.Errorf("on expiry %.40q is none of remind, undo", r.OnExpiry)
	}
	return nil
}

// setTerm gives the toggle its expiry.
func (s *Switchboard) setTerm(t *detector.Toggle, r Request) {
	rule := s.Rules().Policy.For(r.Flag)
	expires := *rule.Expires
	if r.Expires != nil {
		expires = *r.Expires
	}
	if expires == 0 {
		return
	}
	t.Expires, t.OnExpiry = t.At.Add(expires), rule.OnExpiry
	if r.OnExpiry != "" {
		t.OnExpiry = r.OnExpiry
	}
}

// Extend gives the last toggle of a flag in force more time from now on, 0 for all
// the time; reminders begin anew.
func (s *Switchboard) Extend(ctx context.Context, flag string, expires time.Duration, reason, actor string) (detector.Toggle, error) {
	r := Request{Flag: flag, Reason: reason, Actor: actor, Expires: &expires}
	return s.amend(ctx, r, func(t *detector.Toggle) string {
		t.Expires, t.Reminded, t.Acknowledged = time.Time{}, "", false
		if expires == 0 {
			return fmt.Sprintf("extended by %s for good: %s", actor, reason)
		}
		t.Expires = s.now().UTC().Add(expires)
		if t.OnExpiry == "" {
			t.OnExpiry = detector.ExpiryRemind
		}
		return fmt.Sprintf("extended by %s until %s: %s", actor, t.Expires.Format(time.RFC3339), reason)
	})
}

// Acknowledge says that a person knows of the toggle's expiry: no reminder of it
// goes out any more, and nothing is undone by it.
func (s *Switchboard) Acknowledge(ctx context.Context, flag, reason, actor string) (detector.Toggle, error) {
	return s.amend(ctx, Request{Flag: flag, Reason: reason, Actor: actor}, func(t *detector.Toggle) string {
		t.Acknowledged = true
		return fmt.Sprintf("acknowledged by %s: %s", actor, reason)
	})
}

// amend audits a change of the last toggle in force that changes nothing that is
// served.
func (s *Switchboard) amend(ctx context.Context, r Request, change func(*detector.Toggle) string) (detector.Toggle, error) {
	if err := r.check(); err != nil {
		return detector.Toggle{}, err
	}
	n := s.serving.Load()
	if s.placeOf(r.Flag) == nil {
		if _, err := n.flag(r.Flag); err != nil {
			return detector.Toggle{}, err
		}
	}
	in := n.document.inForce(r.Flag)
	if len(in) == 0 {
		return detector.Toggle{}, fmt.Errorf("change the expiry of flag %q: %w: no toggle of it is in force", r.Flag, ErrUnchanged)
	}
	s.deciding.Lock()
	defer s.deciding.Unlock()
	t, err := s.find(ctx, r.Flag, in[len(in)-1].Toggle)
	if err != nil {
		return t, err
	}
	if _, unseen := Unverifiable(t); !t.State.TookEffect() || t.State == detector.ToggleApplied && !unseen {
		return t, fmt.Errorf("change the expiry of toggle %s: %w: it is %s", t.ID, ErrInvalid, t.State)
	}
	said := change(&t)
	if t, err = s.recordBy(ctx, t, t.State, r.Actor, said); err == nil {
		s.knowTerm(t)
	}
	return t, err
}

func (s *Switchboard) knowTerm(t detector.Toggle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terms[t.ID] = term{read: s.now(), toggle: t, tried: s.terms[t.ID].tried}
	if t.State == detector.ToggleApplied { // to be read again when it was verified
		s.terms[t.ID] = term{toggle: t}
	}
}

// reminder is the reminder that a toggle owes: "", soon or over. lead is how long
// before its expiry people are told.
func reminder(t detector.Toggle, now time.Time, lead time.Duration) string {
	if t.Expires.IsZero() || t.Acknowledged {
		return ""
	}
	lead = min(lead, t.Expires.Sub(t.At)/4)
	switch {
	case !now.Before(t.Expires):
		if t.Reminded != remindedOver {
			return remindedOver
		}
	case !now.Before(t.Expires.Add(-lead)) && t.Reminded == "":
		return remindedSoon
	}
	return ""
}

// tendToggles lets plans lapse, reminds of toggles that expire, and undoes those whose
// makers asked for that.
func (s *Switchboard) tendToggles(ctx context.Context) error {
	errs := []error{s.sweep(ctx)}
	n := s.serving.Load()
	stands := map[string]bool{}
	for flag, a := range n.document.Acts {
		for _, in := range a.Standing {
			stands[in.Toggle] = true
			if !s.busy(in.Toggle) {
				errs = append(errs, s.tendOne(ctx, flag, in.Toggle))
			}
		}
	}
	for _, a := range n.document.Away { // its backend's own loop looks after it
		for _, in := range a.Standing {
			stands[in.Toggle] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.terms {
		if !stands[id] {
			delete(s.terms, id)
		}
	}
	return errors.Join(errs...)
}

func (s *Switchboard) tendOne(ctx context.Context, flag, id string) error {
	s.mu.Lock()
	known := s.terms[id]
	s.mu.Unlock()
	lead := s.Rules().Policy.RemindBefore
	due := reminder(known.toggle, s.now(), lead)
	if due == "" && s.now().Sub(known.read) < termAge && !s.toUndo(known) {
		return nil
	}
	s.deciding.Lock()
	t, err := s.remindAnew(ctx, flag, id)
	if s.placeOf(flag) == nil {
		defer s.deciding.Unlock()
	} else {
		s.deciding.Unlock() // nobody's decision waits for a slow backend
	}
	if err != nil {
		return err
	}
	if known.toggle = t; s.toUndo(known) {
		return s.expire(ctx, t)
	}
	return nil
}

// remindAnew reads a toggle again, and reminds of it where that is due.
func (s *Switchboard) remindAnew(ctx context.Context, flag, id string) (detector.Toggle, error) {
	t, err := s.find(ctx, flag, id)
	if err != nil {
		return t, err
	}
	if due := reminder(t, s.now(), s.Rules().Policy.RemindBefore); due != "" {
		if t, err = s.remind(ctx, t, due); err != nil {
			return t, err
		}
	}
	s.knowTerm(t)
	return t, nil
}

// remind tells people first, which is done once however often it is tried, and then
// audits that they were told.
func (s *Switchboard) remind(ctx context.Context, t detector.Toggle, due string) (detector.Toggle, error) {
	when := "expires at"
	if due == remindedOver {
		when = "has expired at"
	}
	text := fmt.Sprintf("%s's toggle of flag %s to %s for %s %s %s", t.Actor, t.Flag, t.After, t.Scope, when, t.Expires.Format(time.RFC3339))
	switch {
	case t.OnExpiry != detector.ExpiryUndo:
		text += "; it stays until a person decides"
	case due == remindedOver:
		text += "; it is undone now, as was asked for"
	default:
		text += " and is undone then, as was asked for"
	}
	err := s.notify(ctx, Notice{
		Key: fmt.Sprintf("%s|%s|%d", t.ID, due, t.Expires.Unix()), Flag: t.Flag, Toggle: t.ID, Upgrade: t.Upgrade, At: s.now().UTC(),
		Text: text, Command: "aftershock flags undo " + t.Flag + " --reason expired",
	})
	if err != nil {
		return t, err
	}
	t.Reminded = due
	return s.record(ctx, t, t.State, "people were reminded: it "+when+" "+t.Expires.Format(time.RFC3339))
}

// toUndo says whether a toggle is to be undone by itself now.
func (s *Switchboard) toUndo(known term) bool {
	t := known.toggle
	return t.OnExpiry == detector.ExpiryUndo && !t.Expires.IsZero() && !t.Acknowledged && !s.now().Before(t.Expires) &&
		s.now().Sub(known.tried) >= min(termAge, 10*s.config.Check)
}

// expire undoes a toggle whose maker asked for that. One that others lie over, or
// while the automation is frozen, is left to a person, who has been reminded.
func (s *Switchboard) expire(ctx context.Context, t detector.Toggle) error {
	s.mu.Lock()
	s.terms[t.ID] = term{read: s.now(), toggle: t, tried: s.now()}
	s.mu.Unlock()
	log := s.log.WithFields(logrus.Fields{"toggle": t.ID, "flag": t.Flag})
	if err := s.frozen(ctx); err != nil {
		log.WithError(err).Warn("an expired toggle is not undone")
		return nil
	}
	_, err := s.undo(ctx, Request{
		Flag: t.Flag, Actor: policy.Actor, Decision: "expiry",
		Reason: strings.TrimSuffix("it expired, and "+t.Actor+" had asked to undo it then: "+t.Reason, ": "),
	}, t.ID)
	if errors.Is(err, ErrConflict) {
		log.WithError(err).Warn("an expired toggle is not undone")
		return nil
	}
	return err
}
