package settings

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

// joined calls visit for each line, joined with those after it where it ends in a
// backslash, with the number of its first.
func joined(text string, comments string, visit func(line int, text string)) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		first := i
		line := strings.TrimLeft(lines[i], " \t\f")
		if line == "" || strings.ContainsRune(comments, rune(line[0])) {
			continue
		}
		var b strings.Builder
		for continued(line) && i+1 < len(lines) {
			b.WriteString(line[:len(line)-1])
			i++
			line = strings.TrimLeft(lines[i], " \t\f")
		}
		b.WriteString(line)
		visit(first+1, b.String())
	}
}

// continued says whether a line ends in an odd number of backslashes.
func continued(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// properties reads Java properties (java.util.Properties.load).
func (r *reading) properties(text string) {
	joined(text, "#!", func(line int, text string) {
		key, value := splitProperty(text)
		r.add(line, unescape(key), unescape(value))
	})
}

// splitProperty parts a line at the first =, : or blank that isn't escaped.
func splitProperty(text string) (key, value string) {
	i := 0
	for i < len(text) && !strings.ContainsRune("=: \t\f", rune(text[i])) {
		if text[i] == '\\' {
			i++
		}
		i++
	}
	i = min(i, len(text))
	key, value = text[:i], strings.TrimLeft(text[i:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], " \t\f")
	}
	return key, value
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			if n, err := strconv.ParseUint(s[i+1:min(len(s), i+5)], 16, 16); err == nil && i+5 <= len(s) {
				b.WriteRune(rune(n))
				i += 4
				continue
			}
			b.WriteByte('u')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// env reads NAME=value lines, as systemd's EnvironmentFile=, dotenv and compose have them.
func (r *reading) env(text string) {
	joined(text, "#;", func(line int, text string) {
		text = strings.TrimPrefix(text, "export ")
		name, value, ok := strings.Cut(text, "=")
		if name = strings.TrimSpace(name); ok && envName.MatchString(name) {
			r.add(line, name, unquote(value))
		}
	})
}

// unquote takes quotes off, or a comment that follows a blank.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	if q := s[0]; q == '"' || q == '\'' {
		if end := strings.IndexByte(s[1:], q); end >= 0 {
			return s[1 : 1+end]
		}
		return s
	}
	if i := strings.Index(s, " #"); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	return s
}

// ini reads sections with key = value; the key is section.key.
func (r *reading) ini(text string) {
	section := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			if end := strings.IndexByte(line, ']'); end > 0 {
				section = strings.TrimSpace(line[1:end])
			}
			continue
		}
		at := strings.IndexAny(line, "=:")
		key, value := line, ""
		if at >= 0 {
			key, value = strings.TrimSpace(line[:at]), line[at+1:]
		}
		if key == "" || at < 0 && strings.ContainsAny(key, " \t") {
			continue
		}
		if strings.Contains(value, " ;") {
			value = value[:strings.Index(value, " ;")]
		}
		r.add(i+1, join(section, key), unquote(value))
	}
}

// conf reads a .conf file, if it is one of keys and values at all.
func (r *reading) conf(text string) bool {
	sections, pairs, others := 0, 0, 0
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.ContainsRune("#;!", rune(line[0])):
		case line[0] == '[' && line[len(line)-1] == ']':
			sections++
		case strings.Contains(line, "=") && !strings.HasSuffix(line, "{") && !strings.HasSuffix(line, ";"):
			pairs++
		default:
			others++
		}
	}
	switch {
	case pairs == 0 || others > pairs/4:
		return false // nginx, Apache and the like: not keys and values
	case sections > 0:
		r.ini(text)
	default:
		r.properties(text)
	}
	return true
}

// unit reads Environment= and EnvironmentFile= of a systemd unit or drop-in.
func (r *reading) unit(text string) {
	r.component = path.Base(r.name)
	if dir := path.Base(path.Dir(r.name)); strings.HasSuffix(dir, ".d") && isUnit(strings.TrimSuffix(dir, ".d")) {
		r.component = strings.TrimSuffix(dir, ".d")
	}
	r.component = strings.TrimSuffix(r.component, path.Ext(r.component))
	section := ""
	joinedLines(text, func(lines []numbered) {
		first := lines[0].text
		if strings.HasPrefix(first, "[") {
			section = strings.Trim(strings.TrimSpace(first), "[]")
			return
		}
		key, rest, ok := strings.Cut(first, "=")
		if !ok || section != "Service" && section != "" {
			return
		}
		switch strings.TrimSpace(key) {
		case "Environment":
			r.within = "Environment="
			lines[0].text = rest
			for _, l := range lines {
				for _, word := range unitWords(l.text) {
					if name, value, ok := strings.Cut(word, "="); ok && envName.MatchString(name) {
						r.add(l.line, name, value)
					}
				}
			}
			r.within = ""
		case "EnvironmentFile":
			file := strings.TrimPrefix(strings.TrimSpace(rest), "-")
			if strings.HasPrefix(file, "/") && len(r.live.envs) < 1000 {
				file = path.Clean(file)
				r.live.envs[file] = append(r.live.envs[file], r.component)
			}
		}
	})
}

type numbered struct {
	line int
	text string
}

// joinedLines gives the lines that a backslash joins, each with its number.
func joinedLines(text string, visit func([]numbered)) {
	var run []numbered
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" && len(run) == 0 || line != "" && (line[0] == '#' || line[0] == ';') {
			continue
		}
		more := strings.HasSuffix(line, `\`)
		run = append(run, numbered{i + 1, strings.TrimSuffix(line, `\`)})
		if !more {
			visit(run)
			run = nil
		}
	}
	if len(run) > 0 {
		visit(run)
	}
}

// unitWords parts a value as systemd does: by blanks, with quotes around a word or a
// part of it.
func unitWords(s string) (list []string) {
	var b strings.Builder
	var quote byte
	open := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, open = c, true
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
			open = true
		case quote == 0 && (c == ' ' || c == '\t'):
			if open {
				list = append(list, b.String())
				b.Reset()
				open = false
			}
		default:
			b.WriteByte(c)
			open = true
		}
	}
	if open {
		list = append(list, b.String())
	}
	return list
}
