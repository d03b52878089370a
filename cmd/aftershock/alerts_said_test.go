package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"aftershock/alerts/notify"
	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/webtest"
)

func TestAlertsAreMarkedAndAcknowledged(t *testing.T) {
	s := daemonForClients(t)
	const key = webtest.UpgradeID + "/dten-payments"
	id := notify.StoryID(key)
	if got := call(t, "", "alerts", "ack", id[:8], "--reason", "rolling back", "--actor", "ann"); got.status != 0 || !strings.HasPrefix(got.out, "Acknowledged "+key+": ") {
		t.Errorf("ack by ID: %+v", got)
	}
	if got := call(t, "", "alerts", "mark", "dten-4.2.0/dten-p", "false", "--actor", "bob"); got != (outcome{0, "Marked " + key + " as false.\n", ""}) {
		t.Errorf("mark by a beginning of the key: %+v", got)
	}
	var mark detector.Mark
	if got := call(t, "", "alerts", "mark", key, "true", "--reason", "it was the retries", "--actor", "ann", "--format", "json"); json.Unmarshal([]byte(got.out), &mark) != nil || mark.False || mark.Alert != key {
		t.Errorf("mark by key: %+v", got)
	}
	list := call(t, "", "alerts", "list").out
	if !strings.Contains(list, "  "+id[:8]+"  ack ann   true    checkout /place") || !strings.HasSuffix(list, "\npeople marked 0 of 1 alerts as false (0%), of 2 that fired here\n") {
		t.Errorf("list:\n%s", list)
	}
	show := call(t, "", "alerts", "show", id)
	for _, want := range []string{
		"alert         " + key + "\n", "id            " + id + "\n", "state         firing\n", " by ann: rolling back\n", " as false by bob\n",
		" as true by ann: it was the retries\n", "\n\ncheckout /place: requests over 0.5 s",
	} {
		if !strings.Contains(show.out, want) {
			t.Errorf("show lacks %q:\n%s", want, show.out)
		}
	}
	var detail web.AlertDetail
	if got := call(t, "", "alerts", "show", key, "--format", "json"); json.Unmarshal([]byte(got.out), &detail) != nil || len(detail.Marks) != 2 {
		t.Errorf("show as JSON: %+v", got)
	}
	for _, c := range []struct{ ref, want string }{
		{"dten-4.2.0/", "begins 2 alerts"}, {"nope", "no alert"}, {"", "name an alert"}, {"../upgrades", "no alert"}, {"tally", "no alert"},
	} {
		got := call(t, "", "alerts", "show", c.ref)
		if got.status != exitUsage || strings.Count(got.errors, "\n") != 1 || !strings.Contains(got.errors, c.want) {
			t.Errorf("show %q: %+v, want one line with %q", c.ref, got, c.want)
		}
	}
	// Those that nobody was told of are listed when they are asked for.
	s.Tell(t, journal.Tick{Alerts: []detector.Alert{{Key: "u/soon/1", Upgrade: "u", State: detector.AlertPending, StartsAt: time.Unix(1e9, 0), Revision: 1}}})
	if got := call(t, "", "alerts", "list", "--state", "pending").out; !strings.Contains(got, "\npending  2001-09-09T01:46:40Z  "+notify.StoryID("u/soon/1")[:8]) || strings.Contains(got, "firing  ") {
		t.Errorf("pending alone:\n%s", got)
	}
	if got := call(t, "", "alerts", "list").out; strings.Contains(got, "pending") {
		t.Errorf("without --state:\n%s", got)
	}
	if got := call(t, "", "alerts", "mark", "u/soon/1", "false"); got.status != exitUsage || !strings.Contains(got.errors, "is pending") {
		t.Errorf("marking what never fired: %+v", got)
	}
	// One that begins another is found by its whole key.
	s.Tell(t, journal.Tick{Alerts: []detector.Alert{{Key: key + "/2", Upgrade: webtest.UpgradeID, State: detector.AlertResolved, StartsAt: time.Unix(1e9, 0), Revision: 1}}})
	if got := call(t, "", "alerts", "show", key); got.status != 0 || !strings.Contains(got.out, "alert         "+key+"\n") {
		t.Errorf("show by the whole key: %+v", got)
	}
}
