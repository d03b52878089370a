package rehearsal

import (
	"maps"
	"strings"
)

// most is how many recorded requests of one route are kept.
const most = 10_000

// Attach gives the routes the recorded requests that match them by method and path,
// each to the route with the fewest open parts, at most 10,000 a route. A route of which
// telemetry doesn't tell the method takes that of the first that matches by path. It
// answers how many matched.
func (p *Profile) Attach(all []Recorded) (matched int) {
	for _, q := range all {
		if pathError(q.Target) != nil {
			continue
		}
		path, _, _ := strings.Cut(q.Target, "?")
		best, open := -1, 0
		for i := range p.Routes {
			r := &p.Routes[i]
			template, _, _ := strings.Cut(r.Route, "?")
			if r.Method != q.Method && !r.guessed {
				continue
			}
			if n, ok := matches(template, path); ok && (best < 0 || n < open) {
				best, open = i, n
			}
		}
		if best < 0 {
			continue
		}
		matched++
		r := &p.Routes[best]
		if r.guessed {
			r.Method, r.guessed = q.Method, false
		}
		if len(r.recorded) >= most {
			continue
		}
		// What the profile says itself goes before what was recorded.
		if len(r.Headers) > 0 {
			headers := maps.Clone(q.Headers)
			if headers == nil {
				headers = map[string]string{}
			}
			maps.Copy(headers, r.Headers)
			q.Headers = headers
		}
		if r.Body != "" {
			q.Body = r.Body
		}
		r.recorded = append(r.recorded, q)
	}
	return matched
}

// matches says whether a path is of a template, and how many of its parts the
// template leaves open.
func matches(template, path string) (open int, ok bool) {
	ts, ps := strings.Split(template, "/"), strings.Split(path, "/")
	for i, t := range ts {
		m := parameter.FindString(t)
		if m == "" && strings.HasPrefix(t, ":") && len(t) > 1 {
			m = t
		}
		if i == len(ts)-1 && (m == "**" || m == "*" || strings.HasSuffix(m, "...}") || strings.HasPrefix(m, "<path:")) && len(ps) > i {
			return open + 2, true
		}
		if i >= len(ps) {
			return 0, false
		}
		switch {
		case m == "":
			if t != ps[i] {
				return 0, false
			}
		case ps[i] == "":
			return 0, false
		default:
			before, after, _ := strings.Cut(t, m)
			if len(ps[i]) < len(before)+len(after) || !strings.HasPrefix(ps[i], before) || !strings.HasSuffix(ps[i], after) {
				return 0, false
			}
			open++
		}
	}
	return open, len(ts) == len(ps)
}
