package alerts_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"aftershock/alerts"
	"aftershock/alerts/alertmanager"
	"aftershock/alerts/notify"
	"aftershock/detector"
	"aftershock/internal/servers"
)

func alertmanagerAt(urls ...string) alerts.Config {
	return alerts.Config{
		ExternalURL: "https://aftershock.example",
		Receivers: []alerts.Receiver{{Name: "am", Alertmanager: &alertmanager.Config{
			URLs: urls, Resend: 2 * time.Second, Timeout: 5 * time.Second,
		}}},
	}
}

// eventually asks until the answer is yes; real servers need real time.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s in vain for %s", what)
		}
	}
}

// TestRealAlertmanager goes through an alert's whole life at a real server that
// passes on to a webhook: firing, update, silence, restart, resolve.
func TestRealAlertmanager(t *testing.T) {
	h := newHook(t, nil)
	am := servers.Alertmanager(t, servers.AlertmanagerOptions{Config: fmt.Sprintf(`
route: {receiver: hook, group_by: [story], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: hook
  webhook_configs: [{url: %q, send_resolved: true}]
`, h.URL)})
	// A dead second Alertmanager must hinder nothing.
	s := sender(t, alertmanagerAt(am.URL+"/", "http://127.0.0.1:9"))
	ctx := t.Context()
	a := story()

	if err := s.Deliver(ctx, "am", a); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the notice that it fires", func() bool { return lastNotice(t, h).Status == notify.StatusFiring })
	got := lastNotice(t, h)
	if len(got.Alerts) != 1 || !got.Alerts[0].StartsAt.Equal(a.StartsAt) {
		t.Errorf("got %+v, want one alert that starts at %s", got, a.StartsAt)
	}
	if want := "checkout /place: requests over 0.5 s ×2.26 since 09:15 UTC, dten-payments 4.1.3 → 4.2.0 (93%)"; got.CommonAnnotations["summary"] != want {
		t.Errorf("got summary %q, want %q", got.CommonAnnotations["summary"], want)
	}

	// New evidence updates the one alert: its identity stays.
	first := held(t, am.URL)
	a.Revision, a.Root.Effect.Ratio = 2, 2.41
	if err := s.Deliver(ctx, "am", a); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the updated summary", func() bool {
		alerts := held(t, am.URL)
		return len(alerts) == 1 && strings.Contains(alerts[0].Annotations["summary"], "×2.41")
	})
	if now := held(t, am.URL); len(first) != 1 || now[0].Fingerprint != first[0].Fingerprint || !now[0].StartsAt.Equal(a.StartsAt) {
		t.Errorf("got %+v after the update of %+v, want the same alert", now, first)
	}

	// A silence is read back.
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	id := silence(t, am.URL, "upgrade", a.Upgrade, until)
	want := map[string]alertmanager.Status{a.Key: {
		State:    "suppressed",
		Silences: []alertmanager.Silence{{ID: id, By: "ana", Comment: "known, rolling back", EndsAt: until}},
	}}
	eventually(t, "the silence", func() bool {
		status, err := s.Status(ctx, []detector.Alert{a})
		if err != nil {
			t.Fatal(err)
		}
		return cmp.Equal(want, status, cmpopts.EquateEmpty())
	})
	unsilence(t, am.URL, id)
	eventually(t, "the end of the silence", func() bool {
		status, err := s.Status(ctx, []detector.Alert{a})
		return err == nil && status[a.Key].State == "active"
	})

	// A restarted Alertmanager has forgotten it; the heartbeat brings it back.
	am.Kill()
	if err := s.Resend(ctx, []detector.Alert{a}); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v, want the refused connection", err)
	}
	am.Start()
	if err := s.Resend(ctx, []detector.Alert{a}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the alert after the restart", func() bool { return len(held(t, am.URL)) == 1 })

	if err := s.Deliver(ctx, "am", resolved(a)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the notice that it is resolved", func() bool { return lastNotice(t, h).Status == notify.StatusResolved })
	// A heartbeat that was under way when it was resolved doesn't bring it back.
	if err := s.Resend(ctx, []detector.Alert{a}); err != nil {
		t.Fatal(err)
	}
	if got := held(t, am.URL); len(got) != 0 {
		t.Errorf("got %d alerts after the resolve, want none", len(got))
	}
}

// A silence of an Alertmanager holds for the other receivers, also for an alert that
// comes to it first; it is heeded where the configuration doesn't say otherwise.
func TestSilencesHoldForOtherReceivers(t *testing.T) {
	am := servers.Alertmanager(t, servers.AlertmanagerOptions{})
	c := alertmanagerAt(am.URL)
	c.Receivers = append(c.Receivers, webhookTo("http://127.0.0.1:9").Receivers[0])
	s := sender(t, c)
	no := false
	c.HeedSilences = &no
	deaf := sender(t, c)
	a, b, notice := story(), story(), story()
	b.Key, b.Root.Indicator.Labels = "other", map[string]string{"service": "cart"}
	notice.Notice = &detector.Notice{Flag: "f", Text: "look"}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	id := silence(t, am.URL, "service", "checkout", until)
	want := []alertmanager.Silence{{ID: id, By: "ana", Comment: "known, rolling back", EndsAt: until}}
	eventually(t, "the silence", func() bool {
		got, err := s.Silenced(t.Context(), "oncall", a)
		if err != nil {
			t.Fatal(err)
		}
		return cmp.Equal(want, got)
	})
	for what, c := range map[string]struct {
		sender   *alerts.Sender
		receiver string
		alert    detector.Alert
	}{
		"another service": {s, "oncall", b}, "Alertmanager itself": {s, "am", a}, "a notice": {s, "oncall", notice}, "switched off": {deaf, "oncall", a},
	} {
		if got, err := c.sender.Silenced(t.Context(), c.receiver, c.alert); err != nil || len(got) != 0 {
			t.Errorf("%s: got %v (%v), want no silence", what, got, err)
		}
	}
	if !s.KeepsQuietItself("am") || s.KeepsQuietItself("oncall") {
		t.Error("the Alertmanager alone keeps quiet itself")
	}

	// What was known holds for a while when nobody answers.
	am.Kill()
	eventually(t, "the error of the dead Alertmanager", func() bool {
		got, err := s.Silenced(t.Context(), "oncall", a)
		if !cmp.Equal(want, got) {
			t.Fatalf("got %v, want the silence as before", got)
		}
		return err != nil
	})
	am.Start() // it was killed before it saved the silence
	eventually(t, "the end of the silence", func() bool {
		got, err := s.Silenced(t.Context(), "oncall", a)
		return err == nil && len(got) == 0
	})
}

// TestAlertEndsWithoutHeartbeats shows that an alert ends by itself when the
// daemon is gone.
func TestAlertEndsWithoutHeartbeats(t *testing.T) {
	am := servers.Alertmanager(t, servers.AlertmanagerOptions{})
	c := alertmanagerAt(am.URL)
	c.Receivers[0].Alertmanager.Resend = time.Second
	s := sender(t, c)
	early := story()
	early.StartsAt = time.Now().Add(time.Hour) // a clock ahead of the Alertmanager's
	if err := s.Deliver(t.Context(), "am", early); err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), "am", hostile()); err != nil {
		t.Errorf("hostile strings: %v", err)
	}
	eventually(t, "both alerts", func() bool { return len(held(t, am.URL)) == 2 })
	eventually(t, "their end after four heartbeats", func() bool { return len(held(t, am.URL)) == 0 })
}

// TestBadAlertAmongGood: a real Alertmanager answers 400 for an array with one
// bad alert and keeps the good ones; the error names the bad one alone.
func TestBadAlertAmongGood(t *testing.T) {
	am := servers.Alertmanager(t, servers.AlertmanagerOptions{})
	posts := 0
	// The proxy spoils the alert with the upgrade "bad" on its way.
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts++
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body = bytes.ReplaceAll(body, []byte(`"upgrade":"bad"`), []byte(`"no-label-name":"bad"`))
		resp, err := http.Post(am.URL+r.URL.Path, "application/json", bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	defer proxy.Close()
	s := sender(t, alertmanagerAt(proxy.URL))
	var firing []detector.Alert
	for n := range 5 {
		a := story()
		a.Key = fmt.Sprint(n)
		if n == 2 {
			a.Upgrade = "bad"
		}
		firing = append(firing, a)
	}
	err := s.Resend(t.Context(), firing)
	if err == nil || strings.Count(err.Error(), "alert ") != 1 || !strings.Contains(err.Error(), "alert "+notify.StoryID("2")) || !strings.Contains(err.Error(), "400") {
		t.Errorf("got %v, want the one bad alert named with its 400", err)
	}
	if posts != 6 {
		t.Errorf("got %d requests, want the array and 5 single ones", posts)
	}
	eventually(t, "the good alerts", func() bool { return len(held(t, am.URL)) == 4 })
}

func TestResendBatches(t *testing.T) {
	var sizes []int
	h := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var got []json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		sizes = append(sizes, len(got))
	}))
	defer h.Close()
	s := sender(t, alertmanagerAt(h.URL))
	firing := []detector.Alert{resolved(story())} // not firing: not sent
	for n := range 130 {
		a := story()
		a.Key = fmt.Sprint(n)
		firing = append(firing, a)
	}
	if err := s.Resend(t.Context(), firing); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{64, 64, 2}, sizes); diff != "" {
		t.Error(diff)
	}
}

func TestLyingAlertmanager(t *testing.T) {
	for _, tc := range []struct{ name, answer, want string }{
		{"no JSON", "<html>", "parse the answer of http://127.0.0.1"},
		{"too large", strings.Repeat(" ", 5<<20), "larger than 4194304 bytes"},
		{"another form", `{"alerts": []}`, "parse the answer"},
	} {
		h := newHook(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, tc.answer) })
		_, err := sender(t, alertmanagerAt(h.URL)).Status(t.Context(), []detector.Alert{story()})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
}

type notice struct {
	Status            string
	Alerts            []struct{ StartsAt time.Time }
	CommonAnnotations map[string]string
}

func lastNotice(t *testing.T, h *hook) notice {
	t.Helper()
	got := h.requests()
	var n notice
	if len(got) > 0 {
		if err := json.Unmarshal(got[len(got)-1].body, &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

type heldAlert struct {
	Labels, Annotations map[string]string
	Fingerprint         string
	StartsAt            time.Time
	Status              struct{ State string }
}

// held are the alerts that the Alertmanager holds as firing.
func held(t *testing.T, url string) []heldAlert {
	t.Helper()
	resp, err := http.Get(url + "/api/v2/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var alerts []heldAlert
	if err := json.NewDecoder(resp.Body).Decode(&alerts); err != nil {
		t.Fatal(err)
	}
	return alerts
}

func silence(t *testing.T, url, label, value string, until time.Time) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"matchers": []map[string]any{{"name": label, "value": value, "isRegex": false, "isEqual": true}},
		"startsAt": time.Now().UTC(), "endsAt": until, "createdBy": "ana", "comment": "known,\n rolling back",
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url+"/api/v2/silences", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got struct{ SilenceID string }
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.SilenceID == "" {
		t.Fatalf("make a silence: %s %v", resp.Status, err)
	}
	return got.SilenceID
}

func unsilence(t *testing.T, url, id string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, url+"/api/v2/silence/"+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("end the silence: %s", resp.Status)
	}
}
