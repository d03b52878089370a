// Package teams sends alerts to a workflow of Microsoft Teams that posts what a
// webhook takes, as an adaptive card.
package teams

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"aftershock/alerts/notify"
)

// Config is a workflow's webhook.
type Config struct {
	notify.Endpoint `yaml:",inline"`
}

// SetDefaults sets the time limit.
func (c *Config) SetDefaults() { c.Endpoint.SetDefaults("") }

// Notifier is one workflow.
type Notifier struct{ service *notify.Service }

// New makes the receiver.
func New(c Config, name string) (*Notifier, error) {
	service, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	return &Notifier{service}, nil
}

// Close frees idle connections.
func (n *Notifier) Close() { n.service.Close() }

// Notify posts the message once. A workflow can't change what it posted, so that
// each change of an alert is a card of its own.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (bool, error) {
	body, err := write(m)
	if err != nil {
		return false, err
	}
	return n.service.Send(ctx, m, http.MethodPost, "", body, nil)
}

// Bounds of a card: what Teams takes, in bytes, and the text in characters with
// which it is tried first.
const (
	maxCard = 28_000
	maxText = 12_000
)

type message struct {
	Type        string       `json:"type"`
	Summary     string       `json:"summary"`
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	ContentType string `json:"contentType"`
	Content     card   `json:"content"`
}

type card struct {
	Schema  string            `json:"$schema"`
	Type    string            `json:"type"`
	Version string            `json:"version"`
	Width   map[string]string `json:"msteams"`
	Body    []element         `json:"body"`
	Actions []action          `json:"actions,omitempty"`
}

// element is a paragraph. Its runs are plain: Markdown, which a TextBlock knows,
// means nothing in them.
type element struct {
	Type    string `json:"type"`
	ID      string `json:"id,omitempty"`
	Spacing string `json:"spacing,omitempty"`
	Inlines []run  `json:"inlines"`
}

type run struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Color  string `json:"color,omitempty"`
	Weight string `json:"weight,omitempty"`
	Size   string `json:"size,omitempty"`
	Font   string `json:"fontType,omitempty"`
}

type action struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

// write makes the card, with less of the text until it is small enough; commands
// stay.
func write(m notify.Message) ([]byte, error) {
	for most := maxText; ; most /= 2 {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false) // it costs six bytes for one
		if err := e.Encode(newMessage(m, most)); err != nil {
			return nil, fmt.Errorf("write the card: %w", err)
		}
		if b.Len() <= maxCard || most == 0 {
			return b.Bytes(), nil
		}
	}
}

func newMessage(m notify.Message, most int) message {
	c := card{
		Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
		Width: map[string]string{"width": "Full"},
		// The card's first element carries the message's ID, by which doubles can be told.
		Body: []element{{Type: "RichTextBlock", ID: m.ID(), Inlines: []run{{
			Type: "TextRun", Text: m.Headline, Color: color(m), Weight: "Bolder", Size: "Medium",
		}}}},
	}
	for _, b := range m.Blocks(most, maxText) {
		spacing := "Medium"
		for line := range strings.SplitSeq(b.Text, "\n") {
			if line == "" {
				spacing = "Medium"
				continue
			}
			r := run{Type: "TextRun", Text: line}
			if b.Code {
				r.Font = "Monospace"
			}
			c.Body = append(c.Body, element{Type: "RichTextBlock", Spacing: spacing, Inlines: []run{r}})
			spacing = "None"
		}
	}
	for _, l := range m.Links {
		c.Actions = append(c.Actions, action{Type: "Action.OpenUrl", Title: l.Text, URL: l.URL})
	}
	return message{Type: "message", Summary: m.Headline, Attachments: []attachment{{
		ContentType: "application/vnd.microsoft.card.adaptive", Content: c,
	}}}
}

func color(m notify.Message) string {
	switch {
	case m.Resolved():
		return "Good"
	case m.Labels["severity"] == "critical":
		return "Attention"
	}
	return "Warning"
}
