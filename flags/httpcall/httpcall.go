// Package httpcall toggles flags of any service that can be asked and told over
// HTTP, by templates of the configuration.
//
// It promises that nothing is put into a request that its template doesn't escape
// or write out itself, that a template with a field that there isn't is refused
// when the configuration is read, and that no request leaves the one server that
// the configuration names.
package httpcall

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"aftershock/flags/remote"
)

// Service is one flag service. Its methods may be called concurrently.
type Service struct {
	config Config
	calls  compiled
	client *remote.Client
	flags  []string
}

// definition is what a toggle changes: the variant, by what the service says of
// it.
type definition struct {
	Variant string          `json:"variant"`
	Reads   json.RawMessage `json:"reads"`
}

// New returns the service of the configuration. A service isn't asked which flags
// it has: they are those that the configuration names.
func New(c Config, flags []string) (*Service, error) {
	calls, err := compile(c)
	if err != nil {
		return nil, err
	}
	client, err := remote.NewClient(c.HTTP, c.Server, "Bearer")
	if err != nil {
		return nil, err
	}
	return &Service{config: c, calls: calls, client: client, flags: slices.Clone(flags)}, nil
}

// Keys returns the flags that the configuration names.
func (s *Service) Keys(context.Context) ([]string, error) { return slices.Clone(s.flags), nil }

// Read asks for the value; the revision is its ETag, or else its digest.
func (s *Service) Read(ctx context.Context, flag string) (remote.State, error) {
	r, err := s.calls.read.fill(s.config.Server, call{Flag: flag}, nil)
	if err != nil {
		return remote.State{}, err
	}
	resp, err := s.client.Do(ctx, r)
	if err != nil {
		return remote.State{}, err
	}
	return s.config.state(resp.Body, resp.Header.Get("ETag"))
}

func (c Config) state(body []byte, etag string) (remote.State, error) {
	raw, err := find(body, c.Pointer)
	if err != nil {
		return remote.State{}, err
	}
	d := definition{Reads: remote.Canonical(raw)}
	state := remote.State{Everyone: true, Variants: map[string]json.RawMessage{}, Revision: etag}
	for name, v := range c.Variants {
		state.Variants[name] = json.RawMessage(v.Value)
		if bytes.Equal(remote.Canonical(json.RawMessage(v.Reads)), d.Reads) {
			d.Variant = name
		}
	}
	state.Variant, state.Everyone = d.Variant, d.Variant != ""
	if state.Definition, err = json.Marshal(d); err != nil {
		return remote.State{}, fmt.Errorf("write the definition: %w", err)
	}
	switch {
	case c.IfMatch && etag == "":
		return remote.State{}, fmt.Errorf("the answer has no ETag, without which the write isn't safe as if_match wants it")
	case etag == "":
		state.Revision = remote.Digest(d.Reads)
	}
	return state, nil
}

// Pin refuses where what is set now couldn't be set again.
func (s *Service) Pin(raw json.RawMessage, variant string) (json.RawMessage, []string, error) {
	var d definition
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, nil, fmt.Errorf("read the definition: %w", err)
	}
	v, ok := s.config.Variants[variant]
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("variant %q is %w", remote.Cut(variant, 100), remote.ErrUnknown)
	case d.Variant == "":
		return nil, nil, fmt.Errorf("%w: what the service has now is none of the declared variants, so that it couldn't be put back", remote.ErrReadOnly)
	}
	to, err := json.Marshal(definition{Variant: variant, Reads: remote.Canonical(json.RawMessage(v.Reads))})
	return to, nil, err
}

// Write sends the variant.
func (s *Service) Write(ctx context.Context, flag string, c remote.Change) error {
	if c.DryRun {
		return fmt.Errorf("%w: the service has no dry run", remote.ErrReadOnly)
	}
	var to definition
	if err := json.Unmarshal(c.To, &to); err != nil {
		return fmt.Errorf("read the definition: %w", err)
	}
	v, ok := s.config.Variants[to.Variant]
	if !ok {
		return fmt.Errorf("%w: variant %q isn't declared any more", remote.ErrReadOnly, remote.Cut(to.Variant, 100))
	}
	now, err := s.Read(ctx, flag)
	if err != nil {
		return err
	}
	if !remote.Same(now.Definition, c.From.Definition) {
		return remote.ErrConflict
	}
	r, err := s.calls.write.fill(s.config.Server, call{
		Flag: flag, Variant: to.Variant, Value: json.RawMessage(v.Value), Toggle: c.Toggle, Reason: c.Comment,
	}, s.calls.bodies[to.Variant])
	if err != nil {
		return err
	}
	if s.config.IfMatch {
		r.Header["If-Match"] = now.Revision
	}
	_, err = s.client.Do(ctx, r)
	return err
}
