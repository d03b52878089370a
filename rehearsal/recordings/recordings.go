// Package recordings reads what was asked of a service once, so that a rehearsal
// asks for paths, queries and bodies that there are: HAR files, and access logs in
// the common and combined formats.
//
// A recording is read with mistrust: it is bounded, what can't be read is counted
// and passed over, and whatever looks like a secret is left out.
package recordings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"

	"aftershock/rehearsal"
)

// Bounds of a recording.
const (
	MaxSize     = 256 << 20 // bytes, after decompression
	maxRequests = 100_000
	maxLine     = 64 << 10
	maxBody     = 1 << 20
	maxHeaders  = 50
	maxTarget   = 4 << 10
)

// Recording is what was read.
type Recording struct {
	Requests []rehearsal.Recorded
	// Skipped counts what couldn't be used; More says that there were more than are
	// kept.
	Skipped int
	More    bool
	// Dropped counts the headers and the parameters of queries that were left out since
	// they may be secrets.
	Dropped int
}

// Open reads the HAR file or access log at a path, plain or compressed by gzip.
// secrets keeps what else is left out: cookies, credentials, tokens.
func Open(path string, secrets bool) (Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return Recording{}, fmt.Errorf("read the recording: %w", err)
	}
	defer f.Close()
	data, err := readAll(f, MaxSize)
	if err != nil {
		return Recording{}, fmt.Errorf("read the recording %s: %w", path, err)
	}
	r, err := Parse(data, secrets)
	if err != nil {
		return Recording{}, fmt.Errorf("read the recording %s: %w", path, err)
	}
	return r, nil
}

func readAll(f io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		z, zerr := gzip.NewReader(bytes.NewReader(data))
		if zerr != nil {
			return nil, zerr
		}
		data, err = io.ReadAll(io.LimitReader(z, most+1))
	}
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("larger than %d bytes", most)
	}
	return data, nil
}

// Parse reads a HAR file, which begins with a brace, or an access log. The error
// says that nothing in it can be used.
func Parse(data []byte, secrets bool) (Recording, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var r Recording
	var err error
	if bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) && bytes.Contains(data, []byte(`"log"`)) {
		err = r.har(data, secrets)
	} else {
		r.log(data, secrets)
	}
	if err != nil {
		return Recording{}, err
	}
	if len(r.Requests) == 0 {
		return r, errors.New("no request in it can be used: want a HAR file, or an access log in the common or combined format")
	}
	return r, nil
}

// add takes in a request if it can be used.
func (r *Recording) add(method, target, body string, headers map[string]string, secrets bool) {
	if len(r.Requests) >= maxRequests {
		r.More = true
		return
	}
	target, dropped, ok := clean(target, secrets)
	r.Dropped += dropped
	if !ok || !isMethod(method) || len(body) > maxBody {
		r.Skipped++
		return
	}
	r.Requests = append(r.Requests, rehearsal.Recorded{Method: method, Target: target, Headers: headers, Body: body})
}

func isMethod(m string) bool {
	return m != "" && len(m) <= 20 && m != "CONNECT" && !strings.ContainsFunc(m, func(c rune) bool { return c < 'A' || c > 'Z' })
}

// clean is the path and query of a target or a URL, without parameters that may be
// secrets. Its host is passed over: requests go to the rehearsal's target alone.
func clean(target string, secrets bool) (out string, dropped int, ok bool) {
	if len(target) > maxTarget || strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\\' }) {
		return "", 0, false
	}
	target, _, _ = strings.Cut(target, "#")
	var u *url.URL
	var err error
	if strings.HasPrefix(target, "/") {
		u, err = url.ParseRequestURI(target)
		if err == nil && strings.HasPrefix(target, "//") {
			u.Host = "" // a path with two slashes
		}
	} else {
		u, err = url.Parse(target)
		if err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return "", 0, false
		}
	}
	if err != nil || u.Opaque != "" {
		return "", 0, false
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if !strings.HasPrefix(path, "/") {
		return "", 0, false
	}
	query := u.RawQuery
	if query != "" && !secrets {
		query, dropped = cleanQuery(query)
	}
	if query != "" {
		path += "?" + query
	}
	return path, dropped, true
}

func cleanQuery(query string) (string, int) {
	parts := strings.Split(query, "&")
	n := len(parts)
	parts = slices.DeleteFunc(parts, func(p string) bool {
		name, _, _ := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		return secretive(name)
	})
	return strings.Join(parts, "&"), n - len(parts)
}

// words are parts of names of what may be a secret.
var words = []string{"token", "secret", "passw", "pwd", "session", "auth", "credential", "apikey", "signature", "jwt", "csrf", "xsrf", "cookie"}

// short are whole names of the kind.
var short = []string{"key", "sig", "sid", "code", "state", "nonce", "otp", "pin"}

func secretive(name string) bool {
	name = strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(name))
	return slices.Contains(short, name) || strings.HasSuffix(name, "key") || slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
}

// harmless are the headers that are kept without being asked to: what they may hold
// is known.
var harmless = []string{
	"Accept", "Accept-Language", "Accept-Encoding", "Content-Type", "User-Agent", "Range", "Cache-Control", "X-Requested-With", "Soapaction",
}

// never are headers that belong to the connection, and those of rehearsals.
var never = []string{
	"Host", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Connection",
	"Proxy-Authorization", "Expect", "X-Aftershock-Rehearsal", "X-Vegeta-Seq",
}

// keep says whether a header is to be sent; secret that it isn't as it may be one.
func keep(name string, secrets bool) (kept, secret bool) {
	name = textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case slices.Contains(never, name) || strings.HasPrefix(name, ":"):
		return false, false
	case slices.Contains(harmless, name):
		return true, false
	}
	return secrets, !secrets
}
