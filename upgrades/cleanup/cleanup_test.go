package cleanup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/sirupsen/logrus"
	logs "github.com/sirupsen/logrus/hooks/test"

	"aftershock/detector"
)

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

func config() Config {
	var c Config
	c.SetDefaults()
	return c
}

func upgrade() detector.Upgrade {
	return detector.Upgrade{
		ID: "u", StartedAt: noon, FinishedAt: noon.Add(time.Hour),
		Binaries: []detector.Binary{{Name: "pay", From: "1", To: "2"}, {Name: "cart", To: "5"}},
		Findings: []detector.Finding{
			{
				Rule: "scripts/schedule", Place: detector.Place{File: "scripts/b.sh", Line: 9},
				Chores:     []detector.Chore{{Kind: "cron", Name: "export", What: "remove it"}, {Kind: "banner", Name: "/srv/banner", Owner: "ops", Due: noon.Add(2 * time.Hour)}},
				Reversions: []detector.Reversion{{Level: detector.LevelConfiguration, Step: "cron entry added", How: "rm /etc/cron.d/export"}},
			},
			{Rule: "scripts/other", Chores: []detector.Chore{{Kind: "cron", Name: "export"}}},
			{
				Rule: "migrations/drop", Place: detector.Place{File: "m/0042.sql", Line: 3},
				Reversions: []detector.Reversion{{Level: detector.LevelData, Step: "DROP COLUMN note", Lost: "the column's values"}, {Level: detector.LevelConfiguration, Step: "mystery"}},
			},
			{Rule: "migrations/add", Place: detector.Place{File: "m/0041.sql", Line: 1}, Reversions: []detector.Reversion{{Level: detector.LevelConfiguration, Step: "ADD COLUMN a", How: "DROP COLUMN a"}}},
		},
	}
}

func TestDrafts(t *testing.T) {
	c := config()
	c.Owner = "payments"
	toggles := []detector.Toggle{
		{ID: "t1", Flag: "backoff", After: "old", Upgrade: "u", State: detector.ToggleVerified},
		{ID: "t2", Flag: "cache", After: "off", Upgrade: "u", State: detector.ToggleUndone},
		{ID: "t3", Flag: "other", After: "off", Upgrade: "v", State: detector.ToggleVerified},
	}
	var got []string
	for _, e := range Drafts(upgrade(), World{Toggles: toggles}, c, noon) {
		got = append(got, fmt.Sprintf("%s %s|%s|%s|%s|%s", e.Kind, e.Name, e.Owner, e.Due.Sub(noon), e.From, e.State))
		if e.ID != detector.ChoreID(e.Kind, e.Name) || e.Upgrade != "u" {
			t.Errorf("entry %+v", e)
		}
	}
	want := []string{
		"cron export|payments|169h0m0s|scripts/schedule, scripts/b.sh:9|open",
		"banner /srv/banner|ops|2h0m0s|scripts/schedule, scripts/b.sh:9|open",
		"flag backoff|payments|169h0m0s|toggle t1|open",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestPlan(t *testing.T) {
	p := Plan(upgrade(), []detector.Toggle{{Flag: "back off", Before: "new", After: "old", Upgrade: "u", State: detector.ToggleApplied}})
	steps := func(list []detector.Reversion) (out []string) {
		for _, r := range list {
			out = append(out, r.Step+"|"+r.How)
		}
		return out
	}
	if d := cmp.Diff([]string{
		"flag back off went from new to old|aftershock flags undo 'back off' --reason 'roll back u'",
		"cron entry added|rm /etc/cron.d/export", "mystery|", "ADD COLUMN a|DROP COLUMN a", "cart 5|", "pay 1 → 2|install pay 1 again",
	}, steps(p.Configuration)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"DROP COLUMN note|"}, steps(p.Data)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"DROP COLUMN note|"}, steps(p.NoReturn)); d != "" || p.NoReturn[0].Place.Line != 3 {
		t.Error(d, p.NoReturn)
	}
	if d := cmp.Diff([]string{"nobody said how this is undone: mystery", "the version that cart had before isn't known"}, p.Open); d != "" {
		t.Error(d)
	}
	if p := Plan(detector.Upgrade{ID: "v"}, nil); len(p.Open) != 1 || p.Data == nil {
		t.Errorf("without findings: %+v", p)
	}
}

// shelf is a store in memory.
type shelf struct{ all []detector.LedgerEntry }

func (s *shelf) Chores(context.Context, string) ([]detector.LedgerEntry, error) {
	return slices.Clone(s.all), nil
}

func (s *shelf) ChangeChore(_ context.Context, _, id string, change func(detector.LedgerEntry, bool) (detector.LedgerEntry, bool, error)) (detector.LedgerEntry, error) {
	i := slices.IndexFunc(s.all, func(e detector.LedgerEntry) bool { return e.ID == id })
	var e detector.LedgerEntry
	if i >= 0 {
		e = s.all[i]
	}
	next, changed, err := change(e, i >= 0)
	switch {
	case err != nil || !changed:
		return e, err
	case i >= 0:
		s.all[i] = next
	default:
		s.all = append(s.all, next)
	}
	return next, nil
}

func (s *shelf) state(kind string) string {
	for _, e := range s.all {
		if e.Kind == kind {
			return e.State + ": " + e.Found
		}
	}
	return "none"
}

func keeper(s *shelf, u detector.Upgrade, p Prober, reminders map[string]string) *Keeper {
	log, _ := logs.NewNullLogger()
	return New(Options{
		Store: s, Prober: p, Log: logrus.NewEntry(log),
		Upgrades: func(context.Context) ([]detector.Upgrade, error) { return []detector.Upgrade{u}, nil },
		Toggles:  func(context.Context) ([]detector.Toggle, error) { return nil, nil },
		Remind: func(_ context.Context, key, _, text string, _ time.Time) error {
			reminders[key] = text
			return nil
		},
	})
}

// What a probe sees gone is done; what is there again is open again; what a person decided
// to keep stays kept.
func TestProbesTell(t *testing.T) {
	dir := t.TempDir()
	banner := filepath.Join(dir, "banner")
	if err := os.WriteFile(banner, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := config()
	c.Files = []string{dir}
	u := detector.Upgrade{ID: "u", StartedAt: noon, Findings: []detector.Finding{{Rule: "r", Chores: []detector.Chore{{Kind: "banner", Name: banner, Probe: "file " + banner}}}}}
	s := &shelf{}
	k := keeper(s, u, Prober{Config: c}, map[string]string{})
	step := func(minutes int, want string) {
		t.Helper()
		if err := k.Advance(t.Context(), noon.Add(time.Duration(minutes)*time.Minute)); err != nil {
			t.Fatal(err)
		}
		if got := s.state("banner"); got != want {
			t.Errorf("after %d minutes: got %q, want %q", minutes, got, want)
		}
	}
	step(0, "open: the file is there")
	if err := os.Remove(banner); err != nil {
		t.Fatal(err)
	}
	step(5, "open: the file is there") // not probed yet
	step(10, "done: the file isn't there")
	if err := os.WriteFile(banner, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	step(20, "open: the file is there")
	s.all[0] = Change{State: detector.ChoreKept, Note: "we like it", Actor: "ann"}.Apply(s.all[0], noon)
	if err := os.Remove(banner); err != nil {
		t.Fatal(err)
	}
	step(30, "kept: the file is there")
}

// A chore that a person added without an owner and a date has those of the configuration, or nobody would be reminded of it.
func TestAddedChoresAreCompleted(t *testing.T) {
	c := config()
	c.Owner = "ops"
	u := detector.Upgrade{ID: "u", StartedAt: noon}
	s := &shelf{all: []detector.LedgerEntry{
		{ID: "a", Upgrade: "u", Chore: detector.Chore{Kind: "other", Name: "a"}, State: detector.ChoreOpen, Actor: "ana"},
		{ID: "b", Upgrade: "u", Chore: detector.Chore{Kind: "other", Name: "b", Owner: "eve", Due: noon.Add(time.Hour)}, State: detector.ChoreOpen, Actor: "ana"},
		{ID: "c", Upgrade: "u", Chore: detector.Chore{Kind: "other", Name: "c"}, State: detector.ChoreKept, Actor: "ana"},
	}}
	if err := keeper(s, u, Prober{Config: c}, map[string]string{}).Advance(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	for i, want := range []detector.Chore{
		{Kind: "other", Name: "a", Owner: "ops", Due: noon.Add(time.Duration(c.Due))}, {Kind: "other", Name: "b", Owner: "eve", Due: noon.Add(time.Hour)}, {Kind: "other", Name: "c"},
	} {
		if d := cmp.Diff(want, s.all[i].Chore); d != "" || s.all[i].Actor != "ana" {
			t.Errorf("%s by %s", d, s.all[i].Actor)
		}
	}
}

// Only what leaves no doubt is probed by itself: a text that nothing has would be told as gone.
func TestProbeOf(t *testing.T) {
	for _, tt := range []struct{ kind, name, want string }{
		{"banner", "/srv/banner", "file /srv/banner"},
		{"file", "/etc/dten/old.env", "file /etc/dten/old.env"},
		{"file", "old.env", ""},
		{"webhook", "https://hooks.example.com/dten/x", "url https://hooks.example.com/dten/x"},
		{"webhook", "the pager", ""},
		{"silence", "5ac1f5b5-6a0b-4a4d-9d6c-0d6a5b0f7c11", "silence 5ac1f5b5-6a0b-4a4d-9d6c-0d6a5b0f7c11"},
		{"silence", "for the window", ""},
		{"flag", "payments-backoff", ""},
		{"cron", "the export", ""},
		{"other", "/srv/banner", ""},
	} {
		got := ProbeOf(tt.kind, tt.name)
		if got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.kind, tt.name, got, tt.want)
		}
		if got != "" {
			if _, _, err := parseProbe(got); err != nil {
				t.Errorf("%s %s: %v", tt.kind, tt.name, err)
			}
		}
	}
}

func TestReminders(t *testing.T) {
	s, told := &shelf{}, map[string]string{}
	u := upgrade()
	k := keeper(s, u, Prober{Config: config()}, told)
	for hours := range 75 {
		if err := k.Advance(t.Context(), noon.Add(time.Duration(hours)*time.Hour+time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 4 { // at 14:00 on the first day and each of the next three
		t.Errorf("%d reminders, want 4: %v", len(told), told)
	}
	for _, text := range told {
		if want := "After upgrade u 1 chore is overdue: banner /srv/banner (ops)"; text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
	s.all[1] = Change{State: detector.ChoreDone}.Apply(s.all[1], noon)
	clear(told)
	if err := k.Advance(t.Context(), noon.Add(6*24*time.Hour)); err != nil || len(told) > 0 {
		t.Errorf("reminded of what is done: %v %v", told, err)
	}
}

// What a package asks for is probed only where the config allows it.
func TestProbesAreBounded(t *testing.T) {
	asked := 0
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Path {
		case "/hooks/gone":
			http.NotFound(w, r)
		case "/hooks/away":
			http.Redirect(w, r, "/secret", http.StatusFound)
		}
	}))
	t.Cleanup(site.Close)
	c := config()
	c.URLs, c.Files = []string{site.URL + "/hooks/"}, []string{"/srv/dten/"}
	tab := filepath.Join(t.TempDir(), "tab")
	if err := os.WriteFile(tab, []byte("# 0 3 * * * nightly\n0 3 * * *  dten   sftp -b export.batch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := Prober{Config: c, Client: NewClient(), Crontabs: []string{tab}}
	for probe, want := range map[string]string{
		"url " + site.URL + "/hooks/gone":                                 "true the URL answers 404",
		"url " + site.URL + "/hooks/here":                                 "false the URL answers 200",
		"url " + site.URL + "/hooks/away":                                 "false the URL answers 302",
		"url " + site.URL + "/hooks/../secret":                            "can't tell: the URL is under none of cleanup.urls",
		"url " + site.URL + ".evil.example/hooks/x":                       "can't tell: the URL is under none of cleanup.urls",
		"url http://user:pw@" + site.URL[len("http://"):] + "/hooks/gone": "can't tell: the URL is under none of cleanup.urls",
		"url file:///etc/passwd":                                          "can't tell: the URL is under none of cleanup.urls",
		"file /srv/dten/none-such":                                        "true the file isn't there",
		"file /srv/dten/../../etc/passwd":                                 "can't tell: the file is under none of cleanup.files",
		"file /srv/dtenx":                                                 "can't tell: the file is under none of cleanup.files",
		"file etc/passwd":                                                 "can't tell: the file is under none of cleanup.files",
		"cron export.batch":                                               "false an entry of cron has it",
		"cron nightly":                                                    "true no entry of cron has it",
		"flag x":                                                          "can't tell: nothing here knows of a flag",
		"shell rm -rf /":                                                  `can't tell: probe: "shell rm -rf /" isn't one of flag KEY, silence ID, url URL, file PATH, cron TEXT, instance BINARY`,
	} {
		got, err := p.look(t.Context(), detector.Upgrade{}, World{}, probe)
		text := fmt.Sprint(got.gone, " ", got.text)
		if err != nil {
			if text = err.Error(); !errors.Is(err, errCantTell) {
				t.Errorf("%s: %v", probe, err)
			}
		}
		if text != want {
			t.Errorf("%s: got %q, want %q", probe, text, want)
		}
	}
	if asked != 3 {
		t.Errorf("the site was asked %d times, want 3", asked)
	}
}

func TestManyProbesTakeTurns(t *testing.T) {
	u := detector.Upgrade{ID: "u", StartedAt: noon}
	for i := range 50 {
		name := fmt.Sprint("flag", i)
		u.Findings = append(u.Findings, detector.Finding{Rule: "r", Chores: []detector.Chore{{Kind: "flag", Name: name, Probe: "flag " + name}}})
	}
	n := 0
	k := keeper(&shelf{}, u, Prober{Config: config(), Flag: func(context.Context, string) (string, error) { n++; return "on", nil }}, map[string]string{})
	for round, want := range []int{20, 40, 50, 50} {
		if err := k.Advance(t.Context(), noon.Add(time.Duration(round)*time.Minute)); err != nil || n != want {
			t.Errorf("round %d: %d probes, want %d (%v)", round, n, want, err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	c := Config{Due: model.Duration(time.Minute), URLs: []string{"https://h", "https://u:p@h/", "ftp://h/"}, Files: []string{"etc", "/a/../b"}}
	c.SetDefaults()
	var got []string
	for _, err := range c.Validate("cleanup") {
		got = append(got, strings.SplitN(err.Error(), ":", 2)[0])
		if strings.Contains(err.Error(), "u:p") {
			t.Errorf("credentials in %q", err)
		}
	}
	if d := cmp.Diff([]string{"cleanup.due", "cleanup.urls[0]", "cleanup.urls[1]", "cleanup.urls[2]", "cleanup.files[0]", "cleanup.files[1]"}, got); d != "" {
		t.Error(d)
	}
}
