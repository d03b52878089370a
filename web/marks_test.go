package web_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/alerts/alertmanager"
	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/webtest"
)

// Keys hold slashes, and what upgrades and binaries are called.
func TestMarksAndAcknowledgements(t *testing.T) {
	s := webtest.Start(t)
	for n, key := range []string{"dten-4.2.0/dten-payments/1772788860", "u//1", "../a b/%2F?x#y/☃/2", "./../3", "tally/acknowledge/4"} {
		s.Tell(t, journal.Tick{Alerts: []detector.Alert{{
			Key: key, Upgrade: "u", State: detector.AlertFiring, StartsAt: time.Unix(int64(1e9+n), 0), Revision: 1,
			Cause: detector.Cause{Kind: detector.CauseBinary, Name: "pay"},
			Root:  detector.Verdict{Indicator: webtest.Indicator(detector.Latency, "m", "service", "checkout")},
		}}})
		at := s.URL + "/api/v1/alerts/" + url.PathEscape(key)
		for _, c := range []struct {
			path, body string
			status     int
			want       string
		}{
			{"/mark", `{"mark":"false","reason":"a game day","actor":"ann"}`, 200, `"false":true`},
			{"/mark", `{"mark":"true","actor":"bob"}`, 200, `"actor":"bob"`},
			{"/acknowledge", `{"reason":"on it","actor":"ann"}`, 200, `"services":["checkout"]`},
			{"/mark", `{"mark":"maybe"}`, 400, "maybe"},
			{"/mark", `{"mark":"true","reason":"` + strings.Repeat("x", 2001) + `"}`, 400, "2000"},
			{"/mark", `{"mrak":"true"}`, 400, "mrak"},
			{"/acknowledge", `{"actor":"ann"}`, 400, "reason"},
		} {
			if got := ask(t, "POST", at+c.path, c.body, "Authorization", bearer); got.StatusCode != c.status || !strings.Contains(got.body, c.want) {
				t.Errorf("%s%s %s: %d %s, want %d with %q", key, c.path, c.body, got.StatusCode, got.body, c.status, c.want)
			}
		}
		var got web.AlertDetail
		ask(t, "GET", at, "").decode(t, &got)
		if got.Key != key || len(got.Marks) != 2 || len(got.Acknowledgements) != 1 || got.Mark == nil || got.Mark.False || !got.Marks[0].False || got.Acknowledgement == nil || got.Acknowledgement.Binary != "pay" {
			t.Errorf("%s: %+v", key, got)
		}
	}
	var list struct{ Items []web.Alert }
	ask(t, "GET", s.URL+"/api/v1/alerts?limit=1", "").decode(t, &list)
	if len(list.Items) != 1 || list.Items[0].Mark == nil || list.Items[0].Mark.Actor != "bob" || list.Items[0].Acknowledgement == nil {
		t.Errorf("the list: %+v", list.Items)
	}
	var tally detector.Tally
	ask(t, "GET", s.URL+"/api/v1/alerts/tally", "").decode(t, &tally)
	if diff := cmp.Diff(detector.Tally{Fired: 5, Marked: 5}, tally); diff != "" {
		t.Error(diff)
	}
}

func TestMarksThatMakeNoSense(t *testing.T) {
	s := webtest.Start(t)
	var tick journal.Tick
	for _, state := range []detector.AlertState{detector.AlertInactive, detector.AlertPending, detector.AlertFiring, detector.AlertResolved} {
		tick.Alerts = append(tick.Alerts, detector.Alert{Key: string(state), Upgrade: "u", State: state, Revision: 1})
	}
	s.Tell(t, tick)
	for _, c := range []struct {
		path, auth string
		status     int
		want       string
	}{
		{"inactive/mark", bearer, 409, "inactive"},
		{"pending/mark", bearer, 409, "pending"},
		{"firing/mark", bearer, 200, ""},
		{"resolved/mark", bearer, 200, ""},
		{"none/mark", bearer, 404, "none"},
		{"firing/mark", "", 401, "token"},
		{"inactive/acknowledge", bearer, 409, "inactive"},
		{"pending/acknowledge", bearer, 200, ""},
		{"firing/acknowledge", bearer, 200, ""},
		{"resolved/acknowledge", bearer, 409, "resolved"},
		{"none/acknowledge", bearer, 404, "none"},
		{"firing/acknowledge", "", 401, "token"},
	} {
		body := `{"reason":"r"}`
		if strings.HasSuffix(c.path, "/mark") {
			body = `{"reason":"r","mark":"false"}`
		}
		if got := ask(t, "POST", s.URL+"/api/v1/alerts/"+c.path, body, "Authorization", c.auth); got.StatusCode != c.status || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: %d %s, want %d with %q", c.path, got.StatusCode, got.body, c.status, c.want)
		}
	}
	if got := ask(t, "GET", s.URL+"/api/v1/alerts/none", ""); got.StatusCode != 404 {
		t.Errorf("an alert that isn't there: %d %s", got.StatusCode, got.body)
	}
}

// People see who keeps an alert quiet, and say what they think of it on its page.
func TestAlertPage(t *testing.T) {
	const key = webtest.UpgradeID + "/dten-payments"
	var asked []string
	s := story(t, func(o *web.Options) {
		o.Silences = func(_ context.Context, all []detector.Alert) map[string][]alertmanager.Silence {
			for _, a := range all {
				asked = append(asked, string(a.State))
			}
			return map[string][]alertmanager.Silence{key: {{ID: "s1", By: "ana", Comment: "a <b>migration</b>", EndsAt: time.Unix(2e9, 0)}}}
		}
		o.Tell = func(_ context.Context, a detector.Alert) string { return "told of " + a.Key + " <script>" }
	})
	s.Tell(t, journal.Tick{Alerts: []detector.Alert{{Key: "u/over/1", Upgrade: webtest.UpgradeID, State: detector.AlertResolved, Revision: 1}}})
	cookie, path := signIn(t, s), s.URL+"/alerts/"+url.PathEscape(key)
	for _, c := range []struct {
		path, mark, reason string
		status             int
	}{
		{"/acknowledge", "", "rolling back", 303},
		{"/mark", "false", "a game day", 303},
		{"/mark", "true", "", 303},
		{"/acknowledge", "", "", 400},
		{"/mark", "maybe", "", 400},
	} {
		form := url.Values{"actor": {"olga"}, "reason": {c.reason}, "mark": {c.mark}}
		if got := post(t, path+c.path, form); got.StatusCode != 401 {
			t.Errorf("%s without a session: %d", c.path, got.StatusCode)
		}
		got := post(t, path+c.path, form, "Cookie", cookie)
		if got.StatusCode != c.status || c.status == 303 && got.Header.Get("Location") != "/alerts/"+url.PathEscape(key) {
			t.Errorf("%s %v: %d to %s, want %d", c.path, form, got.StatusCode, got.Header.Get("Location"), c.status)
		}
	}
	page := ask(t, "GET", path, "", "Cookie", cookie).body
	for _, want := range []string{
		"Acknowledged by olga, ", ": rolling back", "Silenced in Alertmanager by ana until 2033-05-18 03:33:20 UTC: a &lt;b&gt;migration&lt;/b&gt;",
		"marked as false by olga: a game day", "marked as true by olga", "It was a false alarm", "told of " + key + " &lt;script&gt;",
		"people marked 0 of 1 alerts as false",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	wellFormed(t, "/alerts", page)
	if strings.Contains(page, `http-equiv="refresh"`) {
		t.Error("the page reloads while people write")
	}
	for _, at := range []string{"/", "/upgrades/" + webtest.UpgradeID} {
		if got := ask(t, "GET", s.URL+at, "").body; !strings.Contains(got, "Acknowledged by olga, ") || !strings.Contains(got, "Silenced in Alertmanager by ana") {
			t.Errorf("%s doesn't say who keeps the alert quiet", at)
		}
	}
	if got := ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID, "").body; !strings.Contains(got, `<a href="/alerts/`+url.PathEscape(key)+`">`) {
		t.Error("the upgrade's page doesn't lead to its alerts")
	}
	if got := ask(t, "GET", s.URL+"/api/v1/alerts?state=firing", "").body; !strings.Contains(got, `"silences":[{"id":"s1","by":"ana"`) {
		t.Errorf("the list lacks the silence: %s", got)
	}
	if slices.Contains(asked, string(detector.AlertResolved)) || len(asked) == 0 {
		t.Errorf("asked for silences of alerts that are %v, want those alone that aren't over", asked)
	}
	over := s.URL + "/alerts/u%2Fover%2F1"
	if got := ask(t, "GET", over, "", "Cookie", cookie).body; strings.Contains(got, "Acknowledge<") || !strings.Contains(got, "It was a true alarm") {
		t.Errorf("one that is over can be marked alone:\n%s", got)
	}
	// What has come since is no longer covered.
	more := webtest.Story(time.Now()).Alerts[0]
	more.Revision, more.Others[0].Indicator.Labels = 9, map[string]string{"service": "gateway"}
	s.Tell(t, journal.Tick{Alerts: []detector.Alert{more}})
	if got := ask(t, "GET", path, "").body; !strings.Contains(got, "More has come since it was acknowledged by olga") {
		t.Errorf("the page doesn't say that it is loud again:\n%s", got)
	}
}
