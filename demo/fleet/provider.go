package fleet

import (
	"fmt"

	"github.com/open-feature/go-sdk/openfeature"

	"aftershock/flags/ofrep"
)

// newProvider evaluates flags at the OFREP server, or nowhere when there is
// none: every flag then has its safe fallback.
func newProvider(url string) (openfeature.FeatureProvider, error) {
	if url == "" {
		return openfeature.NoopProvider{}, nil
	}
	p, err := ofrep.New(ofrep.Config{BaseURL: url, Timeout: fetchTime})
	if err != nil {
		return nil, fmt.Errorf("use AFTERSHOCK_OFREP: %w", err)
	}
	return p, nil
}
