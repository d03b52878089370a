// Package webhook sends alerts to an HTTP endpoint in the payload form of
// Alertmanager's webhook receiver, version 4, so that whatever reads those can
// read these.
//
// Two headers are added. Idempotency-Key names the message: a receiver that has
// seen it can drop the double. Aftershock-Signature, where a secret is set, is
// "t=UNIX,v1=HEX" with HEX the HMAC-SHA256 of "UNIX.BODY", so that a receiver
// can tell a forged or replayed message.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"aftershock/alerts/notify"
)

// Config is a webhook receiver.
type Config struct {
	// URL takes the POST. It may hold a secret and is never logged.
	URL        string                   `yaml:"url"`
	HTTPClient *config.HTTPClientConfig `yaml:"http_client"`
	// SecretFile holds the key of the signature, at most 4 KiB; white space
	// around it is dropped. It is read for each message, so that it can be
	// changed under a running daemon. Empty: no signature.
	SecretFile string        `yaml:"secret_file"`
	Timeout    time.Duration `yaml:"timeout"`
}

// SetDefaults sets the time limit.
func (c *Config) SetDefaults() {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
}

// Validate names each problem with its path.
func (c *Config) Validate(path string) []error {
	var errs []error
	if err := notify.CheckURL(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("%s.url: %w", path, err))
	}
	if c.Timeout <= 0 || c.Timeout > time.Minute {
		errs = append(errs, fmt.Errorf("%s.timeout: %s is not in 0s..1m", path, c.Timeout))
	}
	if c.HTTPClient != nil {
		if err := c.HTTPClient.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s.http_client: %w", path, err))
		}
	}
	return errs
}

// Notifier is one webhook.
type Notifier struct {
	conf   Config
	client *notify.Client
	now    func() time.Time
}

// New makes the receiver. The secret file must be readable.
func New(c Config, name string) (*Notifier, error) {
	client, err := notify.NewClient(c.HTTPClient, name, c.Timeout)
	if err != nil {
		return nil, err
	}
	n := &Notifier{conf: c, client: client, now: time.Now}
	if _, err := n.secret(); err != nil {
		return nil, err
	}
	return n, nil
}

// Close frees idle connections.
func (n *Notifier) Close() { n.client.Close() }

// Notify posts the message once.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (bool, error) {
	body, err := json.Marshal(newPayload(m))
	if err != nil {
		return false, fmt.Errorf("write the webhook's payload: %w", err)
	}
	header := http.Header{"Idempotency-Key": {idempotencyKey(m)}}
	secret, err := n.secret()
	if err != nil {
		return true, err
	}
	if secret != nil {
		header["Aftershock-Signature"] = []string{Sign(secret, n.now(), body)}
	}
	if err := n.client.Post(ctx, n.conf.URL, body, header); err != nil {
		return notify.Retry(err), err
	}
	return false, nil
}

// Sign makes the value of the header Aftershock-Signature.
func Sign(secret []byte, at time.Time, body []byte) string {
	h := hmac.New(sha256.New, secret)
	_, _ = fmt.Fprintf(h, "%d.", at.Unix()) // a hash takes everything
	_, _ = h.Write(body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(h.Sum(nil)))
}

func idempotencyKey(m notify.Message) string {
	return fmt.Sprintf("%s-%d-%s", notify.StoryID(m.Key), m.Revision, m.Status)
}

func (n *Notifier) secret() ([]byte, error) {
	if n.conf.SecretFile == "" {
		return nil, nil
	}
	// A pipe that nobody writes to would hold up the delivery for ever.
	if info, err := os.Stat(n.conf.SecretFile); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("read the webhook's secret: it isn't a regular file")
	}
	f, err := os.Open(n.conf.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("read the webhook's secret: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	const most = 4 << 10
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read the webhook's secret: %w", err)
	}
	secret := strings.TrimSpace(string(b))
	switch {
	case secret == "":
		return nil, errors.New("read the webhook's secret: the file is empty")
	case len(b) > most:
		return nil, fmt.Errorf("read the webhook's secret: the file is larger than %d bytes", most)
	}
	return []byte(secret), nil
}

type payload struct {
	Receiver          string            `json:"receiver"`
	Status            string            `json:"status"`
	Alerts            []alert           `json:"alerts"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
}

type alert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// newPayload is a group of one alert, grouped by its story.
func newPayload(m notify.Message) payload {
	labels := make(model.LabelSet, len(m.Labels))
	for n, v := range m.Labels {
		labels[model.LabelName(n)] = model.LabelValue(v)
	}
	group := map[string]string{"story": m.Labels["story"]}
	return payload{
		Receiver: m.Receiver, Status: m.Status,
		Alerts: []alert{{
			Status: m.Status, Labels: m.Labels, Annotations: m.Annotations,
			StartsAt: m.StartsAt, EndsAt: m.EndsAt, GeneratorURL: m.GeneratorURL,
			Fingerprint: labels.Fingerprint().String(),
		}},
		GroupLabels: group, CommonLabels: m.Labels, CommonAnnotations: m.Annotations,
		ExternalURL: m.ExternalURL, Version: "4",
		GroupKey: fmt.Sprintf("{}:{story=%q}", group["story"]),
	}
}
