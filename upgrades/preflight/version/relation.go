package version

import (
	"fmt"
	"strings"
)

// Relation is one package that a field names, with what versions of it are meant.
type Relation struct {
	// Name is the package's name, without the architecture qualifier.
	Name string
	// Constraint is free where the field names no version.
	Constraint Constraint
}

func (r Relation) String() string {
	if r.Constraint.String() == "" {
		return r.Name
	}
	return r.Name + " (" + r.Constraint.String() + ")"
}

// maxRelations is how many relations one field may have.
const maxRelations = 2000

// ParseRelations reads a field of packages: "libc6 (>= 2.34), default-mta | mail-transport-agent"
// of Debian (deb-control(5), with architectures and build profiles left aside), and
// "libfoo >= 1.2, bar" of RPM, where line breaks separate like commas. The outer list holds together, the inner
// ones are alternatives. Debian's syntax is also read for Semver, with semantic versions in
// the brackets.
//
// The error names the first part that can't be read; what could be is given all the same.
func ParseRelations(s Scheme, field string) (relations [][]Relation, err error) {
	if s == RPM {
		field = strings.ReplaceAll(field, "\n", ",")
	}
	for part := range strings.SplitSeq(field, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		if len(relations) >= maxRelations {
			return relations, fmt.Errorf("more than %d relations", maxRelations)
		}
		var any []Relation
		for alternative := range strings.SplitSeq(part, "|") {
			r, bad := relation(s, strings.TrimSpace(alternative))
			if bad != nil {
				if err == nil {
					err = bad
				}
				any = nil
				break
			}
			any = append(any, r)
		}
		if any != nil {
			relations = append(relations, any)
		}
	}
	return relations, err
}

func relation(s Scheme, text string) (Relation, error) {
	if len(text) > MaxConstraint {
		return Relation{}, fmt.Errorf("a relation has %d bytes, more than %d", len(text), MaxConstraint)
	}
	var name, constraint string
	if s == RPM {
		if strings.HasPrefix(text, "(") {
			return Relation{}, fmt.Errorf("%.60q: rich dependencies aren't read", text)
		}
		name, constraint, _ = strings.Cut(text, " ")
	} else {
		text, _, _ = strings.Cut(text, "<!") // build profiles
		text, _, _ = strings.Cut(text, "[")  // architectures
		var opened, closed bool
		name, constraint, opened = strings.Cut(text, "(")
		if constraint = strings.TrimSpace(constraint); opened {
			constraint, closed = strings.CutSuffix(constraint, ")")
		}
		if opened && (!closed || strings.TrimSpace(constraint) == "") {
			return Relation{}, fmt.Errorf("%.60q: its bracket holds no version", text)
		}
		name, _, _ = strings.Cut(name, ":")
	}
	name = strings.TrimSpace(name)
	if name == "" || strings.ContainsAny(name, " \t\n$") {
		return Relation{}, fmt.Errorf("%.60q names no package", text)
	}
	c, err := ParseConstraint(s, constraint)
	if err != nil {
		return Relation{}, fmt.Errorf("%.60q: %w", name, err)
	}
	return Relation{Name: name, Constraint: c}, nil
}
