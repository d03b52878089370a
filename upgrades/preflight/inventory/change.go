package inventory

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"aftershock/detector"
	"aftershock/upgrades/preflight/version"
)

// Change is one binary or package that an upgrade brings.
type Change struct {
	// Name is what the upgrade calls it.
	Name string
	// Also are other names of it: its service, its package, its file.
	Also []string
	// To is its version, "" where it isn't known; Scheme is the world of that, semantic
	// where it is empty.
	To     string
	Scheme version.Scheme
	// Place is where the package says so.
	Place detector.Place
	// New is the path of the new build on this machine, "" where there is none.
	New string
}

// names are all that it goes by.
func (c Change) names() []string { return append([]string{c.Name}, c.Also...) }

// called says whether a name is one of the change's.
func (c Change) called(name string) bool {
	return slices.ContainsFunc(c.names(), func(n string) bool { return same(n, name) })
}

// found gives what the inventory has of a change, by the first of its names that it knows,
// each version once.
func (c Change) found(inv Inventory) []Found {
	for _, n := range c.names() {
		var versions []Found
		for _, f := range inv.Find(n) {
			if f.Version != "" && !slices.ContainsFunc(versions, func(o Found) bool { return o.Version == f.Version }) {
				versions = append(versions, f)
			}
		}
		if len(versions) > 0 {
			return versions
		}
	}
	return nil
}

// version is the change's version as a scheme writes it.
func (c Change) version(s version.Scheme) (version.Version, error) {
	own := c.Scheme
	if own == "" {
		own = version.Semver
	}
	return translated(c.To, own, s)
}

// In is the version as another scheme writes it: of a packaged version, that of whom it
// was packaged from.
func (f Found) In(s version.Scheme) (version.Version, error) {
	return translated(f.Version, f.Scheme(), s)
}

func translated(text string, own, s version.Scheme) (version.Version, error) {
	v, err := version.Parse(own, text)
	if err != nil || own == s {
		if own == version.Semver && s == version.Semver || err == nil {
			return v, err
		}
		return version.Parse(s, text)
	}
	return version.Parse(s, v.Upstream())
}

// Check holds the changes to what runs: processes whose program was replaced go on running
// the old build.
//
// Rules: inventory/old-build, inventory/replaced-programs.
func (inv Inventory) Check(changes []Change) []detector.Finding {
	var findings []detector.Finding
	others := map[string]bool{}
	for _, p := range inv.Processes {
		if !p.Deleted {
			continue
		}
		base := path.Base(p.Exe)
		i := slices.IndexFunc(changes, func(c Change) bool { return c.called(base) })
		if i < 0 {
			others[base] = true
			continue
		}
		c := changes[i]
		if slices.ContainsFunc(findings, func(f detector.Finding) bool { return f.Place.File == p.Exe }) {
			continue
		}
		runs := "an old build"
		if p.Version != "" {
			runs += ", " + p.Version
		}
		host := "a host"
		if len(inv.Hosts) > 0 {
			host = strings.Join(inv.Hosts[:min(3, len(inv.Hosts))], ", ")
		}
		findings = append(findings, detector.Finding{
			Rule: "inventory/old-build", Severity: detector.Risk, Place: detector.Place{File: p.Exe},
			What: fmt.Sprintf("%s runs %s: its file was replaced or deleted since process %d began", base, runs, p.PID),
			Why:  "What is installed isn't what runs. The upgrade is then compared with a build that nobody has in mind, and a restart brings two changes at once.",
			Do:   fmt.Sprintf("Restart %s and let it settle before the upgrade, or put down that the upgrade starts from the running build.", base),
			Hypotheses: []detector.Hypothesis{{
				Kind: detector.HypothesisOldBuild, Binaries: []string{c.Name},
				Says: fmt.Sprintf("%s goes on running the old build of %s", host, c.Name),
			}},
		})
	}
	if len(others) > 0 {
		names := sorted(others)
		findings = append(findings, detector.Finding{
			Rule: "inventory/replaced-programs", Severity: detector.Note,
			What: fmt.Sprintf("%d other programs run builds that were replaced on disk: %s", len(names), listed(names)),
			Why:  "A reboot or restart during the upgrade starts their new builds as well.",
			Do:   "Restart them beforehand, so that the upgrade isn't blamed for what they bring.",
		})
	}
	return findings
}

// listed names the first few.
func listed(names []string) string {
	const most = 10
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

func sorted(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for n := range set {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
