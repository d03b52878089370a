package configs

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// Path is where in the file, such as alerts.receivers[1].url; "" for the
	// whole file.
	Path string
	// Line is the line in the file, from 1; 0 where it isn't known.
	Line int
	// Text says what is wrong.
	Text string
}

func (p Problem) String() string {
	s := p.Text
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Line > 0 {
		s += fmt.Sprintf(" (line %d)", p.Line)
	}
	return s
}

// Error is all that is wrong with a configuration file.
type Error struct {
	File     string
	Problems []Problem // in order of line, at least one
}

// Error gives all problems in one line.
func (e *Error) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.String()
	}
	name := "the configuration"
	if e.File != "" {
		name += " " + e.File
	}
	return "use " + name + ": " + strings.Join(texts, "; ")
}

const (
	// maxProblems is how many problems are told at once.
	maxProblems = 50
	// maxNamed is how many known keys are named beside an unknown one.
	maxNamed = 16
)

// decoder reads a tree into a Config and collects what is wrong.
type decoder struct {
	root     *yaml.Node
	problems []Problem
}

func (d *decoder) fail(path string, line int, format string, args ...any) {
	d.problems = append(d.problems, Problem{Path: path, Line: line, Text: fmt.Sprintf(format, args...)})
}

func (d *decoder) err() *Error {
	sort.SliceStable(d.problems, func(i, j int) bool { return d.problems[i].Line < d.problems[j].Line })
	if more := len(d.problems) - maxProblems; more > 0 {
		d.problems = append(d.problems[:maxProblems], Problem{Text: fmt.Sprintf("and %d problems more", more)})
	}
	return &Error{Problems: d.problems}
}

// report adds what the sections found, with the lines of the paths. What
// follows from a value that couldn't be read is left out.
func (d *decoder) report(errs []error) {
	unread := slices.Clone(d.problems)
	for _, err := range errs {
		path, text, ok := strings.Cut(err.Error(), ": ")
		if !ok || strings.Contains(path, " ") {
			path, text = "", err.Error()
		}
		if !slices.ContainsFunc(unread, func(p Problem) bool { return p.Path != "" && within(path, p.Path) }) {
			d.fail(path, lineOf(d.root, path), "%s", strings.ReplaceAll(text, "\n", "; "))
		}
	}
}

// within says whether the path is that of the part or leads through it.
func within(path, part string) bool {
	rest, ok := strings.CutPrefix(path, part)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// lineOf is the line of the node that the path leads to, or of the last one on
// the way there.
func lineOf(n *yaml.Node, path string) int {
	line := n.Line
	for path != "" {
		next, rest := step(n, path)
		if next == nil {
			break
		}
		n, path = next, strings.TrimPrefix(rest, ".")
		line = n.Line
	}
	return line
}

func step(n *yaml.Node, path string) (next *yaml.Node, rest string) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := n.Content[i]; within(path, key.Value) {
				value := *n.Content[i+1]
				value.Line = key.Line
				return &value, path[len(key.Value):]
			}
		}
	case yaml.SequenceNode:
		var at int
		if _, err := fmt.Sscanf(path, "[%d]", &at); err == nil && at >= 0 && at < len(n.Content) {
			_, rest, _ = strings.Cut(path, "]")
			return n.Content[at], rest
		}
	}
	return nil, ""
}

// strict reads the tree into the value that out points to.
func (d *decoder) strict(out any) {
	d.value(d.root, reflect.ValueOf(out).Elem(), "")
}

var duration = reflect.TypeFor[time.Duration]()

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.fail(path, n.Line, "is an alias; write the value out")
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		// As if left out.
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path)
	case v.Type() == duration:
		d.duration(n, v, path)
	case !plain(v):
		before := len(d.problems)
		d.keys(n, v.Type(), path)
		if len(d.problems) == before {
			d.leaf(n, v, path)
		}
	default:
		d.container(n, v, path)
	}
}

// plain says whether the value is read part by part here, rather than by its
// own way of reading YAML.
func plain(v reflect.Value) bool {
	if v.CanAddr() {
		switch v.Addr().Interface().(type) {
		case yaml.Unmarshaler, encoding.TextUnmarshaler, interface{ UnmarshalYAML(func(any) error) error }:
			return false
		}
	}
	return v.Kind() == reflect.Struct || v.Kind() == reflect.Slice || v.Kind() == reflect.Map
}

func (d *decoder) container(n *yaml.Node, v reflect.Value, path string) {
	want := map[reflect.Kind]yaml.Kind{reflect.Struct: yaml.MappingNode, reflect.Map: yaml.MappingNode, reflect.Slice: yaml.SequenceNode}
	if n.Kind != want[v.Kind()] {
		if v.Kind() == reflect.Slice {
			d.fail(path, n.Line, "want a list")
		} else {
			d.fail(path, n.Line, "want keys with values")
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		fields, _ := fieldsOf(v.Type())
		d.pairs(n, path, func(key, value *yaml.Node, at string) {
			f, ok := fields[key.Value]
			if !ok {
				d.unknown(key, fields, at)
				return
			}
			d.value(value, v.FieldByIndex(f.Index), at)
		})
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, item := range n.Content {
			d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		d.pairs(n, path, func(key, value *yaml.Node, at string) {
			item := reflect.New(v.Type().Elem()).Elem()
			d.value(value, item, at)
			v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), item)
		})
	}
}

// pairs visits the keys of a mapping, each once.
func (d *decoder) pairs(n *yaml.Node, path string, visit func(key, value *yaml.Node, at string)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := join(path, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode:
			d.fail(path, key.Line, "has a key that isn't a word")
		case seen[key.Value]:
			d.fail(at, key.Line, "comes twice")
		default:
			visit(key, n.Content[i+1], at)
		}
		seen[key.Value] = true
	}
}

func (d *decoder) unknown(key *yaml.Node, fields map[string]reflect.StructField, at string) {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	sort.Strings(names)
	if len(names) > maxNamed {
		d.fail(at, key.Line, "unknown key")
		return
	}
	d.fail(at, key.Line, "unknown key; known here: %s", strings.Join(names, ", "))
}

// keys refuses unknown keys in what a type reads by itself.
func (d *decoder) keys(n *yaml.Node, t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Kind == yaml.AliasNode:
		d.fail(path, n.Line, "is an alias; write the value out")
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		fields, open := fieldsOf(t)
		d.pairs(n, path, func(key, value *yaml.Node, at string) {
			f, ok := fields[key.Value]
			switch {
			case ok:
				d.keys(value, f.Type, at)
			case !open:
				d.unknown(key, fields, at)
			}
		})
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		d.pairs(n, path, func(_, value *yaml.Node, at string) { d.keys(value, t.Elem(), at) })
	case t.Kind() == reflect.Struct && tagged(t) && n.ShortTag() != "!!null":
		d.fail(path, n.Line, "want keys with values")
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, item := range n.Content {
			d.keys(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

// tagged says whether the struct's fields are given YAML keys, so that it wants
// a mapping rather than, like a URL, a word.
func tagged(t reflect.Type) bool {
	return slices.ContainsFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return f.Tag.Get("yaml") != "" })
}

// fieldsOf gives a struct's fields by their YAML keys. It is open when an
// inlined map takes all other keys.
func fieldsOf(t reflect.Type) (fields map[string]reflect.StructField, open bool) {
	fields = map[string]reflect.StructField{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("yaml")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case !f.IsExported() || tag == "-":
		case strings.Contains(options, "inline") && f.Type.Kind() == reflect.Map:
			open = true
		case strings.Contains(options, "inline"):
			inner, innerOpen := fieldsOf(f.Type)
			open = open || innerOpen
			for n, g := range inner {
				g.Index = append(slices.Clone(f.Index), g.Index...)
				fields[n] = g
			}
		case name != "":
			fields[name] = f
		default:
			fields[strings.ToLower(f.Name)] = f
		}
	}
	return fields, open
}

// duration reads 90s, 1h30m, 7d; a number without a unit is refused, since it
// would be taken for nanoseconds.
func (d *decoder) duration(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.ScalarNode {
		if t, err := time.ParseDuration(n.Value); err == nil {
			v.SetInt(int64(t))
			return
		}
		if t, err := model.ParseDuration(n.Value); err == nil {
			v.SetInt(int64(t))
			return
		}
	}
	d.fail(path, n.Line, "want a duration such as 30s, 5m, 7d")
}

// leaf reads a value by its type's own way.
func (d *decoder) leaf(n *yaml.Node, v reflect.Value, path string) {
	err := n.Decode(v.Addr().Interface())
	if err == nil {
		return
	}
	var mismatch *yaml.TypeError
	if !errors.As(err, &mismatch) {
		d.fail(path, n.Line, "%s", strings.TrimPrefix(hideValues(err.Error()), "yaml: "))
		return
	}
	names := map[reflect.Kind]string{
		reflect.Bool: "true or false", reflect.Int: "a whole number", reflect.Int64: "a whole number", reflect.Uint: "a whole number",
		reflect.Float64: "a number", reflect.String: "text",
	}
	if want, ok := names[v.Kind()]; ok {
		d.fail(path, n.Line, "want %s", want)
		return
	}
	for _, text := range mismatch.Errors {
		line := n.Line
		if _, err := fmt.Sscanf(text, "line %d:", &line); err == nil {
			_, text, _ = strings.Cut(text, ": ")
		}
		d.fail(path, line, "%s", hideValues(text))
	}
}

// quoted is how the YAML and URL readers show the values that they refuse.
var quoted = regexp.MustCompile("(?s) ?`.*`|parse \".*\"")

// hideValues takes the values out of an error's text: any may be a secret.
func hideValues(text string) string {
	return strings.TrimLeft(strings.ReplaceAll(quoted.ReplaceAllString(text, ""), "\n", " "), ": ")
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
