package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"aftershock/detector"
)

// Bounds of a matrix.
const (
	maxMatrix = 4 << 20
	maxRows   = 5_000
)

// Matrix is what is known of the settings of components.
type Matrix struct {
	// File is where it was read from; findings without another place stand there.
	File string `yaml:"-"`
	Rows []Row  `yaml:"settings"`
}

// Row is one key of one component.
type Row struct {
	// Line is where it stands in the file, from 1.
	Line      int    `yaml:"-"`
	Component string `yaml:"component"`
	// Key is in any spelling; one that ends in ".*" stands for all below.
	Key string `yaml:"key"`
	// IntroducedIn, DeprecatedIn and RemovedIn are versions; empty where it always was,
	// never will be.
	IntroducedIn string `yaml:"introduced_in,omitempty"`
	DeprecatedIn string `yaml:"deprecated_in,omitempty"`
	RemovedIn    string `yaml:"removed_in,omitempty"`
	Replacement  string `yaml:"replacement,omitempty"`
	// Value is what the key has to have from IntroducedIn on; nil where anything will do.
	Value *Condition `yaml:"value,omitempty"`
	// Otherwise is what happens where the key isn't as it has to be.
	Otherwise string `yaml:"otherwise,omitempty"`
	// Binaries are whom it concerns; the component where none is named.
	Binaries []string `yaml:"binaries,omitempty,flow"`
	// Severity is what the findings of the row have instead of what the rules give them:
	// blocker, risk or note.
	Severity string `yaml:"severity,omitempty"`
	// Draft rows were mined from builds and seen by nobody; Confidence is how sure they are.
	Draft      bool   `yaml:"draft,omitempty"`
	Confidence string `yaml:"confidence,omitempty"`
}

// Condition is what a value has to be: exactly one of its fields.
type Condition struct {
	Equals  *string  `yaml:"equals,omitempty"`
	OneOf   []string `yaml:"one_of,omitempty,flow"`
	Range   *Range   `yaml:"range,omitempty"`
	Regexp  string   `yaml:"regexp,omitempty"`
	Present bool     `yaml:"present,omitempty"`
	Absent  bool     `yaml:"absent,omitempty"`

	pattern *regexp.Regexp
}

// Range is numbers or durations (30s, 5m), both ends included; an empty end is none.
type Range struct {
	Min string `yaml:"min,omitempty"`
	Max string `yaml:"max,omitempty"`
}

// ReadMatrix reads a matrix of at most 4 MiB. Its errors are one line and begin with
// the file's name and, where there is one, the line.
func ReadMatrix(file string, r io.Reader) (Matrix, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxMatrix+1))
	if err != nil {
		return Matrix{}, fmt.Errorf("%s: read configuration matrix: %w", file, err)
	}
	if len(data) > maxMatrix {
		return Matrix{}, fmt.Errorf("%s: the configuration matrix is larger than %d MiB: split it", file, maxMatrix>>20)
	}
	m := Matrix{File: file}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&m); err != nil && !errors.Is(err, io.EOF) {
		return Matrix{}, fmt.Errorf("%s: %s", file, yamlProblem(err))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Matrix{}, fmt.Errorf("%s: it has more than one document: keep the matrix in one", file)
	}
	if len(m.Rows) > maxRows {
		return Matrix{}, fmt.Errorf("%s: it has %d settings, more than %d: split it", file, len(m.Rows), maxRows)
	}
	m.place(data)
	for i := range m.Rows {
		if err := m.Rows[i].check(); err != nil {
			return Matrix{}, fmt.Errorf("%s:%d: %w", file, m.Rows[i].Line, err)
		}
	}
	return m, nil
}

// yamlProblem makes one line of what the YAML library says.
func yamlProblem(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	first = fieldProblem.ReplaceAllString(first, "unknown field $1")
	return strings.Join(strings.Fields(first), " ")
}

var fieldProblem = regexp.MustCompile(`field (\S+) not found in type \S+`)

// place gives the rows their lines.
func (m *Matrix) place(data []byte) {
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil || len(doc.Content) == 0 {
		return
	}
	root := doc.Content[0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "settings" {
			continue
		}
		list := root.Content[i+1]
		if list.Alias != nil {
			list = list.Alias
		}
		for k, n := range list.Content {
			if k < len(m.Rows) {
				m.Rows[k].Line = n.Line
			}
		}
	}
}

func (r *Row) check() error {
	if r.Component == "" {
		return errors.New("component is missing: name the component whose setting it is")
	}
	if spell(strings.TrimSuffix(r.Key, ".*")).text == "" {
		return errors.New("key is missing: name the setting")
	}
	if r.Severity != "" && !slices.Contains([]string{detector.Blocker, detector.Risk, detector.Note}, r.Severity) {
		return fmt.Errorf("severity %q is none of blocker, risk, note", r.Severity)
	}
	if r.IntroducedIn == "" && r.DeprecatedIn == "" && r.RemovedIn == "" && r.Value == nil {
		return fmt.Errorf("%s says nothing: give introduced_in, deprecated_in, removed_in or value", r.Key)
	}
	if r.Value == nil {
		return nil
	}
	if strings.HasSuffix(r.Key, ".*") {
		return fmt.Errorf("%s stands for several keys, which can't all have one value", r.Key)
	}
	if err := r.Value.check(); err != nil {
		return fmt.Errorf("value of %s: %w", r.Key, err)
	}
	return nil
}

func (c *Condition) check() error {
	n := 0
	for _, given := range []bool{c.Equals != nil, len(c.OneOf) > 0, c.Range != nil, c.Regexp != "", c.Present, c.Absent} {
		if given {
			n++
		}
	}
	if n != 1 {
		return errors.New("give exactly one of equals, one_of, range, regexp, present: true, absent: true")
	}
	if c.Range != nil {
		return c.Range.check()
	}
	if c.Regexp == "" {
		return nil
	}
	if len(c.Regexp) > 1000 {
		return errors.New("regexp is longer than 1,000 characters")
	}
	var err error
	if c.pattern, err = regexp.Compile("^(?:" + c.Regexp + ")$"); err != nil {
		return fmt.Errorf("regexp %q isn't valid RE2: %w", c.Regexp, err)
	}
	return nil
}

func (r *Range) check() error {
	if r.Min == "" && r.Max == "" {
		return errors.New("range has neither min nor max")
	}
	low, kind, ok := quantity(r.Min)
	high, other, fine := quantity(r.Max)
	if r.Min != "" && !ok || r.Max != "" && !fine {
		return fmt.Errorf("range %q to %q isn't of numbers or durations", r.Min, r.Max)
	}
	if ok && fine && kind != other {
		return fmt.Errorf("range %q to %q is of a number and a duration", r.Min, r.Max)
	}
	if ok && fine && low > high {
		return fmt.Errorf("range %q to %q is empty", r.Min, r.Max)
	}
	return nil
}

// binaries are whom the row concerns.
func (r *Row) binaries() []string {
	if len(r.Binaries) > 0 {
		return r.Binaries
	}
	return []string{r.Component}
}
