package detector

import (
	"slices"
	"time"
)

// Fleet is what the telemetry shows of a binary's instances as an upgrade replaces it.
// Nothing is judged by it. It is a still: what it says is said anew, and never changed.
type Fleet struct {
	// Since is when it was first found to be so.
	Since time.Time `json:"since" yaml:"since"`
	// New is how many of those that are there run the new build, Old how many don't.
	New int `json:"new" yaml:"new"`
	Old int `json:"old" yaml:"old"`
	// Born is how many switched by being started anew under a name that nobody had
	// before, Gone how many that were there when it began, or came since, no longer are.
	Born int `json:"born" yaml:"born"`
	Gone int `json:"gone" yaml:"gone"`
	// OldNames, BornNames and GoneNames are the first FleetNames of each by name.
	OldNames  []string `json:"old_names,omitempty" yaml:"old_names,omitempty"`
	BornNames []string `json:"born_names,omitempty" yaml:"born_names,omitempty"`
	GoneNames []string `json:"gone_names,omitempty" yaml:"gone_names,omitempty"`
}

// FleetNames bounds the instances that a Fleet names of each kind.
const FleetNames = 20

// Same says whether the two tell the same instances, whenever that was found.
func (f *Fleet) Same(o *Fleet) bool {
	if f == nil || o == nil {
		return f == o
	}
	return f.New == o.New && f.Old == o.Old && f.Born == o.Born && f.Gone == o.Gone &&
		slices.Equal(f.OldNames, o.OldNames) && slices.Equal(f.BornNames, o.BornNames) && slices.Equal(f.GoneNames, o.GoneNames)
}

// SameOld says whether the two tell the same instances on the old build; nil tells none.
func (f *Fleet) SameOld(o *Fleet) bool {
	old := func(f *Fleet) (int, []string) {
		if f == nil {
			return 0, nil
		}
		return f.Old, f.OldNames
	}
	n, names := old(f)
	m, others := old(o)
	return n == m && slices.Equal(names, others)
}

// Later is the one of the two that was found later; either may be nil.
func (f *Fleet) Later(o *Fleet) *Fleet {
	if f == nil || o != nil && o.Since.After(f.Since) {
		return o
	}
	return f
}
