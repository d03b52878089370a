package reports

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"strings"
	texttemplate "text/template"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

//go:embed templates
var files embed.FS

// maxCards bounds the shifts that are shown with pictures; the rest stand in a
// table.
const maxCards = 60

// Cards are the shifts shown at length, Rest the others.
func (r Review) Cards() []Shift { return r.Shifts[:min(len(r.Shifts), maxCards)] }

// Rest are the shifts beyond the Cards.
func (r Review) Rest() []Shift { return r.Shifts[len(r.Cards()):] }

// words for the templates of both forms.
func vocabulary() map[string]any {
	return map[string]any{
		"indicator": words.Indicator, "place": words.Place, "series": words.Series,
		"change": words.Change, "ratio": words.Ratio, "spread": words.Spread, "beforeAfter": words.BeforeAfter,
		"value": words.Value, "factor": words.Factor, "count": words.Count,
		"bucket": words.Bucket, "quantile": words.Quantile,
		"time": words.Time, "clock": words.Clock, "between": words.Range, "onset": words.Onset,
		"name": words.Name, "upgrade": words.Upgrade, "upgradeShort": words.UpgradeShort, "binaries": words.Binaries, "line": words.Line, "versions": words.Versions,
		"probability": words.Probability, "decidedIn": words.DecidedIn,
		"placebos": words.Placebos,
		"placebo":  func(p Placebo) string { return words.Placebos(&p.FalseAlarms) },
		"length":   func(s *float64) string { return lengthOf(s) },
		"capital":  words.Capital, "stand": words.Stand, "acted": words.Acted, "verdict": words.Verdict,
		"plural":    words.Plural,
		"instances": instances,
		"ago":       func(from, to time.Time) string { return words.Duration(to.Sub(from)) },
		"accepted":  func(a *detector.Acceptance) string { return words.Accepted(*a) },
		"foreseen":  words.Foreseen,
		"left":      left,
		"suspect": func(r *Review, c detector.Cause) string {
			return words.Suspect(c, r.Upgrade.Binaries)
		},
	}
}

// lengthOf writes a length in seconds, or a dash for one that isn't known.
func lengthOf(s *float64) string {
	if s == nil {
		return "–"
	}
	return words.Duration(seconds(*s))
}

// instances says how many instances of the binary switched, and when.
func instances(b detector.Binary) string {
	if len(b.Instances) == 0 {
		return ""
	}
	first, last := b.Instances[0].At, b.Instances[0].At
	for _, d := range b.Instances {
		if d.At.Before(first) {
			first = d.At
		}
		if d.At.After(last) {
			last = d.At
		}
	}
	s := words.Plural(len(b.Instances), "instance") + ", " + words.Clock(first)
	if last.After(first) {
		s += "–" + words.Clock(last)
	}
	return s
}

// left says which instances of the binary were left behind, as far as is known then.
func left(r Review, b detector.Binary) string {
	for _, l := range r.Upgrade.Leftovers(nil, r.Now) {
		if l.Binary.Name == b.Name && maps.Equal(l.Binary.Selector, b.Selector) {
			return words.Leftover(l)
		}
	}
	return ""
}

// HTML writes the review as one self-contained page: no script, no request to
// anywhere, light and dark, for a phone, a screen and paper.
func (r Review) HTML(w io.Writer) error {
	style, err := files.ReadFile("templates/style.css")
	if err != nil {
		return fmt.Errorf("write the review: %w", err)
	}
	t, err := template.New("review.html.tmpl").Funcs(vocabulary()).Funcs(template.FuncMap{
		"style":    func() template.CSS { return template.CSS(style) }, //nolint:gosec // our own file
		"overview": r.overview,
		"card":     func(r Review, s Shift) card { return card{Shift: s, Review: &r} },
	}).Funcs(pictures()).ParseFS(files, "templates/review.html.tmpl", "templates/shift.html.tmpl")
	if err != nil {
		return fmt.Errorf("write the review: %w", err)
	}
	return write(w, func(b *bytes.Buffer) error { return t.Execute(b, r) })
}

// pictures are what shifts are shown by.
func pictures() template.FuncMap {
	return template.FuncMap{
		"course": course, "quantiles": quantiles, "distribution": distribution, "bar": bar,
		"latest": card.latest,
		"marks":  func(s card) []mark { return s.Review.marks() },
	}
}

// bar draws a probability.
func bar(p float64) template.HTML {
	pic := newPicture(8, words.Probability(p))
	pic.rect("track", 0, 1, 0, 8, "")
	pic.rect("fill", 0, p, 0, 8, "")
	return pic.done()
}

// Markdown writes the same in Markdown.
func (r Review) Markdown(w io.Writer) error {
	t, err := texttemplate.New("review.md.tmpl").Funcs(markdownWords()).ParseFS(files, "templates/review.md.tmpl")
	if err != nil {
		return fmt.Errorf("write the review: %w", err)
	}
	return write(w, func(b *bytes.Buffer) error { return t.Execute(b, r) })
}

// JSON writes the review as indented JSON.
func (r Review) JSON(w io.Writer) error {
	return write(w, func(b *bytes.Buffer) error {
		e := json.NewEncoder(b)
		e.SetIndent("", "  ")
		return e.Encode(r)
	})
}

// write makes the whole before it writes, so that a failure leaves no half page.
func write(w io.Writer, f func(*bytes.Buffer) error) error {
	var b bytes.Buffer
	if err := f(&b); err != nil {
		return fmt.Errorf("write the review: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write the review: %w", err)
	}
	return nil
}

// markdownWords are the words with every string escaped for Markdown.
func markdownWords() map[string]any {
	vocabulary := vocabulary()
	return texttemplate.FuncMap{
		"md": markdown,
		// call names a word and escapes what it says.
		"indicator":   func(i detector.Indicator) string { return markdown(words.Indicator(i)) },
		"series":      func(i detector.Indicator) string { return markdown(words.Series(i)) },
		"change":      func(e detector.Effect) string { return markdown(words.Change(e)) },
		"ratio":       func(e detector.Effect) string { return markdown(words.Ratio(e)) },
		"beforeAfter": func(e detector.Effect) string { return markdown(words.BeforeAfter(e)) },
		"name":        func(s string) string { return markdown(words.Name(s)) },
		"line":        func(s string) string { return markdown(words.Line(s)) },
		"upgrade":     func(u detector.Upgrade) string { return markdown(words.Upgrade(u)) },
		"versions":    func(b detector.Binary) string { return markdown(words.Versions(b)) },
		"accepted":    func(a *detector.Acceptance) string { return markdown(words.Accepted(*a)) },
		"left":        func(r Review, b detector.Binary) string { return markdown(left(r, b)) },
		"foreseen":    func(c detector.Cause) string { return markdown(words.Foreseen(c)) },
		"suspect": func(r Review, c detector.Cause) string {
			return markdown(words.Suspect(c, r.Upgrade.Binaries))
		},
		// These are made of figures alone.
		"bucket": vocabulary["bucket"], "quantile": vocabulary["quantile"], "time": vocabulary["time"],
		"clock": vocabulary["clock"], "between": vocabulary["between"], "onset": vocabulary["onset"],
		"probability": vocabulary["probability"], "decidedIn": vocabulary["decidedIn"],
		"placebos": vocabulary["placebos"], "placebo": vocabulary["placebo"], "length": vocabulary["length"],
		"plural": vocabulary["plural"], "instances": vocabulary["instances"], "count": vocabulary["count"],
		"capital": words.Capital,
		"acted":   words.Acted, "stand": words.Stand, "verdict": words.Verdict,
	}
}

// markdown escapes what Markdown or the HTML in it would take for markup.
func markdown(s string) string {
	var b strings.Builder
	for n, r := range s {
		switch {
		case strings.ContainsRune("\\`*_[]<>|~&", r),
			n == 0 && strings.ContainsRune("#+-=!", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
