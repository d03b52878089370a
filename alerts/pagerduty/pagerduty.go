// Package pagerduty sends alerts to PagerDuty's Events API v2: one incident an
// alert, which its key finds again, and which ends with it.
package pagerduty

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/common/config"

	"aftershock/alerts/notify"
)

// Config is an integration of one service of PagerDuty.
type Config struct {
	// The URL is that of PagerDuty's API unless it is given.
	notify.Endpoint `yaml:",inline"`
	// RoutingKey is the integration's key; it may stand in a file.
	RoutingKey     config.Secret `yaml:"routing_key"`
	RoutingKeyFile string        `yaml:"routing_key_file"`
}

// SetDefaults sets the address and the time limit.
func (c *Config) SetDefaults() { c.Endpoint.SetDefaults("https://events.pagerduty.com/v2/enqueue") }

// Validate names each problem with its path.
func (c *Config) Validate(path string) []error {
	return append(c.Endpoint.Validate(path), c.key().Check(path, "routing_key")...)
}

// Files are the paths in it, to be made absolute.
func (c *Config) Files() []*string { return append(c.Endpoint.Files(), &c.RoutingKeyFile) }

func (c *Config) key() notify.Secret {
	return notify.Secret{Value: c.RoutingKey, File: c.RoutingKeyFile}
}

// Notifier is one integration.
type Notifier struct {
	service *notify.Service
	key     notify.Secret
}

// New makes the receiver. The files that it names must be readable.
func New(c Config, name string) (*Notifier, error) {
	if _, err := c.key().Read("routing key"); err != nil {
		return nil, err
	}
	service, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	return &Notifier{service: service, key: c.key()}, nil
}

// Close frees idle connections.
func (n *Notifier) Close() { n.service.Close() }

// Notify sends the event once.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (bool, error) {
	key, err := n.key.Read("routing key")
	if err != nil {
		return true, err
	}
	e := newEvent(m)
	e.RoutingKey = key
	body, err := json.Marshal(e)
	if err != nil {
		return false, fmt.Errorf("write the event: %w", err)
	}
	return n.service.Send(ctx, m, http.MethodPost, "", body, nil)
}

type event struct {
	RoutingKey string  `json:"routing_key"`
	Action     string  `json:"event_action"`
	DedupKey   string  `json:"dedup_key"`
	Client     string  `json:"client"`
	ClientURL  string  `json:"client_url,omitempty"`
	Payload    payload `json:"payload"`
	Links      []link  `json:"links,omitempty"`
}

type payload struct {
	Summary   string    `json:"summary"`
	Source    string    `json:"source"`
	Severity  string    `json:"severity"`
	Timestamp time.Time `json:"timestamp"`
	Component string    `json:"component,omitempty"`
	Group     string    `json:"group,omitempty"`
	Class     string    `json:"class,omitempty"`
	Details   details   `json:"custom_details"`
}

// details are shown in this order. They can't outgrow the 512 kB that an event may
// have: a text has 16 KiB at the most (notify).
type details struct {
	Text     string `json:"text"`
	Toggle   string `json:"toggle,omitempty"`
	Series   string `json:"series,omitempty"`
	Story    string `json:"story"`
	Revision int64  `json:"revision"`
}

type link struct {
	HRef string `json:"href"`
	Text string `json:"text"`
}

// maxSummary is what PagerDuty takes, in characters.
const maxSummary = 1024

func newEvent(m notify.Message) event {
	e := event{
		Action: "trigger", DedupKey: "aftershock-" + notify.StoryID(m.Key), Client: "Aftershock", ClientURL: m.ExternalURL,
		Payload: payload{
			Summary: notify.Shorten(m.Headline, maxSummary), Source: m.Labels["service"], Severity: severity(m.Labels["severity"]), Timestamp: m.StartsAt,
			Component: m.Labels["binary"], Group: m.Labels["upgrade"], Class: m.Labels["indicator"],
			Details: details{
				Text: m.Text, Toggle: m.Annotations["toggle"], Series: m.Annotations["series"], Story: notify.StoryID(m.Key), Revision: m.Revision,
			},
		},
	}
	if m.Resolved() {
		e.Action = "resolve"
	}
	if e.Payload.Source == "" {
		e.Payload.Source = "aftershock"
	}
	for _, l := range m.Links {
		e.Links = append(e.Links, link{HRef: l.URL, Text: l.Text})
	}
	return e
}

// severity is one of PagerDuty's four words.
func severity(ours string) string {
	switch ours {
	case "critical", "error", "warning", "info":
		return ours
	}
	return "error"
}
