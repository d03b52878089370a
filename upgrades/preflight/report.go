// Package preflight inspects an upgrade's package before the upgrade: it opens the
// package within bounds, asks each checker below it about the files that are its
// business, and sorts what they found. Nothing of a package is executed.
package preflight

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
)

// maxFindings is how many findings of one rule are told; more are counted.
const maxFindings = 50

// Report is what an inspection found.
type Report struct {
	// Package is the path or name that was inspected, Form what it is: zip, deb, ...
	Package string `json:"package"`
	Form    string `json:"form"`
	// Name and Version are what the package says of itself, "" where it doesn't.
	Name        string    `json:"name,omitempty"`
	Version     string    `json:"version,omitempty"`
	SHA256      string    `json:"sha256,omitempty"`
	Files       int       `json:"files"`
	Bytes       int64     `json:"bytes"`
	InspectedAt time.Time `json:"inspected_at"`
	// Verifies says of each signature that speaks for the package and verifies by whom it is.
	Verifies []string `json:"verifies,omitempty"`
	// Findings are in order of severity, then of place; never nil.
	Findings []detector.Finding `json:"findings"`
	// Upgrade drafts the record of the upgrade; nil where the package doesn't say
	// which binaries it brings.
	Upgrade *detector.Upgrade `json:"upgrade,omitempty"`
}

// severities are in order.
var severities = []string{detector.Blocker, detector.Risk, detector.Note}

// rank is a severity's place in that order.
func rank(severity string) int {
	if i := slices.Index(severities, severity); i >= 0 {
		return i
	}
	return len(severities)
}

// sortFindings puts the worst first, drops what was said twice and bounds each rule.
func sortFindings(list []detector.Finding) []detector.Finding {
	slices.SortStableFunc(list, func(a, b detector.Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(a.Place.File, b.Place.File),
			cmp.Compare(a.Place.Line, b.Place.Line), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.What, b.What))
	})
	out, of := []detector.Finding{}, map[string]int{}
	for i, f := range list {
		if i > 0 && same(list[i-1], f) {
			continue
		}
		if of[f.Rule]++; of[f.Rule] <= maxFindings {
			out = append(out, f)
		}
	}
	for i := range out {
		if n := of[out[i].Rule]; n > maxFindings {
			out[i].What += fmt.Sprintf(" (the first of %d such places told of %d)", maxFindings, n)
			of[out[i].Rule] = 0
		}
	}
	return out
}

func same(a, b detector.Finding) bool {
	return a.Rule == b.Rule && a.Severity == b.Severity && a.Place == b.Place && a.What == b.What
}

// Count is how many findings have the severity.
func (r Report) Count(severity string) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == severity {
			n++
		}
	}
	return n
}

// Worst is the worst severity of the findings, "" where there are none.
func (r Report) Worst() string {
	if len(r.Findings) == 0 {
		return ""
	}
	return r.Findings[0].Severity
}

// Verdict says in one line how the package stands.
func (r Report) Verdict() string {
	var parts []string
	for _, s := range severities {
		switch n := r.Count(s); {
		case n == 1:
			parts = append(parts, "1 "+s)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, s))
		}
	}
	counts := strings.Join(parts, ", ")
	switch r.Worst() {
	case detector.Blocker:
		return counts + ": don't begin before the blockers are gone"
	case detector.Risk:
		return counts + ": somebody has to decide on the risks"
	case detector.Note:
		return counts + ": nothing stands against it"
	}
	return "nothing found: nothing stands against it"
}

// Title says what was inspected.
func (r Report) Title() string {
	title := r.Package
	if r.Name != "" {
		title += ": " + strings.TrimSpace(r.Name+" "+r.Version)
	}
	return title
}

// signed says in words which signatures verify, a line each.
func (r Report) signed() (lines []string) {
	for _, v := range r.Verifies {
		lines = append(lines, "signature: "+plain(v))
	}
	return lines
}

// size is the package's size in words.
func (r Report) size() string {
	text := fmt.Sprintf("%s, %d files, %s", r.Form, r.Files, bytesText(r.Bytes))
	if r.SHA256 != "" {
		text += ", sha256 " + r.SHA256
	}
	return text
}

func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}

// place is where a finding stands, as editors and terminals take it.
func place(p detector.Place) string {
	switch {
	case p.File == "":
		return "(package)"
	case p.Line == 0:
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// WriteJSON writes the report as JSON.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// Bounds of a finding in a record: those of what upgrades.ParseRecord reads.
const (
	recordLong  = 4096
	recordShort = 256
	recordParts = 50
	recordMany  = 1000 // binaries
)

// recordedBinaries are binaries as a record holds them.
func recordedBinaries(all []detector.Binary) []detector.Binary {
	all = slices.Clone(all[:min(len(all), recordMany)])
	for i := range all {
		b := &all[i]
		for _, text := range []*string{&b.Name, &b.From, &b.To} {
			*text = cut(plain(*text), recordShort)
		}
		b.Selector = maps.Clone(b.Selector)
		for k, v := range b.Selector {
			b.Selector[k] = cut(plain(v), recordShort)
		}
	}
	return all
}

// recorded is a finding as a record holds it: whatever a package is called and says, the
// record can be read.
func recorded(f detector.Finding) detector.Finding {
	long := func(s string) string { return cut(plainLines(s), recordLong) }
	short := func(s string) string { return cut(plain(strings.TrimSpace(s)), recordShort) }
	f.Place.File = cut(plain(f.Place.File), recordLong)
	f.What, f.Why, f.Do = long(f.What), long(f.Why), long(f.Do)
	f.Hypotheses = slices.Clone(f.Hypotheses[:min(len(f.Hypotheses), recordParts)])
	for i := range f.Hypotheses {
		h := &f.Hypotheses[i]
		h.Says, h.Schedule, h.Key, h.Unit = long(h.Says), short(h.Schedule), short(h.Key), short(h.Unit)
		for _, list := range []*[]string{&h.Binaries, &h.Services, &h.Tables} {
			*list = slices.Clone((*list)[:min(len(*list), recordParts)])
			for k := range *list {
				(*list)[k] = short((*list)[k])
			}
		}
		h.Runs = slices.Clone(h.Runs[:min(len(h.Runs), recordParts)])
		for k := range h.Runs {
			h.Runs[k] = h.Runs[k].UTC()
		}
	}
	f.Chores = slices.Clone(f.Chores[:min(len(f.Chores), recordParts)])
	for i := range f.Chores {
		c := &f.Chores[i]
		c.Name, c.Owner, c.What, c.Probe = short(c.Name), short(c.Owner), long(c.What), long(c.Probe)
	}
	f.Reversions = slices.Clone(f.Reversions[:min(len(f.Reversions), recordParts)])
	for i := range f.Reversions {
		r := &f.Reversions[i]
		r.Step, r.How, r.Lost, r.Place.File = long(r.Step), long(r.How), long(r.Lost), cut(plain(r.Place.File), recordLong)
	}
	return f
}

// cut is a text of at most so many bytes.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len("…")], "") + "…"
}
