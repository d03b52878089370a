package settings

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxWork is how many nodes of a file are visited, aliases counted each time.
const maxWork = 200_000

// otherBreaks replaces what YAML 1.1 takes for the end of a line and editors don't, so
// that lines are counted alike.
var otherBreaks = strings.NewReplacer("\r", " ", "\u0085", " ", "\u2028", " ", "\u2029", " ")

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yaml reads each document of a YAML file.
func (r *reading) yaml(text string) bool {
	defer func() {
		if v := recover(); v != nil {
			r.unread(0, "it breaks the YAML library")
		}
	}()
	d := yaml.NewDecoder(strings.NewReader(otherBreaks.Replace(text)))
	for n := 0; ; n++ {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			line := 0
			if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
				line, _ = strconv.Atoi(m[1])
			}
			// Helm's templates are no YAML until they are filled in.
			if strings.Contains(text, "{{") {
				r.unread(line, "it is a template, not YAML")
			} else {
				r.unread(line, "it is no valid YAML")
			}
			return n > 0
		}
		for _, root := range doc.Content {
			r.document(root)
		}
	}
}

// document reads one YAML document: a ConfigMap's data, a compose file's services, or
// what it holds.
func (r *reading) document(root *yaml.Node) {
	top := map[string]*yaml.Node{}
	for _, p := range r.pairs(root, 0) {
		if _, ok := top[p.key.Value]; !ok {
			top[p.key.Value] = p.value
		}
	}
	kind := scalar(top["kind"])
	if top["apiVersion"] != nil && (kind == "ConfigMap" || kind == "Secret") {
		in := *r
		in.hidden = kind == "Secret"
		in.configMap(top["data"], in.hidden)
		in.configMap(top["stringData"], false)
		r.work = in.work
		return
	}
	if s := top["services"]; s != nil && s.Kind == yaml.MappingNode && (strings.Contains(r.name, "compose") || top["version"] != nil) {
		for _, p := range r.pairs(s, 0) {
			in := *r
			in.component, in.within = p.key.Value, "services."+p.key.Value
			in.service(p.value)
			r.work = in.work
		}
		return
	}
	r.node(root, "", 0)
}

// service reads environment: of a compose service.
func (r *reading) service(n *yaml.Node) {
	for _, p := range r.pairs(n, 0) {
		if p.key.Value != "environment" {
			continue
		}
		value := resolved(p.value)
		if value.Kind == yaml.SequenceNode {
			for _, item := range value.Content {
				if name, v, ok := strings.Cut(resolved(item).Value, "="); ok {
					r.add(item.Line, name, v)
				}
			}
			continue
		}
		for _, e := range r.pairs(value, 0) {
			if v := resolved(e.value); v.Kind == yaml.ScalarNode {
				r.add(e.key.Line, e.key.Value, v.Value)
			}
		}
	}
}

// configMap reads the data of a ConfigMap, or a Secret's, which is encoded in base64.
func (r *reading) configMap(data *yaml.Node, encoded bool) {
	for _, p := range r.pairs(data, 0) {
		v := resolved(p.value)
		if v.Kind != yaml.ScalarNode {
			continue
		}
		value := v.Value
		block := v.Style&yaml.LiteralStyle != 0
		if encoded {
			plain, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
			if err != nil {
				continue
			}
			value, block = string(plain), false
		}
		offset := v.Line - 1
		if block {
			offset = v.Line // the text begins on the line after the bar
		}
		if !strings.Contains(value, "\n") && !strings.ContainsAny(value, "=:{") || !r.embedded(p.key.Value, value, offset, !block) {
			r.add(p.key.Line, p.key.Value, value)
		}
	}
}

// resolved follows aliases.
func resolved(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode && n.Alias != nil && i < 8; i++ {
		n = n.Alias
	}
	return n
}

func scalar(n *yaml.Node) string {
	if n = resolved(n); n != nil && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

type pair struct{ key, value *yaml.Node }

// pairs are the keys of a mapping, those that merge keys (<<) bring among them as far
// as it doesn't have them itself.
func (r *reading) pairs(n *yaml.Node, depth int) (list []pair) {
	n = resolved(n)
	if n == nil || n.Kind != yaml.MappingNode || depth > 8 {
		return nil
	}
	has := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if r.work++; r.work > maxWork {
			return list
		}
		k, v := n.Content[i], n.Content[i+1]
		if k.Tag == "!!merge" {
			if m := resolved(v); m != nil && m.Kind == yaml.SequenceNode {
				merged = append(merged, m.Content...)
			} else {
				merged = append(merged, v)
			}
			continue
		}
		if k = resolved(k); k.Kind == yaml.ScalarNode {
			has[k.Value] = true
			list = append(list, pair{k, v})
		}
	}
	for _, m := range merged {
		for _, p := range r.pairs(m, depth+1) {
			if !has[p.key.Value] {
				has[p.key.Value] = true
				list = append(list, p)
			}
		}
	}
	return list
}

// node flattens a node below a key.
func (r *reading) node(n *yaml.Node, key string, depth int) {
	n = resolved(n)
	if r.work++; n == nil || r.work > maxWork || depth > maxNesting {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		for _, p := range r.pairs(n, 0) {
			v := resolved(p.value)
			if v == nil {
				continue
			}
			path := join(key, p.key.Value)
			switch {
			case v.Kind == yaml.ScalarNode:
				r.add(p.key.Line, path, v.Value)
			case v.Kind == yaml.SequenceNode && r.plain(v):
				r.add(p.key.Line, path, r.list(v))
			default:
				if p.key.Value == "env" && v.Kind == yaml.SequenceNode {
					r.variables(v)
				}
				r.node(v, path, depth+1)
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", key, i)
			if v := resolved(item); v != nil && v.Kind == yaml.SequenceNode && r.plain(v) {
				r.add(item.Line, at, r.list(v))
				continue
			}
			r.node(item, at, depth+1)
		}
	case yaml.ScalarNode:
		r.add(n.Line, key, n.Value)
	}
}

// variables reads a container's env: a list of names and values.
func (r *reading) variables(seq *yaml.Node) {
	for _, item := range seq.Content {
		var name, value *yaml.Node
		for _, p := range r.pairs(item, 0) {
			switch p.key.Value {
			case "name":
				name = p.value
			case "value":
				value = p.value
			}
		}
		if scalar(name) != "" && value != nil && resolved(value).Kind == yaml.ScalarNode {
			r.add(item.Line, scalar(name), scalar(value))
		}
	}
}

// plain says that a list is of scalars alone.
func (r *reading) plain(n *yaml.Node) bool {
	for _, c := range n.Content {
		if r.work++; r.work > maxWork {
			return false
		}
		if c = resolved(c); c == nil || c.Kind != yaml.ScalarNode {
			return false
		}
	}
	return true
}

func (r *reading) list(n *yaml.Node) string {
	var b strings.Builder
	for i, c := range n.Content {
		if i > 0 {
			b.WriteByte(',')
		}
		if b.WriteString(resolved(c).Value); b.Len() > maxValue {
			break
		}
	}
	r.work += b.Len() / 100 // an alias may repeat a long list
	return b.String()
}

// tooLong stands for a key that is longer than is kept.
var tooLong = strings.Repeat("x", maxKey+1)

func join(key, name string) string {
	if len(key)+len(name) > maxKey {
		return tooLong
	}
	if key == "" {
		return name
	}
	return key + "." + name
}
