package preflight

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"aftershock/detector"
)

// headings of the severities.
var headings = map[string]string{
	detector.Blocker: "Blockers",
	detector.Risk:    "Risks",
	detector.Note:    "Notes",
}

// WriteMarkdown writes the report as a page for a ticket or a review.
func (r Report) WriteMarkdown(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "# Inspection of %s\n\n%s.\n", escape(oneLine(r.Title())), escape(r.size()))
	for _, line := range r.signed() {
		fmt.Fprintf(out, "\n%s.\n", escape(oneLine(line)))
	}
	fmt.Fprintf(out, "\n**%s.**\n", r.Verdict())
	last := ""
	for _, f := range r.Findings {
		if f.Severity != last {
			fmt.Fprintf(out, "\n## %s\n", headings[f.Severity])
			last = f.Severity
		}
		fmt.Fprintf(out, "\n### %s\n\n%s (%s)\n", escape(oneLine(f.What)), code(place(f.Place)), code(f.Rule))
		for _, p := range []struct{ label, text string }{{"Why", f.Why}, {"Do", f.Do}} {
			if p.text != "" {
				fmt.Fprintf(out, "\n- **%s:** %s", p.label, strings.ReplaceAll(escape(plainLines(p.text)), "\n", "\n  "))
			}
		}
		for _, h := range f.Hypotheses {
			fmt.Fprintf(out, "\n- **The watch will look for:** %s", escape(oneLine(h.Says)))
		}
		fmt.Fprintln(out)
	}
	return out.Flush()
}

// oneLine is a text in one line, as headings are.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// code is a text in a code span that it can't leave.
func code(s string) string {
	s = strings.ReplaceAll(plain(s), "`", "'")
	return "`" + s + "`"
}

// marks are the characters that Markdown or HTML within it would act upon.
var marks = strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "<", "&lt;", ">", "&gt;", "|", "\\|", "#", "\\#", "~", "\\~", "!", "\\!")

func escape(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = marks.Replace(plain(lines[i]))
	}
	return strings.Join(lines, "\n")
}
