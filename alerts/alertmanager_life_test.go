package alerts_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"aftershock/alerts"
	"aftershock/alerts/notify"
	"aftershock/detector"
	"aftershock/internal/servers"
)

// shippedRoutes is the Alertmanager configuration that Aftershock ships, with a webhook in the
// place of each receiver, /NAME of the hook, and shorter waits.
func shippedRoutes(t *testing.T, h *hook) string {
	t.Helper()
	text, err := os.ReadFile("../configs/alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	var receivers []any
	for _, r := range config["receivers"].([]any) {
		name := r.(map[string]any)["name"].(string)
		receivers = append(receivers, map[string]any{"name": name, "webhook_configs": []any{
			map[string]any{"url": h.URL + "/" + name, "send_resolved": true},
		}})
	}
	config["receivers"] = receivers
	hasten(config["route"].(map[string]any))
	if text, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func hasten(route map[string]any) {
	route["group_wait"], route["group_interval"] = "500ms", "1s"
	children, _ := route["routes"].([]any)
	for _, c := range children {
		hasten(c.(map[string]any))
	}
}

// told are the alerts that the hook was told of at one path, as STATUS and the label cause or
// flag; one that the hook was told of again is there again.
func told(t *testing.T, h *hook, path string, a detector.Alert) []string {
	t.Helper()
	var all []string
	for _, r := range h.requests() {
		var n struct {
			Alerts []struct {
				Status string
				Labels map[string]string
			}
		}
		if err := json.Unmarshal(r.body, &n); err != nil {
			t.Fatal(err)
		}
		for _, one := range n.Alerts {
			if r.path == path && one.Labels["story"] == notify.StoryID(a.Key) {
				all = append(all, one.Status+" "+one.Labels["cause"]+one.Labels["flag"])
			}
		}
	}
	return all
}

// because is the alert as another one, of another kind of indicator and put down to another
// cause.
func because(a detector.Alert, key string, kind detector.Kind, cause detector.Cause) detector.Alert {
	a.Key, a.Root.Indicator.Kind, a.Cause = key, kind, cause
	return a
}

func deliver(t *testing.T, s *alerts.Sender, all ...detector.Alert) {
	t.Helper()
	for _, a := range all {
		if err := s.Deliver(t.Context(), "am", a); err != nil {
			t.Fatal(err)
		}
	}
}

// TestShippedRoutesInhibit: a real Alertmanager with the shipped routes tells the right
// receivers, and keeps quiet of what a story about a binary explains, until that is over.
func TestShippedRoutesInhibit(t *testing.T) {
	t.Parallel()
	h := newHook(t, nil)
	am := servers.Alertmanager(t, servers.AlertmanagerOptions{Config: shippedRoutes(t, h)})
	s := sender(t, alertmanagerAt(am.URL))
	unknown := detector.Cause{Kind: detector.CauseUnknown, Probability: 1}

	// The cause isn't known at first, and then it is: another identity of the same story.
	named := story()
	before := because(named, named.Key, detector.Latency, unknown)
	deliver(t, s, before)
	eventually(t, "the page", func() bool { return len(told(t, h, "/page", named)) == 1 })
	named.Revision = 2
	explained := because(named, "explained", detector.Retry, unknown)
	other := because(named, "another binary", detector.Retry, detector.Cause{Kind: detector.CauseBinary, Name: "dten-cart", Probability: 0.9})
	elsewhere := because(named, "another upgrade", detector.Retry, unknown)
	elsewhere.Upgrade = "dten-4.3.0"
	foreign := because(named, "a third party", detector.Latency, detector.Cause{Kind: detector.CauseThirdParty, Name: "acme-pay", Probability: 0.9})
	foreign.Upgrade = "dten-4.3.0"
	notice := detector.Alert{Key: "notice", State: detector.AlertFiring, StartsAt: time.Now(), Revision: 1, Notice: &detector.Notice{Flag: "payments-backoff", Text: "it expires"}}
	deliver(t, s, named)
	eventually(t, "the page of the binary", func() bool { return slices.Contains(told(t, h, "/page", named), "firing binary") })
	deliver(t, s, explained, other, elsewhere, foreign, notice)

	for _, c := range []struct {
		path, want string
		alert      detector.Alert
	}{
		{"/chat", "firing binary", other},
		{"/chat", "firing unknown", elsewhere},
		{"/chat", "firing third-party", foreign},
		{"/notices", "firing payments-backoff", notice},
	} {
		eventually(t, c.path+" to be told of "+c.alert.Key, func() bool {
			return slices.Contains(told(t, h, c.path, c.alert), c.want)
		})
	}
	eventually(t, "what is explained to be held back", func() bool {
		status, err := s.Status(t.Context(), []detector.Alert{explained})
		if err != nil {
			t.Fatal(err)
		}
		return status["explained"].State == "suppressed" && len(status["explained"].InhibitedBy) == 1
	})
	eventually(t, "the story's old identity to be held back", func() bool { return suppressed(t, am.URL, before) })
	for _, path := range []string{"/page", "/chat"} {
		if all := told(t, h, path, explained); len(all) != 0 {
			t.Errorf("%s was told of what is explained: %q", path, all)
		}
	}

	deliver(t, s, resolved(named))
	eventually(t, "what was explained to be told", func() bool { return len(told(t, h, "/chat", explained)) > 0 })
	eventually(t, "the page to be over", func() bool { return slices.Contains(told(t, h, "/page", named), "resolved binary") })
}

// suppressed says whether the Alertmanager holds the alert of this very cause back.
func suppressed(t *testing.T, url string, a detector.Alert) bool {
	t.Helper()
	for _, one := range held(t, url) {
		if one.Labels["story"] == notify.StoryID(a.Key) && one.Labels["cause"] == a.Cause.Kind {
			return one.Status.State == "suppressed"
		}
	}
	return false
}

// TestSeveralAlertmanagers: of two, one is down all the while, first the one, then the other.
func TestSeveralAlertmanagers(t *testing.T) {
	t.Parallel()
	one, two := servers.Alertmanager(t, servers.AlertmanagerOptions{}), servers.Alertmanager(t, servers.AlertmanagerOptions{})
	s := sender(t, alertmanagerAt(one.URL, two.URL))
	a := story()

	two.Kill()
	deliver(t, s, a)
	eventually(t, "the alert at the first", func() bool { return len(held(t, one.URL)) == 1 })
	id := silence(t, one.URL, "upgrade", a.Upgrade, time.Now().Add(time.Hour))
	two.Start()
	if got := held(t, two.URL); len(got) != 0 {
		t.Errorf("got %+v from one that was down, want nothing yet", got)
	}
	if err := s.Resend(t.Context(), []detector.Alert{a}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the same alert at both", func() bool {
		first, second := held(t, one.URL), held(t, two.URL)
		return len(first) == 1 && len(second) == 1 && first[0].Fingerprint == second[0].Fingerprint
	})
	eventually(t, "the silence of the first", func() bool { return silencedBy(t, s, a, id) })

	// The first goes, and the alert ends meanwhile.
	one.Stop()
	deliver(t, s, resolved(a))
	eventually(t, "the end at the second", func() bool { return len(held(t, two.URL)) == 0 })
	one.Start()
	if err := s.Resend(t.Context(), []detector.Alert{a}); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{one.URL, two.URL} {
		if got := held(t, url); len(got) != 0 {
			t.Errorf("%s: got %+v after the end, want nothing", url, got)
		}
	}

	one.Kill()
	two.Kill()
	b := story()
	b.Key = "while both are down"
	// Refused, or cut off on a connection that was kept: either way each is named.
	if err := s.Deliver(t.Context(), "am", b); err == nil || !strings.Contains(err.Error(), one.URL) || !strings.Contains(err.Error(), two.URL) {
		t.Errorf("got %v, want both to have failed", err)
	}
}

func silencedBy(t *testing.T, s *alerts.Sender, a detector.Alert, id string) bool {
	t.Helper()
	status, err := s.Status(t.Context(), []detector.Alert{a})
	if err != nil {
		t.Fatal(err)
	}
	held := status[a.Key]
	return held.State == "suppressed" && len(held.Silences) == 1 && held.Silences[0].ID == id
}

// TestRestartedAlertmanager: one that was stopped in order has forgotten its alerts, but
// neither its silences nor whom it told what. The heartbeat brings the alerts back, and nobody
// is told a second time.
func TestRestartedAlertmanager(t *testing.T) {
	t.Parallel()
	h := newHook(t, nil)
	am := servers.Alertmanager(t, servers.AlertmanagerOptions{Config: shippedRoutes(t, h)})
	s := sender(t, alertmanagerAt(am.URL))
	known, silent, later := story(), story(), story()
	silent.Key, silent.Root.Indicator.Labels = "silenced", map[string]string{"service": "cart"}
	later.Key = "later"
	id := silence(t, am.URL, "service", "cart", time.Now().Add(time.Hour))
	deliver(t, s, known, silent)
	eventually(t, "the page", func() bool { return len(told(t, h, "/page", known)) == 1 })
	eventually(t, "the silence", func() bool { return silencedBy(t, s, silent, id) })

	am.Stop()
	am.Start()
	if got := held(t, am.URL); len(got) != 0 {
		t.Fatalf("got %+v from one that began anew, want nothing: then the heartbeat has nothing to do", got)
	}
	if err := s.Resend(t.Context(), []detector.Alert{known, silent}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both to be back", func() bool { return len(held(t, am.URL)) == 2 })
	eventually(t, "the silence to hold", func() bool { return silencedBy(t, s, silent, id) })
	deliver(t, s, later)
	eventually(t, "the page of a later alert", func() bool { return len(told(t, h, "/page", later)) == 1 })
	if got := told(t, h, "/page", known); len(got) != 1 {
		t.Errorf("the page was told %q, want one time", got)
	}
	if got := told(t, h, "/page", silent); len(got) != 0 {
		t.Errorf("the page was told of what is silenced: %q", got)
	}
}

// TestShippedInhibitions goes through what holds back what by the shipped rules.
func TestShippedInhibitions(t *testing.T) {
	t.Parallel()
	am := servers.Alertmanager(t, servers.AlertmanagerOptions{Config: shippedRoutes(t, newHook(t, nil))})
	const regression = "alertname=UpgradeRegression upgrade=u "
	pairs := map[string]struct {
		source, target string
		want           bool
	}{
		"a critical binary, a warning":              {regression + "severity=critical cause=binary story=1", regression + "severity=warning cause=unknown story=2", true},
		"a critical binary, an error":               {regression + "severity=critical cause=binary story=1", regression + "severity=error cause=load story=2", true},
		"a critical binary, as critical":            {regression + "severity=critical cause=binary story=1", regression + "severity=critical cause=unknown story=2", false},
		"a critical binary, another binary":         {regression + "severity=critical cause=binary story=1", regression + "severity=warning cause=binary story=2", false},
		"a critical binary, a flag":                 {regression + "severity=critical cause=binary story=1", regression + "severity=warning cause=flag story=2", false},
		"a critical binary, another upgrade":        {regression + "severity=critical cause=binary story=1", "alertname=UpgradeRegression upgrade=v severity=warning cause=unknown story=2", false},
		"a critical binary, a notice":               {regression + "severity=critical cause=binary story=1", "alertname=FlagNotice upgrade=u severity=warning story=2", false},
		"an error of a binary, a warning":           {regression + "severity=error cause=binary story=1", regression + "severity=warning cause=unknown story=2", true},
		"an error of a binary, an error":            {regression + "severity=error cause=binary story=1", regression + "severity=error cause=unknown story=2", false},
		"a warning of a binary, a critical":         {regression + "severity=warning cause=binary story=1", regression + "severity=critical cause=unknown story=2", false},
		"what isn't known, a warning":               {regression + "severity=critical cause=unknown story=1", regression + "severity=warning cause=load story=2", false},
		"a binary, the same story":                  {regression + "severity=critical cause=binary story=1", regression + "severity=critical cause=unknown story=1", true},
		"a blind daemon, its source":                {"alertname=AftershockBlind job=a instance=1", "alertname=AftershockSourceFails job=a instance=1", true},
		"a daemon's journal, its slowness":          {"alertname=AftershockJournalFails job=a instance=1", "alertname=AftershockJournalSlow job=a instance=1", true},
		"a blind daemon, its receiver":              {"alertname=AftershockBlind job=a instance=1", "alertname=AftershockReceiverFails job=a instance=1", false},
		"a blind daemon, another daemon's source":   {"alertname=AftershockBlind job=a instance=1", "alertname=AftershockSourceFails job=a instance=2", false},
		"a blind daemon, a service of another name": {"alertname=AftershockBlind job=a instance=1", "alertname=Cold job=a instance=1", false},
	}
	// Each pair holds alone: its labels have a mark of its own at the end.
	for what, c := range pairs {
		post(t, am.URL, marked(c.source, what, "source"), marked(c.target, what, "target"))
	}
	// What inhibits is learned in order: once the last does, all do.
	post(t, am.URL, marked("alertname=AftershockBlind job=a", "last", "source"), marked("alertname=AftershockSourceFails job=a", "last", "target"))
	eventually(t, "the last pair", func() bool { return heldBack(t, am.URL, "last") })
	for what, c := range pairs {
		if got := heldBack(t, am.URL, what); got != c.want {
			t.Errorf("%s: held back: %v, want %v", what, got, c.want)
		}
	}
}

// marked are labels as written, with a mark on those that rules compare.
func marked(text, mark, role string) map[string]string {
	all := map[string]string{"pair": mark, "role": role}
	for _, f := range strings.Fields(text) {
		name, value, _ := strings.Cut(f, "=")
		if name == "upgrade" || name == "job" {
			value += mark
		}
		all[name] = value
	}
	return all
}

func post(t *testing.T, url string, all ...map[string]string) {
	t.Helper()
	var alerts []map[string]any
	for _, labels := range all {
		alerts = append(alerts, map[string]any{"labels": labels})
	}
	body, err := json.Marshal(alerts)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("post %v: %s", all, resp.Status)
	}
}

// heldBack says whether the target of a pair is held back; its source must not be.
func heldBack(t *testing.T, url, mark string) bool {
	t.Helper()
	states := map[string]string{}
	for _, one := range held(t, url) {
		if one.Labels["pair"] == mark {
			states[one.Labels["role"]] = one.Status.State
		}
	}
	if len(states) != 2 || states["source"] == "suppressed" {
		t.Fatalf("%s: got %v, want a source that isn't held back, and a target", mark, states)
	}
	return states["target"] == "suppressed"
}
