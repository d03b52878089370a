// Command catalog knows the shop's items and their prices.
package main

import (
	"context"
	"hash/fnv"
	"net/http"
	"time"

	"aftershock/demo/fleet"
)

// item is one thing on sale.
type item struct {
	Name  string `json:"name"`
	Cents int64  `json:"cents"`
	Stock *int   `json:"stock,omitempty"`
}

func main() {
	fleet.Main(fleet.Program{Service: "catalog", Binary: "dten-catalog", Version: "4.1.3"}, func(s *fleet.Service) error {
		fleet.Handle(s, "/items", func(ctx context.Context, _ http.Header, names []string) (any, error) {
			fleet.Work(ctx, 60*time.Millisecond, 0.7) // search
			items := make([]item, 0, len(names))
			stocks := s.Features.Bool(ctx, "catalog-stock", true)
			for _, n := range names {
				i := item{Name: n, Cents: cents(n)}
				if stocks {
					left := int(i.Cents % 17)
					i.Stock = &left
				}
				items = append(items, i)
			}
			return items, nil
		})
		fleet.Handle(s, "/prices", func(ctx context.Context, _ http.Header, names []string) (any, error) {
			fleet.Work(ctx, 30*time.Millisecond, 0.7)
			var sum int64
			for _, n := range names {
				sum += cents(n)
			}
			return map[string]int64{"cents": sum}, nil
		})
		return nil
	})
}

func cents(name string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // a hash never fails
	return 100 + int64(h.Sum32()%19900)
}
