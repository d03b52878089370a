package notify

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"
	"unicode/utf8"

	"aftershock/detector/words"
)

//go:embed templates/*.tmpl
var builtin embed.FS

// Bounds of templates and of what they make, in bytes.
const (
	maxTemplate = 64 << 10
	maxText     = 16 << 10
)

// Files names files that replace the built-in templates. A template is Go's
// text/template over a Story.
type Files struct {
	// Headline makes the first line, Text the whole message.
	Headline string `yaml:"headline"`
	Text     string `yaml:"text"`
}

// Paths are the files, to be made absolute.
func (f *Files) Paths() []*string { return []*string{&f.Headline, &f.Text} }

// Or fills in what the receiver's own files leave out.
func (f Files) Or(all Files) Files {
	if f.Headline == "" {
		f.Headline = all.Headline
	}
	if f.Text == "" {
		f.Text = all.Text
	}
	return f
}

// Templates render a Story.
type Templates struct {
	headline, text *template.Template
}

// LoadTemplates reads and parses the templates and tries each on an empty Story,
// so that a mistake shows at start and not in the night.
func LoadTemplates(files Files) (*Templates, error) {
	headline, err := load("headline", files.Headline)
	if err != nil {
		return nil, err
	}
	text, err := load("text", files.Text)
	if err != nil {
		return nil, err
	}
	t := &Templates{headline, text}
	if _, _, err := t.render(Story{Others: []Shift{{}}}); err != nil {
		return nil, err
	}
	return t, nil
}

func load(name, path string) (*template.Template, error) {
	b, err := builtin.ReadFile("templates/" + name + ".tmpl")
	if path != "" {
		b, err = readFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the alert template %s: %w", name, err)
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(b))
	if err != nil {
		return nil, fmt.Errorf("parse the alert template %s: %w", name, err)
	}
	return t, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	// A pipe that nobody writes to would hold up everything for ever.
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s isn't a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err == nil && len(b) > maxTemplate {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxTemplate)
	}
	return b, err
}

func (t *Templates) render(s Story) (headline, text string, err error) {
	if headline, err = execute(t.headline, s); err != nil {
		return "", "", err
	}
	if text, err = execute(t.text, s); err != nil {
		return "", "", err
	}
	return words.Clean(headline, words.HeadlineLen), text, nil
}

var errTooLong = errors.New("the text is too long")

func execute(t *template.Template, s Story) (string, error) {
	w := &bounded{left: maxText}
	if err := t.Execute(w, s); err != nil && !errors.Is(err, errTooLong) {
		return "", fmt.Errorf("render the alert template %s: %w", t.Name(), err)
	}
	out := strings.TrimSpace(w.String())
	if w.left < 0 {
		out += "…"
	}
	return out, nil
}

// bounded keeps the first bytes written to it and ends the writing after them.
type bounded struct {
	strings.Builder
	left int
}

func (w *bounded) Write(p []byte) (int, error) {
	if w.left < len(p) {
		keep := max(w.left, 0)
		for keep > 0 && !utf8.RuneStart(p[keep]) {
			keep--
		}
		w.Builder.Write(p[:keep])
		w.left = -1
		return keep, errTooLong
	}
	w.left -= len(p)
	return w.Builder.Write(p)
}
