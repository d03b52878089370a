// Package launchdarkly toggles flags of LaunchDarkly, over its REST API.
//
// A toggle is one semantic patch with the reason as its comment, so that callers
// see the old or the new and nothing between. Rules, individual targets,
// prerequisites and rollouts are never touched: where there are some, targeting is
// switched off, with the wanted variation as the one that is served then.
//
// LaunchDarkly can't compare before it swaps: the flag is read right before the
// write, and what somebody does in that moment shows only when it's read back.
package launchdarkly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"aftershock/flags/remote"
)

const (
	// apiVersion is the version of the API that the answers are read by.
	apiVersion = "20240415"
	// page and pages bound the list of flags.
	page, pages = 100, 10
)

// Environment is one environment of a project. Its methods may be called
// concurrently.
type Environment struct {
	base, key string // base is the project's flags
	client    *remote.Client
}

// New returns the environment of the configuration. It makes no request.
func New(c Config) (*Environment, error) {
	client, err := remote.NewClient(c.HTTP, c.URL, "") // the token stands alone in the header
	if err != nil {
		return nil, err
	}
	return &Environment{
		base: strings.TrimRight(c.URL, "/") + "/api/v2/flags/" + url.PathEscape(c.Project),
		key:  c.Environment, client: client,
	}, nil
}

func (e *Environment) do(ctx context.Context, method, to string, body []byte) ([]byte, error) {
	r := remote.Request{Method: method, URL: to, Body: body, Header: map[string]string{
		"Accept": "application/json", "LD-API-Version": apiVersion,
	}}
	if body != nil {
		r.Header["Content-Type"] = "application/json; domain-model=launchdarkly.semanticpatch"
	}
	resp, err := e.client.Do(ctx, r)
	return resp.Body, err
}

// Keys returns the project's flags, at most the first thousand.
func (e *Environment) Keys(ctx context.Context) ([]string, error) {
	var keys []string
	for n := range pages {
		q := url.Values{"summary": {"true"}, "limit": {strconv.Itoa(page)}, "offset": {strconv.Itoa(n * page)}, "env": {e.key}}
		body, err := e.do(ctx, http.MethodGet, e.base+"?"+q.Encode(), nil)
		if err != nil {
			return nil, err
		}
		more, err := parseKeys(body)
		if err != nil {
			return nil, err
		}
		if keys = append(keys, more...); len(more) < page {
			break
		}
	}
	return keys, nil
}

func parseKeys(body []byte) ([]string, error) {
	var got struct {
		Items *[]struct {
			Key string `json:"key"`
		} `json:"items"`
	}
	if err := json.Unmarshal(body, &got); err != nil || got.Items == nil {
		return nil, errors.New("LaunchDarkly's answer is no list of flags") //nolint:staticcheck // a name
	}
	var keys []string
	for _, f := range *got.Items {
		keys = append(keys, f.Key)
	}
	return keys, nil
}

func (e *Environment) flag(key string) string {
	return e.base + "/" + url.PathEscape(key) + "?env=" + url.QueryEscape(e.key)
}

// Read returns a flag; the revision is the environment's version.
func (e *Environment) Read(ctx context.Context, flag string) (remote.State, error) {
	body, err := e.do(ctx, http.MethodGet, e.flag(flag), nil)
	if err != nil {
		return remote.State{}, err
	}
	return read(body, flag, e.key)
}

func read(body []byte, flag, env string) (remote.State, error) {
	d, revision, err := parse(body, flag, env)
	if err != nil {
		return remote.State{}, err
	}
	s := remote.State{Revision: revision, Variants: map[string]json.RawMessage{}}
	if s.Definition, err = json.Marshal(d); err != nil {
		return remote.State{}, fmt.Errorf("write the definition: %w", err)
	}
	for _, v := range d.Variations {
		s.Variants[v.Name] = v.Value
	}
	s.Variant, s.Everyone = d.served()
	return s, nil
}

// Pin makes everyone get the variation; see the package.
func (e *Environment) Pin(raw json.RawMessage, variant string) (json.RawMessage, []string, error) {
	var d definition
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, nil, fmt.Errorf("read the definition: %w", err)
	}
	next, doubts, err := d.pin(variant)
	if err != nil {
		return nil, nil, err
	}
	b, err := json.Marshal(next)
	return b, doubts, err
}

// Write sends one semantic patch.
func (e *Environment) Write(ctx context.Context, flag string, c remote.Change) error {
	var from, to definition
	if err := errors.Join(json.Unmarshal(c.From.Definition, &from), json.Unmarshal(c.To, &to)); err != nil {
		return fmt.Errorf("read the definition: %w", err)
	}
	now, err := e.Read(ctx, flag)
	if err != nil {
		return err
	}
	if !remote.Same(now.Definition, c.From.Definition) {
		return remote.ErrConflict
	}
	instructions, err := from.instructions(to)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"environmentKey": e.key, "comment": c.Comment, "instructions": instructions})
	if err != nil {
		return fmt.Errorf("write the patch: %w", err)
	}
	at := e.flag(flag)
	if c.DryRun {
		at += "&dryRun=true"
	}
	_, err = e.do(ctx, http.MethodPatch, at, body)
	return err
}
