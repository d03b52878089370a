// Package alertmanager sends alerts to one or more Alertmanagers by API v2, the
// way Prometheus does: every alert goes to each of them (they share silences but
// not alerts), it is sent again in every heartbeat with an end some heartbeats
// ahead, so that it resolves by itself when the daemon dies, and it is resolved
// by an end that has come.
package alertmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"
	"github.com/sirupsen/logrus"

	"aftershock/alerts/notify"
)

// Config is a set of Alertmanagers.
type Config struct {
	// URLs are the roots of the Alertmanagers, at most 16.
	URLs       []string                 `yaml:"urls"`
	HTTPClient *config.HTTPClientConfig `yaml:"http_client"`
	Timeout    time.Duration            `yaml:"timeout"`
	// Resend is the time between heartbeats; an alert that isn't sent again
	// ends after four of them.
	Resend time.Duration `yaml:"resend"`
}

// SetDefaults sets the time limit and the heartbeat.
func (c *Config) SetDefaults() {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Resend == 0 {
		c.Resend = time.Minute
	}
}

// Files are none: what the HTTP client names is made absolute with all others.
func (*Config) Files() []*string { return nil }

const maxURLs = 16

// Validate names each problem with its path.
func (c *Config) Validate(path string) []error {
	var errs []error
	if len(c.URLs) == 0 || len(c.URLs) > maxURLs {
		errs = append(errs, fmt.Errorf("%s.urls: has %d URLs, needs 1 to %d", path, len(c.URLs), maxURLs))
	}
	for n, u := range c.URLs {
		if err := notify.CheckURL(u); err != nil {
			errs = append(errs, fmt.Errorf("%s.urls[%d]: %w", path, n, err))
		}
	}
	if c.Timeout <= 0 || c.Timeout > time.Minute {
		errs = append(errs, fmt.Errorf("%s.timeout: %s is not in 0s..1m", path, c.Timeout))
	}
	if c.Resend < time.Second || c.Resend > time.Hour {
		errs = append(errs, fmt.Errorf("%s.resend: %s is not in 1s..1h", path, c.Resend))
	}
	if c.HTTPClient != nil {
		if err := c.HTTPClient.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s.http_client: %w", path, err))
		}
	}
	return errs
}

// Notifier is a set of Alertmanagers.
type Notifier struct {
	conf   Config
	client *notify.Client
	log    logrus.FieldLogger
	now    func() time.Time
}

// New makes the receiver.
func New(c Config, name string, log logrus.FieldLogger) (*Notifier, error) {
	client, err := notify.NewClient(c.HTTPClient, name, c.Timeout)
	if err != nil {
		return nil, err
	}
	return &Notifier{conf: c, client: client, log: log.WithField("receiver", name), now: time.Now}, nil
}

// Close frees idle connections.
func (n *Notifier) Close() { n.client.Close() }

// batch bounds the alerts of one request.
const batch = 64

type postableAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

func (n *Notifier) postable(m notify.Message) postableAlert {
	now := n.now().UTC()
	a := postableAlert{
		Labels: m.Labels, Annotations: m.Annotations, GeneratorURL: m.GeneratorURL,
		// A start in the future is refused; our clock's now is the latest that
		// can be true.
		StartsAt: m.StartsAt, EndsAt: now.Add(4 * n.conf.Resend),
	}
	if a.StartsAt.IsZero() || a.StartsAt.After(now) {
		a.StartsAt = now
	}
	if m.Resolved() {
		a.EndsAt = now
	}
	return a
}

// Notify sends one alert to every Alertmanager. It has succeeded when one of
// them took it: the heartbeats bring it to the others.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (bool, error) {
	return n.post(ctx, []postableAlert{n.postable(m)})
}

// Resend is the heartbeat: it sends all firing alerts again. An array with a bad
// alert is answered by 400 though its good ones were stored, so such an array
// is sent again one by one, which finds the bad ones; the error names them.
func (n *Notifier) Resend(ctx context.Context, firing []notify.Message) error {
	var errs []error
	for start := 0; start < len(firing); start += batch {
		part := firing[start:min(start+batch, len(firing))]
		alerts := make([]postableAlert, 0, len(part))
		for _, m := range part {
			alerts = append(alerts, n.postable(m))
		}
		_, err := n.post(ctx, alerts)
		if badRequest(err) && len(part) > 1 {
			err = n.resendSingly(ctx, part, alerts)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (n *Notifier) resendSingly(ctx context.Context, part []notify.Message, alerts []postableAlert) error {
	var errs []error
	for k := range alerts {
		if _, err := n.post(ctx, alerts[k:k+1]); err != nil {
			errs = append(errs, fmt.Errorf("alert %s: %w", notify.StoryID(part[k].Key), err))
		}
	}
	return errors.Join(errs...)
}

func badRequest(err error) bool {
	var status *notify.StatusError
	return errors.As(err, &status) && status.Code == http.StatusBadRequest
}

// post sends the alerts to all at once and waits for each. The error is nil when
// one took them; else retry says whether any of them may take them later.
func (n *Notifier) post(ctx context.Context, alerts []postableAlert) (retry bool, err error) {
	body, err := json.Marshal(alerts)
	if err != nil {
		return false, fmt.Errorf("write the alerts: %w", err)
	}
	errs := make([]error, len(n.conf.URLs))
	var wg sync.WaitGroup
	for k, u := range n.conf.URLs {
		wg.Go(func() { errs[k] = n.client.Post(ctx, api(u, "alerts"), body) })
	}
	wg.Wait()
	took := 0
	for _, err := range errs {
		switch {
		case err == nil:
			took++
		case notify.Retry(err):
			retry = true
		}
	}
	if took == 0 {
		return retry, errors.Join(errs...)
	}
	for k, err := range errs {
		if err != nil {
			n.log.WithError(err).WithField("alertmanager", notify.Host(n.conf.URLs[k])).
				Warn("one alertmanager didn't take the alerts, the next heartbeat will try again")
		}
	}
	return false, nil
}

func api(root, what string) string { return strings.TrimRight(root, "/") + "/api/v2/" + what }
