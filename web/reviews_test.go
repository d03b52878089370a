package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/reports"
	"aftershock/web/webtest"
)

// TestReviews lists the weeks in which something was watched and the reviews of upgrades,
// and what it leads to is there.
func TestReviews(t *testing.T) {
	s := story(t)
	// The story's earlier upgrade was under watch in three or four weeks up to this one.
	// Nothing was watched before, but some hours seven weeks ago.
	this := reports.WeekOf(time.Now(), time.UTC)
	old := this.Before(7)
	s.Tell(t, journal.Tick{Coverage: []detector.Coverage{{Hour: old.From.Add(50 * time.Hour), Step: 60, Steps: 60}}})
	got := ask(t, "GET", s.URL+"/reports", "")
	wellFormed(t, "/reports", got.body)
	for _, want := range []string{
		`href="/reports/` + this.Name + `"`, "under way", `href="/reports/` + this.Name + `?format=pdf"`, `href="/reports/` + old.Name + `"`, "no upgrade under watch",
		`href="/upgrades/dten-4.2.0/report"`, `href="/upgrades/dten-4.2.0/report?format=md"`, `href="/upgrades/dten-4.1.3/report?format=json"`, "upgrade under watch", this.From.Format("Jan 2, 2006"),
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(got.body, `/reports/`+this.Before(5).Name) {
		t.Error("a week of which nothing is known is listed")
	}
	for _, path := range []string{"/reports/" + this.Name, "/upgrades/dten-4.2.0/report?format=md"} {
		if got := ask(t, "GET", s.URL+path, ""); got.StatusCode != 200 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
	for path, status := range map[string]int{"/reports?week=1": 400, "/reports?after=nope": 400} {
		for _, under := range []string{"", "/api/v1"} {
			if got := ask(t, "GET", s.URL+under+path, ""); got.StatusCode != status {
				t.Errorf("%s%s: %d, want %d", under, path, got.StatusCode, status)
			}
		}
	}
	list := ask(t, "GET", s.URL+"/api/v1/reports", "")
	described(t, "GET", "/api/v1/reports", list)
	var all struct {
		Weeks []struct {
			Week     string
			Upgrades []string
			Over     bool
		}
		Upgrades []struct{ ID, Review string }
	}
	list.decode(t, &all)
	if n := len(all.Weeks); n < 4 || all.Weeks[0].Week != this.Name || all.Weeks[0].Over || all.Weeks[n-1].Week != old.Name || !all.Weeks[n-1].Over || len(all.Weeks[n-1].Upgrades) != 0 {
		t.Errorf("weeks: %+v", all.Weeks)
	}
	if len(all.Upgrades) != 2 || all.Upgrades[0].Review != "/upgrades/dten-4.2.0/report" {
		t.Errorf("upgrades: %+v", all.Upgrades)
	}
}

// TestManyReviews come in pages.
func TestManyReviews(t *testing.T) {
	s := webtest.Start(t)
	var tick journal.Tick
	for n := range 70 {
		at := time.Now().UTC().Add(-time.Duration(n) * 24 * time.Hour)
		tick.Upgrades = append(tick.Upgrades, detector.Upgrade{ID: fmt.Sprintf("u%02d", n), StartedAt: at, FinishedAt: at, ClosedAt: at.Add(time.Hour)})
	}
	s.Tell(t, tick)
	page := ask(t, "GET", s.URL+"/reports", "").body
	_, next, found := strings.Cut(page, `<a href="/reports?after=`)
	if !found || !strings.Contains(page, "/upgrades/u49/report") || strings.Contains(page, "/upgrades/u50/report") {
		t.Fatal("the first page doesn't end after 50")
	}
	next, _, _ = strings.Cut(next, `"`)
	page = ask(t, "GET", s.URL+"/reports?after="+next, "").body
	if !strings.Contains(page, "/upgrades/u50/report") || !strings.Contains(page, "/upgrades/u69/report") || strings.Contains(page, "Week ") || strings.Contains(page, "Older ones") {
		t.Error("the second page isn't the rest")
	}
}
