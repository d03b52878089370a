// Package settings holds a configuration matrix (which key of which component came,
// went or has to have which value in which version) against the live configuration,
// and drafts such a matrix from what two builds of a binary read.
//
// Secrets stay within: the value of a key that looks like one, or that looks like one
// itself, is told as "(hidden)".
package settings

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Hidden stands for a value that isn't shown.
const Hidden = "(hidden)"

// Use is one place of the live configuration that sets a key.
type Use struct {
	// File is where it stands: the path below the root, with the root before it. Line
	// counts from 1.
	File string
	Line int
	// Key is the dotted path (dten.hybrid.enable, DTEN_HYBRID_ENABLE, servers[0].port);
	// what only wraps it, such as the data of a ConfigMap, is left out.
	Key string
	// Within is the part of the file: a section of a unit, a service of a compose file,
	// a file in a ConfigMap; empty where the file is one.
	Within string
	// Component is whom it is of where the file says so: the unit or the compose service.
	Component string

	value string
	// hidden says that it stands where secrets stand.
	hidden bool
}

// Value is the value as it stands there. It may be a secret: Shown is for output.
func (u Use) Value() string { return u.value }

// Shown is the value as it may be printed: secrets hidden, on one line, and no longer
// than 120 characters.
func (u Use) Shown() string {
	if u.Secret() {
		return Hidden
	}
	text := Plain(u.value)
	if runes := []rune(text); len(runes) > 120 {
		text = string(runes[:120]) + "…"
	}
	return text
}

// Plain is a text with nothing in it that a terminal would obey, on one line.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

var (
	secretWords = []string{
		"password", "passwd", "passphrase", "pwd", "token", "secret", "credential", "apikey", "privatekey",
		"accesskey", "signingkey", "encryptionkey", "sessionkey", "authkey", "hmackey", "keymaterial", "connectionstring", "cookie",
		"bearer", "authorization", "webhookurl",
	}
	secretParts = []string{"key", "pass", "pw", "dsn", "auth", "pin", "salt", "jwt", "cert"}
	// secretValue matches key material, tokens of known issuers and credentials in URLs.
	secretValue = regexp.MustCompile(`-----BEGIN |\beyJ[\w-]{8,}\.|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bgh[pousr]_\w{16,}|\bxox[abprs]-|` +
		`\bsk[-_](?:live|test|proj)?[\w-]{16,}|[A-Za-z][\w+.-]*://[^\s/@]*:[^\s@]*@|(?i:\b(?:password|passwd|pwd|secret|token|api_?key)\s*[=:]\s*\S)`)
)

// Secret says whether the value has to stay hidden, by the key or by itself.
func (u Use) Secret() bool {
	if u.hidden || secretValue.MatchString(u.value) {
		return true
	}
	for _, part := range splitKey(u.Key) {
		low := squeeze(part)
		for _, w := range secretWords {
			if strings.Contains(low, w) {
				return true
			}
		}
		words := words(part)
		if slices.Contains(secretParts, words[len(words)-1]) {
			return true
		}
	}
	return false
}

// words are the lower-case words of a part: maxRetry_count gives max, retry, count.
func words(part string) []string {
	var b strings.Builder
	lower := false
	for _, r := range part {
		if unicode.IsUpper(r) && lower {
			b.WriteByte(' ')
		}
		lower = unicode.IsLower(r) || unicode.IsDigit(r)
		if r == '_' || r == '-' {
			r = ' '
		}
		b.WriteRune(unicode.ToLower(r))
	}
	if list := strings.Fields(b.String()); len(list) > 0 {
		return list
	}
	return []string{""}
}
