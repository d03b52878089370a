package web_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/web"
	"aftershock/web/webtest"
)

// inspected is a server with the story, whose package was inspected beforehand.
func inspected(t testing.TB) *webtest.Server {
	t.Helper()
	s := webtest.Start(t)
	found(t, s)
	return s
}

// found tells the story anew, with what the inspection of its package found beforehand.
func found(t testing.TB, s *webtest.Server) {
	t.Helper()
	now := time.Now().UTC()
	tick := webtest.Story(now)
	n := slices.IndexFunc(tick.Upgrades, func(u detector.Upgrade) bool { return u.ID == webtest.UpgradeID })
	tick.Upgrades[n].Findings = []detector.Finding{
		{
			Rule: "scripts/schedule", Severity: detector.Risk, Place: detector.Place{File: "cron.d/<export>", Line: 4},
			What: "an export runs at 03:00 <script>", Why: "it talks to a host that is gone", Do: "remove it:\n  rm /etc/cron.d/export",
			Hypotheses: []detector.Hypothesis{{Kind: detector.HypothesisRun, Says: "retries at 03:00", Runs: []time.Time{now.Add(time.Hour)}}},
			Chores:     []detector.Chore{{Kind: "cron", Name: "export", What: "remove it"}},
		},
		{Rule: "migrations/drop", Severity: detector.Blocker, Place: detector.Place{File: "m.sql", Line: 2}, What: "a column is dropped", Reversions: []detector.Reversion{
			{Level: detector.LevelData, Step: "DROP COLUMN note", Lost: "the notes"},
		}},
	}
	for n := range tick.Alerts {
		tick.Alerts[n].Cause.Foreseen = "retries at 03:00 (scripts/schedule, cron.d/<export>:4)"
	}
	s.Tell(t, tick)
}

const packagePage = "/upgrades/" + webtest.UpgradeID + "/package"

func TestPackagePage(t *testing.T) {
	s := inspected(t)
	cookie := signIn(t, s)
	page := ask(t, "GET", s.URL+packagePage, "")
	wellFormed(t, packagePage, page.body)
	for _, want := range []string{
		"1 blocker, 1 risk.", "an export runs at 03:00 &lt;script&gt;", "cron.d/&lt;export&gt;:4", "remove it:\n  rm /etc/cron.d/export", "Came true",
		"the notes", "install dten-payments 4.1.3 again", "Nothing has to be cleaned up",
	} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page.body, `name="kind"`) {
		t.Error("who isn't signed in may add chores")
	}
	add := url.Values{"kind": {"banner"}, "name": {"/srv/banner"}, "what": {"take it down"}, "owner": {"ops"}, "due": {"2026-03-01"}, "actor": {"ana"}}
	chores := "/upgrades/" + webtest.UpgradeID + "/chores"
	if got := post(t, s.URL+chores, add); got.StatusCode != 401 {
		t.Errorf("added by nobody: %d", got.StatusCode)
	}
	if got := post(t, s.URL+chores, add, "Cookie", cookie); got.StatusCode != 303 || got.Header.Get("Location") != packagePage+"#cleanup" {
		t.Errorf("added: %d %v", got.StatusCode, got.Header)
	}
	if got := post(t, s.URL+chores, add, "Cookie", cookie); got.StatusCode != 409 {
		t.Errorf("added again: %d", got.StatusCode)
	}
	id := detector.ChoreID("banner", "/srv/banner")
	page = ask(t, "GET", s.URL+packagePage, "", "Cookie", cookie)
	wellFormed(t, packagePage, page.body)
	for _, want := range []string{"1 open, <b>1 overdue</b>", "take it down", `action="` + chores + "/" + id + `"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if up := ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID, ""); !strings.Contains(up.body, "Package: 2 found, rollback and clean-up: 1 open, 1 overdue") {
		t.Error("the upgrade's page doesn't lead there")
	}
	if got := post(t, s.URL+chores+"/"+id, url.Values{"state": {"kept"}, "actor": {"ana"}}, "Cookie", cookie); got.StatusCode != 400 || !strings.Contains(got.body, "say why it stays") {
		t.Errorf("kept without a reason: %d %s", got.StatusCode, got.body)
	}
	if got := post(t, s.URL+chores+"/"+id, url.Values{"state": {"done"}, "note": {"gone"}, "actor": {"ana"}}, "Cookie", cookie); got.StatusCode != 303 {
		t.Errorf("done: %d %s", got.StatusCode, got.body)
	}
	if page = ask(t, "GET", s.URL+packagePage, ""); !strings.Contains(page.body, "0 open, 1 done, 0 kept") || !strings.Contains(page.body, "ana: gone") {
		t.Error("the page doesn't show that it is done")
	}
}

func TestPackageAPI(t *testing.T) {
	s := inspected(t)
	path, chores := "/api/v1"+packagePage, "/api/v1/upgrades/"+webtest.UpgradeID+"/chores"
	id := detector.ChoreID("silence", "ab12")
	for _, tc := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", path, "", 200},
		{"POST", chores, `{"kind":"silence","name":"ab12","probe":"silence ab12","due":"2026-03-09T00:00:00Z","actor":"ana"}`, 201},
		{"POST", chores, `{"kind":"silence","name":"ab12"}`, 409},
		{"POST", chores, `{"kind":"odd","name":"x"}`, 400},
		{"POST", chores, `{"kind":"file","name":"x","probe":"sh -c id"}`, 400},
		{"POST", "/api/v1/upgrades/nope/chores", `{"kind":"file","name":"x"}`, 404},
		{"POST", chores + "/" + id, `{"state":"kept","note":"we need it","actor":"ana"}`, 200},
		{"POST", chores + "/" + id, `{}`, 400},
		{"POST", chores + "/nope", `{"state":"done"}`, 404},
		{"GET", path, "", 200},
		{"GET", "/api/v1/upgrades/nope/package", "", 404},
	} {
		got := ask(t, tc.method, s.URL+tc.path, tc.body, "Authorization", bearer)
		if got.StatusCode != tc.status {
			t.Errorf("%s %s %s: %d %s", tc.method, tc.path, tc.body, got.StatusCode, got.body)
		}
		described(t, tc.method, tc.path, got)
	}
	var d web.PackageDetail
	ask(t, "GET", s.URL+path, "").decode(t, &d)
	if diff := cmp.Diff(detector.ChoreCount{Kept: 1}, d.Count); diff != "" || len(d.Findings) != 2 || len(d.Rollback.NoReturn) != 1 {
		t.Errorf("%s: %+v", diff, d)
	}
	if diff := cmp.Diff([]string{"retries at 03:00 (scripts/schedule, cron.d/<export>:4)"}, d.True); diff != "" {
		t.Error(diff)
	}
	if history, err := s.Journal.ChoreHistory(t.Context(), webtest.UpgradeID, id); err != nil || len(history) != 2 || history[1].Actor != "ana" {
		t.Errorf("history %+v (%v)", history, err)
	}
}
