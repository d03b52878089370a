package rehearsal

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Capture says where in an answer a value stands: in a header, a cookie, at a JSON
// pointer (RFC 6901), or in the first group of a regular expression (RE2) over the body.
type Capture struct {
	Header string `yaml:"header,omitempty"`
	Cookie string `yaml:"cookie,omitempty"`
	JSON   string `yaml:"json,omitempty"`
	Match  string `yaml:"match,omitempty"`
}

// maxCaptured is how much of an answer is looked into, in bytes.
const maxCaptured = 1 << 20

func (c *Capture) validate() error {
	n := 0
	for _, x := range []string{c.Header, c.Cookie, c.JSON, c.Match} {
		if x != "" {
			n++
		}
		if len(x) > maxText {
			return fmt.Errorf("longer than %d bytes", maxText)
		}
	}
	switch {
	case n != 1:
		return errors.New("want one of header, cookie, json and match")
	case c.JSON != "" && !strings.HasPrefix(c.JSON, "/"):
		return errors.New("json: want a JSON pointer such as /data/token")
	case c.Match != "":
		re, err := regexp.Compile(c.Match)
		if err != nil || re.NumSubexp() != 1 {
			return errors.New("match: want a regular expression with one group")
		}
	}
	return nil
}

// capturable says whether a value can stand in a header and a path.
func capturable(v string) bool {
	return v != "" && len(v) <= maxText && httpguts.ValidHeaderFieldValue(v)
}

// inBody says whether a value of them stands in the body.
func inBody(list map[string]Capture) bool {
	for _, c := range list {
		if c.JSON != "" || c.Match != "" {
			return true
		}
	}
	return false
}

// captureAll takes the values out of an answer. The error names the first that isn't
// there, never what is.
func captureAll(list map[string]Capture, res *http.Response, body []byte, into map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(list)) {
		c := list[name]
		v, ok := c.from(res, body)
		if !ok || !capturable(v) {
			return fmt.Errorf("its answer has no %s", name)
		}
		into[name] = v
	}
	return nil
}

func (c *Capture) from(res *http.Response, body []byte) (string, bool) {
	switch {
	case c.Header != "":
		return res.Header.Get(c.Header), true
	case c.Cookie != "":
		for _, k := range res.Cookies() {
			if k.Name == c.Cookie {
				return k.Value, true
			}
		}
		return "", false
	case c.Match != "":
		re, err := regexp.Compile(c.Match)
		if err != nil {
			return "", false
		}
		m := re.FindSubmatch(body)
		if m == nil {
			return "", false
		}
		return string(m[1]), true
	}
	return pointed(body, c.JSON)
}

// pointed is the string, number or truth at a JSON pointer.
func pointed(body []byte, pointer string) (string, bool) {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		return "", false
	}
	for _, part := range strings.Split(pointer, "/")[1:] {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		switch in := x.(type) {
		case map[string]any:
			v, ok := in[part]
			if !ok {
				return "", false
			}
			x = v
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(in) || strconv.Itoa(i) != part {
				return "", false
			}
			x = in[i]
		default:
			return "", false
		}
	}
	switch v := x.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// variable is a place for a variable in a header, a path or a body.
var variable = regexp.MustCompile(`\{([a-z_][a-z0-9_]{0,63})\}`)

// fill puts variables into a text; what isn't one stays.
func fill(text string, vars []map[string]string, escape func(string) string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	return variable.ReplaceAllStringFunc(text, func(m string) string {
		for _, v := range vars {
			if x, ok := v[m[1:len(m)-1]]; ok {
				return escape(x)
			}
		}
		return m
	})
}

// filled is a request with the variables put in, each escaped as its place asks for. The
// first of the maps that knows a variable tells it.
func (q Recorded) filled(vars ...map[string]string) Recorded {
	plain := func(s string) string { return s }
	path, query, asks := strings.Cut(q.Target, "?")
	q.Target = fill(path, vars, url.PathEscape)
	if asks {
		q.Target += "?" + fill(query, vars, url.QueryEscape)
	}
	headers, kind := make(map[string]string, len(q.Headers)), ""
	for name, v := range q.Headers {
		if headers[name] = fill(v, vars, plain); strings.EqualFold(name, "Content-Type") {
			kind = strings.ToLower(v)
		}
	}
	q.Headers = headers
	switch {
	case strings.Contains(kind, "json"):
		q.Body = fill(q.Body, vars, func(s string) string {
			text, err := json.Marshal(s)
			if err != nil {
				return ""
			}
			return string(text[1 : len(text)-1])
		})
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		q.Body = fill(q.Body, vars, url.QueryEscape)
	default:
		q.Body = fill(q.Body, vars, plain)
	}
	return q
}
