package web_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
