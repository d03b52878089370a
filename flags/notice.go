package flags

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
)

// Notice tells people on call of something about a flag that wants them to look.
type Notice struct {
	// Key is the notice's identity: told twice, it goes out once.
	Key string
	// Flag, Toggle and Upgrade are what it is about, "" where it isn't about one.
	Flag, Toggle, Upgrade string
	// Text says what there is to say in one line, Command what to do about it.
	Text, Command string
	At            time.Time
}

// notify logs a notice and has it kept safe until it is delivered.
func (s *Switchboard) notify(ctx context.Context, n Notice) error {
	s.log.WithFields(logrus.Fields{"flag": n.Flag, "toggle": n.Toggle, "command": n.Command}).Warn(n.Text)
	if s.config.Notify == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := s.config.Notify(ctx, n); err != nil {
		return fmt.Errorf("tell people of flag %q: %w", n.Flag, err)
	}
	return nil
}

// Notify tells people on call; once for each key.
func (s *Switchboard) Notify(ctx context.Context, n Notice) error { return s.notify(ctx, n) }

// alertEmergency tells people that somebody didn't wait for approval, before it is
// done. What can't be told isn't held up: the audit has it.
func (s *Switchboard) alertEmergency(ctx context.Context, t detector.Toggle) error {
	if s.itself.Load() == nil || s.stopping.Load() {
		return fmt.Errorf("set flag %q: %w: the daemon isn't serving flags, so that it couldn't be verified", t.Flag, ErrNotReady)
	}
	err := s.notify(ctx, Notice{
		Key: t.ID + "|emergency", Flag: t.Flag, Toggle: t.ID, Upgrade: t.Upgrade, At: t.At,
		Text:    fmt.Sprintf("%s sets flag %s to %s for %s without the approval that is asked for: %s", t.Actor, t.Flag, t.After, t.Scope, t.Emergency),
		Command: "aftershock flags history " + t.Flag,
	})
	if err != nil {
		s.log.WithError(err).Error("people couldn't be told of a toggle without approval")
	}
	return nil
}
