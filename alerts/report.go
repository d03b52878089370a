package alerts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"aftershock/alerts/notify"
	"aftershock/detector/words"
)

// Report is something to read that is no alert: the review of a week, a post of the status
// channel. It is told by its
// title and the lines; the files go with it where the receiver takes files.
type Report struct {
	// Key names it for good, so that receivers can drop doubles.
	Key   string
	Title string
	Lines []string
	// Page leads to it, from the daemon's external URL on; "" for no page.
	Page  string
	At    time.Time
	Files []notify.File
}

// maxLine bounds a line of a report, in characters.
const maxLine = 2000

// TakesReports says why the named receiver can't have reports, nil if it can: an incident
// tool would wake somebody for it.
func (c *Config) TakesReports(name string) error {
	for _, r := range c.Receivers {
		if r.Name != name {
			continue
		}
		if r.Mail == nil && r.Slack == nil && r.Mattermost == nil && r.Webhook == nil {
			return fmt.Errorf("%q takes alerts alone: reports go to mail, slack, mattermost and webhook", name)
		}
		return nil
	}
	return fmt.Errorf("%.50q is no receiver of alerts.receivers", name)
}

// Report tries once to bring a report to the receiver. An error is an *Error.
func (s *Sender) Report(ctx context.Context, receiver string, r Report) error {
	to, ok := s.receivers[receiver]
	if !ok {
		return &Error{Receiver: receiver, Err: errors.New("there is no such receiver in the config"), permanent: true}
	}
	m := notify.Message{
		Receiver: receiver, Key: r.Key, Revision: 1, Status: notify.StatusReport,
		Labels:   map[string]string{"severity": "none", "story": notify.StoryID(r.Key)},
		Headline: words.Clean(r.Title, words.HeadlineLen), StartsAt: r.At.UTC(),
		ExternalURL: to.composer.ExternalURL, Files: r.Files,
	}
	text := []string{m.Headline, ""}
	for _, line := range r.Lines {
		text = append(text, words.Clean(line, maxLine))
	}
	m.Text = strings.Join(text, "\n")
	m.Annotations = map[string]string{"summary": m.Headline, "description": strings.Join(text[2:], "\n")}
	if m.ExternalURL != "" && r.Page != "" {
		m.GeneratorURL = strings.TrimRight(m.ExternalURL, "/") + r.Page
		m.Links = []notify.Link{{Text: "Read it", URL: m.GeneratorURL}}
	}
	lane, err := s.lanes.enter(ctx, receiver, r.Key)
	if err != nil {
		return &Error{Receiver: receiver, Err: err}
	}
	defer lane.leave()
	retry, err := s.attempt(ctx, receiver, to, m)
	if err == nil {
		return nil
	}
	return failure(receiver, retry, err)
}
