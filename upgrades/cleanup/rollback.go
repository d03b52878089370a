package cleanup

import (
	"fmt"
	"slices"

	"aftershock/detector"
	"aftershock/detector/words"
)

// Rollback is the plan by which an upgrade is taken back. Lists are never nil.
type Rollback struct {
	Upgrade string `json:"upgrade"`
	// Configuration are the reversions that lose nothing, Data those of the data, each in
	// the order in which they are to be done: the last step of the upgrade first.
	Configuration []detector.Reversion `json:"configuration"`
	Data          []detector.Reversion `json:"data"`
	// NoReturn are the steps after which something can't be had back, in the upgrade's own
	// order: who wants to go back has to do so before the first of them, or restore data.
	NoReturn []detector.Reversion `json:"no_return"`
	// Open says what the plan doesn't know.
	Open []string `json:"open"`
}

// Plan drafts how an upgrade is taken back, from its record, its findings and the toggles
// that stand.
func Plan(u detector.Upgrade, toggles []detector.Toggle) Rollback {
	p := Rollback{Upgrade: u.ID, Configuration: []detector.Reversion{}, Data: []detector.Reversion{}, NoReturn: []detector.Reversion{}, Open: []string{}}
	var all []detector.Reversion
	for _, f := range u.Findings {
		for _, r := range f.Reversions {
			if r.Place == (detector.Place{}) {
				r.Place = f.Place
			}
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, byPlace)
	for _, r := range all {
		if r.Lost != "" {
			p.NoReturn = append(p.NoReturn, r)
		}
	}
	for _, t := range toggles {
		if t.Upgrade == u.ID && t.State.InForce() {
			p.Configuration = append(p.Configuration, detector.Reversion{
				Level: detector.LevelConfiguration, Step: fmt.Sprintf("flag %s went from %s to %s", t.Flag, t.Before, t.After),
				How: "aftershock flags undo " + words.Shell(t.Flag) + " --reason " + words.Shell("roll back "+u.ID),
			})
		}
	}
	for _, r := range slices.Backward(all) {
		if r.Level == detector.LevelData {
			p.Data = append(p.Data, r)
		} else {
			p.Configuration = append(p.Configuration, r)
		}
		if r.How == "" && r.Lost == "" {
			p.Open = append(p.Open, "nobody said how this is undone: "+r.Step)
		}
	}
	for _, b := range slices.Backward(u.Binaries) {
		r := detector.Reversion{Level: detector.LevelConfiguration, Step: words.Versions(b)}
		if b.From == "" {
			p.Open = append(p.Open, "the version that "+words.Name(b.Name)+" had before isn't known")
		} else {
			r.How = "install " + words.Name(b.Name) + " " + words.Clean(b.From, 40) + " again"
		}
		p.Configuration = append(p.Configuration, r)
	}
	if len(u.Findings) == 0 {
		p.Open = append(p.Open, "the package wasn't inspected, so nothing is known of what its scripts and migrations do; run aftershock inspect")
	}
	return p
}

// byPlace is the order of the upgrade's steps: its files by name, which is how migrations
// are numbered, and each from its first line on.
func byPlace(a, b detector.Reversion) int {
	switch {
	case a.Place.File != b.Place.File && a.Place.File < b.Place.File:
		return -1
	case a.Place.File != b.Place.File:
		return 1
	}
	return a.Place.Line - b.Place.Line
}
