// Package definitions reads and evaluates feature flags in flagd's JSON format.
//
// It promises that one bad flag never takes the set down: a flag that can't be
// served is kept, reported by Problems and answered with an error of its own.
// What a definition may cost is bounded when it is read: its size, depth and
// number of steps, cyclic and swelling $ref, and operators that nobody knows are
// refused there. Evaluation is pure: a flag, a context and an instant give a
// value.
package definitions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what is read.
const (
	MaxBytes    = 4 << 20 // of the whole set
	MaxDepth    = 64      // of nested JSON
	MaxFlags    = 10_000
	MaxVariants = 256 // of one flag
	MaxKey      = 256 // bytes of a flag's or variant's name
)

// States of a flag.
const (
	Enabled  = "ENABLED"
	Disabled = "DISABLED"
)

// Set is a parsed set of flags. It doesn't change after Parse and may be used
// concurrently.
type Set struct {
	flags    map[string]*flag
	keys     []string
	metadata map[string]any
}

// Flag is what a set says of one flag.
type Flag struct {
	Key            string                     `json:"key"`
	State          string                     `json:"state"`
	Variants       map[string]json.RawMessage `json:"variants"`
	DefaultVariant string                     `json:"default_variant,omitempty"`
	// Targeting is the rule as written, empty where there is none.
	Targeting json.RawMessage `json:"targeting,omitempty"`
	Metadata  map[string]any  `json:"metadata,omitempty"`
	// Definition is the whole definition as written.
	Definition json.RawMessage `json:"-"`
	// Problem says why the flag can't be served, "" if it can.
	Problem string `json:"problem,omitempty"`
}

// Problem is a flag that can't be served.
type Problem struct {
	Flag string
	Err  error
}

type flag struct {
	Flag
	rule any // nil: no targeting
	// iterates says that the rule goes through lists, which the context may make long.
	iterates bool
	err      error
}

type document struct {
	Flags      map[string]json.RawMessage `json:"flags"`
	Evaluators map[string]json.RawMessage `json:"$evaluators"`
	Metadata   map[string]any             `json:"metadata"`
}

// Parse reads a set. It fails only where the document as a whole can't be read
// or is out of bounds.
func Parse(b []byte) (*Set, error) {
	doc, err := read(b)
	if err != nil {
		return nil, err
	}
	refs := newReferences(doc.Evaluators)
	s := &Set{flags: make(map[string]*flag, len(doc.Flags)), metadata: primitives(doc.Metadata)}
	for key, raw := range doc.Flags {
		f := &flag{Flag: Flag{Key: key, Definition: raw}}
		if f.err = f.parse(raw, refs); f.err != nil {
			f.Problem = f.err.Error()
		}
		f.Metadata = merge(s.metadata, f.Metadata)
		s.flags[key] = f
		s.keys = append(s.keys, key)
	}
	slices.Sort(s.keys)
	return s, nil
}

// read decodes the document and holds it against the bounds.
func read(b []byte) (document, error) {
	var doc document
	if len(b) > MaxBytes {
		return doc, fmt.Errorf("read flag definitions: %d bytes, more than the %d allowed", len(b), MaxBytes)
	}
	if d := Depth(b); d > MaxDepth {
		return doc, fmt.Errorf("read flag definitions: nested deeper than the %d levels allowed", MaxDepth)
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return doc, fmt.Errorf("read flag definitions: %w", where(b, err))
	}
	var parts struct {
		Flags      json.RawMessage `json:"flags"`
		Evaluators json.RawMessage `json:"$evaluators"`
	}
	if err := json.Unmarshal(b, &parts); err != nil {
		return doc, fmt.Errorf("read flag definitions: %w", where(b, err))
	}
	for _, object := range []json.RawMessage{b, parts.Flags, parts.Evaluators} {
		if key, ok := twice(object); ok {
			return doc, fmt.Errorf("read flag definitions: key %q comes twice", cut(key, 100))
		}
	}
	if doc.Flags == nil {
		return doc, errors.New(`read flag definitions: no "flags" object`)
	}
	if len(doc.Flags) > MaxFlags {
		return doc, fmt.Errorf("read flag definitions: %d flags, more than the %d allowed", len(doc.Flags), MaxFlags)
	}
	for key := range doc.Flags {
		if key == "" || len(key) > MaxKey {
			return doc, fmt.Errorf("read flag definitions: a flag's key has %d bytes, not 1 to %d", len(key), MaxKey)
		}
	}
	return doc, nil
}

// spelled refuses keys of a JSON object that are meant ones but for their case:
// encoding/json takes them, while other readers of the format don't.
func spelled(object json.RawMessage, meant ...string) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(object, &keys); err != nil {
		return err
	}
	for key := range keys {
		for _, m := range meant {
			if key != m && strings.EqualFold(key, m) {
				return fmt.Errorf("key %q has to be written %q", cut(key, 100), m)
			}
		}
	}
	return nil
}

// twice finds a key that comes twice in a JSON object: which of the two was
// meant can't be told.
func twice(object json.RawMessage) (key string, ok bool) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", false
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		key, isText := t.(string)
		if err != nil || !isText {
			return "", false
		}
		if seen[key] {
			return key, true
		}
		seen[key] = true
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return "", false
		}
	}
	return "", false
}

// where adds the line to a JSON syntax error.
func where(b []byte, err error) error {
	var s *json.SyntaxError
	if !errors.As(err, &s) {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(b[:min(int(s.Offset), len(b))], []byte("\n")), err)
}

// parse fills f from its definition; what it returns makes the flag a bad one.
func (f *flag) parse(raw json.RawMessage, refs *references) error {
	var d struct {
		State          string                     `json:"state"`
		Variants       map[string]json.RawMessage `json:"variants"`
		DefaultVariant *string                    `json:"defaultVariant"`
		Targeting      json.RawMessage            `json:"targeting"`
		Metadata       map[string]any             `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("read flag: %w", err)
	}
	if err := spelled(raw, "state", "variants", "defaultVariant", "targeting", "metadata"); err != nil {
		return fmt.Errorf("read flag: %w", err)
	}
	f.State, f.Variants, f.Metadata = d.State, d.Variants, primitives(d.Metadata)
	if d.DefaultVariant != nil {
		f.DefaultVariant = *d.DefaultVariant
	}
	for name, v := range f.Variants {
		var c bytes.Buffer
		if err := json.Compact(&c, v); err != nil {
			return fmt.Errorf("read variant %q: %w", name, err)
		}
		f.Variants[name] = c.Bytes()
	}
	if f.State != Enabled && f.State != Disabled {
		return fmt.Errorf("read state: %q is neither %s nor %s", f.State, Enabled, Disabled)
	}
	if len(f.Variants) == 0 {
		return errors.New("read variants: there are none")
	}
	if len(f.Variants) > MaxVariants {
		return fmt.Errorf("read variants: %d, more than the %d allowed", len(f.Variants), MaxVariants)
	}
	for name := range f.Variants {
		if len(name) > MaxKey {
			return fmt.Errorf("read variants: a name of %d bytes, more than the %d allowed", len(name), MaxKey)
		}
	}
	if _, ok := f.Variants[f.DefaultVariant]; !ok && f.DefaultVariant != "" {
		return fmt.Errorf("read defaultVariant: %q isn't among the variants %v", f.DefaultVariant, f.VariantNames())
	}
	if isNone(d.Targeting) {
		return nil
	}
	f.Targeting = d.Targeting
	rule, err := refs.rule(d.Targeting)
	if err != nil {
		return fmt.Errorf("read targeting: %w", err)
	}
	f.rule, f.iterates = rule, iterates(rule)
	return nil
}

// isNone says whether a targeting rule is as good as absent.
func isNone(raw json.RawMessage) bool {
	t := bytes.TrimSpace(raw)
	if len(t) == 0 || string(t) == "null" {
		return true
	}
	return t[0] == '{' && len(bytes.TrimSpace(t[1:len(t)-1])) == 0
}

// VariantNames lists the flag's variants in order.
func (f Flag) VariantNames() []string {
	names := make([]string, 0, len(f.Variants))
	for name := range f.Variants {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Keys lists the set's flags in order, bad ones too.
func (s *Set) Keys() []string { return slices.Clone(s.keys) }

// Flag returns one flag.
func (s *Set) Flag(key string) (Flag, bool) {
	f, ok := s.flags[key]
	if !ok {
		return Flag{}, false
	}
	return f.Flag, true
}

// Metadata returns the set's own metadata.
func (s *Set) Metadata() map[string]any { return merge(s.metadata, nil) }

// Problems lists the flags that can't be served, in order of key.
func (s *Set) Problems() []Problem {
	var p []Problem
	for _, key := range s.keys {
		if err := s.flags[key].err; err != nil {
			p = append(p, Problem{Flag: key, Err: err})
		}
	}
	return p
}

// primitives keeps what OpenFeature allows as metadata.
func primitives(m map[string]any) map[string]any {
	kept := make(map[string]any, len(m))
	for k, v := range m {
		switch v.(type) {
		case bool, string, float64:
			kept[k] = v
		}
	}
	return kept
}

// merge returns a copy of a with b over it.
func merge(a, b map[string]any) map[string]any {
	m := make(map[string]any, len(a)+len(b)+1)
	for k, v := range a {
		m[k] = v
	}
	for k, v := range b {
		m[k] = v
	}
	return m
}

// Depth is how deeply the objects and lists of a JSON text are nested. It also
// takes texts that are no JSON, so that depth can be bounded before decoding.
func Depth(b []byte) int {
	depth, deepest, inString := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// cut shortens s to at most n bytes at a rune's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
