package web_test

import (
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web/webtest"
)

func TestAlertsByAPI(t *testing.T) {
	answers(t, story(t), []apiCase{
		{"alerts", "GET", "/api/v1/alerts?state=firing", "", "", 200, `"state":"firing"`},
		{"alerts, none", "GET", "/api/v1/alerts?state=resolved", "", "", 200, `"items":[]`},
		{"alerts, pending", "GET", "/api/v1/alerts?state=pending", "", "", 200, `"items":[]`},
		{"alerts, wrong state", "GET", "/api/v1/alerts?state=fireing", "", "", 400, "fireing"},
	})
}

// Those that nobody was told of are shown when they are asked for.
func TestAlertsByState(t *testing.T) {
	s := webtest.Start(t)
	var tick journal.Tick
	for n, state := range []detector.AlertState{detector.AlertInactive, detector.AlertPending, detector.AlertFiring, detector.AlertResolved} {
		tick.Alerts = append(tick.Alerts, detector.Alert{Key: string(state), Upgrade: "u", State: state, StartsAt: time.Unix(int64(1e9-n), 0), Revision: 1})
	}
	s.Tell(t, tick)
	for query, want := range map[string]string{
		"": "firing resolved", "?state=all": "inactive pending firing resolved", "?state=inactive": "inactive", "?state=pending": "pending", "?state=resolved": "resolved",
	} {
		var list struct{ Items []detector.Alert }
		ask(t, "GET", s.URL+"/api/v1/alerts"+query, "").decode(t, &list)
		var got []string
		for _, a := range list.Items {
			got = append(got, string(a.State))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("alerts%s: got %v, want %s", query, got, want)
		}
	}
}
