// Package manifest reads what a package says of itself, a vendor's manifest or the fields of a Debian or
// RPM package, and holds it to what is in the package and to what the hosts have.
//
// A manifest is read leniently: fields that aren't known are noted, for vendors have
// many. A known field of another type is a problem, with its line.
package manifest

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/upgrades/preflight/document"
	"aftershock/upgrades/preflight/version"

	"go.yaml.in/yaml/v3"
)

// MaxSize is the size of the largest manifest that is read, in bytes.
const MaxSize = 1 << 20

// Bounds of what is looked at in a manifest.
const (
	maxDependencies = 2000
	maxFiles        = 100_000
	maxBinaries     = 1000
)

// Manifest is what a package says of itself.
type Manifest struct {
	// File is its path in the package.
	File      string        `yaml:"-"`
	Name      document.Text `yaml:"name"`
	Version   document.Text `yaml:"version"`
	Scheme    document.Text `yaml:"scheme"`
	BuiltAt   time.Time     `yaml:"built_at"`
	Publisher document.Text `yaml:"publisher"`
	// Dependencies must be there, Conflicts must not.
	Dependencies Dependencies `yaml:"dependencies"`
	Conflicts    Dependencies `yaml:"conflicts"`
	Binaries     []Binary     `yaml:"binaries"`
	Files        []Named      `yaml:"files"`
	// Reboot is none, recommended or required; Downtime a length of time.
	Reboot        Claim         `yaml:"reboot"`
	Downtime      document.Text `yaml:"downtime"`
	Steps         Steps         `yaml:"steps"`
	Configuration Configuration `yaml:"configuration"`
	// UpgradeFrom is a constraint on the version that may be upgraded.
	UpgradeFrom document.Text `yaml:"upgrade_from"`

	// packaged says that it is of a package manager's package, whose dependencies have
	// no upper bounds by custom and whose files its manager checks.
	packaged bool
	problems []document.Problem
}

// Dependency is a package, service or program with what versions of it are meant.
type Dependency struct {
	Line    int    `yaml:"-"`
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	Scheme  string `yaml:"scheme"`

	// either are the alternatives of a packaged dependency, instead of the above.
	either []version.Relation
	field  string
}

// Dependencies are a list of mappings, or of texts like "libfoo >= 1.2", or a mapping of
// names to constraints.
type Dependencies []Dependency

// Binary is a program that the package brings.
type Binary struct {
	Line    int    `yaml:"-"`
	Name    string `yaml:"name"`
	Path    string `yaml:"path"`
	Version string `yaml:"version"`
	// Service is the value of the service label of its telemetry.
	Service string `yaml:"service"`
}

// Named is a file that the manifest names. Size is in bytes, -1 where it isn't told.
type Named struct {
	Line   int    `yaml:"-"`
	Path   string `yaml:"path"`
	SHA256 string `yaml:"sha256"`
	Size   *int64 `yaml:"size"`
}

// Configuration names settings.
type Configuration struct {
	Required []document.Text `yaml:"required"`
	Removed  []document.Text `yaml:"removed"`
}

// Claim is a text that may be written as a boolean.
type Claim struct{ document.Text }

// ReadNode reads a claim.
func (c *Claim) ReadNode(d *document.Decoder, at string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
		c.Text = document.Text{Value: strings.ToLower(n.Value), Line: n.Line}
		return
	}
	d.ReadInto(at, n, &c.Text)
}

// Steps are texts, or mappings with a name or what is run.
type Steps []document.Text

// ReadNode reads steps.
func (s *Steps) ReadNode(d *document.Decoder, at string, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		d.Fail(at, n, "isn't a list")
		return
	}
	for i, item := range n.Content {
		t := document.Text{Line: item.Line}
		here := fmt.Sprintf("%s[%d]", at, i)
		if item.Kind == yaml.MappingNode {
			var step struct {
				Name string `yaml:"name"`
				Run  string `yaml:"run"`
			}
			d.ReadInto(here, item, &step)
			t.Value = strings.TrimSpace(step.Name + " " + step.Run)
		} else {
			d.ReadInto(here, item, &t)
		}
		*s = append(*s, t)
	}
}

// ReadNode reads dependencies in any of their forms.
func (l *Dependencies) ReadNode(d *document.Decoder, at string, n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		d.Entries(at, n, func(at string, key document.Text, value *yaml.Node) {
			one := Dependency{Line: key.Line, Name: key.Value}
			if value.Kind == yaml.MappingNode {
				d.ReadInto(at, value, &one)
				one.Line, one.Name = key.Line, key.Value
			} else {
				d.ReadInto(at, value, &one.Version)
			}
			l.add(d, at, n, one)
		})
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.Fail(at, n, "is neither a list nor a mapping of names to constraints")
		return
	}
	for i, item := range n.Content {
		here := fmt.Sprintf("%s[%d]", at, i)
		one := Dependency{Line: item.Line}
		if item.Kind == yaml.ScalarNode {
			var t string
			d.ReadInto(here, item, &t)
			one.Name, one.Version = nameAndConstraint(t)
		} else {
			d.ReadInto(here, item, &one)
		}
		if one.Name == "" {
			d.Fail(here, item, "has no name")
			continue
		}
		l.add(d, here, item, one)
	}
}

func (l *Dependencies) add(d *document.Decoder, at string, n *yaml.Node, one Dependency) {
	if len(*l) < maxDependencies {
		*l = append(*l, one)
	} else if len(*l) == maxDependencies {
		d.Fail(at, n, "more than %d dependencies", maxDependencies)
	}
}

// nameAndConstraint takes "libfoo (>= 1.2)", "libfoo >= 1.2" and "libfoo@1.2" apart.
func nameAndConstraint(t string) (name, constraint string) {
	t = strings.TrimSpace(t)
	i := strings.IndexAny(t, " (<>=!~^")
	if i < 0 {
		if k := strings.LastIndexByte(t, '@'); k > 0 {
			return t[:k], t[k+1:]
		}
		return t, ""
	}
	name, constraint = t[:i], strings.TrimSpace(t[i:])
	if inner, ok := strings.CutPrefix(constraint, "("); ok {
		constraint = strings.TrimSpace(strings.TrimSuffix(inner, ")"))
	}
	return name, constraint
}

// names are what manifests are called, in the order in which they are preferred.
var names = []string{"manifest.yaml", "manifest.yml", "manifest.json", "package.yaml", "package.yml", "upgrade.yaml", "upgrade.yml", "upgrade.json"}

// Find gives the path of a package's manifest: manifest.yaml, .yml or .json, package.yaml, upgrade.yaml in any
// case, at the top or in the one directory that is there; "" where there is none.
func Find(fsys fs.FS) string {
	dir := "."
	for range 3 {
		entries, err := fs.ReadDir(fsys, dir)
		if err != nil {
			return ""
		}
		best, at := "", len(names)
		var directories []string
		for _, e := range entries {
			if e.IsDir() {
				directories = append(directories, e.Name())
			} else if i := slices.Index(names, strings.ToLower(e.Name())); i >= 0 && i < at {
				best, at = path.Join(dir, e.Name()), i
			}
		}
		if best != "" || len(directories) != 1 || len(entries) != 1 {
			return best
		}
		dir = path.Join(dir, directories[0])
	}
	return ""
}

// Parse reads a manifest, YAML or JSON, of at most MaxSize bytes; file is its path in the package. What
// can't be read of it, and fields that aren't known, are findings: manifest/unreadable and
// manifest/unknown-field. A manifest of which nothing can be read is empty.
func Parse(file string, data []byte) (Manifest, []detector.Finding) {
	m := Manifest{}
	problems, unknown := document.ReadLenient(data, MaxSize, &m)
	m.File = file
	if len(m.Files) > maxFiles || len(m.Binaries) > maxBinaries {
		problems = append(problems, document.Problem{What: fmt.Sprintf("more than %d files or %d binaries", maxFiles, maxBinaries)})
		m.Files, m.Binaries = m.Files[:min(len(m.Files), maxFiles)], m.Binaries[:min(len(m.Binaries), maxBinaries)]
	}
	m.problems = problems
	var findings []detector.Finding
	for _, p := range problems {
		where := p.What
		if p.Path != "" {
			where = p.Path + " " + p.What
		}
		findings = append(findings, detector.Finding{
			Rule: "manifest/unreadable", Severity: detector.Risk, Place: detector.Place{File: file, Line: p.Line},
			What: "the manifest can't be read here: " + where,
			Why:  "What the package claims at this place isn't known, so that nothing was held to it.",
			Do:   "Ask the vendor for a manifest in the form that docs/preflight/manifests.md describes, or correct it.",
		})
	}
	if len(unknown) > 0 {
		var fields []string
		for _, u := range unknown {
			fields = append(fields, u.Path)
		}
		findings = append(findings, detector.Finding{
			Rule: "manifest/unknown-field", Severity: detector.Note, Place: detector.Place{File: file, Line: unknown[0].Line},
			What: "the manifest has fields that aren't known: " + listed(fields),
			Why:  "What they say was held to nothing; a known field may be misspelt.",
			Do:   "See whether one of them is meant to be a field of docs/preflight/manifests.md.",
		})
	}
	return m, findings
}

// Missing is the finding of a package without a manifest.
func Missing() detector.Finding {
	return detector.Finding{
		Rule: "manifest/missing", Severity: detector.Risk,
		What: "the package has no manifest",
		Why:  "Nothing says what version it is, what it needs, which files belong to it, and whether it reboots: all of that shows only when it is run.",
		Do:   "Ask the vendor for one (manifest.yaml, docs/preflight/manifests.md), with digests of all files.",
	}
}

// listed names the first few.
func listed(names []string) string {
	const most = 10
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
