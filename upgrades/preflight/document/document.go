// Package document reads YAML and JSON texts into structures, with the line of whatever is
// wrong in them, and with bounds on all that a hostile text could blow up.
//
// A structure names its fields with yaml tags. A field `Line int` tagged "-" is given
// the line that the mapping begins at, a Text has its own line.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of one document.
const (
	maxDepth    = 32
	maxVisits   = 1_000_000 // values, what aliases name counted each time
	maxProblems = 20        // that are told
	maxText     = 16 << 10  // bytes of one scalar
	maxEntries  = 200_000   // of one list or mapping
)

// Text is a scalar with the line that it stands in, 0 where the document has none.
type Text struct {
	Value string
	Line  int
}

// Problem is something wrong in a document.
type Problem struct {
	// Line counts from 1; 0 where it has none.
	Line int
	// Path is where it stands: "packages[3].version".
	Path string
	What string
}

func (p Problem) String() string {
	s := p.What
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Line > 0 {
		s = fmt.Sprintf("line %d: %s", p.Line, s)
	}
	return s
}

// Read reads one document of at most limit bytes, strictly: unknown and doubled fields and
// values of another type are refused. The error is one line that names each problem with
// its line.
func Read(data []byte, limit int, into any) error {
	problems, unknown := read(data, limit, into)
	if problems = append(problems, unknown...); len(problems) == 0 {
		return nil
	}
	sort.SliceStable(problems, func(i, k int) bool { return problems[i].Line < problems[k].Line })
	return Join(problems)
}

// ReadLenient is Read that tells unknown fields apart instead of refusing them. What
// has problems is left at its zero value in the structure.
func ReadLenient(data []byte, limit int, into any) (problems, unknown []Problem) {
	return read(data, limit, into)
}

// Join is problems as one error of one line, of which it names the first 20.
func Join(problems []Problem) error {
	var texts []string
	for i, p := range problems {
		if i == maxProblems {
			texts = append(texts, fmt.Sprintf("and %d more", len(problems)-i))
			break
		}
		texts = append(texts, p.String())
	}
	return errors.New(strings.Join(texts, "; "))
}

func read(data []byte, limit int, into any) (problems, unknown []Problem) {
	root, err := tree(data, limit)
	if err != nil {
		return []Problem{*err}, nil
	}
	d := &decoder{}
	d.into(root, into)
	return d.problems, d.unknown
}

// tree gives the one value that the text holds.
func tree(data []byte, limit int) (*yaml.Node, *Problem) {
	if len(data) > limit {
		return nil, &Problem{What: fmt.Sprintf("is larger than %d bytes", limit)}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return nil, &Problem{What: "isn't UTF-8 text"}
	}
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	if len(trimmed) == 0 {
		return nil, &Problem{What: "is empty"}
	}
	if trimmed[0] == '{' || trimmed[0] == '[' {
		// JSON proper, with tabs and surrogate pairs that YAML doesn't take; what isn't
		// JSON may still be YAML.
		root, bad := jsonTree(data)
		if bad == nil {
			return root, nil
		}
		if root, worse := yamlTree(data); worse == nil {
			return root, nil
		}
		return nil, bad
	}
	return yamlTree(data)
}

func yamlTree(data []byte) (root *yaml.Node, bad *Problem) {
	defer func() {
		if v := recover(); v != nil {
			root, bad = nil, &Problem{What: fmt.Sprintf("isn't YAML that can be read: %.100v", v)}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &Problem{What: "is empty"}
		}
		return nil, yamlProblem(err)
	}
	var next yaml.Node
	if err := dec.Decode(&next); err == nil {
		return nil, &Problem{Line: next.Line, What: "a second document begins, want one a file"}
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlProblem(err)
	}
	return doc.Content[0], nil
}

// yamlProblem takes "yaml: line 3: what" apart.
func yamlProblem(err error) *Problem {
	p := &Problem{What: strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "\n", " ")}
	var line int
	if n, _ := fmt.Sscanf(p.What, "line %d: ", &line); n == 1 {
		_, p.What, _ = strings.Cut(p.What, ": ")
		p.Line = line
	}
	return p
}

// jsonTree reads one JSON value as a tree with lines.
func jsonTree(data []byte) (*yaml.Node, *Problem) {
	t := jsonReader{dec: json.NewDecoder(bytes.NewReader(data))}
	t.dec.UseNumber()
	for i, c := range data {
		if c == '\n' {
			t.breaks = append(t.breaks, int64(i))
		}
	}
	n, bad := t.value(0)
	if bad != nil {
		return nil, bad
	}
	if _, err := t.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &Problem{Line: t.line(t.dec.InputOffset()), What: "something follows the document"}
	}
	return n, nil
}

type jsonReader struct {
	dec *json.Decoder
	// breaks are the offsets of the line breaks.
	breaks []int64
}

func (t *jsonReader) line(offset int64) int {
	return 1 + sort.Search(len(t.breaks), func(i int) bool { return t.breaks[i] >= offset })
}

func (t *jsonReader) problem(err error) *Problem {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return &Problem{Line: t.line(syntax.Offset), What: syntax.Error()}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Problem{Line: len(t.breaks) + 1, What: "ends in the middle"}
	}
	return &Problem{Line: t.line(t.dec.InputOffset()), What: strings.ReplaceAll(err.Error(), "\n", " ")}
}

func (t *jsonReader) value(depth int) (*yaml.Node, *Problem) {
	token, err := t.dec.Token()
	if err != nil {
		return nil, t.problem(err)
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Line: t.line(t.dec.InputOffset())}
	if depth > maxDepth {
		return nil, &Problem{Line: n.Line, What: fmt.Sprintf("more than %d levels deep", maxDepth)}
	}
	switch v := token.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if v == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for t.dec.More() {
			item, bad := t.value(depth + 1)
			if bad != nil {
				return nil, bad
			}
			n.Content = append(n.Content, item)
		}
		if _, err := t.dec.Token(); err != nil {
			return nil, t.problem(err)
		}
	case nil:
		n.Tag = "!!null"
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(v)
	case json.Number:
		n.Tag, n.Value = "!!int", v.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case string:
		n.Value = v
	}
	return n, nil
}
