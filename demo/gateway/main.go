// Command gateway is the shop's front door: it takes customers' requests and
// passes them on.
package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"aftershock/demo/fleet"
)

func main() {
	fleet.Main(fleet.Program{Service: "gateway", Binary: "dten-gateway", Version: "4.1.3"}, func(s *fleet.Service) error {
		pass := func(route, service, to string) {
			fleet.Handle(s, route, func(ctx context.Context, h http.Header, in json.RawMessage) (any, error) {
				fleet.Work(ctx, 10*time.Millisecond, 0.7) // check the session
				if s.Features.Bool(ctx, "gateway-trace-headers", false) {
					h.Set("X-Served-By", s.Instance)
				}
				var out json.RawMessage
				err := s.Peers.Call(ctx, service, to, in, &out)
				return out, err
			})
		}
		pass("/checkout", "checkout", "/checkout")
		pass("/cart", "checkout", "/cart")
		pass("/catalog", "catalog", "/items")
		return nil
	})
}
