package settings

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// quantity reads a number or a duration in seconds.
func quantity(s string) (value float64, duration, ok bool) {
	s = strings.TrimSpace(s)
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f, false, !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	if d, err := time.ParseDuration(s); err == nil {
		return d.Seconds(), true, true
	}
	return 0, false, false
}

// equal compares values as configuration means them: true is TRUE, 1.0 is 1, 60s is 1m.
func equal(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	if a == b {
		return true
	}
	if x, y := strings.ToLower(a), strings.ToLower(b); x == y && (x == "true" || x == "false") {
		return true
	}
	x, d, ok := quantity(a)
	y, e, fine := quantity(b)
	return ok && fine && d == e && x == y
}

// elsewhere says that a value is only a reference to one that isn't known here.
func elsewhere(value string) bool {
	return strings.Contains(value, "${") || strings.Contains(value, "$(") || strings.Contains(value, "{{") || strings.HasPrefix(value, "$")
}

// answer is what a value is to a condition.
type answer int

const (
	holds answer = iota
	fails
	unknown
)

// judge says whether a value that is given fulfils the condition.
func (c *Condition) judge(value string) answer {
	switch {
	case c.Present:
		return holds
	case c.Absent:
		return fails
	case elsewhere(value):
		return unknown
	}
	ok := false
	switch {
	case c.Equals != nil:
		ok = equal(value, *c.Equals)
	case len(c.OneOf) > 0:
		for _, v := range c.OneOf {
			ok = ok || equal(value, v)
		}
	case c.Range != nil:
		return c.Range.judge(value)
	case c.pattern != nil:
		ok = c.pattern.MatchString(value)
	}
	if ok {
		return holds
	}
	return fails
}

func (r *Range) judge(value string) answer {
	v, kind, ok := quantity(value)
	if !ok {
		return fails
	}
	for _, end := range []struct {
		text string
		over bool
	}{{r.Min, false}, {r.Max, true}} {
		if end.text == "" {
			continue
		}
		e, other, _ := quantity(end.text)
		if kind != other {
			return unknown // 30 against 30s: the unit of a bare number isn't known
		}
		if end.over && v > e || !end.over && v < e {
			return fails
		}
	}
	return holds
}

// String says what a value has to be.
func (c *Condition) String() string {
	switch {
	case c.Equals != nil:
		return "must be " + *c.Equals
	case len(c.OneOf) > 0:
		return "must be one of " + strings.Join(c.OneOf, ", ")
	case c.Range != nil && c.Range.Min == "":
		return "must be at most " + c.Range.Max
	case c.Range != nil && c.Range.Max == "":
		return "must be at least " + c.Range.Min
	case c.Range != nil:
		return "must be from " + c.Range.Min + " to " + c.Range.Max
	case c.Regexp != "":
		return "must match " + c.Regexp
	case c.Absent:
		return "must not be set"
	}
	return "must be set"
}
