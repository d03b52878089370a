package reports_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/reports"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read the golden file (go test ./reports -update writes it): %v", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

var now = instant("2026-03-06T15:30:00Z")

func review(t *testing.T, j reports.Journal, at time.Time) reports.Review {
	t.Helper()
	r, err := reports.Build(t.Context(), j, "dten-4.2.0", at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rendered is the review in one of its forms.
// TestAnUpgradeThatWasFoundByItself is called by what it is in every form of its review and of
// the week's, with the culprit first.
func TestAnUpgradeThatWasFoundByItself(t *testing.T) {
	j, weeks := upgraded(), spring()
	u := &j.upgrade
	u.Package, u.Culprit = "", "dten-payments"
	short := fmt.Sprintf("%d binaries on %s UTC", len(u.Binaries), u.StartedAt.UTC().Format("2006-01-02 15:04"))
	weeks.of(u.ID).upgrade = *u
	r, w := review(t, j, now), week(t, weeks, "2026-W10", monday)
	for name, f := range map[string]struct {
		form func(io.Writer) error
		want []string
	}{
		"review.html": {r.HTML, []string{"<h1>" + short + " (dten-payments, ", "after the upgrade of " + short, "Upgrade of "}},
		"review.md":   {r.Markdown, []string{"# Review of " + short + " (dten-payments, "}},
		"week.html":   {w.HTML, []string{"<td>" + short + "<br><span class=\"note\">dten-payments ", "after the upgrade of " + short}},
		"week.md":     {w.Markdown, []string{"- " + short + " (dten-payments, ", "after the upgrade of " + short}},
	} {
		got := rendered(t, f.form)
		for _, want := range f.want {
			if !strings.Contains(got, want) && !strings.Contains(strings.ToLower(got), strings.ToLower(want)) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		if at := strings.Index(got, u.ID); at >= 0 {
			t.Errorf("%s tells of …%s…", name, got[max(0, at-60):at+40])
		}
	}
}

func rendered(t *testing.T, form func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := form(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReview(t *testing.T) {
	for _, tc := range []struct {
		name string
		j    *journal
		at   time.Time
	}{
		{"mended", upgraded(), now},
		{"harmless", harmless(), now},
		{"early", upgraded(), instant("2026-03-06T10:00:00Z")},
		{"nothing", &journal{upgrade: detector.Upgrade{ID: "u", StartedAt: instant("2026-03-06T09:00:00Z")}}, now},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := review(t, tc.j, tc.at)
			if len(r.Head) != 5 {
				t.Errorf("the head has %d lines, want 5", len(r.Head))
			}
			golden(t, tc.name+".md", rendered(t, r.Markdown))
			golden(t, tc.name+".html", rendered(t, r.HTML))
			var back reports.Review
			if err := json.Unmarshal([]byte(rendered(t, r.JSON)), &back); err != nil {
				t.Errorf("read the JSON back: %v", err)
			}
			if diff := cmp.Diff(r.Head, back.Head); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	r := review(t, upgraded(), now)
	seconds := func(d time.Duration) *float64 { s := d.Seconds(); return &s }
	want := reports.Times{Detect: seconds(23 * time.Minute), Decide: seconds(84 * time.Minute), Recover: seconds(31 * time.Minute)}
	if diff := cmp.Diff(want, r.Times); diff != "" {
		t.Errorf("times of the upgrade: %s", diff)
	}
	// The flag gates the payments binary, so its toggle doesn't answer this one.
	want = reports.Times{Detect: seconds(85 * time.Minute)}
	if diff := cmp.Diff(want, r.Shifts[0].Times); diff != "" {
		t.Errorf("times of the shift that lasts: %s", diff)
	}
	if got := r.Counts; got != (reports.Counts{Indicators: 15, Regressed: 1, Recovered: 2, Improved: 1, Clear: 9, Undecided: 2}) {
		t.Errorf("got counts %+v", got)
	}
	if len(r.On) != 1 || r.On[0].After != "tuned" {
		t.Errorf("got toggles still on %+v, want tuned alone", r.On)
	}
	if len(r.Toggles) != 2 {
		t.Errorf("got %d toggles, want the 2 of this upgrade", len(r.Toggles))
	}
}

// TestReproducible: the order in which the journal answers doesn't matter.
func TestReproducible(t *testing.T) {
	one, other := upgraded(), upgraded()
	slices.Reverse(other.verdicts)
	slices.Reverse(other.events)
	slices.Reverse(other.toggles)
	slices.Reverse(other.flips)
	a, b := review(t, one, now), review(t, other, now)
	for name, forms := range map[string][2]func(io.Writer) error{
		"html": {a.HTML, b.HTML}, "md": {a.Markdown, b.Markdown}, "json": {a.JSON, b.JSON},
	} {
		if diff := cmp.Diff(rendered(t, forms[0]), rendered(t, forms[1])); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestSelfContained: the page asks nobody for anything and runs nothing.
func TestSelfContained(t *testing.T) {
	page := rendered(t, review(t, upgraded(), now).HTML)
	if m := regexp.MustCompile(`(?i)https?:|<script|\bsrc=|\bhref=|url\(|@import|\son\w+=`).FindString(page); m != "" {
		t.Errorf("the page holds %q", m)
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") || strings.Contains(page, "ZgotmplZ") {
		t.Error("the page holds a number that isn't one, or a refused value")
	}
	wellFormed(t, page)
}

// wellFormed parses every picture of the page strictly.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	pictures := 0
	for _, part := range strings.Split(page, `<svg class="pic"`)[1:] {
		pictures++
		d := xml.NewDecoder(strings.NewReader(`<svg class="pic"` + part))
		for depth := 0; ; {
			token, err := d.Token()
			if err != nil {
				t.Fatalf("picture %d: %v", pictures, err)
			}
			switch token.(type) {
			case xml.StartElement:
				depth++
			case xml.EndElement:
				depth--
			}
			if depth == 0 {
				break
			}
		}
	}
	if pictures == 0 {
		t.Error("the page holds no picture")
	}
}

// TestLargeReview: 2,000 indicators, 100 of them shifted, in 3 s and 5 MB.
func TestLargeReview(t *testing.T) {
	j := upgraded()
	base := j.verdicts
	j.verdicts = nil
	for n := range 2000 {
		v := base[4+n%11]
		if n < 100 {
			v = base[n%4]
		}
		v.Indicator = indicator(v.Indicator.Kind, v.Indicator.Metric, "service", fmt.Sprintf("service-%d", n%40), "http_route", fmt.Sprintf("/route/%d", n))
		j.verdicts = append(j.verdicts, v)
	}
	start := time.Now()
	page := rendered(t, review(t, j, now).HTML)
	if took := time.Since(start); took > slower*3*time.Second {
		t.Errorf("took %s, want at most 3 s", took)
	}
	if len(page) > 5<<20 {
		t.Errorf("got %d bytes, want at most 5 MB", len(page))
	}
	t.Logf("%d bytes in %s", len(page), time.Since(start))
}

func TestBuildFails(t *testing.T) {
	for _, part := range []string{"upgrade", "verdicts", "events", "alerts", "toggles", "flips"} {
		j := upgraded()
		j.fail = part
		if _, err := reports.Build(t.Context(), j, "u", now); err == nil || !strings.Contains(err.Error(), "disk on fire") {
			t.Errorf("%s: got %v, want the journal's error", part, err)
		}
	}
	failing := writer{errors.New("no space left")}
	r := review(t, upgraded(), now)
	for _, form := range []func(io.Writer) error{r.HTML, r.Markdown, r.JSON} {
		if err := form(failing); !errors.Is(err, failing.err) {
			t.Errorf("got %v, want the writer's error", err)
		}
	}
}

type writer struct{ err error }

func (w writer) Write([]byte) (int, error) { return 0, w.err }

// What had improved and is back at its old level is told as lost again, in all forms, and
// what the automation only proposed as proposed.
func TestLostAndProposed(t *testing.T) {
	j := upgraded()
	for i := range j.verdicts {
		if v := &j.verdicts[i]; v.State == detector.Improved {
			v.State, v.Recovered = detector.Clear, instant("2026-03-06T11:40:00Z")
		}
	}
	j.toggles = append(j.toggles, detector.Toggle{
		ID: "auto-1-proposal", Flag: "payments-backoff", Before: "new", After: "legacy", Actor: "aftershock (automation)", Decision: "auto-1-proposal", Needs: 1,
		At: instant("2026-03-06T10:30:00Z"), Updated: instant("2026-03-06T11:30:00Z"), State: detector.ToggleLapsed, Evidence: "nobody approved it", Upgrade: "dten-4.2.0",
	})
	r, err := reports.Build(t.Context(), j, "dten-4.2.0", now)
	if err != nil {
		t.Fatal(err)
	}
	if r.Counts.Lost != 1 || r.Counts.Improved != 0 {
		t.Errorf("counts %+v, want one lost and none better", r.Counts)
	}
	var html, md strings.Builder
	if err := errors.Join(r.HTML(&html), r.Markdown(&md)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"html": html.String(), "md": md.String()} {
		for _, want := range []string{
			"1 indicator that had improved is lost again.", "1 lost again", "Lost again", "tail latency of catalog /items lost again: it is back at its old level",
			"aftershock (automation) proposed to set payments-backoff from new to legacy", "plan of payments-backoff lapsed: nobody approved it", "proposed, lapsed",
		} {
			if !strings.Contains(strings.ReplaceAll(text, `\`, ""), want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		for _, never := range []string{"catalog /items back within", "(automation) set payments-backoff", "catalog /items: recovered"} {
			if strings.Contains(text, never) {
				t.Errorf("%s says %q", name, never)
			}
		}
	}
	if acts := r.Head[3]; strings.Contains(acts, "automation") {
		t.Errorf("a proposal is told as done: %s", acts)
	}
}

// The review says which instances an upgrade left behind, and which finding foresaw it.
func TestLeftBehind(t *testing.T) {
	j := upgraded()
	j.upgrade.Source = "record"
	j.upgrade.Binaries = slices.Clone(j.upgrade.Binaries)
	b := &j.upgrade.Binaries[0]
	b.From, b.To, b.Fleet = "4.1.3", "4.2.0", &detector.Fleet{New: 2, Old: 1, OldNames: []string{"pod-<2>"}}
	j.upgrade.Findings = []detector.Finding{{
		Rule: "scripts/unit-missing", Place: detector.Place{File: "install.sh", Line: 7},
		Hypotheses: []detector.Hypothesis{{Kind: detector.HypothesisOldBuild, Binaries: []string{b.Name}, Says: "dtend.service wasn't restarted"}},
	}}
	r := review(t, j, j.upgrade.FinishedAt.Add(31*time.Minute))
	var md, page strings.Builder
	if err := errors.Join(r.Markdown(&md), r.HTML(&page)); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		md.String():   "**left behind**: 1 of 3 instances still runs 4.1.3 (pod-\\<2\\>), foreseen before the upgrade: dtend.service wasn't restarted (scripts/unit-missing, install.sh:7)",
		page.String(): "<b>left behind</b>: 1 of 3 instances still runs 4.1.3 (pod-&lt;2&gt;), foreseen before the upgrade: dtend.service wasn&#39;t restarted (scripts/unit-missing, install.sh:7)",
	} {
		if !strings.Contains(text, want) {
			i := strings.Index(text, "left behind")
			t.Errorf("want %q in …%s", want, text[max(0, i):min(len(text), max(0, i)+300)])
		}
	}
}
