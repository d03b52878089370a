package main

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/reports"
)

// BenchmarkWeek reviews a week of 40 upgrades with 2,000 indicators each, 20 of them
// shifted, from the journal to the page.
func BenchmarkWeek(b *testing.B) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	j, err := journal.Open(b.Context(), journal.Config{}, b.TempDir(), log, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			b.Error(err)
		}
	}()
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for n := range 40 {
		if err := j.Commit(b.Context(), busy(n, monday.Add(time.Duration(6+4*n)*time.Hour))); err != nil {
			b.Fatal(err)
		}
	}
	span := reports.WeekOf(monday, time.UTC)
	for b.Loop() {
		w, err := reports.BuildWeek(b.Context(), history{j}, span, span.To.Add(8*time.Hour))
		if err != nil {
			b.Fatal(err)
		}
		page, err := w.Form(b.Context(), reports.FormHTML, "")
		if err != nil || len(w.Upgrades) != 40 || len(page) > 5_000_000 {
			b.Fatalf("%d upgrades on %d bytes (%v)", len(w.Upgrades), len(page), err)
		}
		b.SetBytes(int64(len(page)))
	}
}

// busy is what is put down of one upgrade.
func busy(n int, at time.Time) journal.Tick {
	u := detector.Upgrade{
		ID: fmt.Sprintf("pack-%02d", n), StartedAt: at, FinishedAt: at.Add(20 * time.Minute),
		Binaries: []detector.Binary{{Name: fmt.Sprintf("bin-%02d", n), From: "1.0", To: "1.1"}},
	}
	t := journal.Tick{Time: at.Add(3 * time.Hour), Upgrades: []detector.Upgrade{u}}
	for i := range 2000 {
		v := detector.Verdict{
			Upgrade: u.ID, Since: at.Add(2 * time.Hour), State: detector.Clear,
			Indicator: detector.Indicator{Kind: detector.Latency, Metric: "http_server_request_duration_seconds", Labels: map[string]string{
				"service": fmt.Sprintf("service-%03d", i/10), "http_route": fmt.Sprintf("/route/%d", i%10),
			}},
			Effect:      &detector.Effect{What: "share of requests over 0.5 s", Before: 0.01, After: 0.0101, Ratio: 1.01, Low: 0.95, High: 1.08},
			Control:     "instances of the old build, and its own course before",
			FalseAlarms: &detector.FalseAlarms{Fired: 3, Placebos: 1200}, Warnings: []string{"less than a day of history: the time of day is hardly known"},
		}
		if i < 20 {
			v.State, v.Direction = detector.Regressed, detector.Worse
			v.Effect = &detector.Effect{What: v.Effect.What, Before: 0.01, After: 0.02, Ratio: 2, Low: 1.5, High: 2.6}
			v.Causes = []detector.Cause{{Kind: detector.CauseBinary, Name: u.Binaries[0].Name, Probability: 0.97, Why: []string{"it began with its first instance"}}}
			for k := range 300 {
				v.Course = append(v.Course, detector.CoursePoint{Time: at.Add(time.Duration(k-150) * time.Minute), Bad: float64(k % 9), Total: 900, Expected: 0.01, Low: 0.008, High: 0.0125})
			}
		}
		t.Verdicts = append(t.Verdicts, v)
	}
	return t
}
