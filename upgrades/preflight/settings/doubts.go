package settings

import (
	"fmt"
	"strings"
	"unicode"

	"aftershock/detector"
)

// maxCompared is how many pairs of keys are looked at for mistakes in writing.
const maxCompared = 200_000

// drafts tells of what was mined from builds: uses of keys that went, and that the
// rest is to be looked through.
func (c *check) drafts(used [][]int) {
	type count struct{ came, went, line int }
	counts := map[string]*count{}
	var order []string
	for i := range c.matrix.Rows {
		r := &c.matrix.Rows[i]
		if !r.Draft {
			continue
		}
		n := counts[r.Component]
		if n == nil {
			n = &count{line: r.Line}
			counts[r.Component] = n
			order = append(order, r.Component)
		}
		if r.RemovedIn == "" {
			n.came++
			continue
		}
		n.went++
		c.each(used[i], func(u Use, more string) {
			c.found = append(c.found, detector.Finding{
				Rule: "settings/draft-key", Severity: detector.Risk, Place: place(u),
				What: fmt.Sprintf("%s is set, and the build of %s in %s no longer has that name in it%s", u.Key, r.Component, r.RemovedIn, more),
				Why:  "what a binary doesn't name it most likely doesn't read: the setting loses its effect without a word",
				Do:   "ask the vendor what replaces it, and put the answer into the matrix",
			})
		})
	}
	for _, name := range order {
		n := counts[name]
		c.found = append(c.found, detector.Finding{
			Rule: "settings/draft", Severity: detector.Note, Place: detector.Place{File: c.matrix.File, Line: n.line},
			What: fmt.Sprintf("%s: %d names that may be settings came and %d went; nobody has looked through them", name, n.came, n.went),
			Why:  "they were read from the binaries, and some are no settings", Do: "look through them with aftershock config mine, and keep in the matrix those that are",
		})
	}
}

// mistyped finds keys that nobody knows and that are all but one that is known.
func (c *check) mistyped(used [][]int) {
	byFirst := map[string][]int{}
	for i, u := range c.live.Uses {
		if t := tokens(u.Key); !c.matched[i] && len(t) > 1 {
			byFirst[t[0]] = append(byFirst[t[0]], i)
		}
	}
	told := map[int]bool{}
	compared := 0
	for i := range c.matrix.Rows {
		r := &c.matrix.Rows[i]
		t := tokens(r.Key)
		if r.Draft || len(t) < 2 || strings.HasSuffix(r.Key, ".*") || c.reached(r.RemovedIn, c.to) || len(used[i]) > 0 {
			continue
		}
		want := spell(r.Key)
		for _, k := range byFirst[t[0]] {
			if compared++; compared > maxCompared {
				return
			}
			u, got := c.live.Uses[k], c.uses.spelt[k]
			if told[k] || !near(want.text, got.text) || !c.owners.concerns(u, r) {
				continue
			}
			told[k] = true
			c.found = append(c.found, detector.Finding{
				Rule: "settings/mistyped-key", Severity: detector.Note, Place: place(u),
				What: fmt.Sprintf("%s is not in the matrix, and %s is", u.Key, r.Key),
				Why:  "a key that is written wrongly is ignored without a word", Do: fmt.Sprintf("if %s is meant, write it so", r.Key),
			})
		}
	}
}

// near says whether two squeezed keys differ as mistakes in writing do: in one
// character, or two of a long key, and not in digits alone.
func near(a, b string) bool {
	x, y := []rune(a), []rune(b)
	limit := 1
	if len(x) >= 16 {
		limit = 2
	}
	if len(x) < 8 || len(x) > 80 || len(y) > 82 || len(x)-len(y) > limit || len(y)-len(x) > limit {
		return false
	}
	digits := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsDigit(r) {
				return -1
			}
			return r
		}, s)
	}
	if digits(a) == digits(b) {
		return false
	}
	return distance(x, y) <= limit
}

// distance counts the insertions, deletions, substitutions and swaps of neighbours
// that part two texts (optimal string alignment).
func distance(a, b []rune) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// doubts tells once what couldn't be checked, and what it would need.
func (c *check) doubts() {
	if c.unknown > 0 {
		c.found = append(c.found, detector.Finding{
			Rule: "settings/version-unknown", Severity: detector.Note, Place: detector.Place{File: c.matrix.File},
			What: fmt.Sprintf("%d settings of the matrix depend on the version, and the package doesn't tell its own", c.unknown),
			Why:  "whether they are removed or needed isn't known", Do: "have the manifest name the version",
		})
	}
	if len(c.unread) > 0 {
		c.found = append(c.found, detector.Finding{
			Rule: "settings/no-configuration", Severity: detector.Note, Place: detector.Place{File: c.matrix.File},
			What: fmt.Sprintf("%d settings are needed, and no live configuration was read to see whether they are set", len(c.unread)),
			Why:  "where one is missing, a binary behaves otherwise after the upgrade", Do: "inspect with --config-root and the directory of the live configuration",
			Hypotheses: c.unread,
		})
	}
}
