// Package logs writes alerts into the daemon's log.
package logs

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/alerts/notify"
)

// Config has nothing to set yet.
type Config struct{}

// SetDefaults, Validate and Files are what every receiver's settings have.
func (*Config) SetDefaults() {}

// Validate finds no problem.
func (*Config) Validate(string) []error { return nil }

// Files are none.
func (*Config) Files() []*string { return nil }

// Notifier writes each alert as one entry: a warning while it fires.
type Notifier struct {
	log logrus.FieldLogger
}

// New makes the receiver.
func New(log logrus.FieldLogger) *Notifier { return &Notifier{log} }

// Notify writes the entry; it can't fail.
func (n *Notifier) Notify(_ context.Context, m notify.Message) (bool, error) {
	fields := logrus.Fields{
		"receiver": m.Receiver, "story": notify.StoryID(m.Key), "revision": m.Revision,
		"summary": m.Headline, "starts_at": m.StartsAt.Format(time.RFC3339),
	}
	for _, name := range []string{"upgrade", "service", "indicator", "cause", "binary", "severity"} {
		if v := m.Labels[name]; v != "" {
			fields[name] = v
		}
	}
	for _, name := range []string{"effect", "onset", "placebos", "toggle"} {
		if v := m.Annotations[name]; v != "" {
			fields[name] = v
		}
	}
	log := n.log.WithFields(fields)
	if m.Resolved() {
		log.Info("alert resolved")
	} else {
		log.Warn("alert firing")
	}
	return false, nil
}
