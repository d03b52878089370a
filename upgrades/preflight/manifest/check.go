package manifest

import (
	"fmt"
	"strings"

	"aftershock/detector"
	"aftershock/upgrades/preflight/inventory"
	"aftershock/upgrades/preflight/version"
)

// Facts are what a manifest is held to. Of what isn't known nothing is claimed.
type Facts struct {
	// Inventory is what is installed, nil where there is none; Paths the matrix of upgrade
	// paths, nil where there is none.
	Inventory *inventory.Inventory
	Paths     *inventory.Paths
	// Contents are the files of the package, nil where they aren't known.
	Contents []Content
	// Inside are the versions inside binaries, by path in the package.
	Inside map[string]string
	// ScriptsRead says that the package's scripts were read, and Reboots where they
	// reboot.
	ScriptsRead bool
	Reboots     []detector.Place
	// Brings are names of packages that come along, which need not be installed.
	Brings []string
}

// Check holds the manifest to the facts. docs/preflight/manifests.md lists the rules.
func (m Manifest) Check(f Facts) []detector.Finding {
	k := check{m: m, facts: f}
	for _, p := range m.problems {
		if m.packaged {
			k.add("dependency-unparseable", detector.Risk, p.Line, fmt.Sprintf("%s can't be read: %s", p.Path, p.What),
				"Whether it holds on the hosts isn't known before the package manager refuses.", "Ask the vendor what is meant.")
		}
	}
	k.identity()
	k.dependencies()
	k.conflicts()
	if !m.packaged {
		k.reboot()
		k.downtime()
		k.configuration()
		k.files()
		k.insides()
	}
	k.installed()
	k.upgradeFrom()
	if f.Inventory != nil && f.Paths != nil {
		k.findings = append(k.findings, f.Paths.Check(*f.Inventory, m.Changes(""))...)
	}
	return k.findings
}

// check is one run over a manifest.
type check struct {
	m        Manifest
	facts    Facts
	findings []detector.Finding
}

// add adds a finding at a line of the manifest.
func (k *check) add(rule, severity string, line int, what, why, do string) {
	k.findings = append(k.findings, detector.Finding{
		Rule: "manifest/" + rule, Severity: severity, Place: detector.Place{File: k.m.File, Line: line},
		What: strings.Join(strings.Fields(what), " "), Why: why, Do: do,
	})
}

// scheme is the world of the package's version.
func (m Manifest) scheme() version.Scheme {
	s, err := version.ParseScheme(m.Scheme.Value)
	if err != nil {
		return version.Semver
	}
	return s
}

// identity looks at name and version.
func (k *check) identity() {
	if len(k.m.problems) > 0 && k.m.Name.Value == "" && k.m.Version.Value == "" {
		return // nothing could be read
	}
	if _, err := version.ParseScheme(k.m.Scheme.Value); err != nil {
		k.add("version-unparseable", detector.Risk, k.m.Scheme.Line, err.Error(), "The version can't be compared with what is installed.", "Write semver, deb or rpm.")
	}
	for _, f := range []struct{ name, value string }{{"name", k.m.Name.Value}, {"version", k.m.Version.Value}} {
		if f.value == "" {
			k.add("incomplete", detector.Risk, 0, "the manifest doesn't tell the package's "+f.name,
				"Without it the package can't be compared with what is installed, and nobody can say later what was brought.", "Ask the vendor for it.")
		}
	}
	if v := k.m.Version; v.Value != "" {
		if _, err := version.Parse(k.m.scheme(), v.Value); err != nil {
			k.add("version-unparseable", detector.Risk, v.Line, "the package's version can't be ordered: "+err.Error(),
				"Whether it is newer than what is installed can't be told.", "Ask the vendor for a version in one of the orders semver, deb or rpm, or name the scheme.")
		}
	}
}

// Changes gives what the package brings, as the matrices want it; the new builds are below
// dir on this machine, "" where they aren't unpacked.
func (m Manifest) Changes(dir string) []inventory.Change {
	var changes []inventory.Change
	for _, b := range m.Binaries {
		if m.nameOf(b) == "" {
			continue
		}
		c := inventory.Change{Name: m.nameOf(b), Also: m.also(b), To: m.versionOf(b).text, Scheme: m.versionOf(b).scheme, Place: detector.Place{File: m.File, Line: b.Line}}
		if at, ok := m.within(b.Path); ok && dir != "" && b.Path != "" {
			c.New = dir + "/" + at
		}
		changes = append(changes, c)
	}
	if m.Name.Value == "" {
		return changes
	}
	whole := inventory.Change{Name: m.Name.Value, To: m.Version.Value, Scheme: m.scheme(), Place: detector.Place{File: m.File, Line: m.Version.Line}}
	for _, c := range changes {
		if detector.SameBinary(c.Name, whole.Name) {
			return changes
		}
	}
	return append(changes, whole)
}

// told is a version with the world that it is of.
type told struct {
	text   string
	scheme version.Scheme
}

// versionOf is a binary's version: its own, which is semantic, or else the package's.
func (m Manifest) versionOf(b Binary) told {
	if b.Version != "" {
		return told{b.Version, version.Semver}
	}
	return told{m.Version.Value, m.scheme()}
}
