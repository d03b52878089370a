package notify

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
)

func TestNotice(t *testing.T) {
	c := Composer{ExternalURL: "https://aftershock.example/"}
	at := time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)
	a := detector.Alert{
		Key: "notice/x", Upgrade: "dten-4.2.0", State: detector.AlertFiring, StartsAt: at, Revision: 1,
		Notice: &detector.Notice{Flag: "payments-backoff", Text: "ana's toggle has expired\x1b[31m", Command: "aftershock flags undo payments-backoff"},
	}
	got, err := c.Compose("oncall", a)
	if err != nil {
		t.Fatal(err)
	}
	want := Message{
		Receiver: "oncall", Key: "notice/x", Revision: 1, Status: StatusFiring,
		Labels: map[string]string{
			"alertname": "FlagNotice", "flag": "payments-backoff", "severity": "warning", "upgrade": "dten-4.2.0", "story": StoryID("notice/x"),
		},
		Annotations: map[string]string{
			"summary": "ana's toggle has expired [31m", "description": "ana's toggle has expired [31m", "toggle": "aftershock flags undo payments-backoff",
		},
		Headline: "ana's toggle has expired [31m",
		Text:     "ana's toggle has expired [31m\n\nNow:\naftershock flags undo payments-backoff",
		Commands: []string{"aftershock flags undo payments-backoff"}, Links: []Link{{"Flags", "https://aftershock.example/flags"}},
		StartsAt: at, GeneratorURL: "https://aftershock.example/flags", ExternalURL: "https://aftershock.example/",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	a.Notice.Text, a.Notice.Command = strings.Repeat("x", 1<<20), ""
	if got, err = c.Compose("oncall", a); err != nil || len(got.Text) > 3*maxNotice || len([]rune(got.Headline)) > 120 {
		t.Errorf("a huge notice: %d bytes, %v", len(got.Text), err)
	}
	if got.Annotations["toggle"] != "" {
		t.Error("a command where there is none")
	}
}

// A notice of an upgrade is of no flag, and leads to the upgrade's page.
func TestNoticeOfAnUpgrade(t *testing.T) {
	c := Composer{ExternalURL: "https://aftershock.example/"}
	got, err := c.Compose("oncall", detector.Alert{
		Key: "notice/u", Upgrade: "u", State: detector.AlertFiring, Revision: 1, Notice: &detector.Notice{Text: "it takes long", Page: "/status/u"},
	})
	want := map[string]string{"alertname": "UpgradeNotice", "severity": "warning", "upgrade": "u", "story": StoryID("notice/u")}
	if d := cmp.Diff(want, got.Labels); err != nil || d != "" || got.GeneratorURL != "https://aftershock.example/status/u" || got.Links[0].Text != "Status" {
		t.Errorf("got %+v (%v); labels (-want +got):\n%s", got, err, d)
	}
}
