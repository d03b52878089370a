package main

import (
	"testing"

	"aftershock/bench/fleet"
)

func TestCovariates(t *testing.T) {
	for text, want := range map[string]fleet.Covariates{
		"": {}, "graph,builds": fleet.Usual, "first-attempts": {FirstAttempts: true},
	} {
		if got, err := covariates(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
	}
	if _, err := covariates("graph,moods"); err == nil {
		t.Error("moods are none that telemetry tells")
	}
}
