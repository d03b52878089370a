// Package slack sends alerts to incoming webhooks of Slack, and of Mattermost in
// its own Markdown.
package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"aftershock/alerts/notify"
)

// Config is an incoming webhook.
type Config struct {
	notify.Endpoint `yaml:",inline"`
	// Channel is another than the webhook's own, where the service allows it.
	Channel string `yaml:"channel"`
}

// SetDefaults sets the time limit.
func (c *Config) SetDefaults() { c.Endpoint.SetDefaults("") }

// Validate names each problem with its path.
func (c *Config) Validate(path string) []error {
	errs := c.Endpoint.Validate(path)
	if len(c.Channel) > 80 {
		errs = append(errs, fmt.Errorf("%s.channel: has %d bytes, at most 80 make a channel", path, len(c.Channel)))
	}
	return errs
}

// Notifier is one incoming webhook.
type Notifier struct {
	channel string
	service *notify.Service
	write   func(notify.Message) payload
}

// New makes a receiver that is Slack's.
func New(c Config, name string) (*Notifier, error) { return open(c, name, blocks) }

// NewMattermost makes a receiver that is Mattermost's.
func NewMattermost(c Config, name string) (*Notifier, error) { return open(c, name, markdown) }

func open(c Config, name string, write func(notify.Message) payload) (*Notifier, error) {
	service, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	return &Notifier{channel: c.Channel, service: service, write: write}, nil
}

// Close frees idle connections.
func (n *Notifier) Close() { n.service.Close() }

// Notify posts the message once. A webhook can't change what it posted, so that
// each change of an alert is a message of its own.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (bool, error) {
	p := n.write(m)
	p.Channel = n.channel
	body, err := json.Marshal(p)
	if err != nil {
		return false, fmt.Errorf("write the message: %w", err)
	}
	return n.service.Send(ctx, m, http.MethodPost, "", body, nil)
}

type payload struct {
	Channel     string       `json:"channel,omitempty"`
	Text        string       `json:"text"`
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	Color    string  `json:"color"`
	Fallback string  `json:"fallback"`
	Blocks   []block `json:"blocks,omitempty"` // Slack
	Text     string  `json:"text,omitempty"`   // Mattermost
	Footer   string  `json:"footer,omitempty"`
}

func color(m notify.Message) string {
	switch {
	case m.Status == notify.StatusReport:
		return "#3b66b0"
	case m.Resolved():
		return "#2eb67d"
	case m.Labels["severity"] == "critical":
		return "#d40e0d"
	}
	return "#ecb22e"
}
