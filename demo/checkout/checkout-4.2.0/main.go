// Command checkout-4.2.0 is dten-checkout 4.2.0: it writes flat receipts with a
// header that says so, unless the flag checkout-flat-receipts is off.
package main

import (
	"context"
	"fmt"
	"net/http"

	"aftershock/demo/checkout"
	"aftershock/demo/fleet"
)

// flat is the receipt of 4.2: one level, with the sum in words.
type flat struct {
	Order    string   `json:"order"`
	Account  string   `json:"account"`
	Items    []string `json:"items"`
	Total    string   `json:"total"`
	Payment  string   `json:"payment"`
	Attempts int      `json:"attempts"`
}

func main() {
	fleet.Main(fleet.Program{Service: "checkout", Binary: "dten-checkout", Version: "4.2.0"}, func(s *fleet.Service) error {
		return checkout.Setup(s, checkout.Build{
			Receipt: func(ctx context.Context, h http.Header, o checkout.Order) any {
				if !s.Features.Bool(ctx, "checkout-flat-receipts", true) {
					return o
				}
				h.Set("X-Receipt-Format", "2")
				return flat{
					Order: o.ID, Account: o.Cart.Account, Items: o.Cart.Items,
					Total:   fmt.Sprintf("%d.%02d EUR", o.Cents/100, o.Cents%100),
					Payment: o.Payment.ID, Attempts: o.Payment.Attempts,
				}
			},
		})
	})
}
