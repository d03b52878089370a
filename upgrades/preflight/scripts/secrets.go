package scripts

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"aftershock/detector"

	"mvdan.cc/sh/v3/syntax"
)

var (
	secretName = regexp.MustCompile(`(?i)(?:^|_)(?:PASS|PASSWD|PASSWORD|PGPASSWORD|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIALS?|AUTH)(?:$|_)|^(?:MYSQL_PWD|SSHPASS|PGPASSWORD|RESTIC_PASSWORD)$`)
	// notSecret are names that end in what a file or a question is called.
	notSecret  = regexp.MustCompile(`(?i)(?:_FILE|_PATH|_DIR|_URL|_PROMPT|_LENGTH|_LEN|_NAME|_ID|_TYPE|_METHOD|_CMD|_TTL|_USER|_HOST|_TAG|_FIELD|_HEADER|_PREFIX|_SUFFIX|_PATTERN|_REGEX|_LABEL|_VAR)$`)
	userinfo   = regexp.MustCompile(`\b([a-zA-Z][a-zA-Z0-9+.-]*://)([^/\s:@'"]*):([^/\s@'"]+)@`)
	bearer     = regexp.MustCompile(`(?i)\b(authorization:\s*(?:bearer|basic|token)|x-api-key:|x-auth-token:|private-token:)\s*(\S+)`)
	passOption = regexp.MustCompile(`(?i)^--?(?:password|passwd|pass|token|api-key|secret|secret-key|access-token|client-secret)$`)
	passValue  = regexp.MustCompile(`(?i)^(--?(?:password|passwd|pass|token|api-key|secret|secret-key|access-token|client-secret))=(.+)$`)
	identified = regexp.MustCompile(`(?i)\b(identified\s+by|password)\s+'[^']+'`)
)

// static tells whether a text is a secret itself, rather than where one comes from.
func static(v string) bool {
	return len(v) > 2 && !strings.ContainsAny(v, "$`<>{}") && v[0] != '/' && !slices.Contains([]string{"true", "false", "yes", "no", "none", "null", "auto", "prompt", "ask"}, strings.ToLower(v))
}

// redact takes what is secret out of a command that is shown.
func redact(s string) string {
	s = userinfo.ReplaceAllString(s, "${1}${2}:…@")
	s = bearer.ReplaceAllString(s, "$1 …")
	f := strings.Fields(s)
	hide := false
	for i, w := range f {
		name, _, ok := strings.Cut(strings.TrimLeft(w, `'"`), "=")
		switch {
		case hide:
			f[i], hide = "…", false
		case passOption.MatchString(w), w == "-u" && i > 0, w == "--user", w == "-p" && strings.Contains(s, "sshpass"), w == "-a" && strings.Contains(s, "redis-cli"):
			hide = true
		case ok && (secretName.MatchString(strings.TrimLeft(name, "-")) || passValue.MatchString(w)):
			f[i] = name + "=…"
		case strings.HasPrefix(w, "-p") && len(w) > 2 && w[2] != 'o' && (strings.Contains(s, "mysql") || strings.Contains(s, "mariadb") || strings.Contains(s, "sshpass")):
			f[i] = "-p…"
		}
	}
	return identified.ReplaceAllString(strings.Join(f, " "), "$1 '…'")
}

// secrets: credentials that stand in the script. Their values are never shown.
func (c *checker) secrets(s *shell) {
	syntax.Walk(s.file, func(n syntax.Node) bool {
		a, ok := n.(*syntax.Assign)
		if !ok || a.Name == nil || a.Value == nil || !secretName.MatchString(a.Name.Value) || notSecret.MatchString(a.Name.Value) {
			return true
		}
		if t, known := (&renderer{}).parts(a.Value.Parts, false); known && static(t) && !s.choice(a.Name.Value) {
			c.secret(s, int(a.Name.Pos().Line()), "the variable "+a.Name.Value)
		}
		return true
	})
	for i := range s.calls {
		if where := s.calls[i].secret(); where != "" {
			c.secret(s, s.calls[i].line, where)
		}
		if s.chpasswd(&s.calls[i]) {
			c.secret(s, s.calls[i].line, "the input of chpasswd")
		}
		for _, l := range s.calls[i].heredoc {
			if m := userinfo.FindStringSubmatch(l.text); m != nil && static(m[3]) {
				c.secret(s, l.at, "a URL")
			}
		}
	}
}

// choice tells a variable that is one of several words, as keywords of a file are.
func (s *shell) choice(name string) bool {
	v := s.vars[name]
	if v == nil || len(v.values) < 2 {
		return false
	}
	return !slices.ContainsFunc(v.values, func(t string) bool {
		return strings.ContainsFunc(t, func(r rune) bool { return r < 'a' || r > 'z' })
	})
}

// chpasswd: "name:password" on its input.
func (s *shell) chpasswd(k *call) bool {
	if k.name != "chpasswd" {
		return false
	}
	lines := k.heredoc
	if k.to > k.from {
		lines = append(slices.Clip(lines), s.fed(k.from, k.to)...)
	}
	return slices.ContainsFunc(lines, func(l line) bool {
		_, pw, ok := strings.Cut(l.text, ":")
		return ok && static(pw)
	})
}

func (c *checker) secret(s *shell, line int, where string) {
	c.add(detector.Finding{
		Rule: "scripts/credential", Severity: detector.Risk, Place: detector.Place{File: s.path, Line: line},
		What: "a credential stands in the script: " + where,
		Why:  "whoever has the package has it; it shows in process lists, logs and backups, and is the same for every customer",
		Do:   "have it read from a file that only root can read or from your secret store, and have the vendor change the one that got out",
	})
}

// secret tells which argument of a call is a credential, by its name.
func (k *call) secret() string {
	for i, a := range k.args {
		if a.node == nil || !a.known {
			continue
		}
		t := a.quoted // a variable's value is told where it is set
		next := ""
		if i+1 < len(k.args) && k.args[i+1].known {
			next = k.args[i+1].quoted
		}
		if m := userinfo.FindStringSubmatch(t); m != nil && static(m[3]) {
			if u, err := url.Parse(t); err != nil || u.User != nil {
				return fmt.Sprintf("the URL of %s", k.name)
			}
		}
		if m := bearer.FindStringSubmatch(t); m != nil && static(m[2]) {
			return "a header of " + k.name
		}
		if m := passValue.FindStringSubmatch(t); m != nil && static(m[2]) {
			return "the option " + m[1] + " of " + k.name
		}
		if passOption.MatchString(t) && static(next) && next[0] != '-' {
			return "the option " + t + " of " + k.name
		}
		switch k.name {
		case "curl":
			if _, pw, ok := strings.Cut(next, ":"); ok && (t == "-u" || t == "--user") && static(pw) {
				return "the option " + t + " of curl"
			}
		case "mysql", "mariadb", "mysqldump", "sshpass":
			if strings.HasPrefix(t, "-p") && static(t[2:]) {
				return "the option -p of " + k.name
			}
			if k.name == "sshpass" && t == "-p" && static(next) {
				return "the option -p of sshpass"
			}
		}
	}
	return ""
}
