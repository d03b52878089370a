package unleash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/open-feature/go-sdk/openfeature"

	"aftershock/flags/remote"
)

// Provider is an OpenFeature provider over Unleash's frontend API. A flag's value
// is its variant's payload, or whether it's on where there is no variant. It asks
// the server each time.
type Provider struct {
	url    string
	client *remote.Client
}

var _ openfeature.FeatureProvider = (*Provider)(nil)

// NewProvider returns a provider for the frontend API. It makes no request.
func NewProvider(c Frontend) (*Provider, error) {
	client, err := remote.NewClient(c.HTTP, c.URL, "")
	if err != nil {
		return nil, err
	}
	return &Provider{url: strings.TrimRight(c.URL, "/") + "/api/frontend", client: client}, nil
}

// Metadata returns the provider's name.
func (p *Provider) Metadata() openfeature.Metadata { return openfeature.Metadata{Name: "unleash"} }

// Hooks returns none.
func (p *Provider) Hooks() []openfeature.Hook { return nil }

// toggle is what the frontend API says of a flag that is on.
type toggle struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	Variant struct {
		Name    string   `json:"name"`
		Enabled bool     `json:"enabled"`
		Payload *payload `json:"payload"`
	} `json:"variant"`
}

// evaluate returns a flag's variant and value. Those that are off, and those that
// don't exist, aren't in the answer.
func (p *Provider) evaluate(ctx context.Context, flag string, flat openfeature.FlattenedContext) (variant string, value json.RawMessage, err error) {
	q := url.Values{}
	for name, v := range flat {
		switch text := fmt.Sprint(v); name {
		case openfeature.TargetingKey:
			q.Set("userId", text)
		case "userId", "sessionId", "remoteAddress", "appName", "environment", "currentTime":
			q.Set(name, text)
		default:
			q.Set("properties["+name+"]", text)
		}
	}
	resp, err := p.client.Do(ctx, remote.Request{Method: http.MethodGet, URL: p.url + "?" + q.Encode(), Header: map[string]string{"Accept": "application/json"}})
	if err != nil {
		return "", nil, err
	}
	return parseToggles(resp.Body, flag)
}

func parseToggles(body []byte, flag string) (variant string, value json.RawMessage, err error) {
	var got struct {
		Toggles *[]toggle `json:"toggles"`
	}
	if err := json.Unmarshal(body, &got); err != nil || got.Toggles == nil {
		return "", nil, errors.New("Unleash's answer is no list of toggles") //nolint:staticcheck // a name
	}
	for _, t := range *got.Toggles {
		switch {
		case t.Name != flag || !t.Enabled:
			continue
		case !t.Variant.Enabled:
			return on, json.RawMessage("true"), nil
		case t.Variant.Payload == nil:
			return t.Variant.Name, json.RawMessage("true"), nil
		}
		return t.Variant.Name, t.Variant.Payload.value(), nil
	}
	return off, json.RawMessage("false"), nil
}

func resolve[T any](ctx context.Context, p *Provider, flag string, preset T, flat openfeature.FlattenedContext) openfeature.GenericResolutionDetail[T] {
	fail := func(e openfeature.ResolutionError) openfeature.GenericResolutionDetail[T] {
		return openfeature.GenericResolutionDetail[T]{Value: preset, ProviderResolutionDetail: openfeature.ProviderResolutionDetail{
			ResolutionError: e, Reason: openfeature.ErrorReason,
		}}
	}
	variant, raw, err := p.evaluate(ctx, flag, flat)
	if err != nil {
		return fail(openfeature.NewGeneralResolutionError(fmt.Sprintf("evaluate flag %q: %v", flag, err)))
	}
	var value T
	if err := json.Unmarshal(raw, &value); err != nil {
		return fail(openfeature.NewTypeMismatchResolutionError(fmt.Sprintf("read value of flag %q: it has another type", flag)))
	}
	reason := openfeature.TargetingMatchReason
	if variant == off {
		reason = openfeature.DisabledReason
	}
	return openfeature.GenericResolutionDetail[T]{Value: value, ProviderResolutionDetail: openfeature.ProviderResolutionDetail{
		Variant: variant, Reason: reason,
	}}
}

// BooleanEvaluation evaluates a flag whose value is a boolean.
func (p *Provider) BooleanEvaluation(ctx context.Context, flag string, preset bool, flat openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	return resolve(ctx, p, flag, preset, flat)
}

// StringEvaluation evaluates a flag whose value is a string.
func (p *Provider) StringEvaluation(ctx context.Context, flag, preset string, flat openfeature.FlattenedContext) openfeature.StringResolutionDetail {
	return resolve(ctx, p, flag, preset, flat)
}

// FloatEvaluation evaluates a flag whose value is a number.
func (p *Provider) FloatEvaluation(ctx context.Context, flag string, preset float64, flat openfeature.FlattenedContext) openfeature.FloatResolutionDetail {
	return resolve(ctx, p, flag, preset, flat)
}

// IntEvaluation evaluates a flag whose value is a whole number.
func (p *Provider) IntEvaluation(ctx context.Context, flag string, preset int64, flat openfeature.FlattenedContext) openfeature.IntResolutionDetail {
	return resolve(ctx, p, flag, preset, flat)
}

// ObjectEvaluation evaluates a flag whose value is any JSON.
func (p *Provider) ObjectEvaluation(ctx context.Context, flag string, preset any, flat openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	return resolve(ctx, p, flag, preset, flat)
}
