package notify

import (
	"strings"

	"aftershock/detector"
	"aftershock/detector/words"
)

// Values of the label alertname of notices: of flags, and of upgrades.
const (
	NoticeName        = "FlagNotice"
	UpgradeNoticeName = "UpgradeNotice"
)

// maxNotice bounds a notice's text, in characters.
const maxNotice = 2000

// notice renders an alert that is about a flag, or an upgrade that takes too long. It is sent once, so that an
// Alertmanager ends it after some heartbeats.
func (c *Composer) notice(receiver string, a detector.Alert) Message {
	n := a.Notice
	text, command := words.Clean(n.Text, maxNotice), words.Clean(n.Command, maxNotice)
	m := Message{
		Receiver: receiver, Key: a.Key, Revision: a.Revision, Status: StatusFiring,
		Labels: map[string]string{
			"alertname": UpgradeNoticeName, "severity": "warning", "story": StoryID(a.Key),
		},
		Headline: words.Clean(n.Text, words.HeadlineLen), Text: text,
		Annotations: map[string]string{"summary": words.Clean(n.Text, words.HeadlineLen), "description": text},
		StartsAt:    a.StartsAt.UTC(), ExternalURL: c.ExternalURL,
	}
	if n.Flag != "" {
		m.Labels["alertname"], m.Labels["flag"] = NoticeName, words.Name(n.Flag)
	}
	if m.Text != m.Headline { // the first line is for a phone
		m.Text = m.Headline + "\n\n" + text
	}
	if u := words.Name(a.Upgrade); u != "" {
		m.Labels["upgrade"] = u
	}
	if c.ExternalURL != "" {
		page, name := "/flags", "Flags"
		if n.Page != "" {
			page, name = n.Page, "Status"
		}
		m.GeneratorURL = strings.TrimRight(c.ExternalURL, "/") + page
		m.Links = []Link{{name, m.GeneratorURL}}
	}
	if command != "" {
		m.Text += "\n\nNow:\n" + command
		m.Commands = []string{command}
		m.Annotations["toggle"] = command
	}
	return m
}
