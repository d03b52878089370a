package backends

import (
	"fmt"
	"net/http"

	"github.com/open-feature/go-sdk/openfeature"

	"aftershock/flags/ofrep"
	"aftershock/flags/remote"
)

// Endpoint is where a backend's flags can be evaluated over OFREP.
type Endpoint struct {
	// URL is the server, without /ofrep/v1.
	URL         string `yaml:"url"`
	remote.HTTP `yaml:",inline"`
}

// SetDefaults fills in what was left out.
func (e *Endpoint) SetDefaults() { e.HTTP.SetDefaults() }

// Validate names each problem with its path in the configuration.
func (e *Endpoint) Validate(path string) []error {
	errs := e.HTTP.Validate(path)
	if err := remote.CheckURL(e.URL); err != nil {
		errs = append(errs, fmt.Errorf("%s.url: %w", path, err))
	}
	return errs
}

// provider makes an OpenFeature provider that asks the server each time.
func (e *Endpoint) provider() (openfeature.FeatureProvider, error) {
	c, err := remote.NewClient(e.HTTP, e.URL, "Bearer")
	if err != nil {
		return nil, err
	}
	return ofrep.New(ofrep.Config{BaseURL: e.URL, HTTPClient: &http.Client{Transport: c.Transport()}, Timeout: e.Timeout})
}
