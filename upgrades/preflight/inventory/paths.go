package inventory

import (
	"fmt"
	"slices"

	"aftershock/upgrades/preflight/document"
	"aftershock/upgrades/preflight/version"
)

// Bounds of a matrix.
const (
	// MaxMatrix is the size of the largest matrix that is read, in bytes.
	MaxMatrix   = 1 << 20
	maxPaths    = 500 // of one product
	maxReleases = 500 // of one product, as named or as edges of constraints
	maxProducts = 500
)

// Paths is the matrix of known upgrade paths.
type Paths struct {
	// File is where it stands, for findings.
	File     string    `yaml:"-"`
	Products []Product `yaml:"products"`
}

// Product is one product's paths.
type Product struct {
	Line int `yaml:"-"`
	// Name is the product's, Also are other names of it: packages, binaries, services.
	Name   string   `yaml:"product"`
	Also   []string `yaml:"also"`
	Scheme string   `yaml:"scheme"`
	// Releases are the versions that there are to go through. Versions that the paths name
	// need not be among them.
	Releases []string `yaml:"releases"`
	Paths    []Path   `yaml:"paths"`

	scheme   version.Scheme
	releases []version.Version
}

// Path is one step that is known to work: from any version of one range to any of
// another.
type Path struct {
	Line  int    `yaml:"-"`
	From  string `yaml:"from"`
	To    string `yaml:"to"`
	Needs Needs  `yaml:"needs"`
	// Downgrade says that it leads to older versions; without it steps only lead up.
	Downgrade bool `yaml:"downgrade"`

	from, to version.Constraint
}

// Needs is what a step needs.
type Needs struct {
	Line int `yaml:"-"`
	// Disk is how much must be free, on the file system of Path ("/" where it is
	// empty).
	Disk     document.Size `yaml:"disk"`
	DiskPath string        `yaml:"disk_path"`
	// Packages are what must be installed, in Debian's syntax: "libssl3 (>= 3.0.11)".
	Packages []document.Text `yaml:"packages"`
	// Keys are settings that must be there.
	Keys []document.Text `yaml:"keys"`
	// Downtime is how long nothing answers.
	Downtime document.Duration `yaml:"downtime"`
	// Manual is what somebody has to do by hand.
	Manual document.Text `yaml:"manual"`
}

// ReadPaths reads the matrix in a file.
func ReadPaths(file string) (Paths, error) {
	data, err := load(file, MaxMatrix)
	if err != nil {
		return Paths{}, fmt.Errorf("read upgrade paths: %w", err)
	}
	p, err := ParsePaths(file, data)
	if err != nil {
		return Paths{}, fmt.Errorf("read upgrade paths %s: %w", file, err)
	}
	return p, nil
}

// ParsePaths reads a matrix, YAML or JSON. The error is one line that names each problem
// with its line.
func ParsePaths(file string, data []byte) (Paths, error) {
	p := Paths{}
	if err := document.Read(data, MaxMatrix, &p); err != nil {
		return Paths{}, err
	}
	p.File = file
	if len(p.Products) > maxProducts {
		return Paths{}, fmt.Errorf("more than %d products", maxProducts)
	}
	var problems []document.Problem
	for i := range p.Products {
		problems = append(problems, p.Products[i].read()...)
	}
	if len(problems) > 0 {
		return Paths{}, document.Join(problems)
	}
	return p, nil
}

// read parses the versions and constraints.
func (p *Product) read() (problems []document.Problem) {
	fail := func(line int, format string, args ...any) {
		problems = append(problems, document.Problem{Line: line, What: fmt.Sprintf(format, args...)})
	}
	if p.Name == "" {
		fail(p.Line, "the product has no name")
	}
	if len(p.Paths) > maxPaths || len(p.Releases) > maxReleases {
		fail(p.Line, "more than %d paths or %d releases", maxPaths, maxReleases)
		return problems
	}
	var err error
	if p.scheme, err = version.ParseScheme(p.Scheme); err != nil {
		fail(p.Line, "%v", err)
		return problems
	}
	for _, r := range p.Releases {
		v, err := version.Parse(p.scheme, r)
		if err != nil {
			fail(p.Line, "releases: %v", err)
			continue
		}
		p.releases = append(p.releases, v)
	}
	for i := range p.Paths {
		step := &p.Paths[i]
		if step.From == "" || step.To == "" {
			fail(step.Line, "a path needs from and to")
			continue
		}
		if step.from, err = version.ParseConstraint(p.scheme, step.From); err != nil {
			fail(step.Line, "from: %v", err)
		}
		if step.to, err = version.ParseConstraint(p.scheme, step.To); err != nil {
			fail(step.Line, "to: %v", err)
		}
		for _, t := range step.Needs.Packages {
			if _, err := version.ParseRelations(version.Debian, t.Value); err != nil {
				fail(t.Line, "packages: %v", err)
			}
		}
		p.releases = append(p.releases, step.from.Edges()...)
		p.releases = append(p.releases, step.to.Edges()...)
	}
	slices.SortStableFunc(p.releases, version.Version.Compare)
	p.releases = slices.CompactFunc(p.releases, func(a, b version.Version) bool { return a.Compare(b) == 0 })
	if len(p.releases) > 2*maxReleases {
		fail(p.Line, "more than %d versions are named", 2*maxReleases)
	}
	return problems
}

// Product gives a product by its name or one of its other names.
func (p Paths) Product(name string) (Product, bool) {
	for _, o := range p.Products {
		if same(o.Name, name) || slices.ContainsFunc(o.Also, func(a string) bool { return same(a, name) }) {
			return o, true
		}
	}
	return Product{}, false
}
