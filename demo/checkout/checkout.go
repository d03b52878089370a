// Package checkout is the service that prices carts and turns them into paid
// orders. Its builds differ in how they write receipts.
package checkout

import (
	"context"
	"net/http"
	"time"

	"aftershock/demo/fleet"
	"aftershock/demo/payments"
)

// Cart is what a customer wants.
type Cart struct {
	Account string   `json:"account"`
	Items   []string `json:"items"`
}

// Order is a priced cart, paid or not.
type Order struct {
	ID      string            `json:"id"`
	Cart    Cart              `json:"cart"`
	Cents   int64             `json:"cents"`
	Payment *payments.Receipt `json:"payment,omitempty"`
}

// Build is what one release does in its own way.
type Build struct {
	// Receipt writes the answer of a paid order.
	Receipt func(ctx context.Context, h http.Header, o Order) any
}

// Setup adds the service's routes.
func Setup(s *fleet.Service, b Build) error {
	fleet.Handle(s, "/cart", func(ctx context.Context, _ http.Header, c Cart) (any, error) {
		o, err := price(ctx, s, c)
		return o, err
	})
	fleet.Handle(s, "/checkout", func(ctx context.Context, h http.Header, c Cart) (any, error) {
		o, err := price(ctx, s, c)
		if err != nil {
			return nil, err
		}
		o.Payment = &payments.Receipt{}
		charge := payments.Charge{Account: c.Account, Order: o.ID, Cents: o.Cents}
		if err := s.Peers.Call(ctx, "payments", "/charge", charge, o.Payment); err != nil {
			return nil, err
		}
		return b.Receipt(ctx, h, o), nil
	})
	return nil
}

func price(ctx context.Context, s *fleet.Service, c Cart) (Order, error) {
	fleet.Work(ctx, 20*time.Millisecond, 0.7) // read the cart
	var prices struct {
		Cents int64 `json:"cents"`
	}
	if err := s.Peers.Call(ctx, "catalog", "/prices", c.Items, &prices); err != nil {
		return Order{}, err
	}
	return Order{ID: c.Account + "-" + time.Now().UTC().Format("150405.000000"), Cart: c, Cents: prices.Cents}, nil
}
