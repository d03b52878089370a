package flags

import (
	"context"
	"fmt"
	"strings"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
)

// Freeze stops all automation until Unfreeze, over restarts: automatic toggles,
// proposals, and undoing at expiry. What people do goes on.
func (s *Switchboard) Freeze(ctx context.Context, reason, actor string) (detector.Freeze, error) {
	return s.putFreeze(ctx, true, reason, actor)
}

// Unfreeze lets the automation go on as the policy has it.
func (s *Switchboard) Unfreeze(ctx context.Context, reason, actor string) (detector.Freeze, error) {
	return s.putFreeze(ctx, false, reason, actor)
}

func (s *Switchboard) putFreeze(ctx context.Context, frozen bool, reason, actor string) (detector.Freeze, error) {
	reason = strings.TrimSpace(reason)
	if err := (Request{Flag: "all flags", Reason: reason, Actor: actor}).checkTexts(); err != nil {
		return detector.Freeze{}, err
	}
	f := detector.Freeze{Frozen: frozen, Actor: actor, Reason: reason, At: s.now().UTC()}
	if err := s.store.PutFreeze(ctx, f); err != nil {
		return f, fmt.Errorf("freeze the automation: %w", err)
	}
	s.showFrozen(frozen)
	s.log.WithFields(logrus.Fields{"frozen": frozen, "actor": actor, "reason": reason}).Warn("the kill switch of the automation was set")
	return f, nil
}

// Frozen says how the kill switch stands. With an error nobody knows, and the
// automation doesn't act.
func (s *Switchboard) Frozen(ctx context.Context) (detector.Freeze, error) {
	f, err := s.store.Freeze(ctx)
	s.showFrozen(err != nil || f.Frozen)
	if err != nil {
		return f, fmt.Errorf("read the kill switch of the automation: %w", err)
	}
	return f, nil
}

// frozen is ErrFrozen unless the automation may act.
func (s *Switchboard) frozen(ctx context.Context) error {
	f, err := s.Frozen(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%w as long as it can't be read: %w", ErrFrozen, err)
	case f.Frozen:
		return fmt.Errorf("%w by %s since %s: %s", ErrFrozen, f.Actor, f.At.Format("2006-01-02 15:04 UTC"), f.Reason)
	}
	return nil
}

func (s *Switchboard) showFrozen(frozen bool) {
	v := 0.0
	if frozen {
		v = 1
	}
	s.metrics.frozen.Set(v)
}
