package version

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseDebian reads by deb-version(7), and refuses what dpkg refuses.
func parseDebian(text string) (Version, error) {
	v := Version{scheme: Debian, text: text}
	bad := func(format string, args ...any) (Version, error) {
		return Version{}, fmt.Errorf("%.60q is no Debian version: %s", text, fmt.Sprintf(format, args...))
	}
	rest := text
	if epoch, after, ok := strings.Cut(text, ":"); ok {
		n, err := strconv.ParseInt(epoch, 10, 64)
		if !digits(epoch) || err != nil || n > math.MaxInt32 {
			return bad("its epoch is no number up to %d", math.MaxInt32)
		}
		v.epoch, rest = epoch, after
	}
	v.main = rest
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		v.main, v.tail, v.hasTail = rest[:i], rest[i+1:], true
		if v.tail == "" {
			return bad("its revision is empty")
		}
	}
	switch {
	case v.main == "":
		return bad("its upstream version is empty")
	case !isDigit(v.main[0]):
		return bad("it doesn't begin with a digit")
	}
	if c, ok := stranger(v.main, ".+-~:"); ok {
		return bad("%q may not stand in it", c)
	}
	if c, ok := stranger(v.tail, ".+~"); ok {
		return bad("%q may not stand in its revision", c)
	}
	return v, nil
}

// parseRPM reads [epoch:]version[-release].
func parseRPM(text string) (Version, error) {
	v := Version{scheme: RPM, text: text}
	bad := func(format string, args ...any) (Version, error) {
		return Version{}, fmt.Errorf("%.60q is no RPM version: %s", text, fmt.Sprintf(format, args...))
	}
	rest := text
	if epoch, after, ok := strings.Cut(text, ":"); ok {
		if epoch != "(none)" { // as rpm's queries print what isn't there
			n, err := strconv.ParseUint(epoch, 10, 32)
			if !digits(epoch) || err != nil {
				return bad("its epoch is no number up to %d", uint32(math.MaxUint32))
			}
			v.epoch = strconv.FormatUint(n, 10)
		}
		rest = after
	}
	v.main = rest
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		v.main, v.tail, v.hasTail = rest[:i], rest[i+1:], true
		if v.tail == "" {
			return bad("its release is empty")
		}
	}
	if v.main == "" {
		return bad("it is empty")
	}
	if c, ok := stranger(v.main+v.tail, "._+~^"); ok {
		return bad("%q may not stand in it", c)
	}
	return v, nil
}

// stranger is the first byte that is neither letter, digit nor among others.
func stranger(s, others string) (byte, bool) {
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && !isLetter(c) && strings.IndexByte(others, c) < 0 {
			return c, true
		}
	}
	return 0, false
}

// compareDebian orders upstream versions or revisions: stretches without digits, in which
// a tilde is before the end and letters before the rest, alternate with numbers.
func compareDebian(a, b string) int {
	for a != "" || b != "" {
		for (a != "" && !isDigit(a[0])) || (b != "" && !isDigit(b[0])) {
			x, y := weight(a), weight(b)
			if x != y {
				if x < y {
					return -1
				}
				return 1
			}
			a, b = a[1:], b[1:]
		}
		var x, y string
		x, a = leading(a, isDigit)
		y, b = leading(b, isDigit)
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// weight is the place of a text's first byte in the order of stretches without digits.
func weight(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case isLetter(s[0]):
		return int(s[0])
	}
	return int(s[0]) + 256
}

// leading cuts off the bytes at the beginning that are of a kind.
func leading(s string, is func(byte) bool) (head, rest string) {
	i := 0
	for i < len(s) && is(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// Pieces of RPM's versions, in their order: a tilde is before the end, a caret after it.
const (
	pieceTilde = iota
	pieceEnd
	pieceCaret
	pieceWord
	pieceNumber
)

// compareRPM is rpmvercmp: words and numbers one by one, what separates them left aside.
func compareRPM(a, b string) int {
	for {
		var x, y string
		var kx, ky int
		kx, x, a = piece(a)
		ky, y, b = piece(b)
		if kx != ky {
			if kx < ky {
				return -1
			}
			return 1
		}
		c := 0
		switch kx {
		case pieceEnd:
			return 0
		case pieceWord:
			c = strings.Compare(x, y)
		case pieceNumber:
			c = compareNumbers(x, y)
		}
		if c != 0 {
			return c
		}
	}
}

// piece cuts off the first piece of a version.
func piece(s string) (kind int, text, rest string) {
	for s != "" && !isDigit(s[0]) && !isLetter(s[0]) && s[0] != '~' && s[0] != '^' {
		s = s[1:]
	}
	switch {
	case s == "":
		return pieceEnd, "", ""
	case s[0] == '~':
		return pieceTilde, "", s[1:]
	case s[0] == '^':
		return pieceCaret, "", s[1:]
	case isDigit(s[0]):
		text, rest = leading(s, isDigit)
		return pieceNumber, text, rest
	}
	text, rest = leading(s, isLetter)
	return pieceWord, text, rest
}
