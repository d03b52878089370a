package detector

import (
	"encoding/json"
	"time"
)

// ToggleState is how far a toggle of a feature flag has come.
type ToggleState string

const (
	TogglePlanned   ToggleState = "planned"       // audited, not yet applied
	ToggleApplied   ToggleState = "applied"       // written to the backend
	ToggleVerified  ToggleState = "verified"      // seen through OpenFeature
	ToggleFailed    ToggleState = "failed"        // not applied, or not seen in time
	ToggleRecovered ToggleState = "recovered"     // the indicators came back
	ToggleNoHelp    ToggleState = "not-recovered" // they didn't by the deadline
	ToggleReverted  ToggleState = "reverted"      // somebody put it back
	ToggleUndone    ToggleState = "undone"        // we put it back
)

// Toggle is one act on a feature flag, as the audit keeps it.
type Toggle struct {
	ID   string `json:"id"`
	Flag string `json:"flag"`
	// Before and After are variants.
	Before string    `json:"before"`
	After  string    `json:"after"`
	Reason string    `json:"reason"`
	Actor  string    `json:"actor"`
	At     time.Time `json:"at"`
	// Incident is a reference of the person's, Upgrade the upgrade that the
	// toggle answers, where there is one.
	Incident string      `json:"incident,omitempty"`
	Upgrade  string      `json:"upgrade,omitempty"`
	State    ToggleState `json:"state"`
	// Revision is the backend's revision after the act.
	Revision string `json:"revision,omitempty"`
	// Evidence says what was seen when the state was reached.
	Evidence string `json:"evidence,omitempty"`
	// Value is the value served after the act, as JSON.
	Value json.RawMessage `json:"value,omitempty"`
	// Updated is when the state was reached.
	Updated time.Time `json:"updated"`
}
