package web_test

import (
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/web"
	"aftershock/web/webtest"
)

// toggled is a server with the story, and the toggle that answers its upgrade.
func toggled(t testing.TB) (*webtest.Server, detector.Toggle) {
	t.Helper()
	s := story(t)
	got := ask(t, "PUT", s.URL+"/api/v1/flags/payments-backoff", `{"variant":"legacy","reason":"retries","actor":"ana","upgrade":"`+webtest.UpgradeID+`"}`, "Authorization", bearer)
	var g detector.Toggle
	got.decode(t, &g)
	if g.State != detector.ToggleVerified {
		t.Fatalf("toggled: %d %s", got.StatusCode, got.body)
	}
	return s, g
}

// A toggle's page shows what the indicators do that it answers, until they are back.
func TestTogglesShowTheirEvidence(t *testing.T) {
	s, g := toggled(t)
	path := "/toggles/" + g.ID
	page := ask(t, "GET", s.URL+path, "")
	wellFormed(t, path, page.body)
	for _, want := range []string{"What the indicators do", "/upgrades/dten-4.2.0/indicators/", "Not back yet", `<svg class="chart"`, `id="live"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("while it is watched the page lacks %q", want)
		}
	}
	got := ask(t, "GET", s.URL+"/api/v1"+path, "")
	described(t, "GET", "/api/v1"+path, got)
	var d web.ToggleDetail
	got.decode(t, &d)
	if len(d.Indicators) != 4 || d.Indicators[0].State != detector.Regressed || len(d.States) < 2 || d.ID != g.ID {
		t.Errorf("evidence %d, states %d: %s", len(d.Indicators), len(d.States), got.body)
	}
	// They come back.
	now := time.Now().UTC()
	tick := webtest.Story(now)
	for n := range tick.Verdicts {
		if v := &tick.Verdicts[n]; v.State == detector.Regressed {
			v.State, v.Recovered = detector.Clear, now.Add(time.Minute)
		}
	}
	s.Tell(t, tick)
	page = ask(t, "GET", s.URL+path, "")
	if !strings.Contains(page.body, "Back within the margin since") || strings.Contains(page.body, "Not back yet") {
		t.Error("the page doesn't show that they are back")
	}
	if got := ask(t, "GET", s.URL+"/api/v1/toggles/nope", ""); got.StatusCode != 404 {
		t.Errorf("of none: %d", got.StatusCode)
	}
}

// What an indicator did before the toggle is none of its evidence.
func TestEvidenceIsOfTheToggle(t *testing.T) {
	s := story(t)
	now := time.Now().UTC()
	tick := webtest.Story(now)
	for n := range tick.Verdicts {
		if v := &tick.Verdicts[n]; v.State == detector.Regressed {
			v.State, v.Recovered = detector.Clear, now.Add(-time.Hour)
		}
	}
	s.Tell(t, tick)
	var g detector.Toggle
	ask(t, "PUT", s.URL+"/api/v1/flags/payments-backoff", `{"variant":"legacy","reason":"retries","actor":"ana","upgrade":"`+webtest.UpgradeID+`"}`, "Authorization", bearer).decode(t, &g)
	var d web.ToggleDetail
	ask(t, "GET", s.URL+"/api/v1/toggles/"+g.ID, "").decode(t, &d)
	if len(d.Indicators) != 0 {
		t.Errorf("%d indicators that were back before count as evidence", len(d.Indicators))
	}
}

func TestTuningPage(t *testing.T) {
	s := story(t)
	const path = "/flags/payments-backoff"
	if page := ask(t, "GET", s.URL+path, ""); !strings.Contains(page.body, `href="`+path+`/tuning"`) || strings.Contains(page.body, "As it was reckoned") {
		t.Error("the flag's page doesn't lead to the tuning, or has one that nobody asked for")
	}
	page := ask(t, "GET", s.URL+path+"/tuning", "")
	wellFormed(t, path+"/tuning", page.body)
	for _, want := range []string{"<svg", "legacy", "Retries per call", "first attempts failed", "(served now)"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	page = ask(t, "GET", s.URL+path, "")
	wellFormed(t, path, page.body)
	if !strings.Contains(page.body, "As it was reckoned") || !strings.Contains(page.body, "Picture of the constants") {
		t.Error("the flag's page doesn't show what was tuned")
	}
	none := ask(t, "GET", s.URL+"/flags/checkout-banner/tuning", "")
	wellFormed(t, "no tuning", none.body)
	if none.StatusCode != 200 || !strings.Contains(none.body, "says nothing under tunes") {
		t.Errorf("of a flag without constants: %d %s", none.StatusCode, none.body)
	}
}

// An alert leads to the plan and to the arithmetic at one step each.
func TestAlertsLeadOn(t *testing.T) {
	s := story(t)
	key := webtest.Story(time.Now()).Alerts[0].Key
	page := ask(t, "GET", s.URL+"/alerts/"+strings.ReplaceAll(key, "/", "%2F"), "")
	wellFormed(t, "alert", page.body)
	for _, want := range []string{`class="button" href="/flags/payments-backoff?`, "Very likely the upgrade", "The arithmetic behind it", "/upgrades/dten-4.2.0/indicators/"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the alert's page lacks %q", want)
		}
	}
	if strings.Index(page.body, `class="button"`) > strings.Index(page.body, "What moved") {
		t.Error("what to do comes after what moved")
	}
}

// A toggle that names no upgrade answers the one under watch of which its flag gates a
// binary, and one of another flag answers none.
func TestEvidenceWithoutAnUpgrade(t *testing.T) {
	s := story(t)
	for flag, want := range map[string]int{"payments-backoff": 4, "checkout-banner": 0} {
		variant := map[string]string{"payments-backoff": "legacy", "checkout-banner": "on"}[flag]
		var g detector.Toggle
		ask(t, "PUT", s.URL+"/api/v1/flags/"+flag, `{"variant":"`+variant+`","reason":"retries","actor":"ana"}`, "Authorization", bearer).decode(t, &g)
		if g.State != detector.ToggleVerified || g.Upgrade != "" {
			t.Fatalf("%s: %+v", flag, g)
		}
		var d web.ToggleDetail
		ask(t, "GET", s.URL+"/api/v1/toggles/"+g.ID, "").decode(t, &d)
		if len(d.Indicators) != want {
			t.Errorf("%s: %d indicators, want %d", flag, len(d.Indicators), want)
		}
		page := ask(t, "GET", s.URL+"/toggles/"+g.ID, "")
		if wellFormed(t, flag, page.body); page.StatusCode != 200 || strings.Contains(page.body, "What the indicators do") != (want > 0) {
			t.Errorf("%s: its page is %d", flag, page.StatusCode)
		}
	}
}
