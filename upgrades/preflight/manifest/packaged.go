package manifest

import (
	"cmp"
	"slices"

	"aftershock/upgrades/preflight/document"
	"aftershock/upgrades/preflight/version"
)

// Control gives the manifest of a Debian package by the fields of its control file, by their
// names as deb-control(5) writes them; each has the line that the field begins at.
func Control(file string, fields map[string]document.Text) Manifest {
	m := Manifest{
		File: file, packaged: true, Name: fields["Package"], Version: fields["Version"],
		Scheme: document.Text{Value: string(version.Debian)}, Publisher: fields["Maintainer"],
	}
	m.Dependencies = m.relations(version.Debian, fields, "Pre-Depends", "Depends")
	m.Conflicts = m.relations(version.Debian, fields, "Conflicts", "Breaks")
	return m
}

// Header gives the manifest of an RPM package by the fields of its header: Name, Version (with
// epoch and release), Vendor, Requires and Conflicts, of which the latter have one relation a line.
func Header(file string, fields map[string]document.Text) Manifest {
	m := Manifest{
		File: file, packaged: true, Name: fields["Name"], Version: fields["Version"],
		Scheme: document.Text{Value: string(version.RPM)}, Publisher: fields["Vendor"],
	}
	m.Dependencies = m.relations(version.RPM, fields, "Requires")
	m.Conflicts = m.relations(version.RPM, fields, "Conflicts")
	return m
}

// relations reads fields of packages. What can't be read of one is kept as a dependency
// that can't.
func (m *Manifest) relations(s version.Scheme, fields map[string]document.Text, names ...string) Dependencies {
	var all Dependencies
	for _, name := range names {
		f, ok := fields[name]
		if !ok {
			continue
		}
		relations, err := version.ParseRelations(s, f.Value)
		for _, r := range relations {
			all = append(all, Dependency{Line: f.Line, Name: r[0].Name, Scheme: string(s), either: r, field: name})
		}
		if err != nil {
			m.problems = append(m.problems, document.Problem{Line: f.Line, Path: name, What: err.Error()})
		}
	}
	slices.SortStableFunc(all, func(a, b Dependency) int { return cmp.Compare(a.Line, b.Line) })
	return all
}
