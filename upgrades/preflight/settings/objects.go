package settings

import (
	"fmt"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/tailscale/hujson"
)

// lineIndex finds lines by offset.
type lineIndex []int

func indexLines(text string) lineIndex {
	index := lineIndex{0}
	for i := 0; i < len(text); i++ {
		if text[i] == '\n' {
			index = append(index, i+1)
		}
	}
	return index
}

// line is the line, from 1, that an offset is on.
func (l lineIndex) line(offset int) int {
	return sort.Search(len(l), func(i int) bool { return l[i] > offset })
}

// nesting is how deep brackets of JSON nest, in strings too: it is a bound, not a parser.
func nesting(text string) (deepest int) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}

// json reads JSON, with comments and trailing commas if it has them.
func (r *reading) json(text string) bool {
	if nesting(text) > 1000 {
		r.unread(0, "it nests too deeply")
		return false
	}
	v, err := hujson.Parse([]byte(text))
	if err != nil {
		line := 0
		if _, after, ok := strings.Cut(err.Error(), "line "); ok {
			_, _ = fmt.Sscanf(after, "%d", &line)
		}
		r.unread(line, "it is no valid JSON")
		return false
	}
	r.jsonValue(&v, "", indexLines(text), 1, 0)
	return true
}

func (r *reading) jsonValue(v *hujson.Value, key string, index lineIndex, line, depth int) {
	if depth > maxNesting {
		return
	}
	switch t := v.Value.(type) {
	case *hujson.Object:
		for i := range t.Members {
			m := &t.Members[i]
			name, ok := m.Name.Value.(hujson.Literal)
			if ok {
				r.jsonValue(&m.Value, join(key, name.String()), index, index.line(m.Name.StartOffset), depth+1)
			}
		}
	case *hujson.Array:
		var texts []string
		for i := range t.Elements {
			if l, ok := t.Elements[i].Value.(hujson.Literal); ok {
				texts = append(texts, l.String())
			}
		}
		if len(texts) == len(t.Elements) {
			r.add(line, key, strings.Join(texts, ","))
			return
		}
		for i := range t.Elements {
			e := &t.Elements[i]
			r.jsonValue(e, fmt.Sprintf("%s[%d]", key, i), index, index.line(e.StartOffset), depth+1)
		}
	case hujson.Literal:
		r.add(line, key, t.String())
	}
}

// toml reads TOML 1.0.
func (r *reading) toml(text string) (read bool) {
	if nesting(text) > 1000 {
		r.unread(0, "it nests too deeply")
		return false
	}
	index := indexLines(text)
	var p unstable.Parser
	line := 0
	defer func() {
		if v := recover(); v != nil {
			r.unread(line, "it breaks the TOML library")
		}
	}()
	p.Reset([]byte(text))
	table := ""
	counts := map[string]int{}
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table:
			table = tomlTable(e, counts, false)
		case unstable.ArrayTable:
			table = tomlTable(e, counts, true)
		case unstable.KeyValue:
			r.tomlPair(e, table, index, 0, &line)
		}
	}
	if err := p.Error(); err != nil {
		r.unread(line, "it is no valid TOML after here")
	}
	return true
}

// tomlTable is the path of a table, with the indexes of the arrays of tables that it is
// in; counts are how many each array has so far.
func tomlTable(e *unstable.Node, counts map[string]int, array bool) (path string) {
	for it := e.Key(); it.Next(); {
		path = join(path, string(it.Node().Data))
		if array && it.IsLast() {
			counts[path]++
		}
		if n := counts[path]; n > 0 {
			path = fmt.Sprintf("%s[%d]", path, n-1)
		}
	}
	return path
}

// tomlKey is the dotted key of an expression and its offset.
func tomlKey(e *unstable.Node) (key string, offset int) {
	for it := e.Key(); it.Next(); {
		n := it.Node()
		if key == "" {
			offset = int(n.Raw.Offset)
		}
		key = join(key, string(n.Data))
	}
	return key, offset
}

func (r *reading) tomlPair(e *unstable.Node, table string, index lineIndex, depth int, line *int) {
	name, offset := tomlKey(e)
	*line = index.line(offset)
	r.tomlValue(e.Value(), join(table, name), index, *line, depth, line)
}

func (r *reading) tomlValue(v *unstable.Node, key string, index lineIndex, at, depth int, line *int) {
	if depth > maxNesting {
		return
	}
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			r.tomlPair(it.Node(), key, index, depth+1, line)
		}
	case unstable.Array:
		var texts []string
		simple := true
		for it := v.Children(); it.Next(); {
			k := it.Node().Kind
			simple = simple && k != unstable.Array && k != unstable.InlineTable
			texts = append(texts, string(it.Node().Data))
		}
		if simple {
			r.add(at, key, strings.Join(texts, ","))
			return
		}
		i := 0
		for it := v.Children(); it.Next(); i++ {
			r.tomlValue(it.Node(), fmt.Sprintf("%s[%d]", key, i), index, at, depth+1, line)
		}
	default:
		r.add(at, key, string(v.Data))
	}
}
