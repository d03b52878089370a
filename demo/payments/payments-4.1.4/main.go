// Command payments-4.1.4 is dten-payments 4.1.4: beside 4.1.3 it names the
// processor in its receipts, and changes nothing that takes time.
package main

import (
	"context"

	"aftershock/demo/fleet"
	"aftershock/demo/payments"
	"aftershock/demo/payments/backoff"
)

func main() {
	fleet.Main(fleet.Program{Service: "payments", Binary: "dten-payments", Version: "4.1.4"}, func(s *fleet.Service) error {
		legacy := backoff.Legacy()
		return payments.Setup(s, payments.Build{
			Strategy: func(context.Context) backoff.Strategy { return legacy },
			Finish:   func(r *payments.Receipt) { r.Processor = "acme-pay" },
		})
	})
}
