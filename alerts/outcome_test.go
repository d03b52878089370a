package alerts_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/common/config"

	"aftershock/alerts"
	"aftershock/alerts/notify"
	"aftershock/alerts/webhook"
)

// TestOutcomes: what became of the last delivery, and since when none succeeds.
func TestOutcomes(t *testing.T) {
	var broken atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			http.Error(w, "down for repair", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	s := sender(t, alerts.Config{Receivers: []alerts.Receiver{
		{Name: "hook", Webhook: &webhook.Config{Endpoint: notify.Endpoint{URL: config.Secret(server.URL)}}},
		{Name: "idle", Webhook: &webhook.Config{Endpoint: notify.Endpoint{URL: config.Secret(server.URL)}}},
	}})
	deliver := func() alerts.Outcome {
		t.Helper()
		a := story()
		err := s.Deliver(t.Context(), "hook", a)
		if (err != nil) != broken.Load() {
			t.Fatalf("deliver: %v", err)
		}
		all := s.Outcomes()
		if len(all) != 2 || all[0].Receiver != "hook" || all[1].Receiver != "idle" || !all[1].At.IsZero() || all[1].Error != "" {
			t.Fatalf("outcomes: %+v", all)
		}
		return all[0]
	}
	if o := deliver(); o.At.IsZero() || o.Error != "" || !o.Since.IsZero() {
		t.Errorf("after a success: %+v", o)
	}
	broken.Store(true)
	first := deliver()
	second := deliver()
	if !strings.Contains(first.Error, "503") || !first.Since.Equal(first.At) || !second.Since.Equal(first.Since) || !second.At.After(first.At) {
		t.Errorf("after failures: %+v, %+v", first, second)
	}
	broken.Store(false)
	if o := deliver(); o.Error != "" || !o.Since.IsZero() {
		t.Errorf("after it came back: %+v", o)
	}
}
