package reports_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/reports"
)

// weeks is a journal of several upgrades in memory.
type weeks struct {
	chores   []detector.LedgerEntry
	*journal // toggles, flips and failures
	upgrades map[string]*journal
	coverage []detector.Coverage
	marks    map[string]bool
}

func (w *weeks) of(id string) *journal { return w.upgrades[id] }

func (w *weeks) Upgrade(ctx context.Context, id string) (detector.Upgrade, error) {
	return w.of(id).Upgrade(ctx, id)
}

func (w *weeks) Verdicts(ctx context.Context, id string) ([]detector.Verdict, error) {
	return w.of(id).Verdicts(ctx, id)
}

func (w *weeks) Events(ctx context.Context, id string) ([]detector.Event, error) {
	return w.of(id).Events(ctx, id)
}

func (w *weeks) Alerts(ctx context.Context, id string) ([]detector.Alert, error) {
	return w.of(id).Alerts(ctx, id)
}

func (w *weeks) ChoresAt(context.Context, time.Time) ([]detector.LedgerEntry, error) {
	return w.chores, w.err("chores")
}

func (w *weeks) UpgradesWithin(_ context.Context, from, to time.Time) (out []detector.Upgrade, err error) {
	for _, j := range w.upgrades {
		if u := j.upgrade; u.StartedAt.Before(to) && (u.ClosedAt.IsZero() || u.ClosedAt.After(from)) {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b detector.Upgrade) int { return a.StartedAt.Compare(b.StartedAt) })
	return out, w.err("upgrades")
}

func (w *weeks) AlertsWithin(_ context.Context, from, to time.Time) (out []detector.Alert, err error) {
	for _, j := range w.upgrades {
		for _, a := range j.alerts {
			if !a.StartsAt.Before(from) && a.StartsAt.Before(to) {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, func(a, b detector.Alert) int { return a.StartsAt.Compare(b.StartsAt) })
	return out, w.err("week's alerts")
}

func (w *weeks) Coverage(_ context.Context, from, to time.Time) (out []detector.Coverage, err error) {
	for _, c := range w.coverage {
		if !c.Hour.Before(from) && c.Hour.Before(to) {
			out = append(out, c)
		}
	}
	return out, w.err("coverage")
}

func (w *weeks) Marks(_ context.Context, keys []string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, k := range keys {
		if wrong, ok := w.marks[k]; ok {
			out[k] = wrong
		}
	}
	return out, w.err("marks")
}

// spring is a week with the story that went wrong and was mended, a harmless upgrade, one
// carried over, an alert in the week before, and a night without telemetry.
func spring() *weeks {
	story, calm, old := upgraded(), harmless(), harmless()
	calm.upgrade.ID, calm.upgrade.StartedAt = "dten-4.1.9", instant("2026-03-03T09:00:00Z")
	calm.upgrade.FinishedAt = instant("2026-03-03T09:30:00Z")
	old.upgrade.ID, old.upgrade.StartedAt = "dten-4.1.8", instant("2026-02-26T09:00:00Z")
	old.upgrade.FinishedAt, old.upgrade.ClosedAt = instant("2026-02-26T09:20:00Z"), instant("2026-03-05T09:00:00Z")
	story.upgrade.Findings = []detector.Finding{
		{Rule: "settings/required", Hypotheses: []detector.Hypothesis{{Kind: detector.HypothesisFallback}}},
		{Rule: "scripts/unit-missing", Hypotheses: []detector.Hypothesis{{Kind: detector.HypothesisOldBuild, Unit: "dtend.service", Says: "dtend.service wasn't restarted"}}},
		{Rule: "scripts/sudo"},
	}
	story.upgrade.Binaries = slices.Clone(story.upgrade.Binaries)
	story.upgrade.Binaries[0].Fleet = &detector.Fleet{New: 2, Old: 1, OldNames: []string{"pod-2"}}
	for n := range calm.verdicts {
		calm.verdicts[n].Upgrade, old.verdicts[n].Upgrade = calm.upgrade.ID, old.upgrade.ID
	}
	for n := range story.verdicts {
		if v := &story.verdicts[n]; v.Indicator.Kind == detector.Latency && v.Effect != nil && v.Direction == detector.Worse {
			v.Causes = slices.Clone(v.Causes)
			if len(v.Causes) > 0 && v.Causes[0].Name == "dten-payments" {
				v.Causes[0].Foreseen = "dten-payments falls back to polling (settings/required, /etc/dten/payments.yaml:3)"
			}
			v.Distribution = &detector.Distribution{
				Bounds: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5}, Before: []float64{0.42, 0.33, 0.19, 0.05, 0.008, 0.0019, 0.0001},
				After: []float64{0.41, 0.32, 0.19, 0.058, 0.016, 0.0055, 0.0005},
			}
		}
	}
	for n := range calm.verdicts {
		if v := &calm.verdicts[n]; v.Effect != nil && v.Direction == "" {
			v.Effect = &detector.Effect{What: v.Effect.What, Before: 0.01, After: 0.0108, Ratio: 1.08, Low: 1.062, High: 1.097}
			break
		}
	}
	first := story.alerts[0]
	first.Key, first.State, first.StartsAt, first.EndsAt = "old/1", detector.AlertResolved, instant("2026-02-26T10:00:00Z"), instant("2026-02-26T11:00:00Z")
	first.Root.Onset = &detector.Onset{At: instant("2026-02-26T09:40:00Z"), Earliest: instant("2026-02-26T09:35:00Z"), Latest: instant("2026-02-26T09:45:00Z")}
	old.alerts = append(old.alerts, first)
	w := &weeks{
		journal:  &journal{toggles: story.toggles, flips: story.flips},
		upgrades: map[string]*journal{story.upgrade.ID: story, calm.upgrade.ID: calm, old.upgrade.ID: old},
		marks:    map[string]bool{"old/1": true, story.alerts[0].Key: false},
		chores: []detector.LedgerEntry{
			{Upgrade: "dten-4.1.8", Chore: detector.Chore{Kind: "banner", Name: "/srv/banner", Due: instant("2026-03-05T09:00:00Z")}, State: detector.ChoreOpen},
			{Upgrade: "dten-4.2.0", Chore: detector.Chore{Kind: "cron", Name: "export <b>"}, State: detector.ChoreOpen},
			{Upgrade: "dten-4.2.0", Chore: detector.Chore{Kind: "silence", Name: "ab12"}, State: detector.ChoreDone},
			{
				Upgrade: "dten-4.2.0", Chore: detector.Chore{Kind: "instance", Name: "dten-payments"}, State: detector.ChoreOpen,
				Foreseen: "dtend.service wasn't restarted (scripts/unit-missing, install.sh:7)",
			},
		},
	}
	for hour := instant("2026-03-02T05:00:00Z"); hour.Before(instant("2026-03-09T00:00:00Z")); hour = hour.Add(time.Hour) {
		c := detector.Coverage{Hour: hour, Step: 60, Steps: 60}
		switch hour.Format("02 15") {
		case "02 05":
			c.Steps = 17
		case "04 02", "04 03":
			continue
		case "04 04":
			c.Steps, c.Silent = 20, 3
		}
		w.coverage = append(w.coverage, c)
	}
	return w
}

func week(t *testing.T, j reports.WeekJournal, name string, at time.Time) reports.Week {
	t.Helper()
	s, err := reports.ParseWeek(name, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	w, err := reports.BuildWeek(t.Context(), j, s, at)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

var monday = instant("2026-03-09T08:00:00Z")

func TestWeek(t *testing.T) {
	for _, tc := range []struct {
		name, week string
		j          *weeks
		at         time.Time
	}{
		{"week", "2026-W10", spring(), monday},
		{"week-young", "2026-W10", spring(), instant("2026-03-04T12:00:00Z")},
		{"week-empty", "2026-W20", spring(), instant("2026-05-18T08:00:00Z")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := week(t, tc.j, tc.week, tc.at)
			if len(w.Head) != 5 {
				t.Errorf("the head has %d lines, want 5", len(w.Head))
			}
			golden(t, tc.name+".md", rendered(t, w.Markdown))
			golden(t, tc.name+".html", rendered(t, w.HTML))
			var back reports.Week
			if err := json.Unmarshal([]byte(rendered(t, w.JSON)), &back); err != nil {
				t.Errorf("read the JSON back: %v", err)
			}
			if diff := cmp.Diff(w.Head, back.Head); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWeekFigures(t *testing.T) {
	w := week(t, spring(), "2026-W10", monday)
	if len(w.Upgrades) != 3 || w.Upgrades[0].Outcome != reports.Regressed || !w.Upgrades[1].Carried && !w.Upgrades[2].Carried {
		t.Errorf("got upgrades %+v", w.Upgrades)
	}
	if w.False.Marked != 1 || w.False.False != 0 || w.False.Fired != len(w.Alerts) {
		t.Errorf("got false alarms %+v of %d alerts", w.False, len(w.Alerts))
	}
	before := w.Past[0]
	if before.Name != "2026-W09" || before.Upgrades != 1 || before.Alerts != (detector.Tally{Fired: 1, Marked: 1, False: 1}) ||
		before.Detect.Median != 20*60 || before.Recover.Median != 3600 {
		t.Errorf("got week before %+v", before)
	}
	if len(w.Near) != 1 || w.Near[0].Margin != 0.06 {
		t.Errorf("got near misses %+v, want one at 6%%", w.Near)
	}
	// Of 163 hours two and forty minutes are missing; the first began at :43.
	if d := w.Data; d.Expected != 17+162*60 || d.Steps != d.Expected-160 || d.Silent != 3 || len(d.Gaps) != 1 ||
		d.Gaps[0].Steps != 160 || !d.Gaps[0].From.Equal(instant("2026-03-04T02:00:00Z")) || !d.Gaps[0].To.Equal(instant("2026-03-04T05:00:00Z")) {
		t.Errorf("got coverage %+v", d)
	}
	// The figures are those of the upgrade's own review, and of its alerts.
	r := review(t, upgraded(), monday.Truncate(24*time.Hour))
	for n, s := range w.Shifts[:len(r.Shifts)] {
		if diff := cmp.Diff(r.Shifts[n].Verdict.Effect, s.Verdict.Effect); diff != "" {
			t.Errorf("shift %d differs from the upgrade's review: %s", n, diff)
		}
	}
}

// TestWeekReproducible: the order in which the journal answers, and when a week that is
// over is looked at, don't matter.
func TestWeekReproducible(t *testing.T) {
	one, other := spring(), spring()
	for _, j := range other.upgrades {
		slices.Reverse(j.verdicts)
		slices.Reverse(j.events)
	}
	slices.Reverse(other.toggles)
	slices.Reverse(other.flips)
	a, b := week(t, one, "2026-W10", monday), week(t, other, "2026-W10", monday.Add(90*24*time.Hour))
	for name, forms := range map[string][2]func(io.Writer) error{
		"html": {a.HTML, b.HTML}, "md": {a.Markdown, b.Markdown}, "json": {a.JSON, b.JSON},
	} {
		if diff := cmp.Diff(rendered(t, forms[0]), rendered(t, forms[1])); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWeekFailures(t *testing.T) {
	s, err := reports.ParseWeek("2026-W10", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"upgrades", "week's alerts", "coverage", "marks", "toggles", "flips", "chores"} {
		j := spring()
		j.fail = what
		if _, err := reports.BuildWeek(t.Context(), j, s, monday); err == nil || !strings.Contains(err.Error(), "2026-W10") || !strings.Contains(err.Error(), "disk on fire") {
			t.Errorf("%s can't be read: got %v", what, err)
		}
	}
}

func TestWeeks(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text     string
		zone     *time.Location
		from, to string
	}{
		{"2026-W10", time.UTC, "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"},
		{"2026-W01", time.UTC, "2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z"},
		{"2020-W53", time.UTC, "2020-12-28T00:00:00Z", "2021-01-04T00:00:00Z"},
		{"2026-W13", berlin, "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"}, // an hour short
	} {
		s, err := reports.ParseWeek(tt.text, tt.zone)
		if err != nil || !s.From.Equal(instant(tt.from)) || !s.To.Equal(instant(tt.to)) {
			t.Errorf("%s: got %s to %s (%v), want %s to %s", tt.text, s.From, s.To, err, tt.from, tt.to)
		}
		if back := reports.WeekOf(s.To.Add(-time.Second), tt.zone); back != s {
			t.Errorf("%s: its last second lies in %+v", tt.text, back)
		}
		if next := reports.WeekOf(s.To, tt.zone); next.Before(1) != s {
			t.Errorf("%s: the week before the next is %+v", tt.text, next.Before(1))
		}
	}
	for _, text := range []string{"", "2026", "2026-W00", "2026-W54", "2025-W53", "2026-W1", "2026-w10", "2026-W10x", "-026-W10"} {
		if s, err := reports.ParseWeek(text, time.UTC); err == nil {
			t.Errorf("%q: got %+v, want an error", text, s)
		}
	}
}

// crowd is a week of 40 upgrades, each with 2,000 indicators of which 20 shifted.
func crowd() *weeks {
	w := &weeks{journal: &journal{}, upgrades: map[string]*journal{}}
	for n := range 40 {
		j := &journal{upgrade: detector.Upgrade{
			ID: fmt.Sprintf("pack-%02d", n), StartedAt: instant("2026-03-02T06:00:00Z").Add(time.Duration(n) * 4 * time.Hour),
			Binaries: []detector.Binary{{Name: fmt.Sprintf("bin-%02d", n), From: "1.0", To: "1.1"}},
		}}
		j.upgrade.FinishedAt = j.upgrade.StartedAt.Add(20 * time.Minute)
		for i := range 2000 {
			v := detector.Verdict{
				Upgrade: j.upgrade.ID, Since: j.upgrade.StartedAt.Add(2 * time.Hour), State: detector.Clear,
				Indicator: detector.Indicator{Kind: detector.Latency, Metric: "http_server_request_duration_seconds", Labels: map[string]string{
					"service": fmt.Sprintf("service-%03d", i/10), "http_route": fmt.Sprintf("/route/%d", i%10),
				}},
				Effect:      &detector.Effect{What: "share of requests over 0.5 s", Before: 0.01, After: 0.0101, Ratio: 1.01, Low: 0.95, High: 1.08},
				Control:     "instances of the old build, and its own course before",
				FalseAlarms: &detector.FalseAlarms{Fired: 3, Placebos: 1200}, Warnings: []string{"less than a day of history: the time of day is hardly known"},
			}
			switch {
			case i < 20:
				v.State, v.Direction = detector.Regressed, detector.Worse
				v.Effect = &detector.Effect{What: "share of requests over 0.5 s", Before: 0.01, After: 0.02, Ratio: 2, Low: 1.5, High: 2.6}
				v.Course = course(uint64(i), 800, 0.01, func(time.Time) float64 { return 1 })
				v.Causes = []detector.Cause{{Kind: detector.CauseBinary, Name: j.upgrade.Binaries[0].Name, Probability: 0.97, Why: []string{"it began with its first instance"}}}
			case i < 200:
				v.State, v.Missing, v.DecidedIn = detector.Undecided, "a margin of 10% can't be told yet", 7200
			}
			j.verdicts = append(j.verdicts, v)
		}
		w.upgrades[j.upgrade.ID] = j
	}
	return w
}

// TestWeekBudget: 40 upgrades with 2,000 indicators each are rendered in 3 s and 5 MB.
func TestWeekBudget(t *testing.T) {
	j := crowd()
	begun := time.Now()
	w := week(t, j, "2026-W10", monday)
	page := rendered(t, w.HTML)
	took := time.Since(begun)
	t.Logf("%d kB in %s", len(page)/1000, took)
	if len(page) > 5_000_000 || len(w.Upgrades) != 40 || len(w.Shifts) != 800 {
		t.Errorf("got %d bytes of %d upgrades and %d shifts", len(page), len(w.Upgrades), len(w.Shifts))
	}
	if took > slower*3*time.Second {
		t.Errorf("it took %s, want at most 3 s", took)
	}
}
