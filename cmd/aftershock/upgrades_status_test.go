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
	if got := call(t, "", "upgrades", "status", "nope"); got.status != exitUsage || !strings.Contains(got.errors, "aftershock upgrades list") {
		t.Errorf("of none: %+v", got)
	}
}
