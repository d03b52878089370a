package upgrades

import (
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"aftershock/detector"
)

// standingEvery is how often is looked what the fleets of upgrades that are done run.
const standingEvery = 5 * time.Minute

// observeStanding looks what instances run of the binaries of upgrades that are done and
// still watched: those that were left behind, and those of which a report says that they
// were upgraded and no switch was seen.
func (l *Ledger) observeStanding(at time.Time, changed map[string]bool) {
	if !l.detect || at.Sub(l.stood) < standingEvery {
		return
	}
	l.stood = at
	ids := slices.Compact(slices.Sorted(maps.Values(l.book.As)))
	for _, id := range ids {
		if _, closed := l.book.Closed[id]; closed {
			continue
		}
		u := l.whole(id)
		if u.FinishedAt.IsZero() || u.FinishedAt.After(at) {
			continue
		}
		for _, b := range u.Binaries {
			// How many run the new build goes up and down with the load, which is no news.
			f := l.found.standing(b)
			if f == nil || b.Fleet == nil && len(b.Instances) > 0 || b.Fleet.SameOld(f) {
				continue
			}
			if l.book.Standing[id] == nil {
				l.book.Standing[id] = map[string]*detector.Fleet{}
			}
			l.book.Standing[id][standingKey(b)] = f
			changed[id] = true
		}
	}
}

func standingKey(b detector.Binary) string { return serviceKey(b.Name, b.Selector) }

// standing gives the binaries of an upgrade that is done what was seen of their fleets
// since.
func (l *Ledger) standing(u *detector.Upgrade) {
	for i := range u.Binaries {
		b := &u.Binaries[i]
		b.Fleet = b.Fleet.Later(l.book.Standing[u.ID][standingKey(*b)])
	}
}

// standing is what the instances of a binary run now, by the builds that an upgrade of it
// names; nil where they can't be told from one another, or nothing of it is seen. What
// runs neither of them counts as old where its version is lower than the new one's, else it
// is of a later upgrade, and not counted.
func (d *Detector) standing(b detector.Binary) *detector.Fleet {
	if b.From == "" || b.To == "" || b.From == b.To {
		return nil
	}
	f := &detector.Fleet{Since: d.last}
	if b.Fleet != nil { // what the upgrade's window told stays
		f.Born, f.Gone, f.BornNames, f.GoneNames = b.Fleet.Born, b.Fleet.Gone, b.Fleet.BornNames, b.Fleet.GoneNames
	}
	for _, s := range d.services {
		if !detector.SameBinary(s.Binary, b.Name) || len(b.Selector) > 0 && !b.Matches(s.Labels) {
			continue
		}
		for name, in := range s.Instances {
			switch {
			case d.last.Sub(in.Last) >= standingEvery:
			case in.Build.called(b.To):
				f.New++
			case in.Build.called(b.From) || in.Build.before(b.To):
				f.Old++
				f.OldNames = append(f.OldNames, name)
			}
		}
	}
	if f.New+f.Old == 0 {
		return nil
	}
	f.OldNames = first(f.OldNames)
	return f
}

// before says whether the build's version is lower than another, by semver's order.
func (b build) before(version string) bool {
	v, w := "v"+bareVersion(b.Version), "v"+bareVersion(version)
	return semver.IsValid(v) && semver.IsValid(w) && semver.Compare(v, w) < 0
}

// called says whether a name, as names gives it or a person writes it, is that of the
// build.
func (b build) called(name string) bool {
	revision := clipTo(b.Revision, shortRevision)
	if strings.Contains(name, " (") {
		return name == named(b.Version, revision) || name == named(b.Version, b.Toolchain)
	}
	return b.Version != "" && bareVersion(b.Version) == bareVersion(name) || revision != "" && revision == name
}
