package manifest

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"aftershock/detector"
	"aftershock/upgrades/preflight/inventory"
	"aftershock/upgrades/preflight/version"
)

// nameOf is what the upgrade calls a binary.
func (m Manifest) nameOf(b Binary) string {
	if b.Name != "" {
		return b.Name
	}
	if b.Path == "" {
		return ""
	}
	return path.Base(b.Path)
}

// also are the other names of a binary.
func (m Manifest) also(b Binary) []string {
	var names []string
	for _, n := range []string{b.Service, path.Base(b.Path)} {
		if n != "" && n != "." && n != m.nameOf(b) {
			names = append(names, n)
		}
	}
	return names
}

// pseudo matches Go's versions of commits that have no tag: they don't tell the release.
var pseudo = regexp.MustCompile(`\d{14}-[0-9a-f]{12}`)

// insides hold what binaries say of themselves to what the manifest says.
func (k *check) insides() {
	for _, b := range k.m.Binaries {
		at, _ := k.m.within(b.Path)
		in := k.facts.Inside[at]
		if in == "" || b.Path == "" || pseudo.MatchString(in) {
			continue
		}
		want := k.m.versionOf(b)
		claimed, err := version.Parse(want.scheme, want.text)
		if err != nil {
			continue
		}
		if claimed, err = version.Parse(version.Semver, claimed.Upstream()); err != nil {
			continue
		}
		found, err := version.Parse(version.Semver, in)
		if err != nil || found.Compare(claimed) == 0 {
			continue
		}
		k.add("version-differs", detector.Risk, b.Line, fmt.Sprintf("%s is version %s by what is inside of it, the manifest says %s", b.Path, in, want.text),
			"The package may hold a build of another release: what was tested and what is described isn't what would run.",
			"Ask the vendor which of the two is right, and for a package whose binaries are of its release.")
	}
}

// installed holds what the package brings to what is there.
func (k *check) installed() {
	if k.facts.Inventory == nil {
		return
	}
	for _, c := range k.m.Changes("") {
		to, err := version.Parse(cmp.Or(c.Scheme, version.Semver), c.To)
		if err != nil {
			continue
		}
		var same, newer []string
		others := false
		for _, f := range current(*k.facts.Inventory, c) {
			v, err := f.In(to.Scheme())
			switch {
			case err != nil:
			case v.Compare(to) == 0:
				same = append(same, f.Version)
			case v.Compare(to) > 0:
				newer = append(newer, f.Version)
			default:
				others = true
			}
		}
		if len(newer) > 0 {
			k.add("downgrade", detector.Risk, c.Place.Line, fmt.Sprintf("the package brings %s %s, and %s is installed, which is newer", c.Name, c.To, strings.Join(newer, " and ")),
				"Older builds may not read what newer ones wrote: data, settings, schemas.", "If it is meant, ask the vendor whether this way back is supported, and save the data first; else fetch the right package.")
		} else if len(same) > 0 && !others {
			k.add("same-version", detector.Note, c.Place.Line, fmt.Sprintf("%s %s is installed already", c.Name, c.To),
				"The upgrade would change nothing, or change builds under one version, which telemetry can't tell apart.", "See whether it is the right package; if so, compare the builds with `aftershock diff`.")
		}
	}
}

// current gives what the inventory has of a change, by the first of its names that it knows.
func current(inv inventory.Inventory, c inventory.Change) []inventory.Found {
	for _, n := range append([]string{c.Name}, c.Also...) {
		var found []inventory.Found
		for _, f := range inv.Find(n) {
			if f.Version != "" && !f.Replaced && !slices.ContainsFunc(found, func(o inventory.Found) bool { return o.Version == f.Version }) {
				found = append(found, f)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// upgradeFrom holds the versions that may be upgraded to what is installed.
func (k *check) upgradeFrom() {
	from := k.m.UpgradeFrom
	if from.Value == "" {
		return
	}
	c, err := version.ParseConstraint(k.m.scheme(), from.Value)
	if err != nil {
		k.add("upgrade-from-unparseable", detector.Risk, from.Line, fmt.Sprintf("the versions that may be upgraded can't be read: %v", err),
			"Whether the installed one is among them can't be told.", "Ask the vendor for a range: \">= 4.0, < 4.2\".")
		return
	}
	if k.facts.Inventory == nil {
		return
	}
	for _, change := range k.m.Changes("") {
		if change.To != k.m.Version.Value {
			continue // a binary with a version of its own
		}
		for _, f := range current(*k.facts.Inventory, change) {
			if v, err := f.In(c.Scheme()); err == nil && !c.Allows(v) && v.String() != change.To {
				k.add("upgrade-from", detector.Blocker, from.Line, fmt.Sprintf("%s %s is installed, and the package upgrades %s alone", change.Name, f.Version, from.Value),
					"The vendor made the package for other versions: data and settings of the installed one aren't what its scripts expect.",
					"Upgrade to a version in that range first.")
			}
		}
	}
}

// Upgrade drafts the record of the upgrade: the binaries with the version that most
// instances run now and the one that the package brings, not begun yet. Without binaries in the manifest
// the package itself stands for one.
func (m Manifest) Upgrade(archive string, inv *inventory.Inventory) detector.Upgrade {
	u := detector.Upgrade{Package: archive, ID: slug(m.Name.Value + "-" + m.Version.Value)}
	digests := map[string]string{}
	for _, f := range m.Files {
		if at, ok := m.within(f.Path); ok && len(f.SHA256) == 64 {
			digests[at] = strings.ToLower(f.SHA256)
		}
	}
	for _, c := range m.Changes("") {
		if len(m.Binaries) > 0 && !slices.ContainsFunc(m.Binaries, func(b Binary) bool { return m.nameOf(b) == c.Name }) {
			continue // the package as a whole
		}
		b := detector.Binary{Name: c.Name, To: c.To}
		if inv != nil {
			most := -1
			for _, f := range current(*inv, c) {
				if len(f.Instances) > most && f.Version != c.To {
					b.From, most = f.Version, len(f.Instances)
				}
			}
		}
		for _, o := range m.Binaries {
			if m.nameOf(o) != c.Name {
				continue
			}
			if o.Service != "" {
				b.Selector = map[string]string{"service": o.Service}
			}
			if at, ok := m.within(o.Path); ok {
				b.SHA256 = digests[at]
			}
		}
		u.Binaries = append(u.Binaries, b)
	}
	return u
}

// slug keeps what can stand in a URL's path and in a file's name.
func slug(s string) string {
	const longest = 120
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._+-", r):
			return r
		}
		return '-'
	}, strings.Trim(s, ".-"))
	return s[:min(longest, len(s))]
}
