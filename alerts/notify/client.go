package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"aftershock/detector/words"
)

// Bounds of what a receiver may answer.
const (
	maxAnswer     = 4 << 20
	maxErrorText  = 2 << 10
	maxRetryAfter = time.Hour
)

// Client sends requests to one receiver within bounds of time and size. Its
// errors name neither the path nor the query of a URL, which may hold secrets.
type Client struct {
	http    *http.Client
	timeout time.Duration
}

// NewClient makes a client; a nil config means the defaults.
func NewClient(c *config.HTTPClientConfig, name string, timeout time.Duration) (*Client, error) {
	if c == nil {
		def := config.DefaultHTTPClientConfig
		c = &def
	}
	h, err := config.NewClientFromConfig(*c, name)
	if err != nil {
		return nil, fmt.Errorf("make the HTTP client of the receiver %s: %w", name, err)
	}
	return &Client{http: h, timeout: timeout}, nil
}

// StatusError is an answer other than 2xx.
type StatusError struct {
	// Code is the HTTP status.
	Code int
	// After is what the receiver asked to wait for, 0 where it didn't.
	After time.Duration
	// Text is the start of the answer, on one line.
	Text string
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("answered %d %s", e.Code, http.StatusText(e.Code))
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Retry says whether an error of Do may pass when tried again: any failure of
// the network, 408, 429 and 5xx, but not 501 and no other 4xx.
func Retry(err error) bool {
	var status *StatusError
	if !errors.As(err, &status) {
		return true
	}
	switch status.Code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented:
		return false
	}
	return status.Code >= 500
}

// Post sends a JSON body and drops the answer.
func (c *Client) Post(ctx context.Context, to string, body []byte) error {
	return c.Send(ctx, http.MethodPost, to, body, nil)
}

// Send brings a JSON body with further headers by any method and drops the answer.
func (c *Client) Send(ctx context.Context, method, to string, body []byte, header http.Header) error {
	_, err := c.do(ctx, method, to, body, header, maxErrorText)
	return err
}

// Get reads an answer of at most 4 MiB.
func (c *Client) Get(ctx context.Context, from string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, from, nil, nil, maxAnswer)
}

// Close frees idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) do(ctx context.Context, method, to string, body []byte, header http.Header, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("make the request: the URL is invalid")
	}
	for n, v := range header {
		req.Header[n] = v
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "aftershock")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", strings.ToLower(method), Host(to), c.withoutURL(ctx, err))
	}
	defer func() { _ = resp.Body.Close() }() // what mattered of it was read
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorText)) // the status says enough
		return nil, fmt.Errorf("%s %s: %w", strings.ToLower(method), Host(to), &StatusError{
			Code: resp.StatusCode, After: retryAfter(resp.Header.Get("Retry-After"), time.Now()), Text: words.Line(string(text)),
		})
	}
	if method != http.MethodGet {
		// The receiver has taken the alert: how it says so doesn't matter. A
		// short answer is read to the end so that the connection can be kept.
		_, _ = io.CopyN(io.Discard, resp.Body, most)
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", Host(to), c.withoutURL(ctx, err))
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("read the answer of %s: larger than %d bytes", Host(to), most)
	}
	return b, nil
}

// withoutURL takes the URL out of an error and names a time limit that was hit.
func (c *Client) withoutURL(ctx context.Context, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s: %w", c.timeout, context.DeadlineExceeded)
	}
	return err
}

// Host is the part of a URL that may stand in a log: scheme and host.
func Host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "an invalid URL"
	}
	return u.Scheme + "://" + u.Host
}

// retryAfter reads a Retry-After header, in seconds or as a date.
func retryAfter(s string, now time.Time) time.Duration {
	if s == "" {
		return 0
	}
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// CheckURL says what is wrong with a URL of the config, without repeating it.
func CheckURL(raw string) error {
	if raw == "" {
		return errors.New("is missing")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("needs the scheme http or https")
	case u.Host == "":
		return errors.New("has no host")
	}
	return nil
}
