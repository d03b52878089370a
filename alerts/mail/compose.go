package mail

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"aftershock/alerts/notify"
)

//go:embed mail.html.tmpl
var files embed.FS

// page draws a mail in HTML; it escapes what it is given.
var page = template.Must(template.ParseFS(files, "mail.html.tmpl"))

// maxText bounds the text of a mail, in characters.
const maxText = 16_000

// compose writes the mail to one recipient, as plain text and as HTML.
func (n *Notifier) compose(m notify.Message, to string) (*gomail.Msg, error) {
	one := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := one.From(n.conf.From); err != nil {
		return nil, fmt.Errorf("write the sender's address: %w", err)
	}
	if err := one.To(to); err != nil {
		return nil, fmt.Errorf("write the recipient's address: %w", err)
	}
	one.Subject(m.Headline)
	one.SetDateWithValue(n.now().UTC())
	one.SetMessageIDWithValue(m.ID() + "@" + n.domain)
	// No mail has the thread's own ID: all mails of the alert refer to it, so that
	// they stand together whichever of them comes first.
	thread := "<" + notify.StoryID(m.Key) + "@" + n.domain + ">"
	one.SetGenHeader(gomail.HeaderInReplyTo, thread)
	one.SetGenHeader(gomail.HeaderReferences, thread)
	one.SetGenHeader("Auto-Submitted", "auto-generated") // no out-of-office answers
	one.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")

	var html strings.Builder
	if err := page.Execute(&html, newLayout(m)); err != nil {
		return nil, fmt.Errorf("draw the mail: %w", err)
	}
	one.SetBodyString(gomail.TypeTextPlain, m.Text+"\n")
	one.AddAlternativeString(gomail.TypeTextHTML, html.String())
	for _, f := range m.Files {
		if err := one.AttachReader(f.Name, bytes.NewReader(f.Content), gomail.WithFileContentType(gomail.ContentType(f.Type))); err != nil {
			return nil, fmt.Errorf("attach %s: %w", f.Name, err)
		}
	}
	return one, nil
}

type layout struct {
	notify.Message
	Color string
	Parts []part
}

// part is a paragraph, or a command.
type part struct {
	Lines []string
	Code  bool
}

func newLayout(m notify.Message) layout {
	l := layout{Message: m, Color: "#ecb22e"}
	switch {
	case m.Status == notify.StatusReport:
		l.Color = "#3b66b0"
	case m.Resolved():
		l.Color = "#2eb67d"
	case m.Labels["severity"] == "critical":
		l.Color = "#d40e0d"
	}
	for _, b := range m.Blocks(maxText, maxText) {
		for paragraph := range strings.SplitSeq(b.Text, "\n\n") {
			l.Parts = append(l.Parts, part{strings.Split(paragraph, "\n"), b.Code})
		}
	}
	return l
}
