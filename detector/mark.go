package detector

import "time"

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
