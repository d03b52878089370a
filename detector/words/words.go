// Package words puts the domain into words and figures for people, so that an
// alert, the review and the console say the same thing in the same way.
//
// It is pure. Everything that came from outside (label values, names, reasons)
// passes through Clean before it is returned: one line, no control or
// direction-changing characters, and a bounded length. Escaping for a medium
// (HTML, Markdown, a shell) is the caller's, save for Shell.
package words

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aftershock/detector"
)

// Bounds of text that came from outside, in characters.
const (
	// NameLen bounds a name: a service, a binary, a flag, a label's value.
	NameLen = 80
	// LineLen bounds a sentence: a reason, a warning, evidence.
	LineLen = 300
	// HeadlineLen bounds the first line of an alert, which a phone shows.
	HeadlineLen = 119
)

// Clean makes text from outside safe to show on one line: invalid UTF-8, control
// characters and characters that change the direction of writing or show
// nothing are taken out, white space is folded into single spaces, and at most
// limit characters are left, the last one an ellipsis where something was cut.
func Clean(s string, limit int) string {
	// A bound in bytes first, so that a huge value costs no more than its bound.
	truncated := false
	if most := (limit + 1) * utf8.UTFMax * 2; len(s) > most {
		s, truncated = s[:most], true
	}
	var b strings.Builder
	n, space := 0, false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			space = n > 0
			continue
		case r == utf8.RuneError || unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp):
			continue
		}
		if space {
			b.WriteByte(' ')
			n++
			space = false
		}
		b.WriteRune(r)
		n++
		if n > limit {
			break
		}
	}
	out := b.String()
	if n > limit {
		return cut(out, limit)
	}
	if truncated {
		return cut(out+"…", limit)
	}
	return out
}

// cut shortens s to limit characters, the last one an ellipsis.
func cut(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	if limit < 1 {
		return ""
	}
	return strings.TrimRight(string(runes[:limit-1]), " ") + "…"
}

// Capital begins a text with a capital letter.
func Capital(s string) string {
	if s == "" {
		return ""
	}
	first, size := []rune(s)[0], len(string([]rune(s)[0]))
	return strings.ToUpper(string(first)) + s[size:]
}

// Middle shortens a text to limit characters by an ellipsis in its middle, for names whose
// ends tell them apart.
func Middle(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit || limit < 3 {
		return cut(s, limit)
	}
	tail := (limit - 1) / 2
	head := strings.TrimRight(string(runes[:limit-1-tail]), " ")
	return head + "…" + strings.TrimLeft(string(runes[len(runes)-tail:]), " ")
}

// Name cleans a name.
func Name(s string) string { return Clean(s, NameLen) }

// Line cleans a sentence.
func Line(s string) string { return Clean(s, LineLen) }

// Shell quotes a cleaned word for a POSIX shell, so that a command in an alert
// can be pasted whatever the names in it are.
func Shell(s string) string {
	s = Line(s)
	special := func(r rune) bool {
		return (r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r)) && !strings.ContainsRune("_./:@%+=-", r)
	}
	if s != "" && strings.IndexFunc(s, special) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Number writes a figure with three significant digits and no exponent in the
// ordinary range: 2.26, 0.0412, 1250.
func Number(x float64) string {
	switch a := math.Abs(x); {
	case math.IsNaN(x):
		return "unknown"
	case math.IsInf(x, 1):
		return "∞"
	case math.IsInf(x, -1):
		return "−∞"
	case a == 0:
		return "0"
	case a >= 1e9 || a < 1e-6:
		return strconv.FormatFloat(x, 'g', 3, 64)
	case a >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return plain(x)
}

// plain writes a figure that isn't 0 with three significant digits, and no exponent.
func plain(x float64) string {
	digits := 2 - int(math.Floor(math.Log10(math.Abs(x))))
	s := strconv.FormatFloat(x, 'f', max(digits, 0), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// Share writes a share in 0..1 as a percentage: 2.31%.
func Share(x float64) string {
	if math.IsNaN(x) {
		return "unknown"
	}
	if a := math.Abs(x * 100); a > 0 && a < 1e-6 {
		return plain(x*100) + "%"
	}
	return Number(x*100) + "%"
}

// Plural counts things: 1 indicator, 1,200 indicators.
func Plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return Count(float64(n)) + " " + what
}

// Count writes a number of things with a comma at every thousand: 1,250,000.
func Count(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) || math.Abs(x) >= 1e15 {
		return Number(x)
	}
	s := strconv.FormatFloat(math.Round(x), 'f', 0, 64)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for n := len(s) - 3; n > 0; n -= 3 {
		s = s[:n] + "," + s[n:]
	}
	return sign + s
}

// Bytes writes a size: 310 kB, 12.3 MB, 1.2 GB.
func Bytes(n int64) string {
	size, unit := float64(n)/1e3, "kB"
	for _, next := range []string{"MB", "GB", "TB"} {
		if size < 1000 {
			break
		}
		size, unit = size/1e3, next
	}
	return Number(size) + " " + unit
}

// Value writes a value of the effect's quantity: a percentage for a share, a
// duration for a quantile, a plain figure for a rate such as retries per call.
func Value(what string, x float64) string {
	switch {
	case IsShare(what):
		return Share(x)
	case IsQuantile(what):
		return Seconds(x)
	}
	return Number(x)
}

// IsShare says whether the quantity is a share in 0..1.
func IsShare(what string) bool { return strings.HasPrefix(what, "share") }

// IsQuantile says whether the quantity is a quantile that was told as such, in
// seconds.
func IsQuantile(what string) bool {
	return strings.HasSuffix(what, " (summary)") || strings.HasSuffix(what, " (gauge)")
}

// Factor writes a ratio with two decimals, fewer where it is large: ×2.26.
func Factor(x float64) string { return "×" + factor(x) }

func factor(x float64) string {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0) || math.Abs(x) >= 1e6:
		return Number(x)
	case math.Abs(x) >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case math.Abs(x) >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

// Ratio writes the effect's ratio with its interval: ×2.26 (1.71–2.90).
func Ratio(e detector.Effect) string {
	return Factor(e.Ratio) + " (" + Spread(e) + ")"
}

// Spread writes the interval of the effect's ratio: 1.71–2.90.
func Spread(e detector.Effect) string { return factor(e.Low) + "–" + factor(e.High) }

// BeforeAfter writes the effect's values: 1.02% → 2.31%, 0.002% → none.
func BeforeAfter(e detector.Effect) string {
	return some(e.What, e.Before) + " → " + some(e.What, e.After)
}

// some is Value, but "none" where there is nothing that a share would be of.
func some(what string, x float64) string {
	if IsShare(what) && x == 0 {
		return "none"
	}
	return Value(what, x)
}

// Change writes the whole effect:
// share of requests over 0.5 s: 1.02% → 2.31%, ×2.26 (1.71–2.90).
func Change(e detector.Effect) string {
	return fmt.Sprintf("%s: %s, %s", Name(e.What), BeforeAfter(e), Ratio(e))
}

// Seconds writes a latency: 5 ms below 10 ms, else 0.25 s.
func Seconds(x float64) string {
	number, unit := seconds(x, x)
	return number + " " + unit
}

func seconds(x, scale float64) (number, unit string) {
	if scale < 0.01 && scale > 0 {
		return Number(x * 1000), "ms"
	}
	return Number(x), "s"
}

// Bucket writes the bucket that holds a quantile: 0.25–0.5 s, over 10 s.
func Bucket(i detector.Interval) string {
	switch {
	case math.IsNaN(i.Lower) || math.IsNaN(i.Upper):
		return "unknown"
	case math.IsInf(i.Upper, 1):
		return "over " + Seconds(i.Lower)
	case i.Lower <= 0:
		return "up to " + Seconds(i.Upper)
	case i.Lower == i.Upper:
		return Seconds(i.Upper)
	}
	upper, unit := seconds(i.Upper, i.Upper)
	lower, _ := seconds(i.Lower, i.Upper)
	return lower + "–" + upper + " " + unit
}

// Quantile writes a quantile's name: p99, p99.9.
func Quantile(q float64) string { return "p" + strconv.FormatFloat(math.Round(q*1e6)/1e4, 'f', -1, 64) }

// Time writes an instant in UTC to the minute, to the second where it has
// seconds: 2026-03-06 09:15 UTC.
func Time(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format("2006-01-02 ") + Clock(t) + " UTC"
}

// Clock writes the time of day in UTC without naming the zone: 09:15.
func Clock(t time.Time) string {
	t = t.UTC().Truncate(time.Second)
	if t.Second() != 0 {
		return t.Format("15:04:05")
	}
	return t.Format("15:04")
}

// Range writes a span of time, the date once where both ends share it:
// 2026-03-06 09:05–09:25 UTC.
func Range(from, to time.Time) string {
	switch {
	case from.IsZero() || to.IsZero():
		return Time(from) + " – " + Time(to)
	case from.UTC().Format(time.DateOnly) == to.UTC().Format(time.DateOnly):
		return from.UTC().Format("2006-01-02 ") + Clock(from) + "–" + Clock(to) + " UTC"
	}
	return strings.TrimSuffix(Time(from), " UTC") + " – " + Time(to)
}

// Onset writes when a shift began:
// 2026-03-06 09:15 UTC (between 09:05 and 09:25).
func Onset(o detector.Onset) string {
	if o.Earliest.Equal(o.Latest) {
		return Time(o.At)
	}
	end := func(t time.Time) string {
		if t.UTC().Format(time.DateOnly) == o.At.UTC().Format(time.DateOnly) {
			return Clock(t)
		}
		return t.UTC().Format("2006-01-02 ") + Clock(t)
	}
	return fmt.Sprintf("%s (between %s and %s)", Time(o.At), end(o.Earliest), end(o.Latest))
}

// Duration writes a length of time with two units at most: 45 s, 4 min,
// 1 h 5 min, 2 d 3 h.
func Duration(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "−", -d
	}
	two := func(big, small time.Duration, bigName, smallName string) string {
		d := d.Round(small)
		s := fmt.Sprintf("%s%d %s", sign, d/big, bigName)
		if rest := d % big / small; rest > 0 {
			s += fmt.Sprintf(" %d %s", rest, smallName)
		}
		return s
	}
	switch {
	case d == 0:
		return "0 s"
	case d < 10*time.Second:
		return sign + Number(d.Round(100*time.Millisecond).Seconds()) + " s"
	case d < 59500*time.Millisecond:
		return sign + strconv.Itoa(int(d.Round(time.Second).Seconds())) + " s"
	case d < 10*time.Minute:
		return two(time.Minute, time.Second, "min", "s")
	case d < 59*time.Minute+30*time.Second:
		return sign + strconv.Itoa(int(d.Round(time.Minute).Minutes())) + " min"
	case d < 23*time.Hour+59*time.Minute+30*time.Second:
		return two(time.Hour, time.Minute, "h", "min")
	}
	return two(24*time.Hour, time.Hour, "d", "h")
}
