package migrations

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"aftershock/detector"
	"aftershock/upgrades/preflight/linter"
)

// maxSquawked is how many texts squawk is asked about: a run takes some 15 ms.
const maxSquawked = 1000

// violation is what squawk --reporter json answers for each of its findings. Lines and columns (in bytes) count from 0.
type violation struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Level   string `json:"level"` // Error for what it can't read, else Warning
	Message string `json:"message"`
	Help    string `json:"help"`
	Rule    string `json:"rule_name"`
}

// ours are the rules, without "migrations/", that say the same as one of squawk's.
var ours = map[string][]string{
	"require-concurrent-index-creation":            {"index"},
	"require-concurrent-reindex":                   {"index", "rewrite"},
	"require-concurrent-index-deletion":            {"drop-index"},
	"changing-column-type":                         {"rewrite"},
	"adding-field-with-default":                    {"rewrite"},
	"adding-required-field":                        {"not-null", "rewrite"},
	"adding-not-nullable-field":                    {"constraint", "not-null"},
	"constraint-missing-not-valid":                 {"constraint"},
	"adding-foreign-key-constraint":                {"constraint"},
	"disallowed-unique-constraint":                 {"constraint"},
	"adding-serial-primary-key-field":              {"constraint", "rewrite"},
	"ban-drop-table":                               {"data-loss"},
	"ban-drop-column":                              {"data-loss"},
	"ban-drop-database":                            {"data-loss"},
	"ban-truncate-cascade":                         {"data-loss"},
	"renaming-column":                              {"rename"},
	"renaming-table":                               {"rename"},
	"ban-concurrent-index-creation-in-transaction": {"not-in-transaction"},
}

// taste are rules about what a schema should be like, which an upgrade doesn't fail on.
var taste = []string{"prefer-bigint-over-int", "prefer-bigint-over-smallint", "prefer-big-int", "prefer-identity", "prefer-text-field", "prefer-timestamp-tz", "ban-char-field", "require-table-schema"}

// squawk asks the program about the statements of one text.
func (c *checker) squawk(ctx context.Context, r *run, all []statement) {
	if c.squawked++; c.squawked > maxSquawked {
		if c.squawked == maxSquawked+1 {
			c.unsquawked(r, fmt.Sprintf("it is asked about %d texts", maxSquawked))
		}
		return
	}
	all = slices.DeleteFunc(slices.Clone(all), func(s statement) bool { return s.down || variable(s) })
	var broken []violation
	for range 2 { // where it can't read one statement it looks at none: once more without those
		if len(all) == 0 {
			break
		}
		text, starts := squawkText(all)
		found, err := c.askSquawk(ctx, r, text)
		if err != nil {
			c.unsquawked(r, clip(err.Error(), 120))
			c.squawked = maxSquawked + 1
			return
		}
		unread := map[int]bool{}
		told := 0
		for _, v := range found {
			i := standing(starts, v)
			if v.Rule == "syntax-error" {
				if !unread[i] {
					v.Line += all[0].line
					broken = append(broken, v)
				}
				unread[i] = true
			} else if told < linter.Told && c.violated(r, all[i], v, all[0].line) {
				told++
			}
		}
		if len(unread) == 0 {
			break
		}
		kept := all[:0:0]
		for i, s := range all {
			if !unread[i] {
				kept = append(kept, s)
			}
		}
		all = kept
	}
	for _, v := range broken[:min(len(broken), linter.Told)] {
		c.findings = append(c.findings, detector.Finding{
			Rule: "migrations/squawk", Severity: detector.Risk, Place: detector.Place{File: r.t.File, Line: v.Line}, What: "syntax-error: " + clip(v.Message, 200),
			Why: "squawk holds it for an error, and looked at the other statements alone", Do: "run the statement on a copy of the database: what PostgreSQL can't read stops the migration there",
		})
	}
}

func (c *checker) unsquawked(r *run, why string) {
	c.findings = append(c.findings, detector.Finding{
		Rule: "migrations/squawk", Severity: detector.Note, Place: detector.Place{File: r.t.File}, What: "squawk gave no findings: " + why,
		Why: "what it would have found isn't known", Do: "run squawk on the migrations by hand",
	})
}

func (c *checker) askSquawk(ctx context.Context, r *run, text string) ([]violation, error) {
	// No settings but these: else it looks for .squawk.toml from the working directory upwards.
	args := []string{"--reporter", "json", "--config", os.DevNull}
	if v := c.server.Version; c.server.Dialect == PostgreSQL && v >= 90000 {
		args = append(args, "--pg-version", fmt.Sprintf("%d.%d", v/10000, v%10000))
	}
	if r.sure {
		args = append(args, "--assume-in-transaction")
	}
	out, err := linter.Ask(ctx, c.server.Squawk, args, []byte(text))
	if err != nil {
		return nil, err
	}
	var found []violation
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.server.Squawk, err)
	}
	return found, nil
}

// violated puts down one of squawk's findings, unless it is said already.
func (c *checker) violated(r *run, s statement, v violation, first int) bool {
	if slices.Contains(taste, v.Rule) {
		return false
	}
	for _, f := range c.findings[r.first:] {
		rule := strings.TrimPrefix(f.Rule, "migrations/")
		if f.Place.Line == s.line && slices.Contains(ours[v.Rule], rule) || v.Rule == "require-lock-timeout" && rule == "lock-timeout" {
			return false
		}
	}
	do := clip(v.Help, 200)
	if do == "" {
		do = "see https://squawkhq.com/docs/" + clip(v.Rule, 60)
	}
	c.findings = append(c.findings, detector.Finding{
		Rule: "migrations/squawk", Severity: detector.Note, Place: detector.Place{File: r.t.File, Line: max(s.line, min(v.Line+first, s.line+strings.Count(s.raw, "\n")))},
		What: clip(v.Rule, 60) + ": " + clip(v.Message, 200), Why: "squawk holds it for a warning", Do: do,
	})
	return true
}

// position is a line and a column from 0 on.
type position struct{ line, column int }

// squawkText writes the statements in the lines that they stand in, counted from the first one's, without what stands
// between them: psql's commands, rows of COPY, comments. What within a statement would tell squawk to look away is
// written otherwise.
func squawkText(all []statement) (text string, starts []position) {
	var b strings.Builder
	at := position{}
	write := func(s string) {
		b.WriteString(s)
		if i := strings.LastIndexByte(s, '\n'); i >= 0 {
			at = position{at.line + strings.Count(s, "\n"), len(s) - i - 1}
		} else {
			at.column += len(s)
		}
	}
	for _, s := range all {
		if n := s.line - all[0].line - at.line; n > 0 {
			write(strings.Repeat("\n", n))
		}
		starts = append(starts, at)
		write(strings.ReplaceAll(s.raw, "squawk-", "squawk_"))
		if strings.Contains(s.raw[strings.LastIndexByte(s.raw, '\n')+1:], "--") {
			write("\n") // the last line may end in a comment
		}
		write("; ")
	}
	return b.String(), starts
}

// standing gives the statement that a violation is in.
func standing(starts []position, v violation) int {
	i, _ := slices.BinarySearchFunc(starts, position{v.Line, v.Column + 1}, func(a, b position) int {
		if a.line != b.line {
			return a.line - b.line
		}
		return a.column - b.column
	})
	return max(i-1, 0)
}

// variable tells that a statement has variables of a shell or of psql, which others can't read: $NAME, :name, :'name'.
func variable(s statement) bool {
	t := s.tokens
	for i := 0; i+1 < len(t); i++ {
		if t[i].kind != kindSign || t[i+1].kind == kindSign || t[i+1].kind == kindNumber {
			continue
		}
		if t[i].text == "$" || t[i].text == ":" && (i == 0 || t[i-1].text != ":") {
			return true
		}
	}
	return false
}
