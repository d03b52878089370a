package main

import (
	"strings"
	"testing"
	"time"

	"aftershock/web/channel"
	"aftershock/web/webtest"
)

func TestUpgradesStatus(t *testing.T) {
	s := daemonForClients(t)
	if err := s.Channel.Advance(t.Context(), time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Channel.Send(t.Context(), webtest.UpgradeID, channel.Edit{Post: "window", Text: "It runs.", Actor: "ana"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	got := call(t, "", "upgrades", "status")
	head, rows, _ := strings.Cut(got.out, "\n\n")
	if got.status != 0 || head != "dten-4.2.0: Upgrade under way\ninside: Something does worse." || !strings.Contains(rows, "ana  Upgrade under way     It runs.") || !strings.Contains(rows, "draft") {
		t.Errorf("status: %+v", got)
	}
	aligned(t, rows)
	if again := call(t, "", "upgrades", "status", webtest.UpgradeID); again != got {
		t.Errorf("by its ID: %+v", again)
	}
	if got := call(t, "", "upgrades", "status", webtest.UpgradeID, "--format", "json"); !strings.Contains(got.out, `"step": "window"`) {
		t.Errorf("as JSON: %+v", got)
	}
	for _, tt := range []struct{ args, want string }{
		{"discard shift-1 --reason noise", "shift-1 is discarded: Something does worse\n"},
		{"correct window --text Begun. --reason unclear", "window is corrected: Upgrade under way\n"},
		{"send finished --text Over.", "finished is sent: Upgrade done\n"},
	} {
		if got := call(t, "", append([]string{"upgrades", "status", webtest.UpgradeID}, strings.Fields(tt.args)...)...); got.status != 0 || got.out != tt.want {
			t.Errorf("%s: %+v, want %q", tt.args, got, tt.want)
		}
	}
	for _, tt := range []struct{ args, want string }{
		{"discard shift-1 --reason noise", "sent or discarded already"},
		{"send shift-1", "it was discarded"},
		{"correct window --text x", "reason: missing"},
		{"forget window", "none of send, discard, correct"},
		{"correct nope --text x --reason y", "aftershock upgrades status dten-4.2.0 shows"},
	} {
		if got := call(t, "", append([]string{"upgrades", "status", webtest.UpgradeID}, strings.Fields(tt.args)...)...); got.status != exitUsage || !strings.Contains(got.errors, tt.want) {
			t.Errorf("%s: %+v, want %q", tt.args, got, tt.want)
		}
	}
	if got := call(t, "", "upgrades", "status"); !strings.Contains(got.out, "discarded") || !strings.Contains(got.out, "Begun.") {
		t.Errorf("after all: %+v", got)
	}
	if got := call(t, "", "upgrades", "status", "nope"); got.status != exitUsage || !strings.Contains(got.errors, "aftershock upgrades list") {
		t.Errorf("of none: %+v", got)
	}
}
