package packages

import "time"

// clock reads the times of one log, which are local and without a zone.
type clock struct {
	place *time.Location
	last  time.Time
}

// read gives the instant of a date and a time of day. Where clocks are set back
// an hour comes twice: a log goes forward, so that the first instant that isn't
// before the last line is meant.
func (c *clock) read(date, of string) (time.Time, bool) {
	const layout = "2006-01-02 15:04:05"
	text := date + " " + of
	t, err := time.ParseInLocation(layout, text, c.place)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}, false
	}
	for _, other := range []time.Time{t.Add(-time.Hour), t, t.Add(time.Hour)} {
		if other.In(c.place).Format(layout) == text && !other.Before(c.last) {
			t = other
			break
		}
	}
	c.last = t
	return t.UTC(), true
}
