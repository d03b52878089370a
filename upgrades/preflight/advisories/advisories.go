// Package advisories matches security advisories (CSAF 2.0 and OSV documents, and feeds
// of them) to an upgrade's package and to the modules inside its binaries.
//
// Where a version can't be compared nothing is claimed; one note counts such cases.
package advisories

import (
	"strings"

	"aftershock/detector"
)

// Product is the ecosystem of what only its vendor names: it is matched to the products
// of CSAF documents by name.
const Product = ""

// Component is one thing with a version in a package.
type Component struct {
	// Ecosystem is as OSV has it (Go, Maven, npm, "Debian:12"), rpm, or Product.
	Ecosystem string
	// Name is as the ecosystem has it: example.com/mod, org.example:artifact.
	Name    string
	Version string
	// File is the binary that it is in: a path within the package, with slashes; empty
	// for the package itself.
	File string

	// linked is what a Go binary consists of, nil of what isn't in one; as the path under which a
	// module that replaces another is imported, "" where it is its own.
	linked *linked
	as     string
}

// Package is the upgrade, before and after.
type Package struct {
	Name string
	// Old is empty where nothing was installed before, or nobody knows.
	Old, New string
	// Ecosystem is that of the package: "Debian:12" for a deb for that release, rpm, or
	// Product.
	Ecosystem string
	// Before and After are the components in the binaries.
	Before, After []Component
}

// Order compares versions: negative, 0 or positive as a is before, the same as, or after b.
type Order func(a, b string) int

// Checker collects advisories and matches them. Only what concerns the package is kept.
type Checker struct {
	pkg           Package
	orders        map[string]Order
	before, after []Component
	wanted        map[identity]bool
	kept          []*advisory
	exploited     map[string]bool
	problems      []detector.Finding
	unread        int
	documents     int
	bytes         int64
}

// identity is what a component is named.
type identity struct{ ecosystem, name string }

// New makes a checker. Orders are those of further ecosystems, by their names without a
// release ("Debian", "rpm"); those of semantic versions and of Maven are known.
func New(p Package, orders map[string]Order) *Checker {
	c := &Checker{pkg: p, orders: orders, wanted: map[identity]bool{}, exploited: map[string]bool{}}
	own := func(version string, list []Component) []Component {
		if version == "" || p.Name == "" {
			return list
		}
		out := []Component{{Ecosystem: Product, Name: p.Name, Version: version}}
		if p.Ecosystem != Product {
			out = append(out, Component{Ecosystem: p.Ecosystem, Name: p.Name, Version: version})
		}
		return append(out, list...)
	}
	c.before, c.after = own(p.Old, p.Before), own(p.New, p.After)
	for _, list := range [][]Component{c.before, c.after} {
		for _, k := range list {
			c.wanted[k.identity()] = true
		}
	}
	return c
}

func (k Component) identity() identity { return identify(k.Ecosystem, k.Name) }

// identify normalises a name; the release of an ecosystem doesn't count.
func identify(ecosystem, name string) identity {
	base, _ := splitEcosystem(ecosystem)
	switch base {
	case Product, "PyPI", "NuGet", "Packagist":
		name = strings.ToLower(name)
	}
	if base == "PyPI" {
		name = strings.NewReplacer("_", "-", ".", "-").Replace(name)
	}
	return identity{base, name}
}

// called are the names that a component may go by: that of a Maven module in a JAR
// within a JAR is its artifact alone.
func called(id identity) []identity {
	if _, artifact, ok := strings.Cut(id.name, ":"); ok && id.ecosystem == "Maven" {
		return []identity{id, {id.ecosystem, artifact}}
	}
	return []identity{id}
}

// byFile says that a component is known by the name of its file alone.
func (k Component) byFile() bool { return k.Ecosystem == "Maven" && !strings.Contains(k.Name, ":") }

// splitEcosystem parts "Debian:12" into the ecosystem and its release.
func splitEcosystem(s string) (base, release string) {
	base, release, _ = strings.Cut(s, ":")
	return base, release
}

// advisory is what a document says of one vulnerability, as far as it concerns the package.
type advisory struct {
	ids    []string // its own first, then aliases
	title  string
	score  float64 // CVSS base score, 0 to 10; negative where nobody scored it
	vector string
	// exploited says that the document itself says so.
	exploited bool
	affects   []affect
	// exempts are what its publisher says isn't affected, or is fixed.
	exempts []affect
	asked   []affect // under investigation
	reason  string   // why what is exempt is
}

// affect is a set of versions of one component.
type affect struct {
	identity
	release  string // of the ecosystem, where the set is of one
	versions []string
	ranges   []span
	// all says that it is every version.
	all bool
	// imports are the packages whose code is vulnerable (Go).
	imports []imported
	// dist says that only versions of the same build of a distribution compare.
	dist string
	// vague says that the document doesn't tell the versions so that they are understood.
	vague bool
}

// span is a range of versions.
type span struct {
	order  string // the ecosystem whose order it is in
	events []event
}

// event is an end of a range.
type event struct {
	kind    string // introduced, fixed, last, limit
	version string
}

// exploit says whether it is known to be exploited.
func (c *Checker) exploit(a *advisory) bool {
	if a.exploited {
		return true
	}
	for _, id := range a.ids {
		if c.exploited[id] {
			return true
		}
	}
	return false
}
