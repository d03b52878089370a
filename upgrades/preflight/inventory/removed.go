package inventory

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"aftershock/detector"
	"aftershock/upgrades/inside"
	"aftershock/upgrades/preflight/document"
)

// CheckBuilds compares the new builds of the changes with the installed ones that the inventory
// names and that are on this machine with the digest that the inventory has, and tells which
// interfaces went. Nothing is claimed of changes without both builds, but for one note if the
// matrix has needs of them.
//
// Rules: inventory/interface-removed, inventory/interface-gone, inventory/interface-unfound,
// inventory/build-unknown.
func (m Compatibility) CheckBuilds(ctx context.Context, inv Inventory, changes []Change, cache inside.Cache) ([]detector.Finding, error) {
	var findings []detector.Finding
	missing := map[string]bool{}
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return findings, err
		}
		old, ok := installedBuild(inv, c)
		if !ok || c.New == "" {
			if slices.ContainsFunc(m.Needs, func(n Needed) bool { return c.called(n.Of) }) {
				missing[c.Name] = true
			}
			continue
		}
		before, err := cache.Take(old.Path)
		if err != nil || old.SHA256 != "" && before.SHA256 != old.SHA256 {
			missing[c.Name] = true
			continue
		}
		after, err := cache.Take(c.New)
		if err != nil {
			missing[c.Name] = true
			continue
		}
		findings = append(findings, m.CheckInterfaces(c, before, after)...)
	}
	if len(missing) > 0 {
		findings = append(findings, detector.Finding{
			Rule: "inventory/build-unknown", Severity: detector.Note, Place: detector.Place{File: m.File},
			What: "what went from the interfaces of " + listed(sorted(missing)) + " can't be told: the installed build or the new one isn't at hand",
			Why:  "The matrix names what neighbours use of it.",
			Do:   "Inspect on a host that has the installed build, with an inventory that names its file.",
		})
	}
	return findings, nil
}

// installedBuild gives the installed file of a change.
func installedBuild(inv Inventory, c Change) (File, bool) {
	for _, f := range inv.Files {
		if !c.called(path.Base(f.Path)) {
			continue
		}
		if info, err := os.Stat(f.Path); err == nil && info.Mode().IsRegular() && info.Size() <= maxInside {
			return f, true
		}
	}
	return File{}, false
}

// CheckInterfaces tells which interfaces of the old build the new one lacks: those that a
// neighbour needs by the matrix are blockers, other routes and services risks where their texts
// can hardly be anything else, the rest notes.
func (m Compatibility) CheckInterfaces(c Change, before, after inside.Fingerprint) []detector.Finding {
	if before.SHA256 == after.SHA256 || before.Form != after.Form || len(before.Texts) == 0 || len(after.Texts) == 0 {
		return nil // one packed or of another form tells nothing by what it lacks
	}
	k := comparing{matrix: m, change: c, before: InterfacesOf(before), after: InterfacesOf(after), used: map[string]bool{}}
	difference := inside.Compare(c.Name, before, after)
	k.gone = difference.Functions.Removed
	k.functions = func(name string) bool {
		return slices.ContainsFunc(after.Functions, func(f inside.Function) bool { return isFunction(f.Name, name) })
	}
	for _, n := range m.Needs {
		if c.called(n.Of) {
			k.needed(n)
		}
	}
	k.others()
	return k.findings
}

// comparing is one comparison of two builds.
type comparing struct {
	matrix        Compatibility
	change        Change
	before, after Interfaces
	gone          []string
	functions     func(name string) bool
	used          map[string]bool // told as needed
	findings      []detector.Finding
}

// isFunction says whether a symbol is a function that people name with or without its package.
func isFunction(symbol, name string) bool {
	return symbol == name || strings.HasSuffix(symbol, "."+name) || strings.HasSuffix(symbol, "/"+name)
}

func (k *comparing) needed(n Needed) {
	for _, t := range n.Routes {
		k.one(n, t, "HTTP route", k.before.hasRoute(t.Value), k.after.hasRoute(t.Value))
	}
	for _, t := range n.Services {
		name := strings.Trim(t.Value, "/")
		k.one(n, t, "protobuf service", k.before.Services[name], k.after.Services[name])
	}
	for _, t := range n.SQL {
		name := strings.ToLower(t.Value)
		k.one(n, t, "SQL object", k.before.Tables[name], k.after.Tables[name])
	}
	for _, t := range n.Functions {
		was := slices.ContainsFunc(k.gone, func(s string) bool { return isFunction(s, t.Value) })
		is := k.functions(t.Value)
		k.one(n, t, "exported function", was || is, is)
	}
}

// one tells of one thing that a neighbour needs.
func (k *comparing) one(n Needed, t document.Text, kind string, was, is bool) {
	if is {
		return
	}
	place := detector.Place{File: k.matrix.File, Line: t.Line}
	if !was {
		k.findings = append(k.findings, detector.Finding{
			Rule: "inventory/interface-unfound", Severity: detector.Note, Place: place,
			What: fmt.Sprintf("the %s %s, which %s needs of %s, isn't found in either build", kind, t.Value, n.Neighbour, k.change.Name),
			Why:  "It may be put together when the program runs, or be written otherwise in the matrix: the comparison says nothing of it.",
			Do:   "Look up how the program writes it, and correct the matrix.",
		})
		return
	}
	k.used[t.Value] = true
	k.findings = append(k.findings, detector.Finding{
		Rule: "inventory/interface-removed", Severity: detector.Blocker, Place: place,
		What: fmt.Sprintf("the new build of %s lacks the %s %s, which %s needs", k.change.Name, kind, t.Value, n.Neighbour),
		Why:  fmt.Sprintf("Calls of %s fail as soon as the first instance is replaced.", n.Neighbour),
		Do:   fmt.Sprintf("Upgrade %s first to a version that does without it, or ask the vendor for a build that still has it.", n.Neighbour),
	})
}

// told says whether a route was told as one that a neighbour needs.
func (k *comparing) told(route string) bool {
	_, at := splitRoute(route)
	for u := range k.used {
		if _, a := splitRoute(u); a == at {
			return true
		}
	}
	return false
}

// others tell what else went.
func (k *comparing) others() {
	var clear, vague []string
	for r, sure := range k.before.Routes {
		switch {
		case k.after.hasRoute(r) || k.told(r):
		case sure:
			clear = append(clear, r)
		default:
			vague = append(vague, r)
		}
	}
	for s := range k.before.Services {
		service, _, isMethod := strings.Cut(s, "/")
		if !k.after.Services[s] && !k.used[s] && (!isMethod || k.after.Services[service]) {
			clear = append(clear, s)
		}
	}
	for t := range k.before.Tables {
		if !k.after.Tables[t] && !k.used[t] {
			vague = append(vague, "SQL: "+t)
		}
	}
	k.went(clear, detector.Risk, "routes and services", "If it offered them, whoever still calls them gets errors from the first new instance on; if it called them, what they did is done otherwise or no longer.",
		"See in the telemetry or access logs who calls them; put what is needed into the compatibility matrix.")
	k.went(vague, detector.Note, "texts that may be routes or SQL objects", "If they were interfaces, somebody may still use them.",
		"Compare with the vendor's notes on the release.")
}

func (k *comparing) went(names []string, severity, kind, why, do string) {
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	k.findings = append(k.findings, detector.Finding{
		Rule: "inventory/interface-gone", Severity: severity, Place: k.change.Place,
		What: fmt.Sprintf("the new build of %s lacks %s that the installed one has: %s", k.change.Name, kind, listed(names)),
		Why:  why, Do: do,
	})
}
