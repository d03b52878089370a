package upgrades

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aftershock/detector"

	"go.yaml.in/yaml/v3"
)

// Bounds of one record.
const (
	MaxRecordSize = 1 << 20 // bytes
	maxBinaries   = 1000
	maxInstances  = 10_000 // of one binary
	maxLabels     = 32     // of one selector
	maxFlags      = 100    // of one binary
	maxText       = 256    // bytes of a name, version, label or ID
	maxProblems   = 20     // that are told of one record
)

// ReadRecord reads the upgrade record in a file (JSON or YAML).
func ReadRecord(path string) (detector.Upgrade, error) {
	f, err := os.Open(path)
	if err != nil {
		return detector.Upgrade{}, fmt.Errorf("read upgrade record: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return detector.Upgrade{}, fmt.Errorf("read upgrade record: %w", err)
	}
	if st.IsDir() {
		return detector.Upgrade{}, fmt.Errorf("read upgrade record %s: is a directory, want a file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxRecordSize+1))
	if err != nil {
		return detector.Upgrade{}, fmt.Errorf("read upgrade record: %w", err)
	}
	u, err := ParseRecord(data)
	if err != nil {
		return detector.Upgrade{}, fmt.Errorf("read upgrade record %s: %w", path, err)
	}
	return u, nil
}

// ParseRecord reads an upgrade record, JSON or YAML, of at most MaxRecordSize
// bytes. Only binaries[].name and a time (started_at, a binary's deployed_at or
// instances[].at, or planned_start of one that hasn't begun) are needed. All times
// are RFC 3339 and come back in UTC.
//
// A left-out id is made from the binaries and the start, the same for the same
// record; a left-out started_at is the first time that the record has; a window
// that doesn't hold the times of its binaries is widened to hold them; source
// is "record" unless the record says otherwise.
//
// The error names every problem with its path and line: unknown and doubled
// fields, bad times, binaries that come twice, an end before the start.
func ParseRecord(data []byte) (detector.Upgrade, error) {
	if len(data) > MaxRecordSize {
		return detector.Upgrade{}, fmt.Errorf("parse upgrade record: larger than %d bytes", MaxRecordSize)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return detector.Upgrade{}, errors.New("parse upgrade record: isn't UTF-8 text")
	}
	root, err := parseTree(data)
	if err != nil {
		return detector.Upgrade{}, fmt.Errorf("parse upgrade record: %w", err)
	}
	var p parser
	u := p.upgrade(root)
	if len(p.problems) > 0 {
		return detector.Upgrade{}, fmt.Errorf("parse upgrade record: %s", strings.Join(p.problems, "; "))
	}
	complete(&u)
	return u, nil
}

// parseTree gives the one mapping that the text holds.
func parseTree(data []byte) (*yaml.Node, error) {
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	if len(trimmed) == 0 {
		return nil, errors.New("is empty")
	}
	if trimmed[0] == '{' {
		// JSON proper, with tabs and surrogate pairs that YAML doesn't take; what
		// isn't JSON may still be a YAML flow mapping.
		root, err := jsonTree(data)
		if err == nil {
			return root, nil
		}
		if root, yerr := yamlTree(data); yerr == nil {
			return root, nil
		}
		return nil, err
	}
	return yamlTree(data)
}

func yamlTree(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("is empty")
		}
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var next yaml.Node
	if err := dec.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one document, want one record a file")
	}
	return doc.Content[0], nil
}

// parser collects the problems of one record.
type parser struct {
	problems []string
}

func (p *parser) fail(path string, n *yaml.Node, format string, args ...any) {
	if len(p.problems) == maxProblems {
		p.problems = append(p.problems, "and more")
	}
	if len(p.problems) > maxProblems {
		return
	}
	if path == "" {
		path = "record"
	}
	p.problems = append(p.problems, fmt.Sprintf("%s: %s (line %d)", path, fmt.Sprintf(format, args...), n.Line))
}

func (p *parser) upgrade(n *yaml.Node) detector.Upgrade {
	var u detector.Upgrade
	var finished, list, buffer *yaml.Node
	p.object("", n, map[string]func(string, *yaml.Node){
		"id":          func(path string, n *yaml.Node) { u.ID = p.id(path, n) },
		"package":     func(path string, n *yaml.Node) { u.Package = p.text(path, n) },
		"started_at":  func(path string, n *yaml.Node) { u.StartedAt = p.time(path, n) },
		"finished_at": func(path string, n *yaml.Node) { u.FinishedAt, finished = p.time(path, n), n },
		"closed_at":   func(path string, n *yaml.Node) { u.ClosedAt = p.time(path, n) },
		"source":      func(path string, n *yaml.Node) { u.Source = p.text(path, n) },
		"culprit":     func(path string, n *yaml.Node) { p.text(path, n) }, // alerts alone tell

		"planned_start":   func(path string, n *yaml.Node) { u.PlannedStart = p.time(path, n) },
		"planned_minutes": func(path string, n *yaml.Node) { u.PlannedMinutes = p.minutes(path, n, 1) },
		"buffer_minutes":  func(path string, n *yaml.Node) { u.BufferMinutes, buffer = p.minutes(path, n, 0), n },
		"binaries": func(path string, n *yaml.Node) {
			list = n
			p.list(path, n, maxBinaries, func(path string, n *yaml.Node) {
				u.Binaries = append(u.Binaries, p.binary(path, n))
			})
		},
		"findings": func(path string, n *yaml.Node) {
			p.list(path, n, maxFindings, func(path string, n *yaml.Node) { u.Findings = append(u.Findings, p.finding(path, n)) })
		},
	})
	if len(p.problems) > 0 {
		return u
	}
	if len(u.Binaries) == 0 {
		if list == nil {
			list = n
		}
		p.fail("binaries", list, "want at least one binary with a name")
		return u
	}
	seen := map[string]int{}
	for i, b := range u.Binaries {
		key := b.Name + "\xff" + labelKey(b.Selector)
		if first, ok := seen[key]; ok {
			p.fail(fmt.Sprintf("binaries[%d]", i), list.Content[i], "%q is binaries[%d] already", b.Name, first)
		}
		seen[key] = i
	}
	if buffer != nil && u.PlannedMinutes == 0 {
		p.fail("buffer_minutes", buffer, "goes with planned_minutes, which is missing")
	}
	p.times(u, n, finished)
	return u
}

func (p *parser) binary(path string, n *yaml.Node) detector.Binary {
	var b detector.Binary
	p.object(path, n, map[string]func(string, *yaml.Node){
		"name":        func(path string, n *yaml.Node) { b.Name = p.text(path, n) },
		"from":        func(path string, n *yaml.Node) { b.From = p.text(path, n) },
		"to":          func(path string, n *yaml.Node) { b.To = p.text(path, n) },
		"deployed_at": func(path string, n *yaml.Node) { b.DeployedAt = p.time(path, n) },
		"sha256":      func(path string, n *yaml.Node) { b.SHA256 = p.digest(path, n) },
		"inside":      func(path string, n *yaml.Node) { b.Inside = p.inside(path, n) },
		"fleet":       p.fleet,
		"selector":    func(path string, n *yaml.Node) { b.Selector = p.labels(path, n) },
		"flags": func(path string, n *yaml.Node) {
			p.list(path, n, maxFlags, func(path string, n *yaml.Node) { b.Flags = append(b.Flags, p.text(path, n)) })
		},
		"instances": func(path string, n *yaml.Node) {
			p.list(path, n, maxInstances, func(path string, n *yaml.Node) { b.Instances = append(b.Instances, p.instance(path, n)) })
		},
	})
	if strings.TrimSpace(b.Name) == "" {
		p.fail(path+".name", n, "is missing")
	}
	return b
}

func (p *parser) instance(path string, n *yaml.Node) detector.Deployment {
	var d detector.Deployment
	p.object(path, n, map[string]func(string, *yaml.Node){
		"instance": func(path string, n *yaml.Node) { d.Instance = p.text(path, n) },
		"at":       func(path string, n *yaml.Node) { d.At = p.time(path, n) },
	})
	if d.At.IsZero() {
		p.fail(path+".at", n, "is missing")
	}
	return d
}

// object calls the field's function for each field that isn't null.
func (p *parser) object(path string, n *yaml.Node, fields map[string]func(string, *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.fail(path, n, "want fields, got %s", kindName(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, clip(key.Value))
		field, ok := fields[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || !ok:
			p.fail(at, key, "unknown field %q", clip(key.Value))
		case seen[key.Value]:
			p.fail(at, key, "comes twice")
		case !isNull(value):
			field(at, value)
		}
		seen[key.Value] = true
	}
}

func (p *parser) list(path string, n *yaml.Node, limit int, each func(string, *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		p.fail(path, n, "want a list, got %s", kindName(n))
		return
	}
	if len(n.Content) > limit {
		p.fail(path, n, "has %d items, want at most %d", len(n.Content), limit)
		return
	}
	for i, item := range n.Content {
		each(fmt.Sprintf("%s[%d]", path, i), item)
	}
}

func (p *parser) labels(path string, n *yaml.Node) map[string]string {
	if n.Kind != yaml.MappingNode {
		p.fail(path, n, "want label values by name, got %s", kindName(n))
		return nil
	}
	if len(n.Content)/2 > maxLabels {
		p.fail(path, n, "has %d labels, want at most %d", len(n.Content)/2, maxLabels)
		return nil
	}
	labels := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := p.text(path, n.Content[i])
		if _, ok := labels[name]; ok {
			p.fail(join(path, name), n.Content[i], "comes twice")
		}
		labels[name] = p.text(join(path, name), n.Content[i+1])
	}
	if len(labels) == 0 {
		return nil
	}
	return labels
}

// text is the scalar as it is written, so that the version 4.20 stays 4.20.
func (p *parser) text(path string, n *yaml.Node) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		p.fail(path, n, "want text, got %s", kindName(n))
	case len(n.Value) > maxText:
		p.fail(path, n, "has %d bytes, want at most %d", len(n.Value), maxText)
	case strings.ContainsFunc(n.Value, unprintable):
		p.fail(path, n, "holds a control character, or one that isn't seen")
	default:
		return n.Value
	}
	return ""
}

// unprintable are the characters that do something else than being seen: they
// break lines, turn the direction of the text about them, or hide.
func unprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// id is a text that can stand in a URL and in a file's name.
func (p *parser) id(path string, n *yaml.Node) string {
	s := p.text(path, n)
	if strings.ContainsAny(s, `/\`) || s == "." || s == ".." || s != strings.TrimSpace(s) {
		p.fail(path, n, "want an ID without slashes and outer spaces, got %q", s)
	}
	return s
}

func (p *parser) time(path string, n *yaml.Node) time.Time {
	s := p.text(path, n)
	if s == "" {
		if n.Kind == yaml.ScalarNode {
			p.fail(path, n, "want a time such as 2026-03-06T09:00:00Z, got nothing")
		}
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		p.fail(path, n, "want a time such as 2026-03-06T09:00:00Z, got %q", s)
		return time.Time{}
	}
	if t = t.UTC(); t.Year() < 1970 || t.Year() > 9999 {
		p.fail(path, n, "want a time after 1970, got %q", s)
		return time.Time{}
	}
	return t
}

func (p *parser) digest(path string, n *yaml.Node) string {
	s := strings.ToLower(p.text(path, n))
	if b, err := hex.DecodeString(s); s != "" && (err != nil || len(b) != 32) {
		p.fail(path, n, "want 64 hexadecimal digits, got %q", s)
	}
	return s
}

// complete fills in what the record leaves out and what follows from it.
func complete(u *detector.Upgrade) {
	if u.Source == "" {
		u.Source = "record"
	}
	for i := range u.Binaries {
		sort.SliceStable(u.Binaries[i].Instances, func(a, b int) bool {
			return u.Binaries[i].Instances[a].At.Before(u.Binaries[i].Instances[b].At)
		})
	}
	first, last := firstTime(*u), lastTime(*u)
	if u.StartedAt.IsZero() || !first.IsZero() && first.Before(u.StartedAt) { // zero where it is only planned
		u.StartedAt = first
	}
	if !u.FinishedAt.IsZero() && last.After(u.FinishedAt) {
		u.FinishedAt = last
	}
	if u.ID == "" {
		u.ID = makeID(u.Binaries, u.Begins())
	}
}

func firstTime(u detector.Upgrade) time.Time {
	var first time.Time
	eachTime(u, func(t time.Time) {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	})
	return first
}

func lastTime(u detector.Upgrade) time.Time {
	var last time.Time
	eachTime(u, func(t time.Time) {
		if t.After(last) {
			last = t
		}
	})
	return last
}

// eachTime visits the times at which binaries were deployed.
func eachTime(u detector.Upgrade, visit func(time.Time)) {
	for _, b := range u.Binaries {
		if !b.DeployedAt.IsZero() {
			visit(b.DeployedAt)
		}
		for _, d := range b.Instances {
			visit(d.At)
		}
	}
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "fields"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias, which records don't have"
	default:
		return fmt.Sprintf("%q", clip(n.Value))
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
