package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"aftershock/detector"
)

// maxOfRow is how many findings of one kind a row may have.
const maxOfRow = 20

// check is a matrix held against the live configuration.
type check struct {
	matrix   Matrix
	live     Live
	from, to string
	compare  func(a, b string) int
	owners   *owners
	uses     *index
	found    []detector.Finding
	// matched are the uses of keys that the matrix knows.
	matched map[int]bool
	unknown int // rows whose versions can't be told
	unread  []detector.Hypothesis
}

// Check holds a matrix against the live configuration for an upgrade from one version
// to another; an empty version is unknown. compare orders versions: negative where a is
// before b, 0 where they are the same, positive where a is after b.
func Check(m Matrix, live Live, from, to string, compare func(a, b string) int) []detector.Finding {
	c := &check{
		matrix: m, live: live, from: from, to: to, compare: compare,
		owners: newOwners(m), uses: newIndex(live.Uses), matched: map[int]bool{},
	}
	c.found = append(c.found, live.Unread...)
	var used [][]int
	for i := range m.Rows {
		found := c.uses.find(m.Rows[i].Key)
		for _, k := range found {
			c.matched[k] = true
		}
		found = slices.DeleteFunc(found, func(k int) bool { return !c.owners.concerns(live.Uses[k], &m.Rows[i]) })
		slices.Sort(found)
		used = append(used, found)
	}
	for i := range m.Rows {
		c.row(&m.Rows[i], used[i])
	}
	c.drafts(used)
	c.mistyped(used)
	c.doubts()
	return c.found
}

// reached says whether a version has come with the new version, or was there with the old.
func (c *check) reached(version, at string) bool {
	return version != "" && at != "" && c.compare(at, version) >= 0
}

func (c *check) row(r *Row, used []int) {
	if r.Draft {
		return
	}
	versions := cmp.Or(r.IntroducedIn, r.DeprecatedIn, r.RemovedIn) != ""
	if versions && c.to == "" {
		c.unknown++
		return
	}
	switch {
	case c.reached(r.RemovedIn, c.to):
		c.removed(r, used)
		return
	case c.reached(r.DeprecatedIn, c.to):
		c.deprecated(r, used)
	}
	if r.Value != nil && (r.IntroducedIn == "" || c.reached(r.IntroducedIn, c.to)) {
		c.required(r, used)
		return
	}
	c.conflicts(r, used)
}

// each reports a finding for each use, as many as are read.
func (c *check) each(used []int, report func(u Use, more string)) {
	for n, k := range used {
		if n == maxOfRow {
			return
		}
		more := ""
		if n == maxOfRow-1 && len(used) > maxOfRow {
			more = fmt.Sprintf(" (and %d more uses)", len(used)-maxOfRow)
		}
		report(c.live.Uses[k], more)
	}
}

func place(u Use) detector.Place { return detector.Place{File: u.File, Line: u.Line} }

func (c *check) removed(r *Row, used []int) {
	gone := c.reached(r.RemovedIn, c.from)
	replaced := r.Replacement != "" && len(c.uses.find(r.Replacement)) > 0
	c.each(used, func(u Use, more string) {
		f := detector.Finding{
			Rule: "settings/removed-key", Severity: cmp.Or(r.Severity, detector.Risk), Place: place(u),
			What: fmt.Sprintf("%s is set, which %s no longer knows from %s on%s", u.Key, r.Component, r.RemovedIn, more),
			Why:  cmp.Or(left(r.Otherwise), "the value is ignored or refused, and the behaviour that it stood for is gone"),
			Do:   fmt.Sprintf("take %s out of %s", u.Key, u.File),
		}
		if r.Replacement != "" {
			f.Do = fmt.Sprintf("set %s instead of %s, and look whether the value means the same there", r.Replacement, u.Key)
		}
		switch {
		case gone:
			f.Severity = detector.Note
			f.Why = fmt.Sprintf("it has been without effect since before %s: the upgrade doesn't change that", c.from)
		case replaced:
			f.Severity = detector.Note
			f.Why = fmt.Sprintf("%s is set already: the old key is without effect after the upgrade and misleads who reads it", r.Replacement)
			f.Do = fmt.Sprintf("take %s out once the upgrade can no longer be rolled back", u.Key)
		default:
			f.Reversions = []detector.Reversion{{
				Level: detector.LevelConfiguration, Step: "take out " + u.Key, Place: place(u),
				How: fmt.Sprintf("set %s back to %s", u.Key, cmp.Or(u.Shown(), "nothing")),
			}}
			if r.Otherwise != "" {
				f.Hypotheses = c.hypotheses(r)
				f.Hypotheses[0].Says = fmt.Sprintf("%s: %s, since %s is no longer known", strings.Join(r.binaries(), ", "), strings.TrimSuffix(r.Otherwise, "."), r.Key)
			}
		}
		c.found = append(c.found, f)
	})
}

func (c *check) deprecated(r *Row, used []int) {
	severity := detector.Note
	if r.Severity == detector.Risk || r.Severity == detector.Blocker {
		severity = detector.Risk // it works still
	}
	c.each(used, func(u Use, more string) {
		until := "it still works, and goes in a later version"
		if r.RemovedIn != "" {
			until = "it still works, and goes in " + r.RemovedIn
		}
		do := fmt.Sprintf("plan for %s without it", u.Key)
		if r.Replacement != "" {
			do = fmt.Sprintf("set %s instead of %s", r.Replacement, u.Key)
		}
		c.found = append(c.found, detector.Finding{
			Rule: "settings/deprecated-key", Severity: severity, Place: place(u),
			What: fmt.Sprintf("%s is set, which %s deprecates from %s on%s", u.Key, r.Component, r.DeprecatedIn, more), Why: until, Do: do,
		})
	})
}

// hypotheses are what would show where the row's key isn't as it has to be.
func (c *check) hypotheses(r *Row) []detector.Hypothesis {
	binaries := slices.Clone(r.binaries())
	says := fmt.Sprintf("%s falls back: %s isn't as %s needs it", strings.Join(binaries, ", "), r.Key, cmp.Or(c.to, "the new version"))
	if r.Otherwise != "" {
		says = fmt.Sprintf("%s: %s, since %s isn't as it needs it", strings.Join(binaries, ", "), strings.TrimSuffix(r.Otherwise, "."), r.Key)
	}
	return []detector.Hypothesis{{Kind: detector.HypothesisFallback, Says: says, Binaries: binaries, Key: r.Key}}
}

func (c *check) required(r *Row, used []int) {
	severity := cmp.Or(r.Severity, detector.Risk)
	if r.IntroducedIn != "" && c.reached(r.IntroducedIn, c.from) && severity == detector.Blocker {
		severity = detector.Risk // the old version needed it too, and runs
	}
	if len(used) == 0 {
		if !r.Value.Absent {
			c.missing(r, severity)
		}
		return
	}
	var wrong, right, unsure []int
	for _, k := range used {
		switch r.Value.judge(c.live.Uses[k].value) {
		case holds:
			right = append(right, k)
		case fails:
			wrong = append(wrong, k)
		case unknown:
			unsure = append(unsure, k)
		}
	}
	c.each(unsure, func(u Use, _ string) {
		c.found = append(c.found, detector.Finding{
			Rule: "settings/value-unknown", Severity: detector.Note, Place: place(u),
			What: fmt.Sprintf("whether %s is right can't be told from %s: it %s", u.Key, u.Shown(), r.Value),
			Why:  "the value comes from elsewhere, or is of another unit than the matrix has", Do: "look up what it is on the host",
		})
	})
	if len(wrong) > 0 && len(right) > 0 {
		c.conflict(r, append(wrong, right...), detector.Risk, true)
		return
	}
	c.each(wrong, func(u Use, more string) {
		c.found = append(c.found, detector.Finding{
			Rule: "settings/value-differs", Severity: severity, Place: place(u),
			What: fmt.Sprintf("%s is %s, and %s%s", u.Key, cmp.Or(u.Shown(), "empty"), r.Value, more),
			Why:  c.why(r), Do: fmt.Sprintf("change it in %s before the upgrade: %s %s", u.File, u.Key, r.Value),
			Hypotheses: c.hypotheses(r),
			Reversions: []detector.Reversion{{
				Level: detector.LevelConfiguration, Step: "change " + u.Key, Place: place(u),
				How: fmt.Sprintf("set %s back to %s", u.Key, cmp.Or(u.Shown(), "nothing")),
			}},
		})
	})
	if len(wrong) == 0 {
		c.conflicts(r, used)
	}
}

func (c *check) why(r *Row) string {
	return cmp.Or(sentence(r.Otherwise), fmt.Sprintf("%s needs it from %s on", r.Component, cmp.Or(r.IntroducedIn, "every version")))
}

func (c *check) missing(r *Row, severity string) {
	if len(c.live.Files) == 0 {
		c.unread = append(c.unread, c.hypotheses(r)...)
		return
	}
	u, line, sure := c.uses.nearest(c.owners, r)
	f := detector.Finding{
		Rule: "settings/required-key-missing", Severity: severity, Why: c.why(r), Hypotheses: c.hypotheses(r),
		What: fmt.Sprintf("%s isn't set, and %s", r.Key, r.Value),
	}
	if sure {
		f.Place = detector.Place{File: u.File, Line: line}
		f.Do = fmt.Sprintf("set it in %s before the upgrade: %s %s", u.File, r.Key, r.Value)
	} else {
		if severity == detector.Blocker {
			f.Severity = detector.Risk
		}
		f.Place = detector.Place{File: c.matrix.File, Line: r.Line}
		f.What += fmt.Sprintf(" (none of the %d files read configures %s)", len(c.live.Files), r.Component)
		f.Do = fmt.Sprintf("set it where %s is configured, before the upgrade: %s %s", r.Component, r.Key, r.Value)
	}
	f.Reversions = []detector.Reversion{{Level: detector.LevelConfiguration, Step: "set " + r.Key, How: "take " + r.Key + " out again", Place: f.Place}}
	c.found = append(c.found, f)
}

// conflicts finds values of one key that differ from file to file.
func (c *check) conflicts(r *Row, used []int) {
	if strings.HasSuffix(r.Key, ".*") {
		return
	}
	want := spell(r.Key)
	exact := slices.DeleteFunc(slices.Clone(used), func(k int) bool { return !want.same(c.uses.spelt[k]) })
	for _, k := range exact {
		a, b := c.live.Uses[exact[0]], c.live.Uses[k]
		if a.Component == b.Component && !equal(a.value, b.value) && !elsewhere(a.value) && !elsewhere(b.value) {
			c.conflict(r, exact, detector.Note, false)
			return
		}
	}
}

func (c *check) conflict(r *Row, used []int, severity string, matters bool) {
	var places []string
	c.each(used, func(u Use, more string) {
		places = append(places, fmt.Sprintf("%s at %s:%d%s", cmp.Or(u.Shown(), "empty"), u.File, u.Line, more))
	})
	f := detector.Finding{
		Rule: "settings/conflicting-values", Severity: severity, Place: place(c.live.Uses[used[0]]),
		What: fmt.Sprintf("%s has several values: %s", r.Key, strings.Join(places, ", ")),
		Why:  "which of them holds depends on the order in which they are read, and the upgrade may change that",
		Do:   "set it in one place, or make the values the same",
	}
	if matters {
		f.What += "; it " + r.Value.String()
		f.Why += ". " + c.why(r)
		f.Hypotheses = c.hypotheses(r)
	}
	c.found = append(c.found, f)
}

// left is a text as the reason to take out what a component no longer knows.
func left(s string) string {
	if s == "" {
		return ""
	}
	return "left as it is: " + strings.TrimPrefix(s, "otherwise ")
}

// sentence is a text as a finding's reason.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return "otherwise " + strings.TrimPrefix(s, "otherwise ")
}
