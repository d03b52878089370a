package alerts_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"aftershock/alerts"
)

// A webhook gets a report in the form of alerts, as none: with a status of its own, its text
// in the annotations, and a key by which doubles are dropped.
func TestReportToAWebhook(t *testing.T) {
	h := newHook(t, nil)
	c := webhookTo(h.URL)
	c.ExternalURL = "https://aftershock.example"
	if err := c.TakesReports("oncall"); err != nil {
		t.Error(err)
	}
	s := sender(t, c)
	r := alerts.Report{Key: "status/u/window", Title: "u: Upgrade under way", Lines: []string{strings.Repeat("long ", 200)}, Page: "/status/u", At: time.Unix(1772787600, 0)}
	for range 2 {
		if err := s.Report(t.Context(), "oncall", r); err != nil {
			t.Fatal(err)
		}
	}
	got := h.requests()
	if len(got) != 2 || got[0].header.Get("Idempotency-Key") == "" || got[0].header.Get("Idempotency-Key") != got[1].header.Get("Idempotency-Key") {
		t.Fatalf("got %d requests, want two of one key", len(got))
	}
	var p struct {
		Status            string
		CommonLabels      map[string]string
		CommonAnnotations map[string]string
		Alerts            []struct{ GeneratorURL string }
	}
	if err := json.Unmarshal(got[0].body, &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != "report" || p.CommonLabels["severity"] != "none" || p.CommonLabels["alertname"] != "" || p.CommonAnnotations["summary"] != r.Title ||
		p.CommonAnnotations["description"] != strings.TrimSpace(r.Lines[0]) || p.Alerts[0].GeneratorURL != "https://aftershock.example/status/u" {
		t.Errorf("got %s", got[0].body)
	}
}
