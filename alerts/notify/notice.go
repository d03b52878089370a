package notify

import (
	"strings"

	"aftershock/detector"
	"aftershock/detector/words"
)

// NoticeName is the value of the label alertname of every notice.
const NoticeName = "FlagNotice"

// maxNotice bounds a notice's text, in characters.
const maxNotice = 2000

// notice renders an alert that is about a flag. It is sent once, so that an
// Alertmanager ends it after some heartbeats.
func (c *Composer) notice(receiver string, a detector.Alert) Message {
	n := a.Notice
	text, command := words.Clean(n.Text, maxNotice), words.Clean(n.Command, maxNotice)
	m := Message{
		Receiver: receiver, Key: a.Key, Revision: a.Revision, Status: StatusFiring,
		Labels: map[string]string{
			"alertname": NoticeName, "flag": words.Name(n.Flag), "severity": "warning", "story": StoryID(a.Key),
		},
		Headline: words.Clean(n.Text, words.HeadlineLen), Text: text,
		Annotations: map[string]string{"summary": words.Clean(n.Text, words.HeadlineLen), "description": text},
		StartsAt:    a.StartsAt.UTC(), ExternalURL: c.ExternalURL,
	}
	if m.Text != m.Headline { // the first line is for a phone
		m.Text = m.Headline + "\n\n" + text
	}
	if u := words.Name(a.Upgrade); u != "" {
		m.Labels["upgrade"] = u
	}
	if c.ExternalURL != "" {
		m.GeneratorURL = strings.TrimRight(c.ExternalURL, "/") + "/flags"
		m.Links = []Link{{"Flags", m.GeneratorURL}}
	}
	if command != "" {
		m.Text += "\n\nNow:\n" + command
		m.Commands = []string{command}
		m.Annotations["toggle"] = command
	}
	return m
}
