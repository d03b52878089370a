package upgrades

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"

	"go.yaml.in/yaml/v3"
)

// maxDepth is more than any record needs.
const maxDepth = 16

// jsonTree reads one JSON value as a tree with lines, so that JSON and YAML
// records are checked by the same code and doubled fields are seen.
func jsonTree(data []byte) (*yaml.Node, error) {
	t := jsonReader{dec: json.NewDecoder(bytes.NewReader(data))}
	t.dec.UseNumber()
	for i, c := range data {
		if c == '\n' {
			t.breaks = append(t.breaks, int64(i))
		}
	}
	n, err := t.value(0)
	if err != nil {
		return nil, t.explain(err)
	}
	if _, err := t.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: something follows the record", t.line())
	}
	return n, nil
}

type jsonReader struct {
	dec *json.Decoder
	// breaks are the offsets of the line breaks.
	breaks []int64
}

// line is where the decoder stands, from 1.
func (t *jsonReader) line() int {
	return t.lineAt(t.dec.InputOffset())
}

func (t *jsonReader) lineAt(offset int64) int {
	return 1 + sort.Search(len(t.breaks), func(i int) bool { return t.breaks[i] >= offset })
}

func (t *jsonReader) explain(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: %s", t.lineAt(syntax.Offset), syntax)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("line %d: ends in the middle", len(t.breaks)+1)
	}
	return err
}

func (t *jsonReader) value(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: more than %d levels deep", t.line(), maxDepth)
	}
	token, err := t.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Line: t.line()}
	switch v := token.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if v == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for t.dec.More() {
			item, err := t.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, item)
		}
		if _, err := t.dec.Token(); err != nil {
			return nil, err
		}
	case nil:
		n.Tag = "!!null"
	default:
		n.Value = fmt.Sprint(v)
	}
	return n, nil
}
