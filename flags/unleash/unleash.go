// Package unleash toggles flags of an Unleash server, over its admin API, and
// evaluates them through OpenFeature, over its frontend API.
//
// To serve a variant to everyone, one POST puts a strategy before all others, with
// the whole rollout and that one variant; undo takes it out again, and the others
// were never touched. "off" is the flag switched off in the environment; "on",
// for a flag without variants, lets everyone in.
//
// Unleash can't compare before it swaps: the flag is read right before the write,
// and what somebody does in that moment shows only when it's read back.
package unleash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"aftershock/flags/remote"
)

// Server is one project and environment of an Unleash server. Its methods may be
// called concurrently.
type Server struct {
	base, environment string // base is the project's features
	client            *remote.Client
}

// New returns the server of the configuration. It makes no request.
func New(c Config) (*Server, error) {
	client, err := remote.NewClient(c.HTTP, c.URL, "")
	if err != nil {
		return nil, err
	}
	return &Server{
		base:        strings.TrimRight(c.URL, "/") + "/api/admin/projects/" + url.PathEscape(c.Project) + "/features",
		environment: c.Environment, client: client,
	}, nil
}

func (s *Server) do(ctx context.Context, method, to string, body any) ([]byte, error) {
	r := remote.Request{Method: method, URL: to, Header: map[string]string{"Accept": "application/json"}}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		r.Body, r.Header["Content-Type"] = b, "application/json"
	}
	resp, err := s.client.Do(ctx, r)
	return resp.Body, err
}

func (s *Server) feature(flag string) string {
	return s.base + "/" + url.PathEscape(flag) + "/environments/" + url.PathEscape(s.environment)
}

// Keys returns the project's flags that aren't archived.
func (s *Server) Keys(ctx context.Context) ([]string, error) {
	body, err := s.do(ctx, http.MethodGet, s.base, nil)
	if err != nil {
		return nil, err
	}
	return parseKeys(body)
}

func parseKeys(body []byte) ([]string, error) {
	var got struct {
		Features *[]struct {
			Name string `json:"name"`
		} `json:"features"`
	}
	if err := json.Unmarshal(body, &got); err != nil || got.Features == nil {
		return nil, errors.New("Unleash's answer is no list of features") //nolint:staticcheck // a name
	}
	var keys []string
	for _, f := range *got.Features {
		keys = append(keys, f.Name)
	}
	slices.Sort(keys)
	return keys, nil
}

func (s *Server) get(ctx context.Context, flag string) (definition, error) {
	body, err := s.do(ctx, http.MethodGet, s.feature(flag), nil)
	if err != nil {
		return definition{}, err
	}
	return parse(body, s.environment)
}

// Read returns a flag; the revision is a digest of what the environment has of it.
func (s *Server) Read(ctx context.Context, flag string) (remote.State, error) {
	d, err := s.get(ctx, flag)
	if err != nil {
		return remote.State{}, err
	}
	return d.state()
}

func (d definition) state() (remote.State, error) {
	b, err := json.Marshal(d.plain())
	if err != nil {
		return remote.State{}, fmt.Errorf("write the definition: %w", err)
	}
	state := remote.State{Revision: remote.Digest(b), Definition: b, Variants: d.variants()}
	state.Variant, state.Everyone = d.served()
	return state, nil
}

// Pin puts a strategy for everyone before the others, or switches off.
func (s *Server) Pin(raw json.RawMessage, variant string) (json.RawMessage, []string, error) {
	var d definition
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, nil, fmt.Errorf("read the definition: %w", err)
	}
	next, err := d.pin(variant)
	if err != nil {
		return nil, nil, err
	}
	b, err := json.Marshal(next)
	return b, nil, err
}

// Write makes the flag what c.To says: strategies of ours are added and removed,
// and the environment is switched, in an order in which callers see the old or the
// new and nothing else.
func (s *Server) Write(ctx context.Context, flag string, c remote.Change) error {
	if c.DryRun {
		return fmt.Errorf("%w: Unleash has no dry run", remote.ErrReadOnly)
	}
	var to definition
	if err := json.Unmarshal(c.To, &to); err != nil {
		return fmt.Errorf("read the definition: %w", err)
	}
	now, err := s.get(ctx, flag)
	if err != nil {
		return err
	}
	if state, err := now.state(); err != nil || !remote.Same(state.Definition, c.From.Definition) {
		return errors.Join(remote.ErrConflict, err)
	}
	steps, err := s.steps(flag, now, to)
	if err != nil {
		return err
	}
	for i, step := range steps {
		if _, err := s.do(ctx, step.method, step.url, step.body); err != nil {
			if i > 0 { // whatever it was, the flag isn't what it was before
				return fmt.Errorf("%w: step %d of %d: %v", remote.ErrUnclear, i+1, len(steps), err)
			}
			return err
		}
	}
	return nil
}

type step struct {
	method, url string
	body        any
}

func (s *Server) steps(flag string, now, to definition) ([]step, error) {
	var add, remove []step
	at := s.feature(flag)
	for _, want := range to.Strategies {
		if !slices.ContainsFunc(now.Strategies, func(have strategy) bool { return have.equal(want) }) {
			if !want.ours() {
				return nil, fmt.Errorf("%w: somebody removed or changed a strategy of the flag; only our own can be put back", remote.ErrConflict)
			}
			add = append(add, step{http.MethodPost, at + "/strategies", want})
		}
	}
	for _, have := range now.Strategies {
		if !slices.ContainsFunc(to.Strategies, have.equal) {
			if !have.ours() {
				return nil, fmt.Errorf("%w: somebody added a strategy to the flag; only our own can be removed", remote.ErrConflict)
			}
			remove = append(remove, step{http.MethodDelete, at + "/strategies/" + url.PathEscape(have.ID), nil})
		}
	}
	switch {
	case to.Enabled && !now.Enabled:
		add = append(add, step{http.MethodPost, at + "/on", nil})
	case !to.Enabled && now.Enabled:
		add = append([]step{{http.MethodPost, at + "/off", nil}}, add...)
	}
	return append(add, remove...), nil
}

// equal says whether two strategies are the same but for their identities.
func (s strategy) equal(t strategy) bool {
	s.ID, t.ID = "", ""
	a, errA := json.Marshal(s)
	b, errB := json.Marshal(t)
	return errA == nil && errB == nil && remote.Same(a, b)
}
