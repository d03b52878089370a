package detector

import "time"

// Coverage is how much telemetry was judged of one hour.
type Coverage struct {
	// Hour is its beginning, UTC.
	Hour time.Time `json:"hour"`
	// Step is the length of a step in seconds: an hour has 3600/Step of them.
	Step float64 `json:"step_seconds"`
	// Steps were judged; in Silent of them most targets didn't answer.
	Steps  int `json:"steps"`
	Silent int `json:"silent,omitempty"`
}
