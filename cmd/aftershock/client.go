package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"
)

// client speaks to a daemon.
type client struct {
	server, token string
	http          *http.Client
}

// maxAnswer bounds what is read of a daemon's answer.
const maxAnswer = 64 << 20

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
			http: &http.Client{Timeout: time.Minute},
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
		return fmt.Errorf("read the answer of %s: %w; is that an Aftershock daemon?", c.server, err)
	}
	return nil
}

func (c *client) raw(ctx context.Context, method, path string, in any) ([]byte, error) {
	var body io.Reader
	switch in := in.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(in)
	default:
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("reach the daemon at %s: %w; is it running? set --server or AFTERSHOCK_SERVER", c.server, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.server, err)
	}
	if resp.StatusCode >= 400 {
		var p struct {
			Detail string `json:"detail"`
		}
		if json.Unmarshal(b, &p) == nil && p.Detail != "" {
			return nil, errors.New(p.Detail)
		}
		return nil, fmt.Errorf("the daemon at %s answered %s", c.server, resp.Status)
	}
	return b, nil
}

// items is the form of every list of the API.
type items[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
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
