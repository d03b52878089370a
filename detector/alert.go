package detector

import "time"

// AlertState is the state of an alert.
type AlertState string

// States of an alert. A pending one may yet fire; one that is over without having
// fired is inactive, and one that fired is resolved then.
const (
	AlertInactive AlertState = "inactive"
	AlertPending  AlertState = "pending"
	AlertFiring   AlertState = "firing"
	AlertResolved AlertState = "resolved"
)

// Fired says whether people were told of the alert.
func (s AlertState) Fired() bool { return s == AlertFiring || s == AlertResolved }

// Alert is one story told to people: the shifts of one upgrade with one cause,
// the root first.
type Alert struct {
	// Key is stable for the life of the alert, so that receivers can drop
	// doubles.
	Key     string `json:"key"`
	Upgrade string `json:"upgrade"`
	// Title is what people call the upgrade, "" where its ID is all that is known.
	Title string     `json:"title,omitempty"`
	State AlertState `json:"state"`
	// Cause is the leading cause of the story.
	Cause Cause `json:"cause"`
	// Root is the verdict that the story is told by, Others those under it.
	Root   Verdict   `json:"root"`
	Others []Verdict `json:"others,omitempty"`
	// Suspects are the binaries of the upgrade as changed, for versions.
	Binaries []Binary `json:"binaries,omitempty"`
	// Flags are the flags that gate something in the blamed binary.
	Flags     []string  `json:"flags,omitempty"`
	StartsAt  time.Time `json:"starts_at"`
	EndsAt    time.Time `json:"ends_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at"`
	// Revision counts the changes of the alert.
	Revision int64 `json:"revision"`
	// Tally is how often people found alerts here false, for those who are told.
	Tally *Tally `json:"tally,omitempty"`
	// Notice is what there is to say where the alert is about a flag or an upgrade's
	// length, not a shift.
	Notice *Notice `json:"notice,omitempty"`
}

// Notice is something that a person has to look at: of a flag, a toggle that expires or
// waits for approval, or what the automation did; of an upgrade, that it takes too long.
type Notice struct {
	// Flag is "" where it is about the upgrade.
	Flag string `json:"flag,omitempty"`
	Text string `json:"text"`
	// Page leads to what it is about, from the daemon's external URL on; "" for the flags.
	Page string `json:"page,omitempty"`
	// Command is what to do about it.
	Command string `json:"command,omitempty"`
}
