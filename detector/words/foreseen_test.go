package words

import (
	"testing"

	"aftershock/detector"
)

func TestForeseen(t *testing.T) {
	if got := Foreseen(detector.Cause{Kind: detector.CauseBinary}); got != "" {
		t.Errorf("got %q of what nobody foresaw", got)
	}
	c := detector.Cause{Kind: detector.CauseSchedule, Name: "cron.d/export:4", Foreseen: "it runs\nat 03:00 (scripts/schedule, cron.d/export:4)"}
	if got, want := Foreseen(c), "foreseen before the upgrade: it runs at 03:00 (scripts/schedule, cron.d/export:4)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := Suspect(c, nil), "what the package schedules in cron.d/export:4"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
