package packages

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Bounds of what is kept of a log.
const (
	maxText     = 256  // bytes of a name, a version or a command
	maxPackages = 5000 // of one run
)

// Run is one run of a package manager.
type Run struct {
	// Log is the log that tells of it: dpkg or apt.
	Log string
	// Command is what was run, "" where the log doesn't say it.
	Command string
	// Finished is zero while the run lasts, as far as the log says.
	Started, Finished time.Time
	Packages          []Package
}

// Package is one package that a run replaced or installed.
type Package struct {
	Name string
	// From is "" for one that was not installed before.
	From, To string
}

// ID is the same whenever the log is read.
func (r Run) ID() string { return r.Log + "-" + r.Started.UTC().Format("20060102T150405Z") }

func (r Run) clone() Run {
	r.Packages = slices.Clone(r.Packages)
	return r
}

// Downgraded says whether the package went to an older version.
func (p Package) Downgraded() bool { return p.From != "" && compare(p.From, p.To) > 0 }

// Versions gives the versions as a program tells of its own: without Debian's
// epoch and revision, which follow in brackets; whole where only these differ.
func (p Package) Versions() (from, to string) {
	a, b := upstream(p.From), upstream(p.To)
	if a == b {
		return p.From, p.To
	}
	return spelled(a, p.From), spelled(b, p.To)
}

func spelled(upstream, whole string) string {
	if upstream == whole {
		return whole
	}
	return upstream + " (" + whole + ")"
}

// upstream is "4.2.0" of "1:4.2.0+dfsg-2~deb12u1", and "4.2.0-rc1" of
// "4.2.0~rc1-1".
func upstream(v string) string {
	if _, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
	}
	if i := strings.LastIndexByte(v, '-'); i > 0 {
		v = v[:i]
	}
	for _, repacked := range []string{"+dfsg", "+ds"} {
		v, _, _ = strings.Cut(v, repacked)
	}
	before, after, ok := strings.Cut(v, "~")
	if !ok {
		return v
	}
	for _, early := range []string{"alpha", "beta", "rc", "pre"} {
		if strings.HasPrefix(after, early) {
			return before + "-" + after
		}
	}
	return before
}

// compare orders versions as dpkg does (deb-version(7)): epoch, upstream
// version, revision.
func compare(a, b string) int {
	ea, va, ra := parts(a)
	eb, vb, rb := parts(b)
	return cmp.Or(comparePart(ea, eb), comparePart(va, vb), comparePart(ra, rb))
}

func parts(v string) (epoch, upstream, revision string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		epoch, v = e, rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		v, revision = v[:i], v[i+1:]
	}
	return epoch, v, revision
}

// comparePart compares stretches of non-digits and of digits in turn.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = stretch(a, false)
		y, b = stretch(b, false)
		if c := compareWords(x, y); c != 0 {
			return c
		}
		x, a = stretch(a, true)
		y, b = stretch(b, true)
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
			return c
		}
	}
	return 0
}

func stretch(s string, digits bool) (head, rest string) {
	i := strings.IndexFunc(s, func(r rune) bool { return (r >= '0' && r <= '9') != digits })
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

// compareWords sorts "~" before the end, and letters before all else.
func compareWords(a, b string) int {
	weight := func(s string, i int) int {
		switch {
		case i >= len(s):
			return 0
		case s[i] == '~':
			return -1
		case s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z':
			return int(s[i])
		}
		return int(s[i]) + 256
	}
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// plain says whether the text can be a name or a version of a package.
func plain(s string) bool {
	return s != "" && len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// bare is the name without the architecture: "dten-payments:amd64".
func bare(name string) string {
	name, _, _ = strings.Cut(name, ":")
	return name
}

// printable is a text in one line, clipped.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > maxText-len("…") {
		return strings.ToValidUTF8(s[:maxText-len("…")], "") + "…"
	}
	return s
}
