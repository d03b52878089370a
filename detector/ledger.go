package detector

import (
	"encoding/hex"
	"hash/fnv"
	"time"
)

// States of a chore in the clean-up ledger.
const (
	ChoreOpen = "open" // somebody has to see to it
	ChoreDone = "done" // it is gone
	ChoreKept = "kept" // somebody decided that it stays
)

// LedgerEntry is a chore of an upgrade as the clean-up ledger has it.
type LedgerEntry struct {
	ID      string `json:"id"`
	Upgrade string `json:"upgrade"`
	Chore
	State string `json:"state"`
	// From says where the chore comes from: a finding with its place, a toggle, or a person.
	From string `json:"from,omitempty"`
	// Foreseen is the finding of the package's inspection that came true with the chore, in
	// words; "" where none did.
	Foreseen string `json:"foreseen,omitempty"`
	// At is when the entry changed last, Actor by whom, Note what they said.
	At    time.Time `json:"at"`
	Actor string    `json:"actor,omitempty"`
	Note  string    `json:"note,omitempty"`
	// Found is what the probe found last, and ProbedAt when it found that first.
	Found    string    `json:"found,omitempty"`
	ProbedAt time.Time `json:"probed_at,omitzero"`
}

// Overdue says whether the chore is open after its due date.
func (e LedgerEntry) Overdue(now time.Time) bool {
	return e.State == ChoreOpen && !e.Due.IsZero() && now.After(e.Due)
}

// ChoreID is the ID of an upgrade's chore: the same chore has the same.
func ChoreID(kind, name string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(kind + "\xff" + name)) // never fails
	return hex.EncodeToString(h.Sum(nil))[:8]
}

// ChoreCount is how the clean-up ledger of some upgrades stands.
type ChoreCount struct {
	Open    int `json:"open"`
	Overdue int `json:"overdue"`
	Done    int `json:"done"`
	Kept    int `json:"kept"`
}

// CountChores counts the entries as they stand at an instant.
func CountChores(all []LedgerEntry, now time.Time) (c ChoreCount) {
	for _, e := range all {
		switch e.State {
		case ChoreOpen:
			c.Open++
		case ChoreDone:
			c.Done++
		case ChoreKept:
			c.Kept++
		}
		if e.Overdue(now) {
			c.Overdue++
		}
	}
	return c
}
