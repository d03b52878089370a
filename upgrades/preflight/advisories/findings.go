package advisories

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"aftershock/detector"
)

// hit is a group of advisories that are one vulnerability, and a component that has it.
type hit struct {
	group     []*advisory
	component Component
	files     []string
	fixed     string
	// reach says whether the vulnerable code of its module is in the binary.
	reach reach
}

// Findings tells what was found, the worst first, and then what couldn't be read or told.
func (c *Checker) Findings() []detector.Finding {
	groups := c.groups()
	var found []detector.Finding
	undecided := map[string]bool{}
	for _, g := range groups {
		before, _ := c.hits(g, c.before, nil)
		after, doubtful := c.hits(g, c.after, undecided)
		if reason, ok := c.exempt(g); ok {
			if len(after) > 0 {
				found = append(found, c.denied(g, after, reason))
			}
			continue
		}
		had := map[identity]bool{}
		for _, h := range before {
			had[h.component.identity()] = had[h.component.identity()] || !h.reach.apart()
		}
		has := map[identity]bool{}
		for _, h := range after {
			has[h.component.identity()] = true
			found = append(found, c.vulnerable(h, had[h.component.identity()]))
		}
		for _, h := range before {
			if id := h.component.identity(); !has[id] && !doubtful[id] && !h.reach.apart() {
				found = append(found, c.fixes(h))
			}
		}
		if len(after) == 0 {
			found = append(found, c.asked(g)...)
		}
	}
	rank := map[string]int{detector.Blocker: 0, detector.Risk: 1, detector.Note: 2}
	slices.SortStableFunc(found, func(a, b detector.Finding) int {
		return cmp.Or(cmp.Compare(rank[a.Severity], rank[b.Severity]), cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.What, b.What))
	})
	if len(undecided) > 0 {
		list := make([]string, 0, len(undecided))
		for text := range undecided {
			list = append(list, text)
		}
		slices.Sort(list)
		more := ""
		if len(list) > 5 {
			more = fmt.Sprintf(" and %d more", len(list)-5)
			list = list[:5]
		}
		found = append(found, detector.Finding{
			Rule: "advisories/undecided", Severity: detector.Note,
			What: "whether these concern the package can't be told: " + strings.Join(list, ", ") + more,
			Why:  "their versions can't be compared here: commits, an order that isn't known, or a distribution whose release isn't named",
			Do:   "read them, and ask the vendor",
		})
	}
	return append(found, c.problems...)
}

// groups joins advisories that name one another as aliases, in the order of their ids.
func (c *Checker) groups() [][]*advisory {
	parent := make([]int, len(c.kept))
	root := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	first := map[string]int{}
	for i, a := range c.kept {
		parent[i] = i
		for _, id := range a.ids {
			if k, ok := first[id]; ok {
				parent[root(i)] = root(k)
			} else {
				first[id] = i
			}
		}
	}
	byRoot := map[int][]*advisory{}
	for i, a := range c.kept {
		byRoot[root(i)] = append(byRoot[root(i)], a)
	}
	out := make([][]*advisory, 0, len(byRoot))
	for _, g := range byRoot {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b []*advisory) int { return strings.Compare(names(a)[0], names(b)[0]) })
	return out
}

// names are the ids of a group: CVE first, then the others in order.
func names(group []*advisory) (list []string) {
	for _, a := range group {
		list = append(list, a.ids...)
	}
	slices.SortFunc(list, func(a, b string) int {
		x, y := strings.HasPrefix(a, "CVE-"), strings.HasPrefix(b, "CVE-")
		if x != y {
			if x {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(list)
}

// hits are the components that a group concerns, one for each name and version.
// doubtful are those of which nothing can be told.
func (c *Checker) hits(group []*advisory, list []Component, undecided map[string]bool) (found []*hit, doubtful map[identity]bool) {
	doubtful = map[identity]bool{}
	for _, k := range list {
		is, fixed := no, ""
		var entries []entry
		for _, a := range group {
			if c.matches(k, a.exempts) {
				is = no
				break
			}
			for i := range a.affects {
				got, fix := c.in(k, &a.affects[i])
				if got == yes {
					fixed = cmp.Or(fixed, fix)
					entries = append(entries, entry{a.ids[0], &a.affects[i]})
				}
				if got == yes || is == no {
					is = got
				}
			}
		}
		switch is {
		case unknown:
			doubtful[k.identity()] = true
			if undecided != nil {
				undecided[fmt.Sprintf("%s for %s %s", names(group)[0], k.Name, k.Version)] = true
			}
		case yes:
			r := reachOf(k, entries)
			i := slices.IndexFunc(found, func(h *hit) bool {
				return h.component.identity() == k.identity() && h.component.Version == k.Version && h.reach.kind == r.kind
			})
			if i < 0 {
				i = len(found)
				found = append(found, &hit{group: group, component: k, fixed: fixed, reach: r})
			}
			if !slices.Contains(found[i].files, k.File) {
				found[i].files = append(found[i].files, k.File)
			}
		}
	}
	return found, doubtful
}

func (c *Checker) matches(k Component, list []affect) bool {
	for i := range list {
		if v, _ := c.in(k, &list[i]); v == yes {
			return true
		}
	}
	return false
}

// exempt says whether a publisher says that the new package itself isn't affected.
func (c *Checker) exempt(group []*advisory) (reason string, ok bool) {
	own := Component{Ecosystem: Product, Name: c.pkg.Name, Version: c.pkg.New}
	for _, a := range group {
		if c.pkg.New != "" && c.matches(own, a.exempts) {
			return a.reason, true
		}
	}
	return "", false
}

// rated is what a group is rated: the highest score, and whether it is exploited.
func (c *Checker) rated(group []*advisory) (base float64, vector string, exploited bool) {
	base = -1
	for _, a := range group {
		if a.score > base {
			base, vector = a.score, a.vector
		}
		exploited = exploited || c.exploit(a)
	}
	return base, vector, exploited
}

// severity is by the table in docs/preflight/advisories.md.
func severity(base float64, exploited, unlinked, before bool) string {
	switch {
	case unlinked:
		return detector.Note
	case exploited && base >= 9 && !before:
		return detector.Blocker
	case exploited || base >= 7 || base < 0:
		return detector.Risk
	}
	return detector.Note
}

func title(group []*advisory) string {
	for _, a := range group {
		if a.title != "" {
			text := strings.Join(strings.Fields(a.title), " ")
			if runes := []rune(text); len(runes) > 160 {
				text = string(runes[:160]) + "…"
			}
			return text
		}
	}
	return "no title"
}

func label(group []*advisory) string {
	list := names(group)
	if len(list) > 4 {
		list = list[:4]
	}
	if len(list) == 1 {
		return list[0]
	}
	return list[0] + " (" + strings.Join(list[1:], ", ") + ")"
}

func (c *Checker) vulnerable(h *hit, before bool) detector.Finding {
	base, vector, exploited := c.rated(h.group)
	f := detector.Finding{
		Rule: "advisories/vulnerable", Severity: severity(base, exploited, h.reach.apart(), before), Place: detector.Place{File: h.files[0]},
		What: fmt.Sprintf("%s %s has %s: %s", h.component.Name, h.component.Version, label(h.group), title(h.group)),
	}
	if h.component.byFile() && f.Severity == detector.Blocker {
		f.Severity = detector.Risk
	}
	if len(h.files) > 1 {
		f.What += fmt.Sprintf(" (in %d binaries)", len(h.files))
	}
	var why []string
	switch {
	case base < 0:
		why = append(why, "nobody has scored it")
	case vector != "":
		why = append(why, fmt.Sprintf("its CVSS base score is %.1f (%s)", base, vector))
	default:
		why = append(why, fmt.Sprintf("it is rated as CVSS %.1f or more", base))
	}
	if exploited {
		why = append(why, "it is known to be exploited")
	}
	if before {
		why = append(why, "the old build has it too")
	}
	if h.component.byFile() {
		why = append(why, "the component is known by its file's name alone")
	}
	if text := h.reach.why(h.files[0], len(h.files), h.component); text != "" {
		why = append(why, text)
	}
	f.Why = strings.Join(why, "; ")
	switch {
	case h.fixed == "":
		f.Do = "no fixed version is named: read the advisory for what mitigates it, and ask the vendor"
	case h.component.File == "":
		f.Do = fmt.Sprintf("take %s %s or later", h.component.Name, h.fixed)
	default:
		f.Do = fmt.Sprintf("ask the vendor for a build with %s %s or later", h.component.Name, h.fixed)
	}
	return f
}

func (c *Checker) fixes(h *hit) detector.Finding {
	place := ""
	for _, k := range c.after {
		if k.identity() == h.component.identity() {
			place = k.File
			break
		}
	}
	return detector.Finding{
		Rule: "advisories/fixed-by-upgrade", Severity: detector.Note, Place: detector.Place{File: place},
		What: fmt.Sprintf("this upgrade fixes %s in %s %s: %s", label(h.group), h.component.Name, h.component.Version, title(h.group)),
		Why:  "the old build is affected and the new one isn't: a rollback brings it back", Do: "weigh it when the upgrade is put off or rolled back",
	}
}

func (c *Checker) denied(group []*advisory, after []*hit, reason string) detector.Finding {
	return detector.Finding{
		Rule: "advisories/not-affected", Severity: detector.Note, Place: detector.Place{File: after[0].files[0]},
		What: fmt.Sprintf("%s %s has %s in %s %s, and its publisher says that it isn't affected, or is fixed", c.pkg.Name, c.pkg.New, label(group),
			after[0].component.Name, after[0].component.Version),
		Why: cmp.Or(strings.Join(strings.Fields(reason), " "), "the publisher gives no reason"), Do: "check that the statement is of this very build, if it matters to you",
	}
}

// asked tells of what the publisher is still looking into.
func (c *Checker) asked(group []*advisory) (list []detector.Finding) {
	for _, k := range c.after {
		for _, a := range group {
			if c.matches(k, a.asked) {
				return []detector.Finding{{
					Rule: "advisories/under-investigation", Severity: detector.Note, Place: detector.Place{File: k.File},
					What: fmt.Sprintf("whether %s %s has %s is under investigation: %s", k.Name, k.Version, label(group), title(group)),
					Why:  "its publisher doesn't know yet", Do: "look again before the upgrade",
				}}
			}
		}
	}
	return nil
}
