package promapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	firstPause = 250 * time.Millisecond
	// maxPause also bounds what a Retry-After header may ask for.
	maxPause = 15 * time.Second
	// maxErrorBody is how much of a refusal is read for its words.
	maxErrorBody  = 4 << 10
	maxErrorWords = 200
)

// failure is a request that didn't work: what the server did, in words for
// people, and what the metric calls it.
type failure struct {
	// outcome is one of the values of the metric's label.
	outcome string
	// status is the HTTP status, 0 where there was none.
	status int
	// text is one line.
	text string
	// again says that the same request may work later.
	again bool
	// after is how long the server asks to wait, 0 where it doesn't.
	after time.Duration
	err   error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

// The outcomes of a request, as aftershock_source_requests_total counts them.
const (
	outcomeOK          = "ok"
	outcomeUnreachable = "unreachable"
	outcomeTimeout     = "timeout"
	outcomeRefused     = "refused"
	outcomeFailed      = "failed"
	outcomeBroken      = "broken"
	outcomeTooMuch     = "too_much"
	outcomeCanceled    = "canceled"
)

// broken is an answer that isn't what it should be. Truncation is worth another
// try; a server that lies will lie again, within the tries there are.
func broken(format string, args ...any) *failure {
	err := fmt.Errorf(format, args...)
	return &failure{outcome: outcomeBroken, again: true, text: oneLine(err.Error()), err: err}
}

// tooMuch is an answer over a bound of the configuration.
func tooMuch(format string, args ...any) *failure {
	err := fmt.Errorf(format, args...)
	return &failure{outcome: outcomeTooMuch, text: oneLine(err.Error()), err: err}
}

// errStop carries an error of the receiver of the series through a request:
// it is returned as it is.
type errStop struct{ error }

func (e errStop) Unwrap() error { return e.error }

// call is one request to the server.
type call struct {
	way    string
	path   string
	form   url.Values
	body   []byte
	header http.Header
	// read consumes a 200 answer.
	read func(resp *http.Response) error
}

// do sends the request until it works, can't work, or has been tried often
// enough. The error says what was asked of which server, in one line.
func (s *Source) do(ctx context.Context, c call) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := s.once(ctx, c)
		var stop errStop
		if errors.As(err, &stop) {
			return stop.error
		}
		fail := s.count(ctx, c.way, err)
		if fail == nil {
			return nil
		}
		// A server that was too slow twice is asked for less, not once more.
		slow := fail.outcome == outcomeTimeout && try >= 2
		if !fail.again || slow || try >= s.config.Tries || ctx.Err() != nil {
			return s.explain(c, try, fail)
		}
		wait := pause/2 + rand.N(pause)
		if fail.after > 0 {
			wait = fail.after
		}
		wait = min(wait, maxPause)
		s.log.WithFields(map[string]any{"way": c.way, "problem": fail.text, "wait": wait.Round(time.Millisecond).String()}).
			Debug("trying a telemetry request again")
		if err := sleep(ctx, wait); err != nil {
			return s.explain(c, try, fail)
		}
		pause *= 2
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (s *Source) explain(c call, tries int, fail *failure) error {
	text := fail.text
	if tries > 1 {
		text += fmt.Sprintf(" (tried %d times)", tries)
	}
	return &failure{
		outcome: fail.outcome, status: fail.status, again: fail.again, err: fail.err,
		text: fmt.Sprintf("read telemetry from %s%s: %s", s.base, c.path, text),
	}
}

// count puts the outcome into the metric.
func (s *Source) count(ctx context.Context, way string, err error) *failure {
	var fail *failure
	switch {
	case err == nil:
		s.requests.WithLabelValues(way, outcomeOK).Inc()
		return nil
	case errors.As(err, &fail):
	default:
		fail = broken("%w", err)
	}
	if ctx.Err() != nil {
		fail = &failure{outcome: outcomeCanceled, text: ctx.Err().Error(), err: ctx.Err()}
	}
	s.requests.WithLabelValues(way, fail.outcome).Inc()
	return fail
}

// once sends the request one time.
func (s *Source) once(ctx context.Context, c call) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.config.Timeout))
	defer cancel()
	body, kind := c.body, "application/x-protobuf"
	if body == nil {
		body, kind = []byte(c.form.Encode()), "application/x-www-form-urlencoded"
	}
	method, target := http.MethodPost, s.base+c.path
	if c.body == nil && len(body) < 2000 {
		// GET is what every proxy lets through; POST is for long queries.
		method, target, body = http.MethodGet, target+"?"+string(body), nil
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return &failure{outcome: outcomeRefused, text: "make the request: the URL is unusable", err: err}
	}
	req.Header.Set("User-Agent", "aftershock")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", kind)
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return s.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	err = c.read(resp)
	var stop errStop
	if err != nil && !errors.As(err, &stop) && ctx.Err() != nil {
		return s.unreachable(ctx, ctx.Err())
	}
	return err
}

func (s *Source) unreachable(ctx context.Context, err error) *failure {
	// url.Error repeats the URL with its query: only its reason is of use.
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var network net.Error
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout() {
		text := fmt.Sprintf("no complete answer within %s: the server is slow or the time asked for too long", s.config.Timeout)
		return &failure{outcome: outcomeTimeout, again: true, text: text, err: err}
	}
	return &failure{outcome: outcomeUnreachable, again: true, text: oneLine(err.Error()), err: err}
}

// refusal puts an answer other than 200 into words.
func refusal(resp *http.Response) *failure {
	head, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	words := string(head)
	var api struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(head, &api) == nil && api.Error != "" {
		words = api.Error
	} else if strings.Contains(resp.Header.Get("Content-Type"), "html") {
		words = ""
	}
	words = oneLine(words)
	f := &failure{outcome: outcomeRefused, status: resp.StatusCode, text: "the server answers " + strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)}
	if words != "" {
		f.text += ": " + words
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		f.text += " (check http_client's credentials)"
	case resp.StatusCode == http.StatusTooManyRequests:
		f.again = true
	case resp.StatusCode >= 500:
		f.outcome, f.again = outcomeFailed, resp.StatusCode != http.StatusNotImplemented
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		f.after = time.Duration(min(seconds, int(maxPause/time.Second))) * time.Second
	}
	return f
}

// oneLine makes words from outside fit for a log line: control characters and
// runs of blanks become one blank, and there is a bound.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	s = strings.ToValidUTF8(s, "?")
	if runes := []rune(s); len(runes) > maxErrorWords {
		s = string(runes[:maxErrorWords]) + "…"
	}
	return s
}
