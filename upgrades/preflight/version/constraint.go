package version

import (
	"fmt"
	"strings"
)

// Constraint says which versions are allowed. The zero value allows all of them.
type Constraint struct {
	scheme Scheme
	text   string
	// any are alternatives, each a list of conditions that hold together.
	any [][]condition
}

// condition is one bound.
type condition struct {
	op string // <, <=, =, !=, >=, >, and "not" for outside of [v, hi)
	v  Version
	hi Version
}

// maxConditions is how many conditions one constraint may have.
const maxConditions = 200

// ParseConstraint reads a constraint in its world's syntax.
//
// Semver: ">= 1.2, < 2" (comma or blank: and), "1.x || 2.x" (|| or |: or), "^1.2" (as npm
// and cargo: up to the next change of the first number that isn't 0), "~1.2" (up to 1.3),
// "~> 1.2" and "~= 1.2" (as Ruby and Python: up to 2; of "~> 1.2.3" up to 1.3), "1.2 - 2.0",
// "!= 1.5", "1.x", "*", "any", "latest". A version with fewer than three parts names all
// that begin with it: "1.2" and "= 1.2" are 1.2.x, "> 1.2" begins at 1.3, "<= 1.2" ends
// before 1.3. "< 2" excludes prereleases of 2, too, for they are nearer to 2 than to 1.
//
// Debian: "<<", "<=", "=", ">=", ">>", "<" and ">" as dpkg understands them (<= and >=).
// RPM: "<", "<=", "=", "==", ">=", ">"; one without a release is of all releases. Both take commas for
// and, | for or, and "*" and "" for all.
func ParseConstraint(s Scheme, text string) (Constraint, error) {
	text = strings.TrimSpace(text)
	c := Constraint{scheme: s, text: text}
	if len(text) > MaxConstraint {
		return Constraint{}, fmt.Errorf("the constraint has %d bytes, more than %d", len(text), MaxConstraint)
	}
	n := 0
	for alternative := range strings.SplitSeq(strings.ReplaceAll(text, "||", "|"), "|") {
		if strings.TrimSpace(alternative) == "" && text != "" {
			return Constraint{}, fmt.Errorf("%.60q: an alternative is empty", text)
		}
		all, err := conditions(s, alternative)
		if err != nil {
			return Constraint{}, fmt.Errorf("%.60q: %w", text, err)
		}
		if n += len(all); n > maxConditions {
			return Constraint{}, fmt.Errorf("%.60q: more than %d conditions", text, maxConditions)
		}
		c.any = append(c.any, all)
	}
	return c, nil
}

// conditions reads what has to hold together.
func conditions(s Scheme, text string) ([]condition, error) {
	all := []condition{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if everything(part) {
			if part == "" && strings.Contains(text, ",") {
				return nil, fmt.Errorf("a condition is empty")
			}
			continue
		}
		if s != Semver {
			one, err := packaged(s, part)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
			continue
		}
		if from, to, ok := strings.Cut(part, " - "); ok {
			low, err := semantic(">=", strings.TrimSpace(from))
			if err != nil {
				return nil, err
			}
			high, err := semantic("<=", strings.TrimSpace(to))
			if err != nil {
				return nil, err
			}
			all = append(append(all, low...), high...)
			continue
		}
		more, err := words(part)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// words reads conditions that blanks separate, where an operator may stand apart from
// its version.
func words(part string) ([]condition, error) {
	var all []condition
	op := ""
	for _, word := range strings.Fields(part) {
		o, v := cutOperator(word)
		if o != "" && op != "" {
			return nil, fmt.Errorf("%q and %q stand together", op, o)
		}
		if o != "" {
			op = o
		}
		if v == "" {
			continue
		}
		if everything(v) && op == "" {
			continue
		}
		more, err := semantic(op, v)
		if err != nil {
			return nil, err
		}
		all, op = append(all, more...), ""
	}
	if op != "" {
		return nil, fmt.Errorf("%q has no version", op)
	}
	return all, nil
}

// everything says that a word stands for all versions.
func everything(word string) bool {
	switch strings.ToLower(word) {
	case "", "*", "x", "any", "latest":
		return true
	}
	return false
}

// cutOperator cuts off the operator that a text begins with.
func cutOperator(s string) (op, rest string) {
	i := 0
	for i < len(s) && strings.IndexByte("<>=!~^", s[i]) >= 0 {
		i++
	}
	return s[:i], strings.TrimSpace(s[i:])
}

// packaged reads one condition over Debian's or RPM's versions.
func packaged(s Scheme, part string) (condition, error) {
	op, text := cutOperator(part)
	v, err := Parse(s, text)
	if err != nil {
		return condition{}, err
	}
	switch {
	case op == "" || op == "==" && s == RPM:
		op = "="
	case s == Debian && (op == "<<" || op == ">>"):
		op = op[:1]
	case s == Debian && (op == "<" || op == ">"):
		op += "="
	case op == "<" || op == "<=" || op == "=" || op == ">=" || op == ">":
	default:
		return condition{}, fmt.Errorf("%q is no operator of %s", op, s)
	}
	return condition{op: op, v: v}, nil
}

// semantic reads one condition over semantic versions.
func semantic(op, text string) ([]condition, error) {
	count, text, wild := partial(text)
	v := Version{}
	if count > 0 {
		var err error
		if v, err = parseSemver(text); err != nil {
			return nil, err
		}
	} else if !wild {
		return nil, fmt.Errorf("%.60q is no version", text)
	} else if op == "<" || op == ">" || op == "!=" {
		return nil, fmt.Errorf("%s with %q allows nothing", op, "*")
	} else {
		return nil, checkOperator(op)
	}
	open := (wild || count < 3) && !v.hasTail // it names all that begin with it
	between := func(parts int) []condition {
		return []condition{{op: ">=", v: v}, {op: "<", v: v.raised(parts)}}
	}
	switch op {
	case "", "=", "==":
		if open {
			return between(count), nil
		}
		return []condition{{op: "=", v: v}}, nil
	case "!=":
		if open {
			return []condition{{op: "not", v: v, hi: v.raised(count)}}, nil
		}
		return []condition{{op: "!=", v: v}}, nil
	case ">":
		if open {
			return []condition{{op: ">=", v: v.raised(count)}}, nil
		}
	case "<=":
		if open {
			return []condition{{op: "<", v: v.raised(count)}}, nil
		}
	case "<", ">=":
	case "^":
		return between(caret(v, count)), nil
	case "~":
		return between(min(count, 2)), nil
	case "~>", "~=":
		return between(max(count-1, 1)), nil
	}
	if err := checkOperator(op); err != nil {
		return nil, err
	}
	return []condition{{op: op, v: v}}, nil
}

func checkOperator(op string) error {
	switch op {
	case "", "=", "==", "!=", "<", "<=", ">", ">=", "^", "~", "~>", "~=":
		return nil
	}
	return fmt.Errorf("%q is no operator", op)
}

// partial counts the numeric parts before the first wildcard, and leaves that and
// what follows away.
func partial(text string) (count int, known string, wild bool) {
	body, _, _ := strings.Cut(strings.TrimPrefix(text, "v"), "+")
	body, _, pre := strings.Cut(body, "-")
	parts := strings.Split(body, ".")
	for i, p := range parts {
		if p == "*" || p == "x" || p == "X" {
			for _, after := range parts[i:] {
				if pre || after != "*" && after != "x" && after != "X" {
					return len(parts), text, false // refused as a version
				}
			}
			return i, strings.Join(parts[:i], "."), true
		}
	}
	return len(parts), text, false
}

// caret is the part at which a version's compatibility ends, counted from 1: the
// first that isn't 0, or the last.
func caret(v Version, count int) int {
	for i, p := range strings.Split(v.main, ".") {
		if strings.Trim(p, "0") != "" {
			return i + 1
		}
	}
	return count
}

// String is the constraint as it was written, without surrounding blanks.
func (c Constraint) String() string { return c.text }

// Scheme is the world that the constraint is of.
func (c Constraint) Scheme() Scheme { return c.scheme }

// Unbounded says that it allows versions without end, of which nobody can have tried
// all: one of its alternatives has no upper bound.
func (c Constraint) Unbounded() bool {
	for _, all := range c.any {
		bounded := false
		for _, k := range all {
			bounded = bounded || k.op == "<" || k.op == "<=" || k.op == "="
		}
		if !bounded {
			return true
		}
	}
	return len(c.any) == 0
}

// Free says that it allows every version: *, any, latest, or nothing at all.
func (c Constraint) Free() bool {
	for _, all := range c.any {
		if len(all) == 0 {
			return true
		}
	}
	return len(c.any) == 0
}

// Allows says whether a version of the constraint's scheme is allowed; one of another
// scheme, or none, isn't unless every version is.
func (c Constraint) Allows(v Version) bool {
	if c.Free() {
		return true
	}
	if v.scheme != c.scheme {
		return false
	}
	for _, all := range c.any {
		ok := true
		for _, k := range all {
			ok = ok && k.holds(v)
		}
		if ok {
			return true
		}
	}
	return false
}

func (k condition) holds(v Version) bool {
	if v.scheme == RPM && !k.v.hasTail {
		v.tail, v.hasTail = "", false
	}
	c := v.Compare(k.v)
	switch k.op {
	case "<":
		return c < 0 && !k.just(v, k.v)
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case "!=":
		return c != 0
	case ">=":
		return c >= 0
	case ">":
		return c > 0
	}
	return c < 0 || v.Compare(k.hi) >= 0 || k.just(v, k.hi)
}

// just says that v is a prerelease of a release.
func (k condition) just(v, release Version) bool {
	return v.scheme == Semver && v.hasTail && !release.hasTail && compareParts(v.main, release.main) == 0
}

// Edges are the versions at which what is allowed begins or ends and that are allowed
// themselves: 1.2 of ">= 1.2, < 2".
func (c Constraint) Edges() []Version {
	var edges []Version
	for _, all := range c.any {
		for _, k := range all {
			if c.Allows(k.v) {
				edges = append(edges, k.v)
			}
		}
	}
	return edges
}
