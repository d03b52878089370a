// Package opsgenie sends alerts to Opsgenie, and to what speaks its alert API v2:
// one alert an alias, which is closed when it is over.
package opsgenie

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/prometheus/common/config"

	"aftershock/alerts/notify"
)

// Config is an API integration.
type Config struct {
	// The URL is the API's root: Opsgenie's in the US unless it is given.
	notify.Endpoint `yaml:",inline"`
	// APIKey is the integration's key; it may stand in a file.
	APIKey     config.Secret `yaml:"api_key"`
	APIKeyFile string        `yaml:"api_key_file"`
}

// SetDefaults sets the address and the time limit.
func (c *Config) SetDefaults() { c.Endpoint.SetDefaults("https://api.opsgenie.com") }

// Validate names each problem with its path.
func (c *Config) Validate(path string) []error {
	return append(c.Endpoint.Validate(path), c.key().Check(path, "api_key")...)
}

// Files are the paths in it, to be made absolute.
func (c *Config) Files() []*string { return append(c.Endpoint.Files(), &c.APIKeyFile) }

func (c *Config) key() notify.Secret { return notify.Secret{Value: c.APIKey, File: c.APIKeyFile} }

// Notifier is one integration.
type Notifier struct {
	service *notify.Service
	key     notify.Secret
}

// New makes the receiver. The files that it names must be readable.
func New(c Config, name string) (*Notifier, error) {
	if _, err := c.key().Read("API key"); err != nil {
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

// Notify makes or closes the alert. What is made under a known alias is only
// counted, so that the later texts of an alert are put into it.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (bool, error) {
	key, err := n.key.Read("API key")
	if err != nil {
		return true, err
	}
	for k, r := range requests(m) {
		header := http.Header{"Authorization": {"GenieKey " + key}, "Idempotency-Key": {fmt.Sprintf("%s-%d", m.ID(), k)}}
		body, err := json.Marshal(r.body)
		if err != nil {
			return false, fmt.Errorf("write the request: %w", err)
		}
		if retry, err := n.service.Send(ctx, m, r.method, r.path, body, header); err != nil {
			return retry, err
		}
	}
	return false, nil
}

// Bounds of an alert, in characters. An alias of ours has 27, of 512.
const (
	maxMessage     = 130
	maxDescription = 15_000
	maxEntity      = 512
	maxTag         = 50
)

type request struct {
	method, path string
	body         any
}

type alert struct {
	Message     string            `json:"message"`
	Alias       string            `json:"alias"`
	Description string            `json:"description"`
	Tags        []string          `json:"tags"`
	Details     map[string]string `json:"details"`
	Entity      string            `json:"entity,omitempty"`
	Source      string            `json:"source"`
	Priority    string            `json:"priority"`
}

func requests(m notify.Message) []request {
	alias := "aftershock-" + notify.StoryID(m.Key)
	at := func(what string) string { return "/v2/alerts/" + alias + what + "?identifierType=alias" }
	message := notify.Shorten(m.Headline, maxMessage)
	if m.Resolved() {
		return []request{{http.MethodPost, at("/close"), map[string]string{"source": "aftershock", "note": message}}}
	}
	a := alert{
		Message: message, Alias: alias, Description: notify.Shorten(m.Text, maxDescription),
		Tags: []string{"aftershock"}, Details: make(map[string]string),
		Entity: notify.Shorten(m.Labels["service"], maxEntity), Source: "aftershock", Priority: priority(m.Labels["severity"]),
	}
	if u := m.Labels["upgrade"]; u != "" {
		a.Tags = append(a.Tags, notify.Shorten(u, maxTag))
	}
	for n, v := range m.Labels {
		a.Details[n] = v
	}
	for _, l := range m.Links {
		a.Details[l.Text] = l.URL
	}
	all := []request{{http.MethodPost, "/v2/alerts", a}}
	if m.Revision > 1 {
		all = append(all,
			request{http.MethodPut, at("/message"), map[string]string{"message": a.Message}},
			request{http.MethodPut, at("/description"), map[string]string{"description": a.Description}})
	}
	return all
}

// priority is one of Opsgenie's five.
func priority(severity string) string {
	switch severity {
	case "critical":
		return "P1"
	case "error":
		return "P2"
	case "info":
		return "P5"
	}
	return "P3"
}
