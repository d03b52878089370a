// Command payments-4.2.0 is dten-payments 4.2.0: where the hybrid channel isn't enabled
// (dten.hybrid.enable) it falls back to trying again by the strategy that is built in, which
// the flag payments-backoff chooses: the new exponential one as shipped.
package main

import (
	"context"
	"encoding/json"
	"os"
	"sync/atomic"

	"aftershock/demo/fleet"
	"aftershock/demo/payments"
	"aftershock/demo/payments/backoff"
)

const flag = "payments-backoff"

func main() {
	fleet.Main(fleet.Program{Service: "payments", Binary: "dten-payments", Version: "4.2.0"}, func(s *fleet.Service) error {
		c := &chooser{service: s, hybrid: os.Getenv("DTEN_HYBRID_ENABLE") == "true"}
		if !c.hybrid {
			s.Log.WithField("dten.hybrid.enable", false).Warn("the hybrid channel is off; retries fall back to the strategy that is built in")
		}
		return payments.Setup(s, payments.Build{
			Strategy: c.strategy,
			Finish:   func(r *payments.Receipt) { r.Processor = "acme-pay" },
		})
	})
}

// chooser evaluates the flag in every request.
type chooser struct {
	service *fleet.Service
	// hybrid says that the channel is on by which the third party says itself when to try
	// again: there the old strategy does.
	hybrid bool
	last   atomic.Pointer[choice]
}

// choice is what the last value of the flag meant.
type choice struct {
	value    string
	strategy backoff.Strategy
}

// strategy falls back to the legacy one, which is known to be safe, when the
// flag can't be had or makes no sense.
func (c *chooser) strategy(ctx context.Context) backoff.Strategy {
	if c.hybrid {
		return backoff.Legacy()
	}
	value, variant := c.service.Features.Object(ctx, flag, map[string]any{"strategy": "legacy"})
	raw, err := json.Marshal(value)
	if err != nil {
		return backoff.Legacy()
	}
	if last := c.last.Load(); last != nil && last.value == string(raw) {
		return last.strategy
	}
	s, err := backoff.Parse(value)
	if err != nil {
		c.service.Log.WithError(err).WithField("variant", variant).Warn("backoff can't be used; the legacy one is")
		s = backoff.Legacy()
	}
	c.last.Store(&choice{string(raw), s})
	c.service.Log.WithField("variant", variant).WithField("value", string(raw)).Info("backoff chosen")
	return s
}
