package detector

import (
	"slices"
	"time"
)

// Mark is what a person says of an alert that fired: whether it was a false alarm.
type Mark struct {
	Alert  string    `json:"alert"`
	False  bool      `json:"false"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// Acknowledgement says that a person looks after an alert.
type Acknowledgement struct {
	Alert  string    `json:"alert"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	// Binary is the binary that was blamed then, Services those that were hit.
	Binary   string   `json:"binary,omitempty"`
	Services []string `json:"services,omitempty"`
}

// Said is what people said last of an alert; nil where nobody did.
type Said struct {
	Mark            *Mark            `json:"mark,omitempty"`
	Acknowledgement *Acknowledgement `json:"acknowledged,omitempty"`
}

// Tally is how often people found the alerts wrong: of all that fired, those that
// are marked, and those of them that are marked as false alarms.
type Tally struct {
	Fired  int `json:"fired"`
	Marked int `json:"marked"`
	False  int `json:"false"`
}

// Acknowledge is the acknowledgement of the alert as it is told now.
func Acknowledge(a Alert, actor, reason string, at time.Time) Acknowledgement {
	k := Acknowledgement{Alert: a.Key, Actor: actor, Reason: reason, At: at, Services: a.Services()}
	if a.Cause.Kind == CauseBinary {
		k.Binary = a.Cause.Name
	}
	return k
}

// Covers says whether the alert is still what was acknowledged: no other binary is
// blamed by name, and no other service is hit.
func (k Acknowledgement) Covers(a Alert) bool {
	if a.Cause.Kind == CauseBinary && a.Cause.Name != k.Binary {
		return false
	}
	for _, s := range a.Services() {
		if !slices.Contains(k.Services, s) {
			return false
		}
	}
	return true
}

// Services are the services that the alert tells of, in order.
func (a Alert) Services() []string {
	all := []string{a.Root.Indicator.Service()}
	for _, v := range a.Others {
		all = append(all, v.Indicator.Service())
	}
	slices.Sort(all)
	return slices.Compact(all)
}
