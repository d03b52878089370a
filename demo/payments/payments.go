// Package payments is the service that charges customers through the third
// party acme-pay. Its builds differ in the strategy by which they try again.
package payments

import (
	"context"
	"net/http"
	"time"

	"aftershock/demo/fleet"
	"aftershock/demo/payments/backoff"
)

// Charge is what a charge asks for.
type Charge struct {
	Account string `json:"account"`
	Order   string `json:"order"`
	Cents   int64  `json:"cents"`
}

// Receipt is what a charge answers.
type Receipt struct {
	ID        string `json:"id"`
	Cents     int64  `json:"cents"`
	Attempts  int    `json:"attempts"`
	Processor string `json:"processor,omitempty"`
}

// Build is what one release does in its own way.
type Build struct {
	// Strategy chooses the backoff of one call.
	Strategy func(ctx context.Context) backoff.Strategy
	// Finish may add to the receipt.
	Finish func(*Receipt)
}

// Setup adds the service's routes.
func Setup(s *fleet.Service, b Build) error {
	acme := newAcme(s)
	fleet.Handle(s, "/charge", func(ctx context.Context, _ http.Header, c Charge) (any, error) {
		fleet.Work(ctx, 20*time.Millisecond, 0.6) // look up the account
		r, err := acme.charge(ctx, b.Strategy(ctx), c)
		if err != nil {
			return nil, &fleet.StatusError{Code: http.StatusBadGateway, Message: err.Error()}
		}
		if b.Finish != nil {
			b.Finish(r)
		}
		return r, nil
	})
	return nil
}
