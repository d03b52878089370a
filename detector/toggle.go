package detector

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
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
	// MayLose are indicators that an upgrade improved and that a binary which the flag
	// gates is behind, as they stood when the toggle was planned: the strongest first, at
	// most MaxGains.
	MayLose []Gain `json:"may_lose,omitempty"`
	// ReplacedBy is the toggle that lies over this one, so that nobody gets what it set
	// until that is undone; nil where none does. It isn't in the audit, but follows from it.
	ReplacedBy *Replacement `json:"replaced_by,omitempty"`
}

// Replacement is a toggle that lies over another, and what it set.
type Replacement struct {
	Toggle  string `json:"toggle"`
	Variant string `json:"variant"`
}

// MaxGains bounds what a plan names as what may be lost.
const MaxGains = 10

// Gain is an indicator that an upgrade improved.
type Gain struct {
	Upgrade   string    `json:"upgrade"`
	Indicator Indicator `json:"indicator"`
	// Effect is the improvement, nil where its size isn't known.
	Effect *Effect `json:"effect,omitempty"`
	// Binary is what it is put down to, with that probability, 0..1.
	Binary      string  `json:"binary"`
	Probability float64 `json:"probability"`
	// Since is when it was found.
	Since time.Time `json:"since"`
}

// Undoing begins the evidence of an undo, followed by the toggle that it took back.
const Undoing = "undoes "

// Undoes says whether the toggle is an undo of another.
func (t Toggle) Undoes() bool { return strings.HasPrefix(t.Evidence, Undoing) }

// Proposal says whether the automation planned the toggle and people decide on it.
func (t Toggle) Proposal() bool { return t.Decision != "" && t.Needs > 0 }

// Replaced fills in which toggles of a flag lie over which. The toggles are of any flags
// in any order, each in its latest state; where some are missing, so are those that they
// replaced.
func Replaced(toggles []Toggle) []Toggle {
	order := make([]int, 0, len(toggles))
	for n, t := range toggles {
		if t.State.InForce() && !t.Undoes() {
			order = append(order, n)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(toggles[a].Began().Compare(toggles[b].Began()), cmp.Compare(toggles[a].ID, toggles[b].ID))
	})
	out := slices.Clone(toggles)
	for n, at := range order {
		out[at].ReplacedBy = nil
		for _, later := range order[n+1:] {
			if over := toggles[later]; over.Flag == out[at].Flag && over.Scope.Covers(out[at].Scope) {
				out[at].ReplacedBy = &Replacement{over.ID, over.After}
				break
			}
		}
	}
	return out
}

// Began is when the toggle took effect, or was asked for where it hasn't yet.
func (t Toggle) Began() time.Time {
	if t.Applied.IsZero() {
		return t.At
	}
	return t.Applied
}
