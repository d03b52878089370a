package notify

import (
	"slices"
	"strings"
	"unicode/utf16"
)

// Block is a part of a message's text: some paragraphs, or a command to copy.
type Block struct {
	Text string
	Code bool
}

// Blocks are the message's text in its order, without the headline and without the
// lines that name nothing but one of its links, which have buttons of their own:
// each command for itself, the rest in parts of at most size characters. Commands
// are kept; of the rest, most characters are. Characters are counted as UTF-16
// does, which is never fewer than any service counts.
func (m Message) Blocks(most, size int) []Block {
	var blocks []Block
	var prose []string
	flush := func() {
		text := Shorten(strings.Trim(strings.Join(prose, "\n"), "\n"), most)
		most -= Length(text)
		prose = nil
		for text != "" {
			var part string
			part, text = split(text, size)
			blocks = append(blocks, Block{Text: part})
		}
	}
	commands := slices.Clone(m.Commands)
	for _, line := range strings.Split(strings.TrimPrefix(m.Text, m.Headline), "\n") {
		n := slices.Index(commands, line)
		switch {
		case n >= 0:
			commands = slices.Delete(commands, n, n+1)
			flush()
			blocks = append(blocks, Block{Text: line, Code: true})
		case !m.linked(line):
			prose = append(prose, line)
		}
	}
	flush()
	return blocks
}

// linked says whether the line is one of the message's links with a word before it.
func (m Message) linked(line string) bool {
	const word = 12
	return slices.ContainsFunc(m.Links, func(l Link) bool {
		before, found := strings.CutSuffix(line, l.URL)
		return found && len(before) <= word
	})
}

// Length counts characters as UTF-16 does.
func Length(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// Shorten leaves at most that many characters, the last one an ellipsis where
// something was cut.
func Shorten(s string, most int) string {
	if Length(s) <= most {
		return s
	}
	if most < 1 {
		return ""
	}
	return strings.TrimRight(s[:upTo(s, most-1)], " \n") + "…"
}

// upTo is how many bytes of s hold at most that many characters.
func upTo(s string, most int) int {
	n := 0
	for at, r := range s {
		if n += max(utf16.RuneLen(r), 1); n > most {
			return at
		}
	}
	return len(s)
}

// split cuts off a part of at most size characters, at the end of a paragraph or
// of a line where there is one.
func split(s string, size int) (part, rest string) {
	at := upTo(s, size)
	if at < len(s) {
		for _, end := range []string{"\n\n", "\n"} {
			if n := strings.LastIndex(s[:at], end); n > 0 {
				at = n
				break
			}
		}
	}
	return strings.TrimRight(s[:at], "\n"), strings.TrimLeft(s[at:], "\n")
}
