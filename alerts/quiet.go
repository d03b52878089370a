package alerts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"aftershock/alerts/alertmanager"
	"aftershock/detector"
)

// What the Alertmanagers said is asked again after freshFor; while they don't answer
// within askFor it holds for keptFor.
const (
	freshFor = 2 * time.Second
	askFor   = 5 * time.Second
	keptFor  = 5 * time.Minute
)

// reports are what the Alertmanagers said last.
type reports struct {
	mu    sync.Mutex
	asked time.Time
	heard time.Time
	all   []alertmanager.Report
	err   error
}

// Status is what the Alertmanagers say of the alerts, by alert key: which are held back
// by a silence or another alert. Where one doesn't answer, the error comes with what was
// last known.
func (s *Sender) Status(ctx context.Context, alerts []detector.Alert) (map[string]alertmanager.Status, error) {
	s.said.mu.Lock()
	defer s.said.mu.Unlock()
	if time.Since(s.said.asked) > freshFor {
		ctx, cancel := context.WithTimeout(ctx, askFor)
		defer cancel()
		all, err := s.reports(ctx)
		s.said.asked, s.said.err = time.Now(), err
		if err == nil || len(all) > 0 {
			s.said.all, s.said.heard = all, s.said.asked
		}
	}
	if time.Since(s.said.heard) > keptFor {
		return nil, s.said.err
	}
	return s.statuses(s.said.all, alerts, time.Now()), s.said.err
}

// Silenced are the silences for which the receiver isn't told of the alert; none for an
// Alertmanager, which heeds its own.
func (s *Sender) Silenced(ctx context.Context, receiver string, a detector.Alert) ([]alertmanager.Silence, error) {
	if _, ok := s.alertmanager(receiver); ok || !s.heed || a.Notice != nil {
		return nil, nil
	}
	held, err := s.Status(ctx, []detector.Alert{a})
	return held[a.Key].Silences, err
}

// KeepsQuietItself says whether the receiver is an Alertmanager: it is sent everything,
// and tells people what is new.
func (s *Sender) KeepsQuietItself(receiver string) bool {
	_, ok := s.alertmanager(receiver)
	return ok
}

func (s *Sender) alertmanager(receiver string) (*alertmanager.Notifier, bool) {
	am, ok := s.receivers[receiver].Notifier.(*alertmanager.Notifier)
	return am, ok
}

// reports asks the Alertmanagers.
func (s *Sender) reports(ctx context.Context) ([]alertmanager.Report, error) {
	var all []alertmanager.Report
	var errs []error
	for _, name := range s.names {
		am, ok := s.alertmanager(name)
		if !ok {
			continue
		}
		r, err := am.Read(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("read the silences of %s: %w", name, err))
			continue
		}
		all = append(all, r)
	}
	return all, errors.Join(errs...)
}

// statuses are what the reports say of the alerts. The first that knows an alert is
// believed.
func (s *Sender) statuses(reports []alertmanager.Report, alerts []detector.Alert, now time.Time) map[string]alertmanager.Status {
	out := make(map[string]alertmanager.Status)
	for _, a := range alerts {
		labels := s.composer.Labels(a)
		for _, r := range reports {
			if status, ok := r.Of(labels, now); ok {
				out[a.Key] = status
				break
			}
		}
	}
	return out
}

// Text is the alert as receivers are told it.
func (s *Sender) Text(a detector.Alert) (string, error) {
	m, err := s.composer.Compose("", a)
	return m.Text, err
}

// InForce says whether a silence is in force at one of the Alertmanagers. It gives an
// error where that can't be told: none is configured, or one of them doesn't answer.
func (s *Sender) InForce(ctx context.Context, silence string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	all, err := s.reports(ctx)
	for _, r := range all {
		if r.InForce(silence) {
			return true, nil
		}
	}
	if err == nil && len(all) == 0 {
		err = errors.New("no Alertmanager is configured")
	}
	return false, err
}
