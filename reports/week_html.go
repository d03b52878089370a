package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	texttemplate "text/template"

	"aftershock/detector"
	"aftershock/detector/words"
)

// weekWords are the words that the review of a week has besides.
func weekWords() map[string]any {
	return map[string]any{
		"percentage": percentage,
		"margin":     func(m float64) string { return fmt.Sprintf("%.0f%%", 100*m) },
		"median": func(s Spread) string {
			if s.N == 0 {
				return "–"
			}
			return words.Duration(seconds(s.Median))
		},
		"num":      func(n int) float64 { return float64(n) },
		"headline": words.Headline,
		"cause": func(v detector.Verdict, u detector.Upgrade) string {
			return words.Suspect(leading(v), u.Binaries)
		},
		"rate": func(r detector.Tally) string {
			if r.Marked == 0 {
				return "not judged"
			}
			return fmt.Sprintf("%d of %d", r.False, r.Marked)
		},
	}
}

// HTML writes the review of the week as one self-contained page, like that of an
// upgrade.
func (w Week) HTML(to io.Writer) error {
	style, err := files.ReadFile("templates/style.css")
	if err != nil {
		return fmt.Errorf("write the review: %w", err)
	}
	t, err := template.New("week.html.tmpl").Funcs(vocabulary()).Funcs(weekWords()).Funcs(pictures()).Funcs(template.FuncMap{
		"style":    func() template.CSS { return template.CSS(style) }, //nolint:gosec // our own file
		"overview": w.overview,
		"anchor":   w.anchor,
		"called":   w.called,
	}).ParseFS(files, "templates/week.html.tmpl", "templates/shift.html.tmpl")
	if err != nil {
		return fmt.Errorf("write the review: %w", err)
	}
	return write(to, func(b *bytes.Buffer) error { return t.Execute(b, w) })
}

// Markdown writes the same in Markdown.
func (w Week) Markdown(to io.Writer) error {
	own := texttemplate.FuncMap{}
	for name, f := range weekWords() {
		own[name] = f
	}
	own["called"] = func(id string) string { return markdown(w.called(id)) }
	own["theUpgrade"] = func(u detector.Upgrade) string { return markdown(words.TheUpgrade(u)) }
	own["headline"] = func(a detector.Alert) string { return markdown(words.Headline(a)) }
	own["cause"] = func(v detector.Verdict, u detector.Upgrade) string {
		return markdown(words.Suspect(leading(v), u.Binaries))
	}
	t, err := texttemplate.New("week.md.tmpl").Funcs(markdownWords()).Funcs(own).ParseFS(files, "templates/week.md.tmpl")
	if err != nil {
		return fmt.Errorf("write the review: %w", err)
	}
	return write(to, func(b *bytes.Buffer) error { return t.Execute(b, w) })
}

// JSON writes it as indented JSON.
func (w Week) JSON(to io.Writer) error {
	return write(to, func(b *bytes.Buffer) error {
		e := json.NewEncoder(b)
		e.SetIndent("", "  ")
		return e.Encode(w)
	})
}
