package preflight

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"

	"aftershock/detector"
)

// width is how wide a line of text may be.
const width = 110

// colours of the severities on a terminal (ECMA-48).
var colours = map[string]string{
	detector.Blocker: "\x1b[1;31m",
	detector.Risk:    "\x1b[1;33m",
	detector.Note:    "\x1b[36m",
}

// WriteText writes the report for people, in colour where the writer is a terminal.
func (r Report) WriteText(w io.Writer, colour bool) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s\n%s\n", plain(r.Title()), plain(r.size()))
	for _, line := range r.signed() {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out, r.Verdict())
	for _, f := range r.Findings {
		label := fmt.Sprintf("%-7s", strings.ToUpper(f.Severity))
		if colour {
			label = colours[f.Severity] + label + "\x1b[0m"
		}
		fmt.Fprintf(out, "\n%s  %s\n", label, plain(place(f.Place)))
		paragraph(out, "", f.What+"  ["+f.Rule+"]")
		paragraph(out, "why: ", f.Why)
		paragraph(out, "do:  ", f.Do)
		for _, h := range f.Hypotheses {
			paragraph(out, "see: ", h.Says)
		}
	}
	return out.Flush()
}

const indent = "         "

// paragraph writes a text wrapped below its label.
func paragraph(w io.Writer, label, text string) {
	text = plainLines(text)
	if text == "" {
		return
	}
	hang := strings.Repeat(" ", len(label))
	for _, whole := range strings.Split(text, "\n") {
		line := ""
		for _, word := range strings.Fields(whole) {
			if line != "" && len(indent)+len(label)+len(line)+1+len(word) > width {
				fmt.Fprintf(w, "%s%s%s\n", indent, label, line)
				line, label = "", hang
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		fmt.Fprintf(w, "%s%s%s\n", indent, label, line)
		label = hang
	}
}

// plain is a text without characters that a terminal would act upon: names within a
// package are hostile.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '\ufffd'
		}
		return c
	}, s)
}

// plainLines is plain, with line ends kept.
func plainLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		lines[i] = plain(strings.TrimRight(strings.ReplaceAll(lines[i], "\t", "  "), " \r"))
	}
	return strings.Join(lines, "\n")
}
