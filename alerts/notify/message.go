// Package notify is what the receivers of alerts share: the Message, which is an
// alert rendered for people, and the Client, which sends it within bounds.
package notify

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"net/url"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// Notifier is a receiver of alerts.
type Notifier interface {
	// Notify tries once to deliver the message. Where err isn't nil, retry says
	// whether the same message may be accepted later.
	Notify(ctx context.Context, m Message) (retry bool, err error)
}

// AlertName is the value of the label alertname of every alert.
const AlertName = "UpgradeRegression"

// Message is an alert as it goes out. Its strings are clean (words.Clean): one
// line each, but for Text.
type Message struct {
	// Receiver is the receiver's name in the config.
	Receiver string
	// Key is the alert's stable key, Revision its number of changes: the two
	// together with Status name one message, so that a receiver can drop doubles.
	Key      string
	Revision int64
	// Status is "firing", "resolved" or, of what is no alert, "report".
	Status string
	// Labels are the alert's identity and hold no measurement; Annotations are
	// what there is to say.
	Labels, Annotations map[string]string
	// Headline is the first line (under 120 characters), Text the whole story.
	Headline, Text string
	// Commands are the lines of the text that are commands to copy.
	Commands []string
	// Links are where to go from here.
	Links []Link
	// Files go with it where the receiver takes files.
	Files []File
	// StartsAt and EndsAt are in UTC; EndsAt is zero while the alert fires.
	StartsAt, EndsAt time.Time
	// GeneratorURL leads to the upgrade's page, ExternalURL to the daemon; both
	// are empty where the daemon has no external URL.
	GeneratorURL, ExternalURL string
}

// File is a document that goes with a message; Type is its media type.
type File struct {
	Name, Type string
	Content    []byte
}

// Link is a URL with a word for it.
type Link struct{ Text, URL string }

// ID names the message: the same for each attempt to deliver it, another for each
// change of the alert.
func (m Message) ID() string {
	return fmt.Sprintf("%s-%d-%s", StoryID(m.Key), m.Revision, m.Status)
}

// Resolved says whether the message ends the alert.
func (m Message) Resolved() bool { return m.Status == StatusResolved }

// Status values.
const (
	StatusFiring   = "firing"
	StatusResolved = "resolved"
	StatusReport   = "report"
)

// Composer renders alerts into messages.
type Composer struct {
	// ExternalURL and RunbookURL are put into the message where they are set.
	ExternalURL, RunbookURL string
	// Safe holds the safe variant of each flag.
	Safe map[string]string
	// Severity holds the severity of each kind of indicator. It depends on
	// nothing that is measured, since it is part of the alert's identity.
	Severity map[detector.Kind]string
	// Templates render the headline and the text.
	Templates *Templates
}

// Compose renders the alert for the named receiver.
func (c *Composer) Compose(receiver string, a detector.Alert) (Message, error) {
	if a.Notice != nil {
		return c.notice(receiver, a), nil
	}
	story := c.story(a)
	headline, text, err := c.Templates.render(story)
	if err != nil {
		return Message{}, err
	}
	m := Message{
		Receiver: receiver, Key: a.Key, Revision: a.Revision, Status: StatusFiring,
		Labels:   c.Labels(a),
		Headline: headline, Text: text, Commands: story.Commands, Links: story.links(),
		StartsAt: a.StartsAt.UTC(), GeneratorURL: story.Link, ExternalURL: c.ExternalURL,
	}
	if a.State == detector.AlertResolved {
		m.Status, m.EndsAt = StatusResolved, a.EndsAt.UTC()
	}
	m.Annotations = story.annotations(headline, text)
	return m, nil
}

// Labels are the alert's identity: they stay the same from the first message to
// the last, unless the alert's root or leading cause changes.
func (c *Composer) Labels(a detector.Alert) map[string]string {
	i := a.Root.Indicator
	labels := map[string]string{
		"alertname": AlertName,
		"upgrade":   words.Name(a.Upgrade),
		"service":   words.Name(i.Service()),
		"indicator": words.Name(string(i.Kind)),
		"severity":  c.severity(i.Kind),
		"cause":     words.Name(a.Cause.Kind),
		"story":     StoryID(a.Key),
	}
	switch a.Cause.Kind {
	case detector.CauseBinary:
		labels["binary"] = words.Name(a.Cause.Name)
	case detector.CauseFlag:
		labels["flag"] = words.Name(a.Cause.Name)
	case detector.CauseThirdParty:
		labels["third_party"] = words.Name(a.Cause.Name)
	}
	for n, v := range labels {
		if v == "" { // Alertmanager takes an empty value for no label
			delete(labels, n)
		}
	}
	return labels
}

func (c *Composer) severity(k detector.Kind) string {
	if s := c.Severity[k]; s != "" {
		return s
	}
	return "warning"
}

// StoryID is the alert's key as a short label value: two stories of one upgrade
// never share all their labels.
func StoryID(key string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	return hex.EncodeToString(h.Sum(nil))
}

// link leads to the review of the upgrade, or is "" without an external URL.
func (c *Composer) link(upgrade string) string {
	if c.ExternalURL == "" || upgrade == "" {
		return ""
	}
	const most = 200 // characters of an id that still make a usable link
	return strings.TrimRight(c.ExternalURL, "/") + "/api/v1/upgrades/" +
		url.PathEscape(words.Clean(upgrade, most)) + "/report?format=html"
}
