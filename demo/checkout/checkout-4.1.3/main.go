// Command checkout-4.1.3 is dten-checkout 4.1.3.
package main

import (
	"context"
	"net/http"

	"aftershock/demo/checkout"
	"aftershock/demo/fleet"
)

func main() {
	fleet.Main(fleet.Program{Service: "checkout", Binary: "dten-checkout", Version: "4.1.3"}, func(s *fleet.Service) error {
		return checkout.Setup(s, checkout.Build{
			Receipt: func(_ context.Context, _ http.Header, o checkout.Order) any { return o },
		})
	})
}
