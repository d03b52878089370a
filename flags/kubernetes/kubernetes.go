// Package kubernetes toggles flags in a FeatureFlag resource of the OpenFeature
// operator (core.openfeature.dev/v1beta1), over the API server's REST.
//
// It promises that a write happens on the very resource version that was read, or
// not at all: the API server itself compares it.
package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aftershock/flags/flagd"
	"aftershock/flags/remote"
)

// Resource is one FeatureFlag resource. Its methods may be called concurrently.
type Resource struct {
	url    string
	client *remote.Client
}

// New returns the resource of the configuration. It makes no request.
func New(c Config) (*Resource, error) {
	client, err := remote.NewClient(c.HTTP, c.URL, "Bearer")
	if err != nil {
		return nil, err
	}
	return &Resource{
		url: fmt.Sprintf("%s/apis/core.openfeature.dev/v1beta1/namespaces/%s/featureflags/%s",
			strings.TrimRight(c.URL, "/"), url.PathEscape(c.Namespace), url.PathEscape(c.Resource)),
		client: client,
	}, nil
}

// get returns the resource's flags as a document in flagd's format, and its
// version.
func (r *Resource) get(ctx context.Context) (document []byte, version string, err error) {
	resp, err := r.client.Do(ctx, remote.Request{Method: http.MethodGet, URL: r.url, Header: map[string]string{"Accept": "application/json"}})
	if errors.Is(err, remote.ErrUnknown) {
		// It's the resource that isn't there, and that's no answer to which flags are.
		return nil, "", fmt.Errorf("the FeatureFlag resource isn't there, or its kind isn't installed: %v", err)
	}
	if err != nil {
		return nil, "", err
	}
	return parse(resp.Body)
}

func parse(body []byte) (document []byte, version string, err error) {
	var got struct {
		Kind     string `json:"kind"`
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Spec struct {
			FlagSpec json.RawMessage `json:"flagSpec"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return nil, "", errors.New("the API server's answer is no FeatureFlag resource")
	}
	if got.Kind != "FeatureFlag" || got.Metadata.ResourceVersion == "" || len(got.Spec.FlagSpec) == 0 {
		return nil, "", errors.New("the API server's answer is no FeatureFlag resource with a version and a flagSpec")
	}
	return got.Spec.FlagSpec, got.Metadata.ResourceVersion, nil
}

// Keys returns the resource's flags.
func (r *Resource) Keys(ctx context.Context) ([]string, error) {
	document, _, err := r.get(ctx)
	if err != nil {
		return nil, err
	}
	return flagd.Keys(document)
}

// Read returns a flag; the revision is the resource's version.
func (r *Resource) Read(ctx context.Context, flag string) (remote.State, error) {
	document, version, err := r.get(ctx)
	if err != nil {
		return remote.State{}, err
	}
	s, err := flagd.Read(document, flag, time.Now())
	s.Revision = version
	return s, err
}

// Pin wraps the flag's targeting.
func (r *Resource) Pin(definition json.RawMessage, variant string) (json.RawMessage, []string, error) {
	return flagd.Pin(definition, variant)
}

// Write replaces the flag's definition as a whole. A merge patch would merge the
// new targeting rule into the old one.
func (r *Resource) Write(ctx context.Context, flag string, c remote.Change) error {
	pointer := strings.NewReplacer("~", "~0", "/", "~1").Replace(flag)
	body, err := json.Marshal([]map[string]any{
		// With the version in it, the API server refuses a patch of another with 409.
		{"op": "replace", "path": "/metadata/resourceVersion", "value": c.From.Revision},
		{"op": "replace", "path": "/spec/flagSpec/flags/" + pointer, "value": c.To},
	})
	if err != nil {
		return fmt.Errorf("write the patch: %w", err)
	}
	to := r.url + "?fieldManager=aftershock"
	if c.DryRun {
		to += "&dryRun=All"
	}
	_, err = r.client.Do(ctx, remote.Request{
		Method: http.MethodPatch, URL: to, Body: body,
		Header: map[string]string{"Content-Type": "application/json-patch+json", "Accept": "application/json"},
	})
	return err
}
