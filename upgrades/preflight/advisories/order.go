package advisories

import (
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// verdict is whether a version is in a set.
type verdict int

const (
	no verdict = iota
	yes
	unknown
)

var semantic = []string{Product, "Go", "npm", "crates.io", "Hex", "Pub", "SwiftURL", "SemVer"}

// order gives an ecosystem's order and which versions it can compare; nil where none is known.
func (c *Checker) order(ecosystem string) (Order, func(string) bool) {
	base, _ := splitEcosystem(ecosystem)
	if o := c.orders[base]; o != nil {
		return o, func(v string) bool { return v != "" }
	}
	switch {
	case slices.Contains(semantic, base):
		return func(a, b string) int { return semver.Compare(canonical(a), canonical(b)) }, func(v string) bool { return semver.IsValid(canonical(v)) }
	case base == "Maven":
		return compareMaven, func(v string) bool { return v != "" && v[0] >= '0' && v[0] <= '9' }
	}
	return nil, nil
}

func canonical(v string) string { return "v" + strings.TrimPrefix(v, "v") }

// in says whether a component is in a set, and the version that is the first after it
// that isn't, where one is named.
func (c *Checker) in(k Component, a *affect) (v verdict, fixed string) {
	_, release := splitEcosystem(k.Ecosystem)
	switch {
	case k.identity() != a.identity || k.Version == "":
		return no, ""
	case a.release != "" && release == "":
		return unknown, ""
	case a.release != "" && a.release != release:
		return no, ""
	case a.dist != "" && a.dist != distribution(k.Version):
		return no, ""
	case a.all:
		return yes, ""
	case slices.Contains(a.versions, k.Version) || slices.Contains(a.versions, strings.TrimPrefix(k.Version, "v")):
		_, fixed = c.spans(k, a)
		return yes, fixed
	case a.vague:
		return unknown, ""
	}
	return c.spans(k, a)
}

func (c *Checker) spans(k Component, a *affect) (v verdict, fixed string) {
	for _, s := range a.ranges {
		got, fix := c.within(k.Version, s)
		if got == yes {
			return yes, fix
		}
		v = max(v, got)
		if fixed == "" {
			fixed = fix
		}
	}
	return v, fixed
}

// within evaluates a range as the OSV schema has it (ossf.github.io/osv-schema, Evaluation).
func (c *Checker) within(version string, s span) (verdict, string) {
	compare, can := c.order(s.order)
	if compare == nil || !can(version) {
		return unknown, ""
	}
	events := slices.Clone(s.events)
	limited, below := false, false
	for _, e := range events {
		if e.version != "0" && e.version != "*" && !can(e.version) {
			return unknown, ""
		}
		if e.kind == "limit" {
			limited = limited || e.version != "*"
			below = below || e.version == "*" || compare(version, e.version) < 0
		}
	}
	start := func(e event) bool { return e.kind == "introduced" && e.version == "0" }
	slices.SortStableFunc(events, func(a, b event) int {
		switch {
		case start(a) && start(b):
			return 0
		case start(a):
			return -1
		case start(b):
			return 1
		case a.version == "*" || b.version == "*":
			return strings.Compare(b.version, a.version)
		}
		return compare(a.version, b.version)
	})
	hit, fixed := false, ""
	for _, e := range events {
		if start(e) {
			hit = true
			continue
		}
		if e.kind == "limit" {
			continue
		}
		n := compare(version, e.version)
		switch {
		case e.kind == "introduced" && n >= 0:
			hit = true
		case e.kind == "fixed" && n >= 0, e.kind == "last" && n > 0:
			hit = false
		case e.kind == "fixed" && n < 0 && fixed == "":
			fixed = e.version
		}
	}
	if hit && (!limited || below) {
		return yes, fixed
	}
	return no, fixed
}

// distribution is the build of a distribution that a version names: el8, fc39, deb12.
func distribution(version string) string {
	return distributed.FindString(version)
}

var distributed = regexp.MustCompile(`\b(?:el|fc|amzn|sles|deb|ubuntu)\d+`)

// Qualifiers of Maven's versions in their order (maven.apache.org/pom.html, Version Order
// Specification); what isn't named comes after all of them.
var qualifiers = map[string]int{
	"alpha": 1, "a": 1, "beta": 2, "b": 2, "milestone": 3, "m": 3, "rc": 4, "cr": 4, "snapshot": 5, "": 6, "ga": 6, "final": 6, "release": 6, "sp": 7,
}

var mavenToken = regexp.MustCompile(`\d+|[a-z]+|[.\-_]`)

// token is a part of a Maven version, with the separator before it.
type token struct {
	dash bool
	text string
}

func mavenTokens(v string) (list []token) {
	dash, seen, digits := false, false, false
	for _, t := range mavenToken.FindAllString(strings.ToLower(v), 200) {
		if t == "." || t == "-" || t == "_" {
			if !seen {
				list = append(list, token{dash, "0"})
			}
			dash, seen = t != ".", false
			continue
		}
		number := t[0] <= '9'
		if seen && number != digits {
			dash = true // from digits to letters and back is as a dash
		}
		if number {
			if t = strings.TrimLeft(t, "0"); t == "" {
				t = "0"
			}
		}
		list = append(list, token{dash, t})
		dash, seen, digits = false, true, number
	}
	null := func(t token) bool { return t.text == "0" || qualifiers[t.text] == 6 }
	var out []token
	for i, t := range list {
		// Zeros and releases at the end, and before a dash, say nothing.
		j := i
		for j < len(list) && null(list[j]) && (j == i || !list[j].dash) {
			j++
		}
		if i > 0 && null(t) && (j == len(list) || list[j].dash) {
			continue
		}
		out = append(out, t)
	}
	return out
}

// rank orders tokens of different kinds: qualifiers, then numbers after a dash, then
// numbers after a dot.
func (t token) rank() int {
	if t.text != "" && t.text[0] <= '9' {
		if t.dash {
			return 2
		}
		return 3
	}
	return 1
}

func (t token) qualifier() int {
	if n, ok := qualifiers[t.text]; ok {
		return n
	}
	return 8
}

func compareMaven(a, b string) int {
	x, y := mavenTokens(a), mavenTokens(b)
	for i := range max(len(x), len(y)) {
		p, q := pad(x, y, i), pad(y, x, i)
		if p.rank() != q.rank() {
			return p.rank() - q.rank()
		}
		if p.rank() > 1 {
			if len(p.text) != len(q.text) {
				return len(p.text) - len(q.text)
			}
			if n := strings.Compare(p.text, q.text); n != 0 {
				return n
			}
			continue
		}
		if n := p.qualifier() - q.qualifier(); n != 0 {
			return n
		}
		if p.qualifier() == 8 {
			if n := strings.Compare(p.text, q.text); n != 0 {
				return n
			}
		}
	}
	return 0
}

// pad is the i-th token, or the one that means nothing against the other's.
func pad(list, other []token, i int) token {
	if i < len(list) {
		return list[i]
	}
	if o := other[i]; o.rank() > 1 {
		return token{o.dash, "0"}
	}
	return token{other[i].dash, ""}
}
