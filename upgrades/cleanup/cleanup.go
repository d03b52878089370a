// Package cleanup keeps an upgrade's ledger of what has to be cleaned up after it, and
// drafts the plan by which it is rolled back. Both begin with what the inspection of the
// package found; people add to them, and probes tell what is really gone.
package cleanup

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// itself is who changes a chore when nobody did.
const itself = "aftershock"

// World is what there is beside an upgrade: all toggles in their last state, and the
// upgrades that may have come since.
type World struct {
	Toggles []detector.Toggle
	Others  []detector.Upgrade
}

// Drafts are the chores that the upgrade asks for, open and each once: from the findings
// of its package, a flag for each toggle of the upgrade that stands, and the instances that
// were left behind on the old build.
func Drafts(u detector.Upgrade, w World, c Config, now time.Time) []detector.LedgerEntry {
	var out []detector.LedgerEntry
	add := func(chore detector.Chore, from, foreseen string) {
		id := detector.ChoreID(chore.Kind, chore.Name)
		if slices.ContainsFunc(out, func(e detector.LedgerEntry) bool { return e.ID == id }) {
			return
		}
		chore.Owner = cmp.Or(chore.Owner, c.Owner)
		if chore.Due.IsZero() {
			chore.Due = due(u, c)
		}
		out = append(out, detector.LedgerEntry{
			ID: id, Upgrade: u.ID, Chore: chore, State: detector.ChoreOpen, From: from, Foreseen: foreseen, At: now.UTC(), Actor: itself,
		})
	}
	for _, f := range u.Findings {
		from := f.Rule
		if at := f.Place.String(); at != "" {
			from += ", " + at
		}
		for _, chore := range f.Chores {
			add(chore, from, "")
		}
	}
	for _, t := range w.Toggles {
		if t.Upgrade == u.ID && t.State.InForce() {
			add(detector.Chore{
				Kind: "flag", Name: t.Flag, Probe: "flag " + t.Flag,
				What: fmt.Sprintf("%s serves %s since the upgrade; make it the default or put it back", t.Flag, t.After),
			}, "toggle "+t.ID, "")
		}
	}
	for _, l := range u.Leftovers(w.Others, now) {
		chore := leftBehind(l)
		// Where nobody said that the upgrade was to be everywhere, it may be a canary.
		if l.Foreseen == "" && !u.Declared() {
			chore.Due = time.Time{}
		}
		add(chore, "telemetry", l.Foreseen)
	}
	return out
}

// due is when the chores of an upgrade are to be done where nobody said so.
func due(u detector.Upgrade, c Config) time.Time {
	end := u.FinishedAt
	if end.IsZero() {
		end = u.Begins()
	}
	return end.Add(time.Duration(c.Due)).UTC()
}

// Change is what a person says of a chore; empty fields leave it as it is.
type Change struct {
	State string    `json:"state,omitempty"`
	Owner string    `json:"owner,omitempty"`
	Due   time.Time `json:"due,omitzero"`
	Note  string    `json:"note,omitempty"`
	Actor string    `json:"actor,omitempty"`
}

// maxText bounds what a person writes, in bytes.
const maxText = 2000

// Validate says in one line what is wrong with the change.
func (c Change) Validate() error {
	switch {
	case c.State != "" && c.State != detector.ChoreOpen && c.State != detector.ChoreDone && c.State != detector.ChoreKept:
		return fmt.Errorf("state: %.40q is none of open, done, kept", c.State)
	case c.State == detector.ChoreKept && strings.TrimSpace(c.Note) == "":
		return fmt.Errorf("note: missing; say why it stays")
	case c.State == "" && c.Owner == "" && c.Due.IsZero() && c.Note == "":
		return fmt.Errorf("nothing is changed; give a state, an owner, a due date or a note")
	case len(c.Note) > maxText || len(c.Owner) > maxText || len(c.Actor) > maxText:
		return fmt.Errorf("note, owner: at most %d bytes each", maxText)
	}
	return nil
}

// Apply makes the change.
func (c Change) Apply(e detector.LedgerEntry, now time.Time) detector.LedgerEntry {
	e.State, e.Owner = cmp.Or(c.State, e.State), cmp.Or(c.Owner, e.Owner)
	if !c.Due.IsZero() {
		e.Due = c.Due.UTC()
	}
	e.Note, e.Actor, e.At = c.Note, c.Actor, now.UTC()
	return e
}

// ValidateChore says in one line what is wrong with a chore that a person adds.
func ValidateChore(c detector.Chore) error {
	switch {
	case !slices.Contains(detector.ChoreKinds, c.Kind):
		return fmt.Errorf("kind: %.40q is none of %s", c.Kind, strings.Join(detector.ChoreKinds, ", "))
	case strings.TrimSpace(c.Name) == "":
		return fmt.Errorf("name: missing; say what is to go")
	case len(c.Name) > 256 || len(c.What) > maxText || len(c.Owner) > maxText || len(c.Probe) > maxText:
		return fmt.Errorf("name: at most 256 bytes; what, owner, probe: at most %d", maxText)
	}
	if c.Probe != "" {
		if _, _, err := parseProbe(c.Probe); err != nil {
			return err
		}
	}
	return nil
}

// Reminder says in one line which chores of an upgrade are overdue.
func Reminder(upgrade string, overdue []detector.LedgerEntry) string {
	const most = 5
	var names []string
	for _, e := range overdue {
		if len(names) == most {
			names = append(names, fmt.Sprintf("%d more", len(overdue)-most))
			break
		}
		name := e.Kind + " " + words.Name(e.Name)
		if e.Kind == "instance" {
			name = fmt.Sprintf("%s: %s", words.Name(e.Name), words.Line(cmp.Or(e.Found, e.What)))
			if e.Foreseen != "" {
				name += ", foreseen before the upgrade: " + words.Line(e.Foreseen)
			}
		}
		if e.Owner != "" {
			name += " (" + words.Name(e.Owner) + ")"
		}
		names = append(names, name)
	}
	if behind := slices.IndexFunc(overdue, func(e detector.LedgerEntry) bool { return e.Kind != "instance" }) < 0; behind {
		return fmt.Sprintf("Upgrade %s is done, and instances were left behind: %s", words.Name(upgrade), strings.Join(names, "; "))
	}
	noun := "chores are"
	if len(overdue) == 1 {
		noun = "chore is"
	}
	return fmt.Sprintf("After upgrade %s %d %s overdue: %s", words.Name(upgrade), len(overdue), noun, strings.Join(names, ", "))
}
