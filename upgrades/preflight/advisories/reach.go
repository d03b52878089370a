package advisories

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"aftershock/upgrades/inside"
)

// imported is a vulnerable package of a Go module, as OSV's entries of Go have it.
type imported struct {
	Path string `json:"path"`
	// Symbols are its vulnerable functions (F) and methods (T.M); none where all are.
	Symbols []string `json:"symbols"`
	// GOOS and GOARCH are where they are vulnerable; none for everywhere.
	GOOS   []string `json:"goos"`
	GOARCH []string `json:"goarch"`
}

// linked is what a Go binary consists of.
type linked struct {
	// packages are the import paths that have code in it, functions also those whose code is in others alone, as
	// the path and the name with a space between. nil where its functions can't be read.
	packages, functions map[string]bool
	// main is the path of the main module, command that of the main package; "" where not known.
	main, command string
	goos, goarch  string
}

// linkedInto gives what a Go binary consists of.
func linkedInto(p inside.Fingerprint) *linked {
	l := &linked{main: p.Main, command: p.Package, goos: p.Settings["GOOS"], goarch: p.Settings["GOARCH"], packages: map[string]bool{}, functions: map[string]bool{}}
	for i := range p.Functions {
		l.add(p.Functions[i].Name)
	}
	for _, name := range p.Inlined {
		l.add(name)
	}
	// Each program has these two by their names: where it doesn't, names were changed, and those of others too.
	if !l.functions["main main"] || !l.functions["runtime main"] {
		l.packages, l.functions = nil, nil
	}
	return l
}

// add takes a function in by the name that the linker gave it: path.F, path.T.M, path.(*T).M, path.F[...], and path.F.func1 for a
// function within F, which stands for F.
func (l *linked) add(name string) {
	if strings.HasPrefix(name, "type:") || strings.HasPrefix(name, "go:") {
		return
	}
	head, _, _ := strings.Cut(name, "[")
	slash := strings.LastIndexByte(head, '/')
	dot := strings.IndexByte(head[slash+1:], '.')
	if dot <= 0 {
		return
	}
	path := head[:slash+1+dot]
	if plain, err := url.PathUnescape(path); err == nil { // dots in its last part are escaped
		path = plain
	}
	l.packages[path] = true
	parts := strings.Split(plainName(name[slash+1+dot+1:]), ".")
	l.functions[path+" "+parts[0]] = true
	if len(parts) > 1 {
		l.functions[path+" "+parts[0]+"."+parts[1]] = true
	}
}

// plainName is a function's name without types of generics, the parentheses of a receiver, and the mark of a bound method.
func plainName(s string) string {
	var b strings.Builder
	depth := 0
	for _, r := range s {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		case '(', ')', '*':
		default:
			if depth <= 0 {
				b.WriteRune(r)
			}
		}
	}
	return strings.TrimSuffix(b.String(), "-fm")
}

// Kinds of reach, from the one that weighs most.
const (
	reachUntold    = iota // the advisory, or the component, has nothing to tell it by
	reachLinked           // vulnerable functions are in the binary
	reachUnread           // the binary's functions can't be read
	reachFunctions        // its packages are in the binary, none of the functions is
	reachPackages         // none of its packages is in the binary
	reachBuilder          // it is in what built the binary
	reachElsewhere        // it is for other systems
)

// reach says whether a binary has what is vulnerable of a module.
type reach struct {
	kind int
	// functions are those that are linked, as "path.Name"; of is how many there are that are vulnerable.
	functions []string
	of        int
	// systems are those that it is for.
	systems []string
}

// apart says that the binary doesn't have what is vulnerable.
func (r reach) apart() bool { return r.kind >= reachFunctions }

// reachOf weighs all that a group says of a component. An entry that names no packages is about a module as a whole
// where it is of Go's own database; where another one leaves them out, those that don't tell more.
func reachOf(k Component, entries []entry) (out reach) {
	if k.linked == nil {
		return reach{}
	}
	for _, e := range entries {
		if len(e.affect.imports) == 0 && !strings.HasPrefix(e.id, "GO-") {
			continue
		}
		r := k.reach(e.affect.imports)
		if r.kind == reachUntold {
			return r
		}
		if out.kind == reachUntold || r.kind < out.kind {
			r.functions, r.of, r.systems = append(out.functions, r.functions...), out.of+r.of, append(out.systems, r.systems...)
			out = r
		} else {
			out.functions, out.of, out.systems = append(out.functions, r.functions...), out.of+r.of, append(out.systems, r.systems...)
		}
	}
	slices.Sort(out.functions)
	out.functions = slices.Compact(out.functions)
	slices.Sort(out.systems)
	out.systems = slices.Compact(out.systems)
	return out
}

// entry is what an advisory says of a component.
type entry struct {
	id     string
	affect *affect
}

// reach looks for the vulnerable functions in the component's binary.
func (k Component) reach(imports []imported) (r reach) {
	if len(imports) == 0 {
		return r
	}
	kinds := make([]int, 0, len(imports))
	for _, i := range imports {
		kind, functions := k.reachOne(i)
		kinds = append(kinds, kind)
		r.functions = append(r.functions, functions...)
		r.of += len(i.Symbols)
		if kind == reachElsewhere {
			r.systems = append(r.systems, strings.Join(append(slices.Clone(i.GOOS), i.GOARCH...), " "))
		}
	}
	r.kind = slices.Min(kinds)
	return r
}

func (k Component) reachOne(i imported) (kind int, functions []string) {
	l := k.linked
	other := func(all []string, own string) bool { return own != "" && len(all) > 0 && !slices.Contains(all, own) }
	switch {
	case other(i.GOOS, l.goos) || other(i.GOARCH, l.goarch):
		return reachElsewhere, nil
	case k.Name == "toolchain" && !strings.HasPrefix(l.command, "cmd/"):
		for _, writes := range []string{"cmd/compile", "cmd/link", "cmd/asm"} {
			if i.Path == writes || strings.HasPrefix(i.Path, writes+"/") {
				return reachUntold, nil // what it wrote is in the binary
			}
		}
		return reachBuilder, nil
	case l.packages == nil:
		return reachUnread, nil
	}
	kind = reachPackages
	for _, path := range k.paths(i.Path) {
		if !l.packages[path] {
			continue
		}
		if len(i.Symbols) == 0 {
			return reachLinked, []string{i.Path}
		}
		kind = min(kind, reachFunctions)
		for _, s := range i.Symbols {
			if l.functions[path+" "+plainName(s)] {
				functions = append(functions, i.Path+"."+s)
			}
		}
	}
	if len(functions) > 0 {
		kind = reachLinked
	}
	return kind, functions
}

// paths are what a package may be called in the binary.
func (k Component) paths(path string) []string {
	if rest, ok := strings.CutPrefix(path, k.Name); ok && k.as != "" && (rest == "" || rest[0] == '/') {
		return []string{path, k.as + rest}
	}
	if l := k.linked; k.Name == l.main && (l.command == "" || l.command == path) || k.Name == "toolchain" && l.command == path {
		return []string{path, "main"}
	}
	return []string{path}
}

// why says it in words; into is the binary.
func (r reach) why(into string, files int, k Component) string {
	switch r.kind {
	case reachLinked:
		text := r.functions[0]
		if n := len(r.functions) - 1; n > 0 {
			text += plural(n, " and one more", " and %d more")
		}
		is := " is linked into "
		if len(r.functions) > 1 {
			is = " are linked into "
		}
		return "vulnerable " + text + is + into + plural(files-1, " and another binary", " and %d other binaries")
	case reachUnread:
		return "whether its vulnerable functions are linked in can't be told: the binary's functions can't be read"
	case reachFunctions:
		return plural(r.of, "its vulnerable function isn't linked in", "none of its %d vulnerable functions is linked in")
	case reachPackages:
		return "no code of its vulnerable packages is found in the binary"
	case reachBuilder:
		return "it concerns who builds with this Go: the toolchain isn't in the binary"
	case reachElsewhere:
		systems := []rune(strings.Join(strings.Fields(strings.Join(r.systems, ", ")), " "))
		return "it concerns " + string(systems[:min(len(systems), 100)]) + " alone, and the binary is for " + cmp.Or(k.linked.goos, "another system") + " " + k.linked.goarch
	}
	return ""
}

// plural is one or many, with how many; "" for none.
func plural(n int, one, many string) string {
	switch n {
	case 0:
		return ""
	case 1:
		return one
	}
	return fmt.Sprintf(many, n)
}
