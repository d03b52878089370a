// Package version knows the orders of versions of three worlds, semantic versions,
// Debian's and RPM's, and what constraints over them allow.
//
// All of it is pure, and bounded by the length of the texts: MaxText bytes for a
// version, MaxConstraint for a constraint.
package version

import (
	"fmt"
	"strings"
)

// Bounds of what is parsed, in bytes.
const (
	MaxText       = 256
	MaxConstraint = 4096
)

// Scheme is a world of versions.
type Scheme string

// The schemes.
const (
	// Semver is semantic versioning 2.0.0, taken loosely: a leading "v" and any number
	// of numeric parts from one on ("4", "4.1.3.7", "2024.03"); parts that are missing
	// are 0.
	Semver Scheme = "semver"
	// Debian is [epoch:]upstream[-revision] of deb-version(7).
	Debian Scheme = "deb"
	// RPM is [epoch:]version[-release] of rpm-version(7).
	RPM Scheme = "rpm"
)

// ParseScheme gives a scheme by the names that people have for it: semver, go, npm,
// deb, debian, dpkg, apt, rpm; "" is Semver.
func ParseScheme(name string) (Scheme, error) {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "", "semver", "go", "npm":
		return Semver, nil
	case "deb", "debian", "dpkg", "apt":
		return Debian, nil
	case "rpm":
		return RPM, nil
	}
	return "", fmt.Errorf("unknown scheme %.40q of versions: want semver, deb or rpm", name)
}

// Version is one version of a scheme. The zero value is no version.
type Version struct {
	scheme Scheme
	text   string
	epoch  string
	// main are the numbers of a semantic version, or the upstream version.
	main string
	// tail is the prerelease, the Debian revision or the RPM release.
	tail    string
	hasTail bool
}

// String is the version as it was written, without surrounding blanks.
func (v Version) String() string { return v.text }

// Scheme is the world that the version is of.
func (v Version) Scheme() Scheme { return v.scheme }

// IsZero says that it is no version.
func (v Version) IsZero() bool { return v.scheme == "" }

// Prerelease says that it comes before the release that it names: 1.2.0-rc.1 of
// Semver, a version with a tilde elsewhere.
func (v Version) Prerelease() bool {
	if v.scheme == Semver {
		return v.hasTail
	}
	return strings.Contains(v.main, "~")
}

// Upstream is the version without epoch and revision or release, and without what
// Debian appends of its own ("+dfsg1", "~deb12u1"), as whom it was packaged from writes it.
func (v Version) Upstream() string {
	if v.scheme == Semver {
		return strings.TrimPrefix(v.text, "v")
	}
	up := v.main
	if v.scheme == Debian {
		if _, really, ok := strings.Cut(up, "+really"); ok {
			up = really // one that had to go back: 2.0+really1.9 is 1.9
		}
		for _, mark := range []string{"+dfsg", "+ds", "+deb", "~deb"} {
			up, _, _ = strings.Cut(up, mark)
		}
	}
	return up
}

// Parse reads a version. The error says what is wrong with it.
func Parse(s Scheme, text string) (Version, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Version{}, fmt.Errorf("the version is empty")
	}
	if len(text) > MaxText {
		return Version{}, fmt.Errorf("the version has %d bytes, more than %d", len(text), MaxText)
	}
	switch s {
	case Semver:
		return parseSemver(text)
	case Debian:
		return parseDebian(text)
	case RPM:
		return parseRPM(text)
	}
	return Version{}, fmt.Errorf("unknown scheme %.40q of versions", s)
}

// Compare is -1, 0 or +1 as v is before, equal to or after o. It is a total order over the
// versions of one scheme; of two schemes, the scheme's name decides, and a zero version is before
// all others.
func (v Version) Compare(o Version) int {
	if v.scheme != o.scheme {
		return strings.Compare(string(v.scheme), string(o.scheme))
	}
	switch v.scheme {
	case Semver:
		return compareSemver(v, o)
	case Debian:
		return first(compareNumbers(v.epoch, o.epoch), compareDebian(v.main, o.main), compareDebian(v.tail, o.tail))
	case RPM:
		return first(compareNumbers(v.epoch, o.epoch), compareRPM(v.main, o.main), compareRPM(v.tail, o.tail))
	}
	return 0
}

// first is the first comparison that tells a difference.
func first(results ...int) int {
	for _, r := range results {
		if r != 0 {
			return r
		}
	}
	return 0
}

// compareNumbers orders decimal numbers of any length; "" is 0.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		if len(a) < len(b) {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// digits says whether a text is digits alone, at least one.
func digits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}
