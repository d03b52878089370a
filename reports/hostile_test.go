package reports_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"aftershock/detector"
	"aftershock/reports"
)

// evil is a name that would be markup, a template, a link, a table, a terminal's colour,
// a line that reads backwards, and that hardly ends.
var evil = "<script>alert(1)</script>\"'><img src=x onerror=y></svg></style>{{.}}${x}|\n# x [a](javascript:b) `c`\x00\x1b[31m\u202Egnp\u2067\u200f\ufeff" +
	strings.Repeat("A", 10_000)

// poison replaces every name and every word that others chose.
func poison(j *journal) {
	id := j.upgrade.ID + evil
	j.upgrade.ID, j.upgrade.Package, j.upgrade.Source = id, evil, evil
	binaries := func(all []detector.Binary) {
		for n := range all {
			all[n].Name, all[n].From, all[n].To, all[n].Flags = evil, evil, evil, []string{evil}
		}
	}
	binaries(j.upgrade.Binaries)
	spoil := func(v *detector.Verdict, n int) {
		v.Upgrade = id
		v.Indicator = indicator(v.Indicator.Kind, evil, "service", evil+fmt.Sprint(n), "http_route", evil, "peer", evil, evil, evil)
		v.Missing, v.Control, v.Warnings = evil, evil, []string{evil, evil}
		v.Causes = []detector.Cause{
			{Kind: evil, Name: evil, Probability: 2, Why: []string{evil}, Cleared: []string{evil}, Foreseen: evil},
			{Kind: detector.CauseBinary, Name: evil, Probability: -1},
		}
		if v.Effect != nil {
			v.Effect.What = evil
		}
		if n == 0 {
			v.Accepted = &detector.Acceptance{Flag: evil, Toggle: evil, Actor: evil, Ratio: 2, At: v.Since}
		}
	}
	for n := range j.verdicts {
		spoil(&j.verdicts[n], n)
	}
	for n := range j.alerts {
		a := &j.alerts[n]
		spoil(&a.Root, n)
		binaries(a.Binaries)
		a.Upgrade, a.Cause, a.Flags = id, a.Root.Causes[n%2], []string{evil}
	}
	for n := range j.toggles {
		g := &j.toggles[n]
		g.Flag, g.Before, g.After, g.Reason, g.Actor, g.Incident, g.Evidence, g.By, g.OnExpiry = evil, evil, evil, evil, evil, evil, evil, evil, evil
		g.Upgrade, g.Scope = id, detector.Scope{Instances: []string{evil}, Region: evil}
	}
	for n := range j.flips {
		f := &j.flips[n]
		f.Flag, f.Actor, f.Variant, f.Before, f.Scope = evil, evil, evil, evil, detector.Scope{Region: evil}
	}
}

// hostileWeek is spring, poisoned.
func hostileWeek() *weeks {
	w := spring()
	upgrades := map[string]*journal{}
	for _, id := range slices.Sorted(maps.Keys(w.upgrades)) {
		j := w.upgrades[id]
		poison(j)
		upgrades[j.upgrade.ID] = j
	}
	w.upgrades = upgrades
	return w
}

func TestHostileJournal(t *testing.T) {
	j := upgraded()
	poison(j)
	r := review(t, j, now)
	harmlessHTML(t, rendered(t, r.HTML), 400<<10)
	harmlessMarkdown(t, rendered(t, r.Markdown), 200<<10)
}

func TestHostileWeek(t *testing.T) {
	w := week(t, hostileWeek(), "2026-W10", monday)
	if len(w.Upgrades) != 3 || len(w.Shifts) == 0 || len(w.On) == 0 || len(w.Alerts) == 0 || len(w.Near) == 0 || len(w.Undecided) == 0 {
		t.Fatalf("the week lacks what could do harm: %d upgrades, %d shifts, %d toggles, %d alerts, %d near misses, %d undecided",
			len(w.Upgrades), len(w.Shifts), len(w.On), len(w.Alerts), len(w.Near), len(w.Undecided))
	}
	harmlessHTML(t, rendered(t, w.HTML), 600<<10)
	harmlessMarkdown(t, rendered(t, w.Markdown), 200<<10)
	pdf, err := w.Form(t.Context(), reports.FormPDF, chromium(t))
	if err != nil || !strings.HasPrefix(string(pdf), "%PDF-") {
		t.Errorf("got a PDF of %d bytes, %v", len(pdf), err)
	}
}

// elements and attributes are those of our templates and pictures.
var (
	elements = strings.Fields("html head meta title style body header section footer article figure figcaption h1 h2 h3 h4 p b i span small code time " +
		"a br div ul ol li dl dt dd table thead tbody tr th td svg rect line circle path text")
	attributes = strings.Fields("lang charset name content http-equiv class id href aria-label data-as role width height x y dx x1 x2 y1 y2 cx cy r d " +
		"text-anchor viewBox preserveAspectRatio")
	anchor = regexp.MustCompile(`^#u\d+$`)
)

// harmlessHTML parses the page as a browser does and fails where it holds anything that
// isn't ours.
func harmlessHTML(t *testing.T, page string, most int) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for n := range root.Descendants() {
		switch n.Type {
		case html.TextNode:
			if strings.Contains(n.Data, "<script>alert(1)") {
				shown++
			}
		case html.ElementNode:
			if !slices.Contains(elements, n.Data) {
				t.Errorf("the page holds <%s>", n.Data)
			}
			for _, a := range n.Attr {
				if !slices.Contains(attributes, a.Key) || a.Key == "href" && !anchor.MatchString(a.Val) {
					t.Errorf("the page holds <%s %s=%.40q>", n.Data, a.Key, a.Val)
				}
			}
		case html.CommentNode:
			t.Errorf("the page holds a comment: %.40q", n.Data)
		}
	}
	if shown == 0 {
		t.Error("the page shows nothing of what could do harm")
	}
	if strings.ContainsAny(page, "\x00\x1b\u202e\u2067\u200f\ufeff") {
		t.Error("the page holds control characters")
	}
	if len(page) > most {
		t.Errorf("got %d bytes of HTML, want at most %d", len(page), most)
	}
	wellFormed(t, page)
}

// bare finds in Markdown what would be markup: HTML, and links.
var bare = regexp.MustCompile(`(?m)(^|[^\\])(<\w|<\\?/|\[a[^\\]*\]\()`)

// harmlessMarkdown fails where the text holds markup, or a table more cells than it has
// columns.
func harmlessMarkdown(t *testing.T, text string, most int) {
	t.Helper()
	if found := bare.FindString(text); found != "" || strings.ContainsAny(text, "\x00\x1b\u202e\u2067\u200f\ufeff") {
		t.Errorf("the Markdown holds markup (%q) or control characters", found)
	}
	if !strings.Contains(text, `\<script\>`) {
		t.Error("the Markdown shows nothing of what could do harm")
	}
	columns := 0
	for line := range strings.Lines(text) {
		switch bars := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); {
		case !strings.HasPrefix(line, "|"):
			columns = 0
		case columns == 0:
			columns = bars
		case bars != columns:
			t.Errorf("a row has %d bars instead of %d: %.80q", bars, columns, line)
		}
	}
	if len(text) > most {
		t.Errorf("got %d bytes of Markdown, want at most %d", len(text), most)
	}
}
