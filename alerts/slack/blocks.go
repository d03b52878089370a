package slack

import (
	"strings"

	"aftershock/alerts/notify"
)

// Bounds of a message to Slack, in characters. A section takes sectionCap after
// escaping, a message 50 blocks, of which texts of these sizes make 16 at most.
const (
	maxText    = 12_000
	maxSection = 2000
	sectionCap = 3000
)

type block struct {
	Type     string    `json:"type"`
	ID       string    `json:"block_id,omitempty"`
	Text     *text     `json:"text,omitempty"`
	Elements []element `json:"elements,omitempty"`
}

type text struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim,omitempty"`
	Emoji    *bool  `json:"emoji,omitempty"`
}

type element struct {
	Type string `json:"type"`
	Text text   `json:"text"`
	URL  string `json:"url"`
}

// escape takes Slack's three control characters for what they are: links,
// mentions and formatting of links all begin with <.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace

// blocks is the message as sections, with buttons for its links. The first
// section carries the message's ID, by which doubles can be told.
func blocks(m notify.Message) payload {
	var all []block
	for _, b := range m.Blocks(maxText, maxSection) {
		all = append(all, block{Type: "section", Text: &text{Type: "mrkdwn", Text: section(b), Verbatim: true}})
	}
	if len(all) > 0 {
		all[0].ID = m.ID()
	}
	if len(m.Links) > 0 {
		actions := block{Type: "actions"}
		plain := false
		for _, l := range m.Links {
			actions.Elements = append(actions.Elements, element{
				Type: "button", URL: l.URL, Text: text{Type: "plain_text", Text: l.Text, Emoji: &plain},
			})
		}
		all = append(all, actions)
	}
	return payload{
		Text:        "*" + escape(m.Headline) + "*",
		Attachments: []attachment{{Color: color(m), Fallback: escape(m.Headline), Blocks: all}},
	}
}

// section is the block in Slack's markup, shortened where escaping made it too long.
func section(b notify.Block) string {
	for most := maxSection; ; most /= 2 {
		s := escape(notify.Shorten(b.Text, most))
		s = strings.ReplaceAll(s, "``", "`\u2060`") // three of them begin and end code
		if b.Code {
			s = "```" + s + "```"
		}
		if notify.Length(s) <= sectionCap {
			return s
		}
	}
}
