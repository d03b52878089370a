// Package ofrep is an OpenFeature provider for servers that speak the
// OpenFeature Remote Evaluation Protocol (OFREP), such as Aftershock's own
// switchboard.
//
// It evaluates one flag a request, since the evaluation context of a server
// differs from call to call. A request and its answer are bounded in size and
// time, every failure is one of OpenFeature's error codes, and the metadata,
// the variant and the reason arrive as the server sent them. It needs nothing
// but the OpenFeature SDK and the standard library, so that services can import
// it without taking on more.
package ofrep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
)

// Name is the provider's name in OpenFeature's metadata.
const Name = "ofrep"

// staleReason is OpenFeature's reason for a value that may be out of date; the
// SDK has no constant for it.
const staleReason openfeature.Reason = "STALE"

// Config says which server to ask and how.
type Config struct {
	// BaseURL is the server, without /ofrep/v1: "http://127.0.0.1:8787".
	BaseURL string
	// HTTPClient makes the requests; nil means a client of the provider's own.
	HTTPClient *http.Client
	// Timeout bounds one evaluation, 2 s if 0.
	Timeout time.Duration
	// CacheTTL is how long an answer is used again for the same flag and
	// context. 0 asks the server each time.
	CacheTTL time.Duration
	// StaleTTL is how long an answer may still be used, with the reason STALE,
	// after CacheTTL when the server can't be reached. 0 gives the code's
	// default at once.
	StaleTTL time.Duration
	// Poll is how often the server is asked whether its flags changed. A change
	// drops the cache and raises PROVIDER_CONFIGURATION_CHANGED; a server that
	// doesn't answer raises PROVIDER_STALE. 0 doesn't ask.
	Poll time.Duration
	// Headers are sent with each request.
	Headers http.Header
	// Token is sent as a bearer token, if not empty.
	Token string
}

// Provider implements openfeature.FeatureProvider, ContextAwareStateHandler and
// EventHandler. Its methods may be called concurrently.
type Provider struct {
	base     string
	client   *http.Client
	timeout  time.Duration
	cacheTTL time.Duration
	staleTTL time.Duration
	poll     time.Duration
	headers  http.Header
	events   chan openfeature.Event
	cache    *cache

	mu      sync.Mutex
	notTill time.Time // the server asked for silence until then (429)
	stop    context.CancelFunc
	done    chan struct{}
}

var (
	_ openfeature.FeatureProvider          = (*Provider)(nil)
	_ openfeature.ContextAwareStateHandler = (*Provider)(nil)
	_ openfeature.EventHandler             = (*Provider)(nil)
)

// New returns a provider for the server at c.BaseURL. It makes no request.
func New(c Config) (*Provider, error) {
	u, err := url.Parse(c.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("read base URL of OFREP server: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("read base URL of OFREP server: %q is no http(s) URL with a host", u.Redacted())
	}
	for name, d := range map[string]time.Duration{"Timeout": c.Timeout, "CacheTTL": c.CacheTTL, "StaleTTL": c.StaleTTL, "Poll": c.Poll} {
		if d < 0 {
			return nil, fmt.Errorf("read OFREP provider's config: %s is negative (%s)", name, d)
		}
	}
	p := &Provider{
		base:     strings.TrimRight(c.BaseURL, "/"),
		client:   c.HTTPClient,
		timeout:  c.Timeout,
		cacheTTL: c.CacheTTL,
		staleTTL: c.StaleTTL,
		poll:     c.Poll,
		headers:  c.Headers.Clone(),
		events:   make(chan openfeature.Event, 16),
		cache:    newCache(),
	}
	if p.client == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		// Many goroutines of a service evaluate at once against one server.
		t.MaxIdleConnsPerHost = 32
		p.client = &http.Client{Transport: t}
	}
	if p.timeout == 0 {
		p.timeout = 2 * time.Second
	}
	if p.headers == nil {
		p.headers = http.Header{}
	}
	if c.Token != "" {
		p.headers.Set("Authorization", "Bearer "+c.Token)
	}
	return p, nil
}

// Metadata returns the provider's name.
func (p *Provider) Metadata() openfeature.Metadata { return openfeature.Metadata{Name: Name} }

// Hooks returns none.
func (p *Provider) Hooks() []openfeature.Hook { return nil }

// BooleanEvaluation evaluates a flag whose value is a boolean.
func (p *Provider) BooleanEvaluation(ctx context.Context, flag string, defaultValue bool, flat openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flat, "a boolean", func(raw json.RawMessage) (v bool, err error) {
		return v, json.Unmarshal(raw, &v)
	})
}

// StringEvaluation evaluates a flag whose value is a string.
func (p *Provider) StringEvaluation(ctx context.Context, flag string, defaultValue string, flat openfeature.FlattenedContext) openfeature.StringResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flat, "a string", func(raw json.RawMessage) (v string, err error) {
		return v, json.Unmarshal(raw, &v)
	})
}

// FloatEvaluation evaluates a flag whose value is a number.
func (p *Provider) FloatEvaluation(ctx context.Context, flag string, defaultValue float64, flat openfeature.FlattenedContext) openfeature.FloatResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flat, "a number", func(raw json.RawMessage) (v float64, err error) {
		return v, json.Unmarshal(raw, &v)
	})
}

// IntEvaluation evaluates a flag whose value is a whole number.
func (p *Provider) IntEvaluation(ctx context.Context, flag string, defaultValue int64, flat openfeature.FlattenedContext) openfeature.IntResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flat, "a whole number", parseInt)
}

// ObjectEvaluation evaluates a flag with a value of any JSON type, as
// encoding/json decodes it into an interface.
func (p *Provider) ObjectEvaluation(ctx context.Context, flag string, defaultValue any, flat openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	return resolve(ctx, p, flag, defaultValue, flat, "a JSON value", func(raw json.RawMessage) (v any, err error) {
		return v, json.Unmarshal(raw, &v)
	})
}

// resolve evaluates the flag and decodes its value; kind names the type for
// people.
func resolve[T any](ctx context.Context, p *Provider, flag string, defaultValue T, flat openfeature.FlattenedContext, kind string,
	decode func(json.RawMessage) (T, error),
) openfeature.GenericResolutionDetail[T] {
	fail := func(e openfeature.ResolutionError, metadata openfeature.FlagMetadata) openfeature.GenericResolutionDetail[T] {
		return openfeature.GenericResolutionDetail[T]{
			Value: defaultValue,
			ProviderResolutionDetail: openfeature.ProviderResolutionDetail{
				ResolutionError: e, Reason: openfeature.ErrorReason, FlagMetadata: metadata,
			},
		}
	}
	a, err := p.evaluate(ctx, flag, flat)
	if err != nil {
		var f *failure
		if errors.As(err, &f) {
			return fail(f.resolution(), f.metadata)
		}
		return fail(openfeature.NewGeneralResolutionError(err.Error(), err), nil)
	}
	detail := openfeature.ProviderResolutionDetail{Reason: a.reason, Variant: a.variant, FlagMetadata: a.metadata}
	if len(a.value) == 0 || string(a.value) == "null" {
		// OFREP: no value means that the code's default applies (a disabled flag,
		// or one without a default variant).
		return openfeature.GenericResolutionDetail[T]{Value: defaultValue, ProviderResolutionDetail: detail}
	}
	v, err := decode(a.value)
	if err != nil {
		return fail(openfeature.NewTypeMismatchResolutionError(
			fmt.Sprintf("read value of flag %q: the server's value isn't %s", flag, kind)), a.metadata)
	}
	return openfeature.GenericResolutionDetail[T]{Value: v, ProviderResolutionDetail: detail}
}

// parseInt reads whole numbers in any form that JSON allows for them (3, 3.0,
// 3e2).
func parseInt(raw json.RawMessage) (int64, error) {
	if v, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return v, nil
	}
	var f float64
	if err := json.Unmarshal(raw, &f); err != nil {
		return 0, err
	}
	// Beyond 2^53 a float64 no longer tells neighbouring whole numbers apart.
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, fmt.Errorf("read whole number: %s isn't one", raw)
	}
	return int64(f), nil
}
