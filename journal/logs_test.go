package journal

import (
	"log/slog"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"
)

func TestBridgeCalms(t *testing.T) {
	log, hook := logrustest.NewNullLogger()
	log.SetLevel(logrus.TraceLevel)
	bridged := bridge(log.WithField("component", "journal"))
	say := func(level slog.Level, message string, after time.Duration) {
		t.Helper()
		r := slog.NewRecord(noon.Add(after), level, message, 0)
		r.Add("n", 1)
		if err := bridged.Handler().Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 100 {
		say(slog.LevelError, "gone", time.Duration(n)*time.Second)
		say(slog.LevelInfo, "inner life", 0)
	}
	say(slog.LevelWarn, "other", 0)
	bridged.Debug("details")
	got := map[string]int{}
	for _, e := range hook.AllEntries() {
		got[e.Level.String()+" "+e.Message]++
		if e.Data["component"] != "journal" || e.Data["library"] != "river" {
			t.Errorf("got the fields %v", e.Data)
		}
	}
	equal(t, "logs", got, map[string]int{"error gone": 2, "debug inner life": 100, "warning other": 1, "trace details": 1})
}
