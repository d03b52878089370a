package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/prometheus/common/model"

	"aftershock/detector/words"
)

// client speaks to a daemon.
type client struct {
	server, token string
	// name is the server without credentials, for people.
	name string
	http *http.Client
}

// Limits of waiting for an answer. A toggle is answered when it was verified,
// for which a configuration may allow five minutes.
const (
	answerTimeout = time.Minute
	toggleTimeout = 6 * time.Minute
)

// maxAnswer bounds what is read of a daemon's answer, in bytes; maxDetail what
// is told of its problems, in characters.
const (
	maxAnswer = 64 << 20
	maxDetail = 2000
)

// clientFlags adds the flags of every command that speaks to a daemon.
func clientFlags(f *flag.FlagSet) func() (*client, error) {
	def := os.Getenv("AFTERSHOCK_SERVER")
	if def == "" {
		def = "http://127.0.0.1:8787"
	}
	server := f.String("server", def, "the daemon's `URL`, also AFTERSHOCK_SERVER")
	return func() (*client, error) {
		u, err := url.Parse(*server)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, usagef("--server %q is no http or https URL", *server)
		}
		return &client{
			server: strings.TrimRight(*server, "/"), token: os.Getenv("AFTERSHOCK_TOKEN"),
			name: u.Redacted(), http: &http.Client{Timeout: answerTimeout},
		}, nil
	}
}

// call sends a request and decodes the answer into out, unless it is nil. A
// problem document becomes an error in its own words.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	b, err := c.raw(ctx, method, path, in)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("read the answer of %s: %w; is that an Aftershock daemon?", c.name, err)
	}
	return nil
}

func (c *client) raw(ctx context.Context, method, path string, in any) ([]byte, error) {
	b, _, err := c.ask(ctx, method, path, in)
	return b, err
}

// retryAfter is how long a write that was cut off waits before it is sent again.
const retryAfter = time.Second

// ask is raw with the answer's header. A write has a key: cut off, it is sent once more,
// and done once at the most.
func (c *client) ask(ctx context.Context, method, path string, in any) ([]byte, http.Header, error) {
	var body []byte
	switch in := in.(type) {
	case nil:
	case []byte:
		body = in
	default:
		b, err := json.Marshal(in)
		if err != nil {
			return nil, nil, err
		}
		body = b
	}
	key := ""
	if method != http.MethodGet {
		key = rand.Text()
	}
	b, header, err := c.send(ctx, method, path, key, body)
	if key == "" || !cutOff(err) {
		return b, header, err
	}
	select {
	case <-time.After(retryAfter):
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	return c.send(ctx, method, path, key, body)
}

// cutOff says whether a connection ended before the answer did.
func cutOff(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// send sends a request, with a key unless that is "", and reads the answer.
func (c *client) send(ctx context.Context, method, path, key string, body []byte) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", `"`+key+`"`)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, nil, fmt.Errorf("reach the daemon at %s: %w; is it running? set --server or AFTERSHOCK_SERVER", c.name, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer of %s: %w", c.name, err)
	}
	if len(b) > maxAnswer {
		return nil, nil, fmt.Errorf("read the answer of %s: it is over %d bytes", c.name, maxAnswer)
	}
	if resp.StatusCode >= 400 {
		var p struct {
			Detail string `json:"detail"`
		}
		if json.Unmarshal(b, &p) == nil && p.Detail != "" {
			return nil, nil, answered{resp.StatusCode, words.Clean(p.Detail, maxDetail)}
		}
		return nil, nil, fmt.Errorf("the daemon at %s answered %s", c.name, words.Line(resp.Status))
	}
	return b, resp.Header, nil
}

// answered is a problem document of the daemon.
type answered struct {
	status int
	text   string
}

func (r answered) Error() string { return r.text }

// hint says where to look where the daemon doesn't know what was named.
func hint(err error, text string) error {
	var r answered
	if errors.As(err, &r) && r.status == http.StatusNotFound {
		return fmt.Errorf("%w; %s", err, text)
	}
	return err
}

// items is the form of every list of the API.
type items[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// maxItems bounds how many items of a list are asked for.
const maxItems = 10_000

// list asks for all items of a list, page by page.
func list[T any](ctx context.Context, c *client, path string, q url.Values) ([]T, error) {
	all := []T{}
	for {
		var page items[T]
		where := path
		if len(q) > 0 {
			where += "?" + q.Encode()
		}
		if err := c.call(ctx, http.MethodGet, where, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" || len(page.Items) == 0 || len(all) >= maxItems {
			return all, nil
		}
		if q == nil {
			q = url.Values{}
		}
		q.Set("after", page.Next)
	}
}

// oneOf checks a --format.
func oneOf(format string, known ...string) error {
	if slices.Contains(known, format) {
		return nil
	}
	return usagef("--format %q is none of %s", format, strings.Join(known, ", "))
}

// table writes rows in columns. What comes from outside is cleaned, so that it
// can't reach the terminal's controls or break the columns.
func table(w io.Writer, rows [][]string) error {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for n, c := range row {
			if cells[n] = words.Line(c); cells[n] == "" && n < len(row)-1 {
				cells[n] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	_ = t.Flush()
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// duration reads one in the words of the configuration: 30m, 8h, 90d.
func duration(text string) (time.Duration, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	d, err := model.ParseDuration(text)
	return time.Duration(d), err
}

// at writes an instant in a table.
func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// whoami names the person at the keyboard, for the audit.
func whoami() string {
	name := "someone"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// printJSON writes v for machines.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
