package detector

import (
	"encoding/json"
	"time"
)

// ToggleState is how far a toggle of a feature flag has come.
type ToggleState string

const (
	TogglePlanned   ToggleState = "planned"       // audited, not yet applied
	ToggleWaiting   ToggleState = "waiting"       // planned, waits for somebody's approval
	ToggleApproved  ToggleState = "approved"      // may be applied
	ToggleRejected  ToggleState = "rejected"      // somebody said no
	ToggleLapsed    ToggleState = "lapsed"        // nobody approved it while it was of use
	ToggleApplied   ToggleState = "applied"       // written to the backend
	ToggleVerified  ToggleState = "verified"      // seen through OpenFeature
	ToggleFailed    ToggleState = "failed"        // not applied, or not seen in time
	ToggleRecovered ToggleState = "recovered"     // the indicators came back
	ToggleNoHelp    ToggleState = "not-recovered" // they didn't by the deadline
	ToggleReverted  ToggleState = "reverted"      // somebody put it back
	ToggleUndone    ToggleState = "undone"        // we put it back
)

// TookEffect says whether a toggle in this state changed what is served.
func (s ToggleState) TookEffect() bool {
	switch s {
	case ToggleApplied, ToggleVerified, ToggleRecovered, ToggleNoHelp, ToggleReverted, ToggleUndone:
		return true
	}
	return false
}

// InForce says whether a toggle took effect and still holds.
func (s ToggleState) InForce() bool {
	return s.TookEffect() && s != ToggleReverted && s != ToggleUndone
}

// What happens when a toggle expires.
const (
	ExpiryRemind = "remind" // a person is reminded
	ExpiryUndo   = "undo"   // and the toggle is undone
)

// Approval is one person's consent to a toggle.
type Approval struct {
	Actor  string    `json:"actor"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// Freeze is a state of the kill switch of the automation.
type Freeze struct {
	Frozen bool      `json:"frozen"`
	Actor  string    `json:"actor,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

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
	// OwnValue says that the toggle gives the variant that value.
	OwnValue bool `json:"own_value,omitempty"`
	// Accepts is how many times as many requests over a bound in the tail the person
	// takes as its price, 0 where nothing is: see Acceptance.
	Accepts float64 `json:"accepts,omitempty"`
	// Updated is when the state was reached.
	Updated time.Time `json:"updated"`
	// Applied is when it was written to the backend, zero before that.
	Applied time.Time `json:"applied_at,omitzero"`
	// By is who brought it to this state, where that isn't the actor: who
	// approved, rejected, extended or acknowledged it.
	By string `json:"by,omitempty"`
	// Scope is whom it is for.
	Scope Scope `json:"scope,omitzero"`
	// Expires is when a person is to be reminded of it, zero for never; OnExpiry
	// what happens then, Reminded which reminders have gone out ("soon", "over").
	Expires      time.Time `json:"expires_at,omitzero"`
	OnExpiry     string    `json:"on_expiry,omitempty"`
	Reminded     string    `json:"reminded,omitempty"`
	Acknowledged bool      `json:"acknowledged,omitempty"`
	// Needs is how many people other than the actor have to approve it, until
	// ApproveBy; Approvals are those that did, Emergency why it didn't wait.
	Needs     int        `json:"needs_approvals,omitempty"`
	ApproveBy time.Time  `json:"approve_by,omitzero"`
	Approvals []Approval `json:"approvals,omitempty"`
	Emergency string     `json:"emergency,omitempty"`
	// Held is the digest of the definition that it was planned on: it isn't
	// applied to another one.
	Held string `json:"held,omitempty"`
	// Decision names the decision of the automation that it carries out, "" for
	// a person's.
	Decision string `json:"decision,omitempty"`
}

// Began is when the toggle took effect, or was asked for where it hasn't yet.
func (t Toggle) Began() time.Time {
	if t.Applied.IsZero() {
		return t.At
	}
	return t.Applied
}
