package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"aftershock/detector"
	"aftershock/upgrades/preflight/inventory"
	"aftershock/upgrades/preflight/version"
)

// relations are a dependency's alternatives. Where the manifest names no scheme, the constraint
// is read as a semantic one, and failing that in the order of what is installed.
func (k *check) relations(d Dependency) ([]version.Relation, error) {
	if d.either != nil {
		return d.either, nil
	}
	scheme, err := version.ParseScheme(d.Scheme)
	if err != nil {
		return nil, err
	}
	c, err := version.ParseConstraint(scheme, d.Version)
	if err != nil && d.Scheme == "" {
		if own, ok := k.ownScheme(d.Name); ok {
			if packaged, bad := version.ParseConstraint(own, d.Version); bad == nil {
				c, err = packaged, nil
			}
		}
	}
	return []version.Relation{{Name: d.Name, Constraint: c}}, err
}

// ownScheme is that of what the inventory has of a name.
func (k *check) ownScheme(name string) (version.Scheme, bool) {
	if k.facts.Inventory == nil {
		return "", false
	}
	for _, f := range k.facts.Inventory.Find(name) {
		if s := f.Scheme(); s != version.Semver {
			return s, true
		}
	}
	return "", false
}

// dependencies hold to the inventory what must be there.
func (k *check) dependencies() {
	var unknown []string
	line := 0
	for _, d := range k.m.Dependencies {
		relations, err := k.relations(d)
		if err != nil {
			k.add("dependency-unparseable", detector.Risk, d.Line, fmt.Sprintf("the versions of the dependency %s can't be read: %v", d.Name, err),
				"Whether what is installed is meant can't be told, neither by people nor by the installer.",
				"Ask the vendor which versions it was tested with, and write them as a range: \">= 1.2, < 2\".")
			continue
		}
		if !k.m.packaged {
			k.loose(d, relations)
		}
		if k.facts.Inventory == nil || k.brought(relations) {
			continue
		}
		state, has := k.satisfied(d, relations)
		switch {
		case state == inventory.Unsatisfied:
			k.add("dependency-unsatisfied", detector.Blocker, d.Line, fmt.Sprintf("the package needs %s, and %s is installed", either(relations), has),
				"It doesn't install, or it runs with what it wasn't made for.", fmt.Sprintf("Bring %s to a version that is allowed first, or ask the vendor for a package for the installed one.", relations[0].Name))
		case state == inventory.Unknown && k.absent(d, relations):
			k.add("dependency-missing", detector.Risk, d.Line, fmt.Sprintf("the package needs %s, and nothing of that name is installed", either(relations)),
				"The package manager refuses, or fetches it from wherever it is configured to, with what that pulls in.", "Decide which version is installed beforehand, and from where.")
		case state == inventory.Unknown && !opaque(relations):
			if len(unknown) == 0 {
				line = d.Line
			}
			unknown = append(unknown, either(relations))
		}
	}
	if len(unknown) > 0 {
		k.add("dependency-unknown", detector.Note, line, "the inventory doesn't tell whether these are there: "+listed(unknown),
			"If one is missing, it shows only when the package runs.", "Look on a host, or take the inventory with packages, services and the files of programs.")
	}
}

// loose tells constraints that allow too much.
func (k *check) loose(d Dependency, relations []version.Relation) {
	for _, r := range relations {
		if !r.Constraint.Unbounded() {
			continue
		}
		what := fmt.Sprintf("the dependency %s (%s) has no upper bound", d.Name, r.Constraint)
		if r.Constraint.Free() {
			what = fmt.Sprintf("the dependency %s allows every version", d.Name)
			if v := r.Constraint.String(); v != "" {
				what += " (" + v + ")"
			}
		}
		k.add("dependency-unbounded", detector.Risk, d.Line, what,
			"Nobody can have tried it with all of them: the next major version satisfies it as well, and hosts may come to differ.",
			"Ask the vendor which versions it was tested with, and pin them: \">= 1.2, < 2\".")
		return
	}
}

// satisfied looks in the inventory, and in the order of what is installed where the
// semantic one can't tell.
func (k *check) satisfied(d Dependency, relations []version.Relation) (inventory.State, string) {
	state, has := k.facts.Inventory.Satisfied(relations)
	if state != inventory.Unknown || d.either != nil || d.Scheme != "" {
		return state, has
	}
	own, ok := k.ownScheme(d.Name)
	if !ok {
		return state, has
	}
	c, err := version.ParseConstraint(own, d.Version)
	if err != nil {
		return state, has
	}
	return k.facts.Inventory.Satisfied([]version.Relation{{Name: d.Name, Constraint: c}})
}

// brought says whether the package itself brings one of the alternatives, in a version that is allowed where it tells one.
func (k *check) brought(relations []version.Relation) bool {
	return slices.ContainsFunc(relations, func(r version.Relation) bool {
		return r.Name == k.m.Name.Value || slices.Contains(k.facts.Brings, r.Name) || slices.ContainsFunc(k.m.Changes(""), func(c inventory.Change) bool {
			if !slices.ContainsFunc(append([]string{c.Name}, c.Also...), func(n string) bool { return detector.SameBinary(n, r.Name) }) {
				return false
			}
			v, err := version.Parse(cmp.Or(c.Scheme, version.Semver), c.To)
			return err == nil && r.Constraint.Allows(v)
		})
	})
}

// absent says whether none of a packaged dependency's alternatives is installed, where the
// inventory has the packages of that world.
func (k *check) absent(d Dependency, relations []version.Relation) bool {
	source := map[version.Scheme]string{version.Debian: "dpkg", version.RPM: "rpm"}[version.Scheme(d.Scheme)]
	if d.either == nil || opaque(relations) || !slices.ContainsFunc(k.facts.Inventory.Packages, func(p inventory.Package) bool { return p.Source == source }) {
		return false
	}
	return !slices.ContainsFunc(relations, func(r version.Relation) bool { return len(k.facts.Inventory.Find(r.Name)) > 0 })
}

// opaque says that a relation is of what inventories don't have: files and capabilities of RPM.
func opaque(relations []version.Relation) bool {
	return slices.ContainsFunc(relations, func(r version.Relation) bool {
		return strings.ContainsAny(r.Name, "/()")
	})
}

// conflicts hold to the inventory what must not be there. Debian's and RPM's packages don't
// conflict with themselves by a name that they provide.
func (k *check) conflicts() {
	var others inventory.Inventory
	if k.facts.Inventory != nil && len(k.m.Conflicts) > 0 {
		others = *k.facts.Inventory
		others.Packages = slices.DeleteFunc(slices.Clone(others.Packages), func(p inventory.Package) bool { return p.Name == k.m.Name.Value })
	}
	for _, d := range k.m.Conflicts {
		relations, err := k.relations(d)
		if err != nil {
			k.add("dependency-unparseable", detector.Risk, d.Line, fmt.Sprintf("the versions of the conflict with %s can't be read: %v", d.Name, err),
				"Whether what is installed is meant can't be told.", "Ask the vendor which versions it doesn't go with.")
			continue
		}
		if k.facts.Inventory == nil || k.brought(relations) {
			continue
		}
		for _, r := range relations {
			if state, has := others.Satisfied([]version.Relation{r}); state == inventory.Satisfied {
				k.add("conflict", detector.Blocker, d.Line, fmt.Sprintf("the package conflicts with %s, and %s is installed", r, has),
					"It doesn't install beside it, or what is installed stops working.", fmt.Sprintf("Upgrade or remove %s first.", r.Name))
			}
		}
	}
}

// either says alternatives in words.
func either(relations []version.Relation) string {
	var parts []string
	for _, r := range relations {
		parts = append(parts, r.String())
	}
	return strings.Join(parts, " or ")
}
