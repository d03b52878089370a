package webtest

import (
	"context"
	"math"
	"time"

	"aftershock/detector"
	"aftershock/detector/hist"
	"aftershock/flags"
)

// tunes says what the variants of payments-backoff stand for.
func tunes() *flags.Tunes {
	return &flags.Tunes{Service: "payments", Peer: "acme-pay", Since: "4.2.0", Constants: map[string]map[string]any{
		"legacy": {"strategy": "linear", "base_ms": 20, "max_attempts": 3},
		"new":    {"base_ms": 100, "cap_ms": 5000, "factor": 2, "jitter": 0.5, "max_attempts": 6},
		"tuned":  {"base_ms": 40, "cap_ms": 200, "factor": 2, "jitter": 0.2, "max_attempts": 3},
	}}
}

// past is an hour of the old build, in which four calls of a hundred fail at first
// and three at last.
func past(_ context.Context, service, peer string, _ time.Duration, yield func(detector.Frame) error) error {
	of := map[string]string{"service": service, "peer": peer}
	retry, took := Indicator(detector.Retry, "client_retries_total"), Indicator(detector.Latency, "client_attempt_duration_seconds")
	retry.Labels, took.Labels = of, of
	end := time.Now().Truncate(time.Minute)
	for n := range 60 {
		k := float64(n % 3)
		err := yield(detector.Frame{Time: end.Add(time.Duration(n-60) * time.Minute), Step: time.Minute, Points: []detector.Point{
			{Indicator: &retry, Version: "4.1.0", Total: 1000, Bad: 74 + k, FirstFailures: 39 + k, Retried: 39 + k, Failed: 30, CountsFailed: true},
			{Indicator: &took, Version: "4.1.0", Hist: hist.Histogram{Bounds: []float64{0.05, 0.1, 0.2, 1, math.Inf(1)}, Counts: []float64{300, 500, 150, 80 + k, 2}}},
		}})
		if err != nil {
			return err
		}
	}
	return nil
}
