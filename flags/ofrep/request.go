package ofrep

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/open-feature/go-sdk/openfeature"
)

const (
	// maxAnswer and maxContext bound an answer and an evaluation context as
	// JSON, in bytes.
	maxAnswer  = 1 << 20
	maxContext = 256 << 10
	// maxMetadata is the number of metadata entries kept of one flag.
	maxMetadata = 100
	// maxRetryAfter bounds how long a server's Retry-After is obeyed.
	maxRetryAfter = time.Minute
)

// answer is what the server said of one flag.
type answer struct {
	value    json.RawMessage // empty: the code's default applies
	variant  string
	reason   openfeature.Reason
	metadata openfeature.FlagMetadata
}

// failure is an evaluation that gave no answer.
type failure struct {
	code     openfeature.ErrorCode
	detail   string
	err      error
	metadata openfeature.FlagMetadata
	// unreachable says that the server didn't get to evaluate at all.
	unreachable bool
}

func (f *failure) Error() string { return f.detail }
func (f *failure) Unwrap() error { return f.err }

func (f *failure) resolution() openfeature.ResolutionError {
	switch f.code {
	case openfeature.FlagNotFoundCode:
		return openfeature.NewFlagNotFoundResolutionError(f.detail)
	case openfeature.ParseErrorCode:
		return openfeature.NewParseErrorResolutionError(f.detail)
	case openfeature.TypeMismatchCode:
		return openfeature.NewTypeMismatchResolutionError(f.detail)
	case openfeature.TargetingKeyMissingCode:
		return openfeature.NewTargetingKeyMissingResolutionError(f.detail)
	case openfeature.InvalidContextCode:
		return openfeature.NewInvalidContextResolutionError(f.detail)
	case openfeature.ProviderNotReadyCode:
		return openfeature.NewProviderNotReadyResolutionError(f.detail)
	case openfeature.ProviderFatalCode:
		return openfeature.NewProviderFatalResolutionError(f.detail)
	default:
		if f.err == nil {
			return openfeature.NewGeneralResolutionError(f.detail)
		}
		return openfeature.NewGeneralResolutionError(f.detail, f.err)
	}
}

// wire is a single flag's answer in OFREP, whether success or failure.
type wire struct {
	Key          string                     `json:"key"`
	Value        json.RawMessage            `json:"value"`
	Variant      string                     `json:"variant"`
	Reason       string                     `json:"reason"`
	Metadata     map[string]json.RawMessage `json:"metadata"`
	ErrorCode    string                     `json:"errorCode"`
	ErrorDetails string                     `json:"errorDetails"`
}

// evaluate answers from the cache or asks the server. Its errors are *failure.
func (p *Provider) evaluate(ctx context.Context, flag string, flat openfeature.FlattenedContext) (answer, error) {
	if flat == nil {
		flat = openfeature.FlattenedContext{}
	}
	body, err := json.Marshal(map[string]any{"context": flat})
	if err != nil {
		return answer{}, &failure{code: openfeature.InvalidContextCode, detail: "write evaluation context as JSON: " + err.Error()}
	}
	if len(body) > maxContext {
		return answer{}, &failure{
			code:   openfeature.InvalidContextCode,
			detail: fmt.Sprintf("write evaluation context: %d bytes, more than the %d allowed", len(body), maxContext),
		}
	}
	// encoding/json sorts the keys, so equal contexts give equal bytes.
	key := flag + "\x00" + string(body)
	now := time.Now()
	cached, age, have := p.cache.get(key, now)
	if have && age < p.cacheTTL {
		cached.reason = openfeature.CachedReason
		return cached, nil
	}
	a, err := p.ask(ctx, flag, body)
	if err != nil {
		var f *failure
		if have && errors.As(err, &f) && f.unreachable && age < p.cacheTTL+p.staleTTL {
			cached.reason = staleReason
			return cached, nil
		}
		return answer{}, err
	}
	if keep := p.cacheTTL + p.staleTTL; keep > 0 {
		p.cache.put(key, a, now, keep)
	}
	return a, nil
}

// ask makes the request for one flag.
func (p *Provider) ask(ctx context.Context, flag string, body []byte) (answer, error) {
	if wait := p.silence(); wait > 0 {
		return answer{}, &failure{
			code: openfeature.GeneralCode, unreachable: true,
			detail: fmt.Sprintf("evaluate flag %q: the server asked for no requests for another %s", flag, wait.Round(time.Millisecond)),
		}
	}
	status, header, content, err := p.post(ctx, "/ofrep/v1/evaluate/flags/"+url.PathEscape(flag), body, nil)
	if err != nil {
		return answer{}, &failure{
			code: openfeature.GeneralCode, unreachable: true, err: err,
			detail: fmt.Sprintf("evaluate flag %q: %v", flag, err),
		}
	}
	return p.read(flag, status, header, content)
}

// read turns the server's response into an answer or a failure.
func (p *Provider) read(flag string, status int, header http.Header, content []byte) (answer, error) {
	general := func(unreachable bool, format string, args ...any) error {
		return &failure{
			code: openfeature.GeneralCode, unreachable: unreachable,
			detail: fmt.Sprintf("evaluate flag %q: ", flag) + fmt.Sprintf(format, args...),
		}
	}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return answer{}, general(false, "the server refused the credentials (status %d)", status)
	case status == http.StatusTooManyRequests:
		wait := p.obeyRetryAfter(header.Get("Retry-After"))
		return answer{}, general(true, "the server has too many requests, next one in %s", wait)
	case status >= 500:
		return answer{}, general(true, "the server failed (status %d)", status)
	}
	var w wire
	if err := json.Unmarshal(content, &w); err != nil {
		if status == http.StatusOK {
			return answer{}, &failure{
				code: openfeature.ParseErrorCode, detail: fmt.Sprintf("evaluate flag %q: the server's answer is no OFREP answer", flag),
			}
		}
		return answer{}, general(false, "status %d without an OFREP answer: look at the base URL", status)
	}
	metadata := readMetadata(w.Metadata)
	if status != http.StatusOK || w.ErrorCode != "" {
		code := openfeature.ErrorCode(w.ErrorCode)
		if code == "" {
			code = openfeature.GeneralCode
		}
		detail := cut(w.ErrorDetails, 500)
		if detail == "" {
			detail = fmt.Sprintf("evaluate flag %q: the server answered %s (status %d)", flag, cut(string(code), 50), status)
		}
		return answer{}, &failure{code: code, detail: detail, metadata: metadata}
	}
	if w.Key != "" && w.Key != flag {
		return answer{}, general(false, "the server answered for flag %q", cut(w.Key, 100))
	}
	reason := openfeature.Reason(w.Reason)
	if reason == "" {
		reason = openfeature.UnknownReason
	}
	return answer{value: w.Value, variant: w.Variant, reason: reason, metadata: metadata}, nil
}

// post sends a JSON body and reads the bounded answer.
func (p *Provider) post(ctx context.Context, path string, body []byte, header http.Header) (int, http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	for _, h := range []http.Header{p.headers, header} {
		for name, values := range h {
			req.Header[name] = values
		}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := p.client.Do(req)
	if err != nil {
		// The URL in *url.Error may hold more than people should read in a log.
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return 0, nil, nil, fmt.Errorf("reach OFREP server at %s: %w", req.URL.Host, err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("read answer of OFREP server at %s: %w", req.URL.Host, err)
	}
	if len(content) > maxAnswer {
		return 0, nil, nil, fmt.Errorf("read answer of OFREP server at %s: more than %d bytes", req.URL.Host, maxAnswer)
	}
	return res.StatusCode, res.Header, content, nil
}

// silence is how long the server wants to be left alone, 0 if it doesn't.
func (p *Provider) silence() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.notTill)
}

// obeyRetryAfter notes until when no requests are made and returns how long
// that is: one second where the server doesn't say.
func (p *Provider) obeyRetryAfter(header string) time.Duration {
	wait := time.Second
	if s, err := strconv.Atoi(strings.TrimSpace(header)); err == nil && s >= 0 {
		wait = min(time.Duration(min(s, 3600))*time.Second, maxRetryAfter)
	} else if at, err := http.ParseTime(header); err == nil {
		wait = min(max(time.Until(at), 0), maxRetryAfter)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if till := time.Now().Add(wait); till.After(p.notTill) {
		p.notTill = till
	}
	return wait
}

// readMetadata keeps what OpenFeature allows in metadata: booleans, strings and
// numbers (int64 where whole, else float64).
func readMetadata(raw map[string]json.RawMessage) openfeature.FlagMetadata {
	metadata := openfeature.FlagMetadata{}
	for name, r := range raw {
		if len(metadata) == maxMetadata {
			break
		}
		var v any
		if json.Unmarshal(r, &v) != nil {
			continue
		}
		switch v := v.(type) {
		case bool, string:
			metadata[name] = v
		case float64:
			metadata[name] = v
			if i, err := parseInt(r); err == nil {
				metadata[name] = i
			}
		}
	}
	return metadata
}

// cut shortens s to at most n bytes at a rune's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
