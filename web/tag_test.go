package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web/webtest"
)

// TestTags: each object and list says by its tag whether it is the one that the caller
// has, and the description names that where it holds.
func TestTags(t *testing.T) {
	s := story(t)
	paths, _ := description()["paths"].(node)
	var verdicts struct{ Items []struct{ ID string } }
	ask(t, "GET", s.URL+"/api/v1/upgrades/"+webtest.UpgradeID+"/verdicts", "").decode(t, &verdicts)
	toggles(t, s, 1)
	made, err := s.Board.History(t.Context(), "payments-backoff")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("/api/v1/pins", "/api/v1/pins?publisher=x", "/toggles/{id}", "/toggles/"+made[0].ID, "/indicators/{key}", "/indicators/"+verdicts.Items[0].ID, "/upgrades/{id}", "/upgrades/"+webtest.UpgradeID, "/alerts/{key}", "/alerts/dten-4.2.0%2Fgeo-api", "{key}", "payments-backoff")
	seen := 0
	for path, methods := range paths {
		op, ok := methods.(node)["get"].(node)
		if !ok || !strings.HasPrefix(path, "/api/") {
			continue
		}
		responses, _ := op["responses"].(node)
		if _, ok := responses["304"]; !ok {
			continue
		}
		seen++
		url := s.URL + names.Replace(path)
		got := ask(t, "GET", url, "")
		tag := got.Header.Get("ETag")
		if got.StatusCode != 200 || !strings.HasPrefix(tag, `"`) || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d, tag %s, %s", path, got.StatusCode, tag, got.Header.Get("Content-Type"))
		}
		for _, known := range []string{tag, `"x", ` + tag, "W/" + tag, "*"} {
			got := ask(t, "GET", url, "", "If-None-Match", known)
			if got.StatusCode != 304 || got.body != "" || got.Header.Get("ETag") != tag || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s with %s: %d %s %v", path, known, got.StatusCode, got.body, got.Header)
			}
		}
		if got := ask(t, "GET", url, "", "If-None-Match", strings.Trim(tag, `"`)); got.StatusCode != 200 || got.body == "" {
			t.Errorf("%s with another tag: %d", path, got.StatusCode)
		}
		if got := ask(t, "HEAD", url, ""); got.StatusCode != 200 || got.Header.Get("ETag") != tag {
			t.Errorf("HEAD %s: %d, tag %s", path, got.StatusCode, got.Header.Get("ETag"))
		}
	}
	if seen < 15 {
		t.Errorf("%d reads have a tag", seen)
	}
	if got := ask(t, "GET", s.URL+"/api/v1/flags/nope", "", "If-None-Match", "*"); got.StatusCode != 404 || got.Header.Get("ETag") != "" {
		t.Errorf("of what isn't there: %d %v", got.StatusCode, got.Header)
	}
}

// TestTagsFollowWhatIsShown: another answer has another tag, and one that is too big none.
func TestTagsFollowWhatIsShown(t *testing.T) {
	s := story(t)
	before := ask(t, "GET", s.URL+"/api/v1/flags", "")
	if got := ask(t, "PUT", s.URL+backoff, quarter, "Authorization", bearer); got.StatusCode != 200 {
		t.Fatal(got.body)
	}
	if after := ask(t, "GET", s.URL+"/api/v1/flags", "", "If-None-Match", before.Header.Get("ETag")); after.StatusCode != 200 || after.body == before.body {
		t.Errorf("after a toggle: %d", after.StatusCode)
	}
	var tick journal.Tick
	for n := range 50 {
		u := detector.Upgrade{ID: fmt.Sprint("huge-", n), StartedAt: time.Unix(int64(1e9+n), 0), Package: strings.Repeat("x", 100_000)}
		tick.Upgrades = append(tick.Upgrades, u)
	}
	s.Tell(t, tick)
	if got := ask(t, "GET", s.URL+"/api/v1/upgrades", "", "If-None-Match", "*"); got.StatusCode != 200 || got.Header.Get("ETag") != "" || len(got.body) < 5_000_000 {
		t.Errorf("of a huge list: %d, tag %q, %d bytes", got.StatusCode, got.Header.Get("ETag"), len(got.body))
	}
}
