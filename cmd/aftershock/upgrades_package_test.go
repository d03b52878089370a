package main

import (
	"strings"
	"testing"

	"aftershock/detector"
	"aftershock/web/webtest"
)

func TestUpgradesPlanAndCleanup(t *testing.T) {
	daemonForClients(t)
	id := detector.ChoreID("banner", "/srv/banner")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"plan", webtest.UpgradeID}, "  1. dten-payments 4.1.3 → 4.2.0\n     install dten-payments 4.1.3 again"},
		{[]string{"plan", webtest.UpgradeID}, "Not known: the package wasn't inspected"},
		{[]string{"plan", webtest.UpgradeID, "--format", "json"}, `"no_return": []`},
		{[]string{"cleanup", webtest.UpgradeID}, "dten-4.2.0: 0 open (0 overdue), 0 done, 0 kept\n"},
		{[]string{"cleanup", webtest.UpgradeID, "add", "banner", "/srv/banner", "--owner", "ops", "--due", "2026-03-01", "--note", "take it down"}, id + " is open: banner /srv/banner\n"},
		{[]string{"cleanup", webtest.UpgradeID}, "overdue  2026-03-01T23:59:59Z  ops    banner  /srv/banner  take it down"},
		{[]string{"cleanup", webtest.UpgradeID, "assign", id, "--owner", "eve"}, id + " is open"},
		{[]string{"cleanup", webtest.UpgradeID, "done", id, "--note", "gone"}, id + " is done"},
		{[]string{"cleanup", webtest.UpgradeID, "--format", "json"}, `"owner": "eve"`},
		{[]string{"cleanup", webtest.UpgradeID, "--format", "json"}, `"probe": "file /srv/banner"`},
		{[]string{"cleanup", webtest.UpgradeID, "add", "other", "old worker", "--probe", "instance dten-worker", "--format", "json"}, `"probe": "instance dten-worker"`},
	} {
		if got := call(t, "", append([]string{"upgrades"}, tt.args...)...); got.status != 0 || !strings.Contains(got.out, tt.want) {
			t.Errorf("%v: %+v, want %q", tt.args, got, tt.want)
		}
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"plan", "nope"}, "aftershock upgrades list"},
		{[]string{"cleanup", webtest.UpgradeID, "done", "nope"}, "aftershock upgrades cleanup ID"},
		{[]string{"cleanup", webtest.UpgradeID, "add", "odd", "x"}, `kind: "odd" is none of flag`},
		{[]string{"cleanup", webtest.UpgradeID, "add", "webhook"}, "cleanup ID add KIND NAME"},
		{[]string{"cleanup", webtest.UpgradeID, "add", "other", "x", "--probe", "sh -c id"}, "isn't one of flag KEY"},
		{[]string{"cleanup", webtest.UpgradeID, "assign", id, "--due", "soon"}, `--due "soon" isn't a date`},
		{[]string{"cleanup", webtest.UpgradeID, "kept", id}, "say why it stays"},
	} {
		if got := call(t, "", append([]string{"upgrades"}, tt.args...)...); got.status != exitUsage || !strings.Contains(got.errors, tt.want) {
			t.Errorf("%v: %+v, want %q", tt.args, got, tt.want)
		}
	}
}
