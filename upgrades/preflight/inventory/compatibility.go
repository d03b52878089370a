package inventory

import (
	"fmt"
	"path"
	"slices"

	"aftershock/detector"
	"aftershock/upgrades/preflight/document"
	"aftershock/upgrades/preflight/version"
)

// Compatibility is the matrix of which versions go together.
type Compatibility struct {
	// File is where it stands, for findings.
	File  string     `yaml:"-"`
	Rules []Together `yaml:"rules"`
	Needs []Needed   `yaml:"needs"`
}

// Together says which versions of neighbours some versions of a product go with. A
// neighbour may be the product itself: the versions that may run at once in a roll-out.
type Together struct {
	Line     int         `yaml:"-"`
	Product  string      `yaml:"product"`
	Versions string      `yaml:"versions"`
	Scheme   string      `yaml:"scheme"`
	With     []Neighbour `yaml:"with"`

	versions version.Constraint
}

// Neighbour is what a product goes with.
type Neighbour struct {
	Line     int    `yaml:"-"`
	Name     string `yaml:"neighbour"`
	Versions string `yaml:"versions"`
	// Why is told with what violates it.
	Why string `yaml:"why"`

	versions version.Constraint
}

// Needed is what a neighbour uses of a product.
type Needed struct {
	Line      int    `yaml:"-"`
	Neighbour string `yaml:"neighbour"`
	// Of is the product's binary or service.
	Of string `yaml:"of"`
	// Routes are of HTTP: "POST /place" or "/place". Services are of protobuf:
	// "dten.checkout.v1.Checkout", also with "/Method". Functions are exported ones, SQL are
	// tables and views.
	Routes    []document.Text `yaml:"routes"`
	Services  []document.Text `yaml:"services"`
	Functions []document.Text `yaml:"functions"`
	SQL       []document.Text `yaml:"sql"`
}

// ReadCompatibility reads the matrix in a file.
func ReadCompatibility(file string) (Compatibility, error) {
	data, err := load(file, MaxMatrix)
	if err != nil {
		return Compatibility{}, fmt.Errorf("read compatibility matrix: %w", err)
	}
	m, err := ParseCompatibility(file, data)
	if err != nil {
		return Compatibility{}, fmt.Errorf("read compatibility matrix %s: %w", file, err)
	}
	return m, nil
}

// ParseCompatibility reads a matrix, YAML or JSON. The error is one line that names each
// problem with its line.
func ParseCompatibility(file string, data []byte) (Compatibility, error) {
	m := Compatibility{}
	if err := document.Read(data, MaxMatrix, &m); err != nil {
		return Compatibility{}, err
	}
	m.File = file
	var problems []document.Problem
	fail := func(line int, format string, args ...any) {
		problems = append(problems, document.Problem{Line: line, What: fmt.Sprintf(format, args...)})
	}
	for i := range m.Rules {
		r := &m.Rules[i]
		scheme, err := version.ParseScheme(r.Scheme)
		if err != nil {
			fail(r.Line, "%v", err)
			continue
		}
		if r.Product == "" || len(r.With) == 0 {
			fail(r.Line, "a rule needs product and with")
		}
		if r.versions, err = version.ParseConstraint(scheme, r.Versions); err != nil {
			fail(r.Line, "versions: %v", err)
		}
		for k := range r.With {
			n := &r.With[k]
			if n.Name == "" || n.Versions == "" {
				fail(n.Line, "what a product goes with needs neighbour and versions")
			}
			if n.versions, err = version.ParseConstraint(scheme, n.Versions); err != nil {
				fail(n.Line, "versions: %v", err)
			}
		}
	}
	for _, n := range m.Needs {
		if n.Neighbour == "" || n.Of == "" {
			fail(n.Line, "a need has neighbour and of")
		}
	}
	if len(problems) > 0 {
		return Compatibility{}, document.Join(problems)
	}
	return m, nil
}

// Check holds the changes to the matrix and what runs: each new version against each version of
// its neighbours that runs or is installed, and the neighbours' rules about it.
//
// Rules: inventory/incompatible where a neighbour stays as it is, or the upgrade brings
// both; inventory/incompatible-rollout where the upgrade brings the neighbour as well and
// its old build runs on for a while; inventory/neighbour-unknown, once.
func (m Compatibility) Check(inv Inventory, changes []Change) []detector.Finding {
	k := checking{matrix: m, inv: inv, changes: changes, unknown: map[string]bool{}}
	for _, r := range m.Rules {
		for _, n := range r.With {
			k.pair(r, n)
		}
	}
	if names := sorted(k.unknown); len(names) > 0 {
		k.findings = append(k.findings, detector.Finding{
			Rule: "inventory/neighbour-unknown", Severity: detector.Note, Place: detector.Place{File: m.File},
			What: "the inventory has no version of " + listed(names) + ", which the matrix names",
			Why:  "Whether the new versions go with them isn't known.",
			Do:   "Take the inventory's services from production's build information, or add the versions by hand.",
		})
	}
	return k.findings
}

// checking is one run over the matrix.
type checking struct {
	matrix   Compatibility
	inv      Inventory
	changes  []Change
	unknown  map[string]bool
	findings []detector.Finding
}

// side is one version of one of the two that go together.
type side struct {
	name   string
	text   string
	place  detector.Place
	isNew  bool
	leaves bool // it runs, and the upgrade replaces it
	v      version.Version
}

// sides are the versions of a name: those that the upgrade brings and those that are there.
func (k *checking) sides(name string, scheme version.Scheme) (all []side, changed bool) {
	names := []string{name}
	for _, c := range k.changes {
		if !c.called(name) {
			continue
		}
		changed = true
		names = c.names()
		if v, err := c.version(scheme); err == nil {
			all = append(all, side{name: name, text: c.To, place: c.Place, isNew: true, v: v})
		}
	}
	for _, f := range (Change{Name: names[0], Also: names[1:]}).found(k.inv) {
		if v, err := f.In(scheme); err == nil {
			all = append(all, side{name: name, text: f.Version, leaves: changed, v: v})
		}
	}
	return all, changed
}

// pair holds the versions of a product to a neighbour's.
func (k *checking) pair(r Together, n Neighbour) {
	ours, changed := k.sides(r.Product, r.versions.Scheme())
	theirs, theirsChanged := k.sides(n.Name, n.versions.Scheme())
	if !changed && !theirsChanged {
		return
	}
	for _, a := range ours {
		if !r.versions.Allows(a.v) {
			continue // the rule isn't about this version
		}
		if len(theirs) == 0 {
			k.unknown[n.Name] = true
			continue
		}
		for _, b := range theirs {
			if (a.isNew || b.isNew) && !n.versions.Allows(b.v) {
				k.clash(r, n, a, b)
			}
		}
	}
}

func (k *checking) clash(r Together, n Neighbour, a, b side) {
	place := detector.Place{File: k.matrix.File, Line: n.Line}
	why := n.Why
	if why == "" {
		why = fmt.Sprintf("The matrix says that %s %s goes with %s %s alone (%s, line %d).", r.Product, r.versions, n.Name, n.versions, path.Base(k.matrix.File), n.Line)
	}
	if same(r.Product, n.Name) && a.v.Compare(b.v) == 0 {
		return
	}
	f := detector.Finding{Rule: "inventory/incompatible", Severity: detector.Blocker, Place: place, Why: why}
	switch {
	case a.leaves || b.leaves:
		f.Rule, f.Severity = "inventory/incompatible-rollout", detector.Risk
		f.What = fmt.Sprintf("%s %s and %s %s don't go together, and both run until the roll-out is over", a.name, a.text, b.name, b.text)
		f.Do = "Decide on an order in which the two never meet, or on a downtime for both."
	case a.isNew && b.isNew:
		f.What = fmt.Sprintf("the upgrade brings %s %s and %s %s, which don't go together", a.name, a.text, b.name, b.text)
		f.Do = fmt.Sprintf("Ask the vendor for versions that do: %s %s needs %s %s.", a.name, a.text, n.Name, n.versions)
	case a.isNew:
		f.What = fmt.Sprintf("%s %s doesn't go with %s %s, which runs in production", a.name, a.text, b.name, b.text)
		f.Do = fmt.Sprintf("Bring %s to %s before the upgrade.", n.Name, n.versions)
	default:
		f.What = fmt.Sprintf("%s %s, which runs in production, doesn't go with the new %s %s", a.name, a.text, b.name, b.text)
		f.Do = fmt.Sprintf("Upgrade %s first, or stay with %s %s.", r.Product, n.Name, n.versions)
	}
	if !slices.ContainsFunc(k.findings, func(o detector.Finding) bool { return o.What == f.What && o.Place == f.Place }) {
		k.findings = append(k.findings, f)
	}
}
