package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"
)

// Bounds of what a backend may answer and of the file that holds a token.
const (
	MaxAnswer     = 8 << 20 // bytes
	maxToken      = 64 << 10
	maxRetryAfter = time.Hour
	// MaxTimeout is the longest that one request may take: a toggle makes up to
	// four within its time.
	MaxTimeout = 10 * time.Second
)

// HTTP is how a backend is reached: a part of the backends' sections.
type HTTP struct {
	// Timeout bounds one request, 5 s if 0, at most MaxTimeout.
	Timeout time.Duration `yaml:"timeout"`
	// Client has TLS, credentials, headers and proxy, as in Prometheus'
	// configuration.
	Client *config.HTTPClientConfig `yaml:"http_client"`
	// TokenFile holds a token, which is read anew for each request.
	TokenFile string `yaml:"token_file"`
}

// SetDefaults fills in what was left out.
func (h *HTTP) SetDefaults() {
	if h.Timeout == 0 {
		h.Timeout = 5 * time.Second
	}
}

// Validate lists what is wrong, with its place under path.
func (h *HTTP) Validate(path string) []error {
	var errs []error
	if h.Timeout < 10*time.Millisecond || h.Timeout > MaxTimeout {
		errs = append(errs, fmt.Errorf("%s.timeout: %s isn't between 10ms and %s", path, h.Timeout, MaxTimeout))
	}
	if h.Client != nil {
		if err := h.Client.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s.http_client: %w", path, err))
		}
	}
	return errs
}

// Client makes requests to one backend within bounds of time and size. Its
// methods may be called concurrently.
type Client struct {
	http      *http.Client
	host      string
	timeout   time.Duration
	tokenFile string
	scheme    string

	mu      sync.Mutex
	notTill time.Time // the backend asked for silence until then
}

// NewClient makes a client for the server of the URL. A token is sent as
// "Authorization: SCHEME TOKEN", without the scheme where that is "".
func NewClient(h HTTP, server, scheme string) (*Client, error) {
	c := config.DefaultHTTPClientConfig
	if h.Client != nil {
		c = *h.Client
	}
	made, err := config.NewClientFromConfig(c, "flags")
	if err != nil {
		return nil, fmt.Errorf("make the HTTP client: %w", err)
	}
	u, err := url.Parse(server)
	if err != nil {
		return nil, errors.New("make the HTTP client: the URL can't be read")
	}
	// What follows a redirect is the same request, credentials and all: it must
	// not leave the host, and a write must not become a read.
	made.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if !c.FollowRedirects || len(via) > 5 || req.URL.Host != u.Host || req.URL.Scheme != u.Scheme || req.Method != via[0].Method {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return &Client{http: made, host: u.Scheme + "://" + u.Host, timeout: h.Timeout, tokenFile: h.TokenFile, scheme: scheme}, nil
}

// Host is the scheme and host of the server, which may stand in a log.
func (c *Client) Host() string { return c.host }

// Request is one request.
type Request struct {
	Method string
	URL    string
	Header map[string]string
	Body   []byte
	// Status lists the answers that are good, 200 to 299 if empty.
	Status []int
}

// Response is a good answer.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// StatusError is an answer that isn't good.
type StatusError struct {
	// Code is the HTTP status, After what the backend asked to wait for.
	Code  int
	After time.Duration
	// text is the answer's code, or what to do.
	text string
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("it answered %d %s", e.Code, http.StatusText(e.Code))
	switch {
	case e.After > 0:
		return s + fmt.Sprintf(" and wants no request for %s", e.After.Round(time.Second))
	case e.text != "":
		s += ": " + e.text
	}
	return s
}

// Is sorts the statuses into the errors of this package.
func (e *StatusError) Is(target error) bool {
	switch c := e.Code; {
	case c == http.StatusNotFound:
		return target == ErrUnknown
	case c == http.StatusConflict, c == http.StatusPreconditionFailed:
		return target == ErrConflict
	case c == http.StatusTooManyRequests:
		return target == ErrBusy
	case c == http.StatusTemporaryRedirect, c == http.StatusPermanentRedirect, c >= 400 && c < 500 && c != http.StatusRequestTimeout:
		return target == ErrReadOnly
	}
	// A good answer that wasn't expected, or "see other": it may well be done.
	return target == ErrUnclear || target == ErrBusy && e.After > 0
}

// Do makes the request. An error of a request that may have had an effect is
// ErrUnclear.
func (c *Client) Do(ctx context.Context, r Request) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if wait := c.silence(); wait > 0 {
		return Response{}, fmt.Errorf("%s: %w for another %s", c.host, ErrBusy, wait.Round(time.Second))
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return Response{}, fmt.Errorf("make a request to %s: its method or URL is invalid", c.host)
	}
	if got := req.URL.Scheme + "://" + req.URL.Host; got != c.host {
		return Response{}, fmt.Errorf("make a request to %s: its URL leads elsewhere", c.host)
	}
	if err := c.authorize(req); err != nil {
		return Response{}, err
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", "aftershock")
	resp, err := c.http.Do(req)
	if err != nil {
		what := fmt.Sprintf("%s %s", strings.ToLower(r.Method), c.host)
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" { // nothing was sent
			return Response{}, fmt.Errorf("%s: %w", what, c.plain(ctx, err))
		}
		return Response{}, fmt.Errorf("%s: %w: %w", what, ErrUnclear, c.plain(ctx, err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if err == nil && len(body) > MaxAnswer {
		err = fmt.Errorf("it is larger than %d bytes", MaxAnswer)
	}
	if !good(resp.StatusCode, r.Status) {
		return Response{}, fmt.Errorf("%s %s: %w", strings.ToLower(r.Method), c.host, c.refused(resp, body))
	}
	if err != nil {
		return Response{}, fmt.Errorf("read the answer of %s: %w: %w", c.host, ErrUnclear, c.plain(ctx, err))
	}
	return Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// authorize puts the token into the request.
func (c *Client) authorize(req *http.Request) error {
	if c.tokenFile == "" {
		return nil
	}
	token, err := readToken(c.tokenFile)
	if err != nil {
		return fmt.Errorf("read the token for %s: %w", c.host, err)
	}
	req.Header.Set("Authorization", strings.TrimSpace(c.scheme+" "+token))
	return nil
}

func good(status int, want []int) bool {
	if len(want) == 0 {
		return status >= 200 && status < 300
	}
	for _, w := range want {
		if status == w {
			return true
		}
	}
	return false
}

// refused makes the error of an answer that isn't good. The answer's text isn't
// told, as nobody knows which secrets are in it: only a code that it may have.
func (c *Client) refused(resp *http.Response, body []byte) error {
	e := &StatusError{Code: resp.StatusCode, text: code(body)}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		e.After = retryAfter(resp.Header.Get("Retry-After"), time.Now())
		if e.After == 0 && resp.StatusCode == http.StatusTooManyRequests {
			e.After = time.Second
		}
		c.keepSilent(e.After)
	case http.StatusUnauthorized, http.StatusForbidden:
		e.text = "look at the credentials and what they may do"
	}
	return e
}

var codeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z_.-]{2,39}$`)

// code is the word by which an API names its error ("Conflict",
// "invalid_request"), "" where there is none.
func code(body []byte) string {
	var named struct {
		Reason, Code, Name any
	}
	if json.Unmarshal(body, &named) != nil {
		return ""
	}
	for _, c := range []any{named.Reason, named.Code, named.Name} {
		if word, ok := c.(string); ok && codeForm.MatchString(word) {
			return word
		}
	}
	return ""
}

func (c *Client) silence() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Until(c.notTill)
}

func (c *Client) keepSilent(wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if till := time.Now().Add(wait); till.After(c.notTill) {
		c.notTill = till
	}
}

// plain takes the URL, which may hold a secret, out of an error and names a time
// limit that was hit.
func (c *Client) plain(ctx context.Context, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w within %s", ErrSlow, c.timeout)
	}
	return err
}

// retryAfter reads a Retry-After header, in seconds or as a date.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// CheckURL says what is wrong with a URL of the configuration, without repeating
// it: it may hold a secret.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return errors.New("missing")
	case err != nil:
		return errors.New("is no URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("needs the scheme http or https, and a host")
	case u.User != nil:
		return errors.New("holds credentials: put them into a file")
	}
	return nil
}

// Transport makes requests with the client's credentials and TLS, but none of its
// other bounds, for libraries that have their own. It follows no redirect.
func (c *Client) Transport() http.RoundTripper { return transport{c} }

type transport struct{ client *Client }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if got := req.URL.Scheme + "://" + req.URL.Host; got != t.client.host {
		return nil, fmt.Errorf("make a request to %s: its URL leads elsewhere", t.client.host)
	}
	req = req.Clone(req.Context())
	if err := t.client.authorize(req); err != nil {
		return nil, err
	}
	return t.client.http.Transport.RoundTrip(req)
}
