package version

import (
	"fmt"
	"strings"
)

// parseSemver reads v?N(.N)*[-prerelease][+build].
func parseSemver(text string) (Version, error) {
	v := Version{scheme: Semver, text: text}
	rest := strings.TrimPrefix(text, "v")
	rest, build, hasBuild := strings.Cut(rest, "+")
	if hasBuild {
		if err := identifiers(build); err != nil {
			return Version{}, fmt.Errorf("%.60q is no semantic version: build: %w", text, err)
		}
	}
	v.main, v.tail, v.hasTail = strings.Cut(rest, "-")
	for p := range strings.SplitSeq(v.main, ".") {
		if !digits(p) {
			return Version{}, fmt.Errorf("%.60q is no semantic version: %.40q is no number", text, p)
		}
	}
	if v.hasTail {
		if err := identifiers(v.tail); err != nil {
			return Version{}, fmt.Errorf("%.60q is no semantic version: prerelease: %w", text, err)
		}
	}
	return v, nil
}

// identifiers checks a dotted list of what prereleases and builds are made of.
func identifiers(list string) error {
	for id := range strings.SplitSeq(list, ".") {
		if id == "" {
			return fmt.Errorf("an identifier is empty")
		}
		for i := range len(id) {
			if c := id[i]; !isDigit(c) && !isLetter(c) && c != '-' {
				return fmt.Errorf("%q may not stand in it", c)
			}
		}
	}
	return nil
}

// compareSemver orders by section 11 of semver.org; builds don't count.
func compareSemver(v, o Version) int {
	if c := compareParts(v.main, o.main); c != 0 {
		return c
	}
	switch {
	case !v.hasTail && !o.hasTail:
		return 0
	case !v.hasTail:
		return 1
	case !o.hasTail:
		return -1
	}
	return comparePrerelease(v.tail, o.tail)
}

// compareParts orders dotted numbers; those missing are 0.
func compareParts(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// comparePrerelease orders lists of identifiers: numbers before words, a shorter list
// before a longer one that begins with it.
func comparePrerelease(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		c := 0
		switch nx, ny := digits(x), digits(y); {
		case nx && ny:
			c = compareNumbers(x, y)
		case nx:
			c = -1
		case ny:
			c = 1
		default:
			c = strings.Compare(x, y)
		}
		if c != 0 {
			return c
		}
	}
	switch {
	case a != "":
		return 1
	case b != "":
		return -1
	}
	return 0
}

// raised is the version of count numeric parts whose last one is one more than that
// of the version: raised of 1.2.3 with two parts is 1.3.
func (v Version) raised(count int) Version {
	parts := strings.Split(v.main, ".")
	for len(parts) < count {
		parts = append(parts, "0")
	}
	parts = parts[:count]
	parts[count-1] = plusOne(parts[count-1])
	main := strings.Join(parts, ".")
	return Version{scheme: Semver, text: main, main: main}
}

// plusOne is a decimal number of any length and one.
func plusOne(n string) string {
	b := []byte(n)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != '9' {
			b[i]++
			return string(b)
		}
		b[i] = '0'
	}
	return "1" + string(b)
}
