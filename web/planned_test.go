package web_test

import (
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web/webtest"
)

// A planned upgrade shows when it is to begin, and has no review.
func TestPlannedUpgrade(t *testing.T) {
	s := webtest.Start(t)
	at := time.Date(2026, 3, 6, 22, 0, 0, 0, time.UTC)
	plan := detector.Plan{PlannedStart: at, PlannedMinutes: 90}
	off := detector.Upgrade{ID: "off", Plan: plan, ClosedAt: at, Binaries: []detector.Binary{{Name: "a"}}}
	s.Tell(t, journal.Tick{Time: at, Upgrades: []detector.Upgrade{{ID: "soon", Plan: plan, Binaries: []detector.Binary{{Name: "a"}}}, off}})
	for path, want := range map[string]string{
		"/upgrades/soon": "planned for 2026-03-06 22:00 UTC", "/upgrades/off": "called off, planned for 2026-03-06 22:00 UTC", "/": "planned for 2026-03-06 22:00 UTC",
	} {
		if got := ask(t, "GET", s.URL+path, ""); got.StatusCode != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d, without %q", path, got.StatusCode, want)
		}
	}
	if got := ask(t, "GET", s.URL+"/upgrades/soon/report", ""); got.StatusCode != 409 || !strings.Contains(got.body, "only planned") {
		t.Errorf("review: %d %s", got.StatusCode, got.body)
	}
}
