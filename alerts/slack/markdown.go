package slack

import (
	"encoding/json"
	"strings"

	"aftershock/alerts/notify"
)

// Bounds of a message to Mattermost, in characters: what a post's attachments may
// have in old versions, as JSON, and the text with which it is tried first.
const (
	maxAttachments = 8000
	maxMarkdown    = 6000
)

// markdown is the message for Mattermost, which knows attachments but no blocks, with
// less of the text until it is small enough; commands stay. The footer is the
// message's ID, by which doubles can be told.
func markdown(m notify.Message) payload {
	for most := maxMarkdown; ; most /= 2 {
		p := payload{
			Text: "**" + escapeMarkdown(m.Headline) + "**",
			Attachments: []attachment{{
				Color: color(m), Fallback: m.Headline, Text: markdownText(m, most), Footer: m.ID(),
			}},
		}
		b, err := json.Marshal(p.Attachments)
		if most == 0 || err == nil && notify.Length(string(b)) <= maxAttachments {
			return p
		}
	}
}

func markdownText(m notify.Message, most int) string {
	var parts []string
	for _, b := range m.Blocks(most, maxMarkdown) {
		if b.Code {
			parts = append(parts, fence(b.Text))
			continue
		}
		parts = append(parts, escapeMarkdown(b.Text))
	}
	var links []string
	for _, l := range m.Links {
		links = append(links, "["+l.Text+"](<"+l.URL+">)")
	}
	if len(links) > 0 {
		parts = append(parts, strings.Join(links, " · "))
	}
	return strings.Join(parts, "\n\n")
}

// escapeMarkdown takes the meaning from whatever has one in Markdown within a line:
// what has one at its beginning is the template's. A mention is found before
// Markdown is read, so that something must stand between @ and name.
func escapeMarkdown(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '@':
			b.WriteString("@\u2060")
			continue
		case strings.ContainsRune("\\`*_{}[]()#|<>~!^", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// fence puts a command between backticks, more of them than it holds in a row.
func fence(command string) string {
	ticks := "```"
	for strings.Contains(command, ticks) {
		ticks += "`"
	}
	return ticks + "\n" + command + "\n" + ticks
}
