package main

import (
	"math"
	"testing"
)

func TestPhase(t *testing.T) {
	charge := "payments http_server_request_duration_seconds http_route=/charge"
	third := func(what string) string { return "payments thirdparty_client_" + what + "_total peer=acme-pay" }
	from := sample{charge: 100, charge + " le=0.5": 90, third("requests"): 100, third("retries"): 50}
	to := sample{
		charge: 1100, charge + " le=0.25": 900, charge + " le=0.5": 1078, charge + " le=1": 1099, charge + " le=+Inf": 1100,
		third("requests"): 1100, third("retries"): 150, third("retried_calls"): 40, third("first_attempt_failures"): 30, third("failed_calls"): 10,
	}
	bounds := map[string]float64{}
	got := phase("x", from, to, bounds)
	if bounds[charge] != 0.5 {
		t.Errorf("got bound %v, want 0.5, over which 1.2%% are", bounds[charge])
	}
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"calls", got.Calls, 1000},
		{"retries per call", got.RetriesPerCall, .1},
		{"first failures", got.FirstFailures, .03},
		{"attempts per retried call", got.AttemptsRetried, 3.5},
		{"failed", got.FailedCalls, .01},
		{"tail", got.Tails[0].Share, .012},
		{"tail of a route without traffic", got.Tails[1].Share, 0},
	} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
}

func TestNear(t *testing.T) {
	for _, c := range []struct {
		name                          string
		now, base, worse, calls, many float64
		want                          bool
	}{
		{"as the baseline", .05, .05, .12, 1500, 5000, true},
		{"as the worse", .12, .05, .12, 1500, 5000, false},
		{"between, nearer to the worse", .09, .05, .12, 1500, 5000, false},
		{"few calls can't tell", .09, .05, .12, 50, 5000, true},
		{"no calls are no proof", 0, .05, .12, 0, 5000, false},
		{"an effect within noise", .056, .05, .052, 1500, 5000, true},
	} {
		if got := near(c.now, c.base, c.worse, c.calls, c.many); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestServed(t *testing.T) {
	from := sample{"payments feature_flag_evaluations_total key=f variant=new": 5}
	to := sample{
		"payments feature_flag_evaluations_total key=f variant=new":    7,
		"payments feature_flag_evaluations_total key=f variant=legacy": 4,
		"payments feature_flag_evaluations_total key=g variant=new":    9,
	}
	if it, others := served(from, to, "f", "legacy"); it != 4 || others != 2 {
		t.Errorf("got %v and %v, want 4 and 2", it, others)
	}
}
