// Package alerts tells people. A Sender delivers each alert to the receivers of
// the config, one attempt a call: trying again, and keeping what is still to be
// delivered, is the journal's. A receiver that fails hinders no other, and an
// older state of an alert never follows a newer one to the same receiver.
package alerts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"aftershock/alerts/alertmanager"
	"aftershock/alerts/notify"
	"aftershock/detector"
)

// Outcomes of a delivery, the values of the metrics' label.
const (
	outcomeOK        = "ok"
	outcomeRetry     = "retry"
	outcomePermanent = "permanent"
	outcomeStale     = "stale"
	outcomeFailed    = "failed" // of heartbeats
)

// Sender delivers alerts. Its methods may be called at once.
type Sender struct {
	names     []string
	receivers map[string]receiver
	composer  *notify.Composer // with the templates of all receivers
	log       logrus.FieldLogger
	lanes     *lanes
	// heed is whether silences of an Alertmanager hold for the other receivers.
	heed bool
	said reports
	// outcomes are the last of each receiver.
	outcomes outcomes

	deliveries *prometheus.CounterVec
	heartbeats *prometheus.CounterVec
	durations  *prometheus.HistogramVec
}

// receiver is a receiver with what writes its messages.
type receiver struct {
	notify.Notifier
	composer *notify.Composer
}

// New makes a Sender from a config that is valid and has its defaults.
func New(c Config, log logrus.FieldLogger, reg prometheus.Registerer) (*Sender, error) {
	composer, err := newComposer(c, c.Templates)
	if err != nil {
		return nil, err
	}
	s := &Sender{
		composer:  composer,
		receivers: make(map[string]receiver, len(c.Receivers)),
		log:       log,
		lanes:     newLanes(),
		heed:      c.HeedSilences == nil || *c.HeedSilences,
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_alert_deliveries_total",
			Help: "Attempts to deliver an alert, by receiver and outcome (ok, retry, permanent, stale).",
		}, []string{"receiver", "outcome"}),
		heartbeats: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_alert_heartbeats_total",
			Help: "Times that all firing alerts were sent again to an Alertmanager, by receiver and outcome (ok, failed).",
		}, []string{"receiver", "outcome"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "aftershock_alert_delivery_duration_seconds",
			Help:    "How long an attempt to deliver an alert took.",
			Buckets: []float64{.005, .02, .1, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"receiver"}),
	}
	for _, r := range c.Receivers {
		one, err := newReceiver(c, r, log)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("set up the receiver %s: %w", r.Name, err)
		}
		s.receivers[r.Name] = one
		s.names = append(s.names, r.Name)
		for _, outcome := range []string{outcomeOK, outcomeRetry, outcomePermanent, outcomeStale} {
			s.deliveries.WithLabelValues(r.Name, outcome)
		}
		s.durations.WithLabelValues(r.Name)
		if _, ok := one.Notifier.(*alertmanager.Notifier); ok {
			s.heartbeats.WithLabelValues(r.Name, outcomeOK)
			s.heartbeats.WithLabelValues(r.Name, outcomeFailed)
		}
	}
	if reg != nil {
		for _, m := range []prometheus.Collector{s.deliveries, s.heartbeats, s.durations} {
			if err := reg.Register(m); err != nil {
				s.Close()
				return nil, fmt.Errorf("register the metrics of alerts: %w", err)
			}
		}
	}
	return s, nil
}

func newReceiver(c Config, r Receiver, log logrus.FieldLogger) (receiver, error) {
	composer, err := newComposer(c, r.Templates.Or(c.Templates))
	if err != nil {
		return receiver{}, err
	}
	n, err := r.open(log)
	return receiver{n, composer}, err
}

func newComposer(c Config, files notify.Files) (*notify.Composer, error) {
	templates, err := notify.LoadTemplates(files)
	return &notify.Composer{
		ExternalURL: c.ExternalURL, RunbookURL: c.RunbookURL,
		Safe: c.Safe, Severity: c.Severity, Templates: templates,
	}, err
}

// Unregister takes the Sender's metrics out of the registry, so that a reload
// can put a new Sender in its place.
func (s *Sender) Unregister(reg prometheus.Registerer) {
	reg.Unregister(s.deliveries)
	reg.Unregister(s.heartbeats)
	reg.Unregister(s.durations)
}

// Close frees idle connections; calls under way go on.
func (s *Sender) Close() {
	for _, r := range s.receivers {
		if c, ok := r.Notifier.(interface{ Close() }); ok {
			c.Close()
		}
	}
}

// Receivers are the names of the receivers in the config's order.
func (s *Sender) Receivers() []string { return append([]string(nil), s.names...) }

// Error is a failed delivery.
type Error struct {
	Receiver string
	Err      error
	// After is how long the receiver asked to be left alone, 0 where it didn't.
	After time.Duration

	permanent bool
}

func (e *Error) Error() string { return fmt.Sprintf("deliver to %s: %v", e.Receiver, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// Permanent says that trying again can't help.
func (e *Error) Permanent() bool { return e.permanent }

// RetryAfter is how long the receiver asked to be left alone, 0 where it didn't.
func (e *Error) RetryAfter() time.Duration { return e.After }

// Deliver tries once to bring the alert's present state to the receiver. An alert
// older (by Revision) than what the receiver already has is dropped without an
// error. An error is an *Error.
func (s *Sender) Deliver(ctx context.Context, receiver string, a detector.Alert) error {
	if !a.State.Fired() {
		return nil // pending or inactive: not worth anybody's time
	}
	return s.deliver(ctx, receiver, a, nil)
}

// deliver is Deliver with something done to the message before it is sent.
func (s *Sender) deliver(ctx context.Context, receiver string, a detector.Alert, edit func(*notify.Message)) error {
	r, ok := s.receivers[receiver]
	if !ok {
		return &Error{Receiver: receiver, Err: errors.New("there is no such receiver in the config"), permanent: true}
	}
	m, err := r.composer.Compose(receiver, a)
	if err != nil {
		s.deliveries.WithLabelValues(receiver, outcomePermanent).Inc()
		s.outcomes.note(receiver, err)
		return &Error{Receiver: receiver, Err: err, permanent: true}
	}
	if edit != nil {
		edit(&m)
	}
	lane, err := s.lanes.enter(ctx, receiver, a.Key)
	if err != nil {
		return &Error{Receiver: receiver, Err: err}
	}
	defer lane.leave()
	if a.Revision < lane.delivered {
		s.deliveries.WithLabelValues(receiver, outcomeStale).Inc()
		return nil
	}
	retry, err := s.attempt(ctx, receiver, r, m)
	if err == nil {
		lane.done(a.Revision)
		return nil
	}
	return failure(receiver, retry, err)
}

func failure(receiver string, retry bool, err error) *Error {
	failed := &Error{Receiver: receiver, Err: err, permanent: !retry}
	var status *notify.StatusError
	if errors.As(err, &status) {
		failed.After = status.After
	}
	return failed
}

func (s *Sender) attempt(ctx context.Context, receiver string, n notify.Notifier, m notify.Message) (bool, error) {
	start := time.Now()
	retry, err := n.Notify(ctx, m)
	s.durations.WithLabelValues(receiver).Observe(time.Since(start).Seconds())
	outcome := outcomeOK
	switch {
	case err != nil && retry:
		outcome = outcomeRetry
	case err != nil:
		outcome = outcomePermanent
	}
	s.deliveries.WithLabelValues(receiver, outcome).Inc()
	s.outcomes.note(receiver, err)
	return retry, err
}

// Resend is the heartbeat that Alertmanagers need: call it about every minute
// with all firing alerts. Other receivers don't hear of it. Errors of several
// Alertmanagers are joined.
func (s *Sender) Resend(ctx context.Context, firing []detector.Alert) error {
	errs := make([]error, len(s.names))
	var wg sync.WaitGroup
	for k, name := range s.names {
		am, ok := s.receivers[name].Notifier.(*alertmanager.Notifier)
		if !ok {
			continue
		}
		messages, err := s.compose(name, firing)
		wg.Go(func() {
			outcome := outcomeOK
			err := errors.Join(err, am.Resend(ctx, messages))
			s.outcomes.note(name, err)
			if err != nil {
				outcome = outcomeFailed
				errs[k] = fmt.Errorf("send the firing alerts again to %s: %w", name, err)
			}
			s.heartbeats.WithLabelValues(name, outcome).Inc()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *Sender) compose(receiver string, firing []detector.Alert) ([]notify.Message, error) {
	var messages []notify.Message
	var errs []error
	for _, a := range firing {
		// A list of firing alerts that was made just before one of them was
		// resolved must not bring it back.
		if a.State != detector.AlertFiring || a.Revision < s.lanes.last(receiver, a.Key) {
			continue
		}
		m, err := s.receivers[receiver].composer.Compose(receiver, a)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		messages = append(messages, m)
	}
	return messages, errors.Join(errs...)
}
