package scripts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// calendar is the set of instants that a cron expression or a calendar event of systemd means, by the
// fields of the clock on the wall. Bit n of a field stands for its value n.
type calendar struct {
	set              bool
	years            map[int]bool // nil for all
	months           uint64
	days             uint64
	last             uint64 // bit n: n days before the month's end, n from 1 (the last day itself)
	weekdays         uint64 // 0 is Sunday
	hours            uint64
	minutes, seconds uint64
	// either is cron's rule: where both days and weekdays are given, one of them is enough.
	either bool
	// cron: a run in the hour that summer time skips is made up for right after it, and one in the
	// hour that comes twice runs once; unless wild.
	cron bool
	// wild is cron's mark for hours or minutes that begin with *: they follow the clock as it goes.
	wild bool
}

func has(bits uint64, n int) bool { return bits>>n&1 == 1 }

// next gives up to n instants after one, in the zone, the earliest first. It looks 40 years ahead.
func (c calendar) next(after time.Time, zone *time.Location, n int) []time.Time {
	var all []time.Time
	local := after.In(zone)
	y, m, d := local.Date()
	// A day early: what a gap moves may come on the next.
	for i := -1; i < 40*366 && len(all) < n; i++ {
		noon := time.Date(y, m, d+i, 12, 0, 0, 0, time.UTC)
		if !c.day(noon) {
			continue
		}
		for _, t := range c.runs(noon, zone) {
			if t.After(after) && len(all) < n && (len(all) == 0 || t.After(all[len(all)-1])) {
				all = append(all, t)
			}
		}
	}
	return all
}

// day tells whether a date is in the set.
func (c calendar) day(t time.Time) bool {
	y, m, d := t.Date()
	if c.years != nil && !c.years[y] || !has(c.months, int(m)) {
		return false
	}
	days := has(c.days, d)
	if c.last != 0 {
		end := time.Date(y, m+1, 0, 12, 0, 0, 0, time.UTC).Day()
		days = days || has(c.last, end-d+1)
	}
	if c.either {
		return days || has(c.weekdays, int(t.Weekday()))
	}
	return days && has(c.weekdays, int(t.Weekday()))
}

// runs gives the instants of one date, in order.
func (c calendar) runs(date time.Time, zone *time.Location) []time.Time {
	var all []time.Time
	y, m, d := date.Date()
	if c.cron && c.wild {
		for t := first(y, m, d, zone); ; t = t.Add(time.Minute) {
			if _, _, now := t.Date(); now != d {
				return all
			}
			if has(c.hours, t.Hour()) && has(c.minutes, t.Minute()) {
				all = append(all, t)
			}
		}
	}
	for h := range 24 {
		if !has(c.hours, h) {
			continue
		}
		for minute := range 60 {
			if !has(c.minutes, minute) {
				continue
			}
			for s := range 60 {
				if !has(c.seconds, s) {
					continue
				}
				if t, ok := c.instant(y, m, d, h, minute, s, zone); ok {
					all = append(all, t)
				}
			}
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// first gives the first whole minute of a date; some zones change at midnight.
func first(y int, m time.Month, d int, zone *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	if t.Day() != d || t.Hour() != 0 {
		start, end := t.ZoneBounds()
		if t.Day() != d && !end.IsZero() {
			return end
		}
		return start
	}
	return earlier(t)
}

// instant gives the instant of a time on the wall: the earlier one where there are two. Where there is none,
// cron runs at the instant the clock was moved, and systemd doesn't run.
func (c calendar) instant(y int, m time.Month, d, h, minute, s int, zone *time.Location) (time.Time, bool) {
	t := time.Date(y, m, d, h, minute, s, 0, zone)
	if t.Hour() == h && t.Minute() == minute && t.Day() == d {
		return earlier(t), true
	}
	if !c.cron {
		return time.Time{}, false
	}
	// Date gives an instant on one side of the gap or the other.
	start, end := t.ZoneBounds()
	if !start.IsZero() && t.Sub(start) <= 3*time.Hour {
		return start, true
	}
	return end, !end.IsZero()
}

// earlier gives the first of the two instants that the clock shows alike, where it was put back.
func earlier(t time.Time) time.Time {
	start, _ := t.ZoneBounds()
	if start.IsZero() {
		return t
	}
	_, now := t.Zone()
	_, before := start.Add(-time.Second).Zone()
	if before <= now {
		return t
	}
	if u := t.Add(time.Duration(now-before) * time.Second); u.Before(start) {
		return u
	}
	return t
}

// location loads a time zone by its name; not by a path.
func location(name string) (*time.Location, error) {
	if name == "" || name == "Local" || strings.Contains(name, "..") || strings.HasPrefix(name, "/") {
		return nil, fmt.Errorf("unknown time zone %q", clip(name, 40))
	}
	return time.LoadLocation(name)
}

var weekdayNames = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// weekday gives a day by its name or the first three letters of it.
func weekday(s string) (int, bool) {
	s = strings.ToLower(s)
	for i, n := range weekdayNames {
		if s == n || s == n[:3] {
			return i, true
		}
	}
	return 0, false
}

var shorthands = map[string]string{
	"minutely": "*-*-* *:*:00", "hourly": "*-*-* *:00:00", "daily": "*-*-* 00:00:00", "monthly": "*-*-01 00:00:00", "weekly": "Mon *-*-* 00:00:00",
	"yearly": "*-01-01 00:00:00", "annually": "*-01-01 00:00:00", "quarterly": "*-01,04,07,10-01 00:00:00", "semiannually": "*-01,07-01 00:00:00",
	"semi-annually": "*-01,07-01 00:00:00", "anually": "*-01-01 00:00:00",
}

// parseCalendar reads a calendar event as systemd.time(7) has it, with the zone that it may end in.
func parseCalendar(s string) (calendar, *time.Location, error) {
	if len(s) > 1000 {
		return calendar{}, nil, fmt.Errorf("%d bytes are too long", len(s))
	}
	var zone *time.Location
	f := strings.Fields(s)
	if n := len(f); n > 1 {
		last := f[n-1]
		if z, err := location(last); err == nil && (last == "UTC" || strings.ContainsAny(last, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")) {
			zone, f = z, f[:n-1]
		}
	}
	if len(f) == 1 {
		if long, ok := shorthands[strings.ToLower(f[0])]; ok {
			f = strings.Fields(long)
		}
	}
	c := calendar{set: true, months: span(1, 12), days: span(1, 31), weekdays: span(0, 6), hours: 1, minutes: 1, seconds: 1}
	if len(f) == 0 || len(f) > 3 {
		return c, nil, fmt.Errorf("want weekdays, a date and a time")
	}
	if first := f[0]; first[0] >= 'A' && first[0] <= 'Z' || first[0] >= 'a' && first[0] <= 'z' {
		bits, err := weekdays(first)
		if err != nil {
			return c, nil, err
		}
		c.weekdays, f = bits, f[1:]
	}
	if len(f) > 0 && (strings.Contains(f[0], "-") || strings.Contains(f[0], "~")) {
		if err := c.date(f[0]); err != nil {
			return c, nil, err
		}
		f = f[1:]
	}
	if len(f) > 0 {
		if err := c.clock(f[0]); err != nil {
			return c, nil, err
		}
		f = f[1:]
	}
	if len(f) > 0 {
		return c, nil, fmt.Errorf("%q is no part of a calendar event", clip(f[0], 40))
	}
	return c, zone, nil
}

// weekdays reads "Mon,Wed..Fri".
func weekdays(s string) (uint64, error) {
	var bits uint64
	for part := range strings.SplitSeq(strings.TrimSuffix(s, ","), ",") {
		from, to, ok := strings.Cut(part, "..")
		if !ok {
			from, to, ok = strings.Cut(part, "-")
		}
		if !ok {
			to = from
		}
		a, ok1 := weekday(from)
		b, ok2 := weekday(to)
		if !ok1 || !ok2 {
			return 0, fmt.Errorf("%q is no weekday", clip(part, 40))
		}
		if b == 0 && a > 0 && ok1 && ok2 {
			bits, b = bits|1, 6 // a week begins with Monday
		}
		if b < a || a == 0 && b != 0 {
			return 0, fmt.Errorf("%q runs backwards", clip(part, 40))
		}
		for i := a; i <= b; i++ {
			bits |= 1 << i
		}
	}
	return bits, nil
}

// date reads "2026-*-01,15", "12-24", "*-02~03".
func (c *calendar) date(s string) error {
	head, tail, fromEnd := strings.Cut(s, "~")
	parts := strings.Split(head, "-")
	if fromEnd {
		parts = append(parts, tail)
	}
	if len(parts) == 2 {
		parts = append([]string{"*"}, parts...)
	}
	if len(parts) != 3 {
		return fmt.Errorf("%q is no date", clip(s, 40))
	}
	if parts[0] != "*" {
		ys, err := numbers(parts[0], 1970, 2199)
		if err != nil {
			return err
		}
		c.years = map[int]bool{}
		for _, y := range ys {
			c.years[y] = true
		}
	}
	var err error
	if c.months, err = field(parts[1], 1, 12); err != nil {
		return err
	}
	bits, err := field(parts[2], 1, 31)
	if fromEnd {
		c.days, c.last = 0, bits
	} else {
		c.days = bits
	}
	return err
}

// clock reads "03:00", "*:0/15", "8..18:30:00".
func (c *calendar) clock(s string) error {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return fmt.Errorf("%q is no time", clip(s, 40))
	}
	var err error
	if c.hours, err = field(parts[0], 0, 23); err != nil {
		return err
	}
	if c.minutes, err = field(parts[1], 0, 59); err != nil {
		return err
	}
	if len(parts) == 3 {
		whole, _, _ := strings.Cut(parts[2], ".")
		c.seconds, err = field(whole, 0, 59)
	}
	return err
}

func span(low, high int) uint64 { return 1<<(high+1) - 1<<low }

// field reads a list of values, ranges (a..b) and repetitions (a/n), as bits.
func field(s string, low, high int) (uint64, error) {
	ns, err := numbers(s, low, high)
	var bits uint64
	for _, n := range ns {
		bits |= 1 << n
	}
	return bits, err
}

func numbers(s string, low, high int) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(s, ",") {
		body, step, repeated := strings.Cut(part, "/")
		every := 1
		from, to := low, high
		var err error
		if body != "*" {
			a, b, ranged := strings.Cut(body, "..")
			if from, err = number(a, low, high); err != nil {
				return nil, err
			}
			switch {
			case ranged:
				if to, err = number(b, from, high); err != nil {
					return nil, err
				}
			case !repeated:
				to = from
			}
		}
		if repeated {
			if every, err = number(step, 1, 10000); err != nil {
				return nil, err
			}
		}
		for n := from; n <= to; n += every {
			all = append(all, n)
		}
	}
	return all, nil
}

func number(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || s[0] == '+' || s[0] == '-' {
		return 0, fmt.Errorf("%q is no number", clip(s, 20))
	}
	if n < low || n > high {
		return 0, fmt.Errorf("%d isn't within %d to %d", n, low, high)
	}
	return n, nil
}
