package document

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Decoder is handed to what reads itself.
type Decoder = decoder

// Self is what reads itself from a value of several possible forms.
type Self interface {
	// ReadNode reads a value; problems are told with Fail and ReadInto.
	ReadNode(d *Decoder, path string, n *yaml.Node)
}

// decoder fills structures and collects what is wrong.
type decoder struct {
	problems, unknown []Problem
	visits, depth     int
}

func (d *decoder) into(n *yaml.Node, into any) {
	v := reflect.ValueOf(into)
	d.value("", n, v.Elem())
}

// ReadInto reads a value into what a pointer points to.
func (d *decoder) ReadInto(path string, n *yaml.Node, into any) {
	d.value(path, n, reflect.ValueOf(into).Elem())
}

// Fail says what is wrong with a value.
func (d *decoder) Fail(path string, n *yaml.Node, format string, args ...any) {
	if len(d.problems) <= maxProblems {
		d.problems = append(d.problems, Problem{Line: n.Line, Path: path, What: fmt.Sprintf(format, args...)})
	}
}

var (
	textType = reflect.TypeFor[Text]()
	timeType = reflect.TypeFor[time.Time]()
	selfType = reflect.TypeFor[Self]()
	unmarsh  = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (d *decoder) value(path string, n *yaml.Node, v reflect.Value) {
	d.visits++
	d.depth++
	defer func() { d.depth-- }()
	if d.visits > maxVisits || d.depth > maxDepth {
		if d.visits <= maxVisits+1 {
			d.Fail(path, n, "too deep or too much")
			d.visits = maxVisits + 1
		}
		return
	}
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch p := v.Addr(); {
	case p.Type().Implements(selfType):
		p.Interface().(Self).ReadNode(d, path, n)
		return
	case v.Type() == textType:
		if s, ok := d.text(path, n); ok {
			v.Set(reflect.ValueOf(Text{s, n.Line}))
		}
		return
	case v.Type() == timeType:
		if s, ok := d.text(path, n); ok {
			d.time(path, n, s, v)
		}
		return
	case p.Type().Implements(unmarsh):
		if s, ok := d.text(path, n); ok {
			if err := p.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
				d.Fail(path, n, "%s", strings.ReplaceAll(err.Error(), "\n", " "))
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(path, n, v)
	case reflect.Map:
		d.mapping(path, n, v)
	case reflect.Slice:
		d.list(path, n, v)
	default:
		d.scalar(path, n, v)
	}
}

func (d *decoder) time(path string, n *yaml.Node, s string, v reflect.Value) {
	for _, layout := range []string{time.RFC3339, "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			v.Set(reflect.ValueOf(t.UTC()))
			return
		}
	}
	d.Fail(path, n, "%.60q is no time, want one of RFC 3339", s)
}

// text gives a scalar that people may have left without quotes: a version 1.10 is a text.
func (d *decoder) text(path string, n *yaml.Node) (string, bool) {
	switch tag := n.ShortTag(); {
	case n.Kind != yaml.ScalarNode:
		d.Fail(path, n, "is a %s, want a text", kind(n))
	case tag == "!!bool" || tag == "!!binary":
		d.Fail(path, n, "is a %s, want a text", kind(n))
	case len(n.Value) > maxText:
		d.Fail(path, n, "has %d bytes, more than %d", len(n.Value), maxText)
	default:
		return n.Value, true
	}
	return "", false
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	}
	return map[string]string{"!!bool": "boolean", "!!int": "number", "!!float": "number", "!!str": "text", "!!timestamp": "time"}[n.ShortTag()]
}

func (d *decoder) scalar(path string, n *yaml.Node, v reflect.Value) {
	want := ""
	switch v.Kind() {
	case reflect.String:
		if s, ok := d.text(path, n); ok {
			v.SetString(s)
		}
		return
	case reflect.Bool:
		want = "a boolean"
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
			v.SetBool(strings.EqualFold(n.Value, "true"))
			return
		}
	case reflect.Int, reflect.Int64:
		want = "a whole number"
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" {
			if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil && i >= 0 {
				v.SetInt(i)
				return
			}
			want = "a whole number from 0 on"
		}
	default:
		panic("document: a structure has a field of kind " + v.Kind().String())
	}
	d.Fail(path, n, "is a %s, want %s", kind(n), want)
}

// structure fills a structure's fields and tells those that it doesn't have.
func (d *decoder) structure(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.Fail(path, n, "is a %s, want a mapping", kind(n))
		return
	}
	fields := map[string]int{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if f.Name == "Line" && name == "-" {
			v.Field(i).SetInt(int64(n.Line))
		} else if name != "" && name != "-" {
			fields[name] = i
		}
	}
	d.entries(path, n, func(at string, key, value *yaml.Node) {
		if i, ok := fields[key.Value]; ok {
			d.value(at, value, v.Field(i))
		} else if len(d.unknown) <= maxProblems {
			d.unknown = append(d.unknown, Problem{Line: key.Line, Path: at, What: "unknown field"})
		}
	})
}

// entries goes through a mapping, and tells names that come twice.
func (d *decoder) entries(path string, n *yaml.Node, each func(path string, key, value *yaml.Node)) {
	if len(n.Content)/2 > maxEntries {
		d.Fail(path, n, "has more than %d entries", maxEntries)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		for key.Kind == yaml.AliasNode && key.Alias != nil {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			d.Fail(path, key, "a name is a %s, want a text", kind(key))
			continue
		}
		at := fmt.Sprintf("%.60s", key.Value)
		if path != "" {
			at = path + "." + at
		}
		if seen[key.Value] {
			d.Fail(at, n.Content[i], "comes twice")
			continue
		}
		seen[key.Value] = true
		each(at, &yaml.Node{Kind: key.Kind, Tag: key.Tag, Value: key.Value, Line: n.Content[i].Line}, n.Content[i+1])
	}
}

// Entries goes through a mapping with names that aren't known beforehand.
func (d *decoder) Entries(path string, n *yaml.Node, each func(path string, key Text, value *yaml.Node)) {
	d.entries(path, n, func(at string, key, value *yaml.Node) { each(at, Text{key.Value, key.Line}, value) })
}

func (d *decoder) mapping(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.Fail(path, n, "is a %s, want a mapping", kind(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	d.entries(path, n, func(at string, key, value *yaml.Node) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(at, value, item)
		v.SetMapIndex(reflect.ValueOf(key.Value), item)
	})
}

func (d *decoder) list(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.Fail(path, n, "is a %s, want a list", kind(n))
		return
	}
	if len(n.Content) > maxEntries {
		d.Fail(path, n, "has more than %d entries", maxEntries)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value(fmt.Sprintf("%s[%d]", path, i), item, v.Index(i))
	}
}
