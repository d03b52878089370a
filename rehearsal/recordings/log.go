package recordings

import (
	"bytes"
	"strconv"
	"strings"
)

// log reads an access log in the common or combined format, as Apache and nginx
// write it by default:
//
//	host ident user [time] "METHOD target HTTP/x.y" status bytes "referer" "agent"
//
// Only the request's line is used, and the status to pass over what was malformed
// (400) or nobody saw the answer of (408, 499).
func (r *Recording) log(data []byte, secrets bool) {
	for len(data) > 0 {
		line := data
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			line, data = data[:i], data[i+1:]
		} else {
			data = nil
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		method, target, ok := requestLine(string(line[:min(len(line), maxLine)]))
		if !ok {
			r.Skipped++
			continue
		}
		r.add(method, target, "", nil, secrets)
	}
}

// requestLine takes a log's line apart.
func requestLine(line string) (method, target string, ok bool) {
	_, rest, found := strings.Cut(line, "[")
	if !found {
		return "", "", false
	}
	_, rest, found = strings.Cut(rest, `] "`)
	if !found {
		return "", "", false
	}
	request, rest, found := quoted(rest)
	if !found {
		return "", "", false
	}
	fields := strings.Fields(rest)
	if len(fields) < 2 || len(fields[0]) != 3 {
		return "", "", false
	}
	status, err := strconv.Atoi(fields[0])
	if err != nil || status < 100 || status == 400 || status == 408 || status == 499 {
		return "", "", false
	}
	parts := strings.Split(request, " ")
	if len(parts) != 3 || !strings.HasPrefix(parts[2], "HTTP/") {
		return "", "", false
	}
	return parts[0], parts[1], true
}

// quoted is the text up to the closing quote, with nginx' \xHH and Apache's \" and
// \\ undone.
func quoted(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c != '\\' || i+1 == len(s):
			b.WriteByte(c)
		case s[i+1] == 'x' && i+3 < len(s):
			n, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
			if err != nil {
				return "", "", false
			}
			b.WriteByte(byte(n))
			i += 3
		default:
			i++
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}
