// Package backends joins the places beside the switchboard's own definitions
// where flags may live, and opens those that the configuration names.
package backends

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"aftershock/flags/remote"
)

// Client reads and writes the flags of one backend. Its errors are those of the
// package remote, where they fit.
type Client interface {
	// Keys returns the flags that there are.
	Keys(ctx context.Context) ([]string, error)
	// Read returns what the backend has of a flag now.
	Read(ctx context.Context, flag string) (remote.State, error)
	// Pin returns a definition changed so that everyone gets the variant, and
	// doubts about that in words. It makes no request.
	Pin(definition json.RawMessage, variant string) (to json.RawMessage, doubts []string, err error)
	// Write carries out a change, of which c.To was made by Pin or saved from a
	// State. That it returns no error doesn't prove that the flag changed.
	Write(ctx context.Context, flag string, c remote.Change) error
}

// Backend is one opened backend.
type Backend struct {
	Name, Kind string
	// Patterns are the flags that live there: names, or globs as path.Match has
	// them.
	Patterns  []string
	Abilities remote.Abilities
	Client    Client
	// Provider evaluates the backend's flags through OpenFeature; nil where nothing
	// can.
	Provider openfeature.FeatureProvider
	// VerifyTimeout bounds the verification of a toggle, Check is how often a
	// toggled flag is looked at, Refresh how often all are read.
	VerifyTimeout, Check, Refresh time.Duration
}

// Has says whether a flag of that name lives in the backend.
func (b *Backend) Has(flag string) bool {
	return slices.ContainsFunc(b.Patterns, func(p string) bool {
		ok, err := path.Match(p, flag)
		return p == flag || ok && err == nil
	})
}

// Named are the patterns that are names of flags.
func (b *Backend) Named() []string {
	var names []string
	for _, p := range b.Patterns {
		if !strings.ContainsAny(p, `*?[\`) {
			names = append(names, p)
		}
	}
	return names
}
