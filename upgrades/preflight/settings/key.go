package settings

import (
	"strings"
	"unicode"
)

// splitKey are the parts of a dotted path; indexes in brackets aren't parts.
func splitKey(key string) []string {
	parts := strings.FieldsFunc(key, func(r rune) bool { return r == '.' })
	for i, p := range parts {
		if n := strings.IndexByte(p, '['); n > 0 {
			parts[i] = p[:n]
		}
	}
	return parts
}

// squeeze leaves of a part what all its spellings share: letters and digits, in lower
// case (the uniform form of Spring Boot's relaxed binding).
func squeeze(part string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' {
			return -1
		}
		return unicode.ToLower(r)
	}, part)
}

// spelling is a key taken apart: its squeezed text, where its parts end in it (hard),
// and where dashes and underscores stood (soft).
type spelling struct {
	text       string
	hard, soft map[int]bool
}

func spell(key string) spelling {
	key = strings.TrimLeft(key, "-")
	s := spelling{hard: map[int]bool{}, soft: map[int]bool{}}
	var b strings.Builder
	parts := splitKey(key)
	for i, part := range parts {
		for _, r := range part {
			if r == '-' || r == '_' {
				s.soft[b.Len()] = true
				continue
			}
			b.WriteRune(unicode.ToLower(r))
		}
		if i < len(parts)-1 {
			s.hard[b.Len()] = true
		}
	}
	s.text = b.String()
	return s
}

// flat says that the key has no dots: dashes and underscores may then stand for them.
func (s spelling) flat() bool { return len(s.hard) == 0 }

// same says whether two spellings mean one key.
func (s spelling) same(o spelling) bool {
	if s.text != o.text || s.text == "" {
		return false
	}
	switch {
	case s.flat() && o.flat():
		return true
	case s.flat():
		return within(o.hard, s.soft)
	case o.flat():
		return within(s.hard, o.soft)
	}
	return within(s.hard, o.hard) && within(o.hard, s.hard)
}

// begins says whether s, to its end, is the beginning of o: dten.hybrid of
// DTEN_HYBRID_ENABLE.
func (s spelling) begins(o spelling) bool {
	n := len(s.text)
	if n == 0 || len(o.text) <= n || !strings.HasPrefix(o.text, s.text) || !o.hard[n] && !(o.flat() && o.soft[n]) {
		return false
	}
	return s.same(o.part(0, n))
}

// ends says whether o ends with s, from a dot on.
func (s spelling) ends(o spelling) bool {
	n := len(o.text) - len(s.text)
	if s.text == "" || n <= 0 || !o.hard[n] || !strings.HasSuffix(o.text, s.text) {
		return false
	}
	return s.same(o.part(n, len(o.text)))
}

// part is the spelling of a part of the text.
func (s spelling) part(from, to int) spelling {
	cut := func(marks map[int]bool) map[int]bool {
		out := map[int]bool{}
		for m := range marks {
			if m > from && m < to {
				out[m-from] = true
			}
		}
		return out
	}
	return spelling{s.text[from:to], cut(s.hard), cut(s.soft)}
}

func within(a, b map[int]bool) bool {
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return true
}

// Same says whether two spellings mean one key, as dten.hybrid.enable and
// DTEN_HYBRID_ENABLE do, and dten.hybrid-enable, whose dots stand elsewhere, does not.
// Case, dashes and underscores don't count; in a key without dots they may
// stand for dots.
func Same(a, b string) bool { return spell(a).same(spell(b)) }

// Grep finds the uses of a key in any spelling, in the order of the live configuration.
// A pattern that ends in ".*" finds what begins with it; one of several parts also
// finds keys that end with it (values.dten.hybrid.enable).
func (l Live) Grep(pattern string) []Use {
	prefix := strings.HasSuffix(pattern, ".*")
	want := spell(strings.TrimSuffix(pattern, ".*"))
	deep := len(splitKey(strings.TrimSuffix(pattern, ".*"))) > 1
	var found []Use
	for _, u := range l.Uses {
		got := spell(u.Key)
		hit := want.same(got) || deep && !prefix && want.ends(got)
		if prefix {
			hit = want.begins(got) || deep && want.midst(got)
		}
		if hit {
			found = append(found, u)
		}
	}
	return found
}

// midst says whether s stands within o, between two dots.
func (s spelling) midst(o spelling) bool {
	for m := range o.hard {
		if s.begins(o.part(m, len(o.text))) {
			return true
		}
	}
	return false
}
