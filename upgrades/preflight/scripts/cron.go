package scripts

import (
	"fmt"
	"strings"
)

var monthNames = []string{"", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

var nicknames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
	"@hourly": "0 * * * *",
}

// splitCron cuts a line of a crontab into its schedule and the rest.
func splitCron(l string) (schedule, rest string, ok bool) {
	n := 5
	if strings.HasPrefix(l, "@") {
		n = 1
	}
	var fields []string
	rest = l
	for range n {
		var f string
		if f, rest, ok = cutBlank(rest); !ok {
			return "", "", false
		}
		fields = append(fields, f)
	}
	schedule = strings.Join(fields, " ")
	if n == 1 && schedule != "@reboot" && nicknames[schedule] == "" {
		return "", "", false
	}
	return schedule, rest, rest != ""
}

// cutBlank cuts a text at its first blanks.
func cutBlank(s string) (before, after string, ok bool) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, "", false
	}
	return s[:i], strings.TrimLeft(s[i:], " \t"), true
}

// parseCron reads the five fields of a crontab as crontab(5) of Debian's cron and cronie has them.
func parseCron(s string) (calendar, error) {
	if long, ok := nicknames[s]; ok {
		s = long
	}
	f := strings.Fields(s)
	c := calendar{set: true, cron: true, seconds: 1}
	if len(f) != 5 {
		return c, fmt.Errorf("want five fields, got %d", len(f))
	}
	for i, x := range []struct {
		bits      *uint64
		low, high int
		names     []string
	}{
		{&c.minutes, 0, 59, nil},
		{&c.hours, 0, 23, nil},
		{&c.days, 1, 31, nil},
		{&c.months, 1, 12, monthNames},
		{&c.weekdays, 0, 7, weekdayNames},
	} {
		bits, err := cronField(f[i], x.low, x.high, x.names)
		if err != nil {
			return c, fmt.Errorf("field %d: %w", i+1, err)
		}
		*x.bits = bits
	}
	if has(c.weekdays, 7) {
		c.weekdays |= 1 // Sunday is both
	}
	c.weekdays &= span(0, 6)
	star := func(i int) bool { return strings.HasPrefix(f[i], "*") }
	c.wild = star(0) || star(1)
	c.either = !star(2) && !star(4)
	return c, nil
}

// cronField reads a list of values, ranges (a-b) and steps (a-b/n, */n), as bits.
func cronField(s string, low, high int, names []string) (uint64, error) {
	if len(s) > 300 {
		return 0, fmt.Errorf("%d bytes are too long", len(s))
	}
	var bits uint64
	for part := range strings.SplitSeq(s, ",") {
		body, step, stepped := strings.Cut(part, "/")
		from, to, every := low, high, 1
		var err error
		if body != "*" {
			a, b, ranged := strings.Cut(body, "-")
			if from, err = named(a, low, high, names); err != nil {
				return 0, err
			}
			to = from
			if ranged {
				if to, err = named(b, low, high, names); err != nil {
					return 0, err
				}
				if to < from {
					return 0, fmt.Errorf("%q runs backwards", clip(body, 20))
				}
			} else if stepped {
				return 0, fmt.Errorf("%q has a step without a range", clip(part, 20))
			}
		}
		if stepped {
			if every, err = number(step, 1, high); err != nil {
				return 0, err
			}
		}
		for n := from; n <= to; n += every {
			bits |= 1 << n
		}
	}
	return bits, nil
}

// named reads a number, or a month's or weekday's first three letters.
func named(s string, low, high int, names []string) (int, error) {
	for i, n := range names {
		if len(n) >= 3 && strings.EqualFold(s, n[:3]) {
			return i, nil
		}
	}
	return number(s, low, high)
}
