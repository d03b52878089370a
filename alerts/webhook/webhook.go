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
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/common/model"

	"aftershock/alerts/notify"
)

// Config is a webhook receiver.
type Config struct {
	notify.Endpoint `yaml:",inline"`
	// SecretFile holds the key of the signature, at most 4 KiB; white space
	// around it is dropped. It is read for each message, so that it can be
	// changed under a running daemon. Empty: no signature.
	SecretFile string `yaml:"secret_file"`
}

// SetDefaults sets the time limit.
func (c *Config) SetDefaults() { c.Endpoint.SetDefaults("") }

// Files are the paths in it, to be made absolute.
func (c *Config) Files() []*string { return append(c.Endpoint.Files(), &c.SecretFile) }

// Notifier is one webhook.
type Notifier struct {
	service *notify.Service
	key     notify.Secret
	now     func() time.Time
}

// New makes the receiver. The files that it names must be readable.
func New(c Config, name string) (*Notifier, error) {
	service, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	n := &Notifier{service: service, key: notify.Secret{File: c.SecretFile}, now: time.Now}
	if _, err := n.secret(); err != nil {
		return nil, err
	}
	return n, nil
}

// Close frees idle connections.
func (n *Notifier) Close() { n.service.Close() }

// Notify posts the message once.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (bool, error) {
	body, err := json.Marshal(newPayload(m))
	if err != nil {
		return false, fmt.Errorf("write the webhook's payload: %w", err)
	}
	secret, err := n.secret()
	if err != nil {
		return true, err
	}
	header := http.Header{}
	if secret != "" {
		header["Aftershock-Signature"] = []string{Sign([]byte(secret), n.now(), body)}
	}
	return n.service.Send(ctx, m, http.MethodPost, "", body, header)
}

func (n *Notifier) secret() (string, error) { return n.key.Read("webhook's secret") }

// Sign makes the value of the header Aftershock-Signature.
func Sign(secret []byte, at time.Time, body []byte) string {
	h := hmac.New(sha256.New, secret)
	_, _ = fmt.Fprintf(h, "%d.", at.Unix()) // a hash takes everything
	_, _ = h.Write(body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(h.Sum(nil)))
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
