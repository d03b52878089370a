package inventory

import (
	"strings"

	"aftershock/upgrades/preflight/version"
)

// State is whether a relation holds.
type State int

// The states.
const (
	// Unknown: the inventory has nothing of the name, or a version that can't be
	// compared.
	Unknown State = iota
	Satisfied
	// Unsatisfied: what the inventory has is of another version.
	Unsatisfied
)

// Satisfied says whether one of several alternatives holds, and what the inventory has of
// them: "libssl3 3.0.9-1". One that the inventory doesn't know may still hold, so that
// Unsatisfied is claimed only where each that is known has another version, and at
// least one is known.
func (inv Inventory) Satisfied(any []version.Relation) (State, string) {
	state := Unknown
	var has []string
	for _, r := range any {
		s, text := inv.holds(r)
		if s == Satisfied {
			return Satisfied, text
		}
		if s == Unsatisfied {
			state = Unsatisfied
		}
		if text != "" {
			has = append(has, text)
		}
	}
	return state, strings.Join(has, ", ")
}

// holds looks at one relation. Where several versions are there, as in a roll-out, each
// must be allowed; of a package that is installed in several versions, one.
func (inv Inventory) holds(r version.Relation) (State, string) {
	state := Unknown
	var has []string
	for _, f := range inv.Find(r.Name) {
		text := strings.TrimSpace(r.Name + " " + f.Version)
		if r.Constraint.Free() {
			return Satisfied, text
		}
		if f.Version == "" {
			continue
		}
		v, err := f.In(r.Constraint.Scheme())
		switch {
		case err != nil:
			continue
		case !r.Constraint.Allows(v):
			has = append(has, text)
			if f.Kind == "package" && state == Satisfied {
				continue
			}
			state = Unsatisfied
		case f.Kind == "package":
			return Satisfied, text
		case state == Unknown:
			state = Satisfied
			has = append(has, text)
		}
	}
	return state, strings.Join(has, " and ")
}

// words says alternatives in words.
func words(any []version.Relation) string {
	var parts []string
	for _, r := range any {
		parts = append(parts, r.String())
	}
	return strings.Join(parts, " or ")
}
