package fleet

import (
	"github.com/open-feature/go-sdk/openfeature"
)

func newProvider(url string) (openfeature.FeatureProvider, error) {
	return openfeature.NoopProvider{}, nil
}
