package alerts_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"aftershock/alerts"
	"aftershock/alerts/alertmanager"
	amail "aftershock/alerts/mail"
	"aftershock/alerts/notify"
	"aftershock/alerts/opsgenie"
	"aftershock/alerts/pagerduty"
	"aftershock/alerts/slack"
	"aftershock/alerts/teams"
	"aftershock/alerts/webhook"
	"aftershock/detector"
	"aftershock/internal/servers"
)

// httpReceivers are the receivers that speak HTTP, as they are set up for a server.
func httpReceivers(url string) []alerts.Receiver {
	at := func(path string) notify.Endpoint { return notify.Endpoint{URL: config.Secret(url + path)} }
	return []alerts.Receiver{
		{Name: "alertmanager", Alertmanager: &alertmanager.Config{URLs: []string{url}}},
		{Name: "slack", Slack: &slack.Config{Endpoint: at("/services/T0/B0/hunter2"), Channel: "#oncall"}},
		{Name: "mattermost", Mattermost: &slack.Config{Endpoint: at("/hooks/hunter2")}},
		{Name: "pagerduty", PagerDuty: &pagerduty.Config{Endpoint: at("/v2/enqueue"), RoutingKey: "hunter2"}},
		{Name: "opsgenie", Opsgenie: &opsgenie.Config{Endpoint: at(""), APIKey: "hunter2"}},
		{Name: "teams", Teams: &teams.Config{Endpoint: at("/workflows/hunter2")}},
		{Name: "webhook", Webhook: &webhook.Config{Endpoint: at("/hook?token=hunter2")}},
	}
}

// mailReceiver sends to a real mail server.
func mailReceiver(s *servers.SMTPServer, to ...string) alerts.Receiver {
	return alerts.Receiver{Name: "mail", Mail: &amail.Config{
		Smarthost: s.Addr, From: "Aftershock <aftershock@example.org>", To: to, TLS: &config.TLSConfig{CAFile: s.CAFile},
	}}
}

// everything is what an alert may have.
func everything(receivers ...alerts.Receiver) alerts.Config {
	return alerts.Config{
		Receivers: receivers, ExternalURL: "https://aftershock.example", RunbookURL: "https://runbooks.example/upgrades",
		Safe: map[string]string{"payments-backoff": "legacy"},
	}
}

var life = []struct {
	state string
	alert detector.Alert
}{{"firing", story()}, {"updated", updated(story())}, {"resolved", resolved(updated(story()))}}

// TestRenderings holds what each receiver sends to a golden file, for an alert that
// fires, is updated, and is resolved.
func TestRenderings(t *testing.T) {
	for _, r := range httpReceivers("") {
		t.Run(r.Name, func(t *testing.T) {
			h := newHook(t, nil)
			all := httpReceivers(h.URL)
			k := slices.IndexFunc(all, func(other alerts.Receiver) bool { return other.Name == r.Name })
			s := sender(t, everything(all[k]))
			seen := 0
			for _, l := range life {
				if err := s.Deliver(t.Context(), r.Name, l.alert); err != nil {
					t.Fatal(err)
				}
				var out strings.Builder
				for _, got := range h.requests()[seen:] {
					fmt.Fprintf(&out, "%s %s\nIdempotency-Key: %s\n", got.method, got.path, got.header.Get("Idempotency-Key"))
					if a := got.header.Get("Authorization"); a != "" {
						fmt.Fprintf(&out, "Authorization: %s\n", a)
					}
					out.WriteString(withoutEnds(t, got.body) + "\n")
					seen++
				}
				golden(t, r.Name+"_"+l.state+".txt", out.String())
			}
		})
	}
}

// withoutEnds indents JSON and leaves out an Alertmanager's endsAt, which depends
// on when the test runs.
func withoutEnds(t *testing.T, body []byte) string {
	var all []map[string]any
	if json.Unmarshal(body, &all) != nil {
		return indented(t, body)
	}
	for _, a := range all {
		if at, err := time.Parse(time.RFC3339, fmt.Sprint(a["endsAt"])); err != nil || at.IsZero() {
			t.Errorf("got endsAt %v (%v), want a time", a["endsAt"], err)
		}
		delete(a, "endsAt")
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return indented(t, b)
}

func TestMailRenderings(t *testing.T) {
	server := servers.SMTP(t)
	s := sender(t, everything(mailReceiver(server, "Ana <ana@example.org>")))
	for n, l := range life {
		if err := s.Deliver(t.Context(), "mail", l.alert); err != nil {
			t.Fatal(err)
		}
		mails := server.Mails()
		if len(mails) != n+1 {
			t.Fatalf("%s: got %d mails, want %d", l.state, len(mails), n+1)
		}
		one := readMail(t, mails[n].Text)
		at, err := one.header.Date()
		if err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("got date %s (%v), want now", one.header.Get("Date"), err)
		}
		var out strings.Builder
		for _, name := range []string{"From", "To", "Subject", "Message-Id", "In-Reply-To", "References", "Auto-Submitted", "X-Auto-Response-Suppress", "Mime-Version"} {
			fmt.Fprintf(&out, "%s: %s\n", name, decoded(t, one.header.Get(name)))
		}
		fmt.Fprintf(&out, "\n%s\n%s", one.text, one.html)
		golden(t, "mail_"+l.state+".txt", out.String())
	}
}

// parsedMail is a mail as a reader sees it.
type parsedMail struct {
	header     mail.Header
	text, html string
}

// readMail reads a mail and holds it to its form: lines of at most 998 bytes, and a
// plain and an HTML part.
func readMail(t *testing.T, raw []byte) parsedMail {
	t.Helper()
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n") {
			t.Errorf("a line of %d bytes, or with half an end: %.80q", len(line), line)
		}
	}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("read the mail: %v", err)
	}
	got := parsedMail{header: msg.Header}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("got content type %q (%v), want multipart/alternative", kind, err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for _, want := range []struct {
		kind string
		into *string
	}{{"text/plain", &got.text}, {"text/html", &got.html}} {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatalf("read the part %s: %v", want.kind, err)
		}
		if k, params, err := mime.ParseMediaType(p.Header.Get("Content-Type")); err != nil || k != want.kind || params["charset"] != "UTF-8" {
			t.Errorf("got a part %q (%v), want %s in UTF-8", p.Header.Get("Content-Type"), err, want.kind)
		}
		if e := p.Header.Get("Content-Transfer-Encoding"); e != "quoted-printable" {
			t.Errorf("got encoding %q, want quoted-printable", e)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatalf("read the part %s: %v", want.kind, err)
		}
		*want.into = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Errorf("after two parts: got %v, want the end", err)
	}
	return got
}

func decoded(t *testing.T, header string) string {
	t.Helper()
	s, err := new(mime.WordDecoder).DecodeHeader(header)
	if err != nil {
		t.Errorf("decode the header %q: %v", header, err)
	}
	return s
}

// TestReceiverTemplates: a receiver's own template replaces that of all, and what it
// leaves out is the one of all.
func TestReceiverTemplates(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	h := newHook(t, nil)
	own := alerts.Receiver{Name: "own", Webhook: &webhook.Config{Endpoint: notify.Endpoint{URL: config.Secret(h.URL)}}}
	own.Templates.Text = file("own", "own {{ .Upgrade }}")
	plain := alerts.Receiver{Name: "plain", Webhook: own.Webhook}
	c := everything(own, plain)
	c.Templates = notify.Files{Headline: file("headline", "all {{ .Upgrade }}"), Text: file("text", "all {{ .Upgrade }}")}
	s := sender(t, c)
	for n, want := range []string{"own dten-4.2.0", "all dten-4.2.0"} {
		if err := s.Deliver(t.Context(), s.Receivers()[n], story()); err != nil {
			t.Fatal(err)
		}
		var p struct {
			CommonAnnotations map[string]string `json:"commonAnnotations"`
		}
		if err := json.Unmarshal(h.requests()[n].body, &p); err != nil {
			t.Fatal(err)
		}
		if got := p.CommonAnnotations; got["summary"] != "all dten-4.2.0" || got["description"] != want {
			t.Errorf("got %q and %q, want %q and %q", got["summary"], got["description"], "all dten-4.2.0", want)
		}
	}
}

// TestSecretsStayInside: whatever goes wrong, no URL, key or password is told.
func TestSecretsStayInside(t *testing.T) {
	refusing := newHook(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	resetting := newHook(t, func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	})
	for url, want := range map[string]string{
		refusing.URL: "answered 403", resetting.URL: "EOF", "http://127.0.0.1:9": "connection refused", "http://user:hunter2@127.0.0.1:9": "connection refused",
	} {
		for _, r := range httpReceivers(url) {
			if r.Alertmanager != nil {
				r.Alertmanager.URLs[0] += "/hunter2"
			}
			err := sender(t, everything(r)).Deliver(t.Context(), r.Name, story())
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v, want %q and no secret", r.Name, err, want)
			}
		}
	}
}

// TestFilesAreReadEachTime: a key that is changed in its file holds for the next message,
// and one that is gone is waited for.
func TestFilesAreReadEachTime(t *testing.T) {
	h := newHook(t, nil)
	dir := t.TempDir()
	key, url := filepath.Join(dir, "key"), filepath.Join(dir, "url")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(key, "old\n")
	write(url, h.URL)
	s := sender(t, everything(alerts.Receiver{Name: "genie", Opsgenie: &opsgenie.Config{Endpoint: notify.Endpoint{URLFile: url}, APIKeyFile: key}}))
	deliver := func() error { return s.Deliver(t.Context(), "genie", story()) }
	if err := deliver(); err != nil {
		t.Fatal(err)
	}
	write(key, "new\n")
	if err := deliver(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range h.requests() {
		got = append(got, r.header.Get("Authorization"))
	}
	if want := "[GenieKey old GenieKey new]"; fmt.Sprint(got) != want {
		t.Errorf("got keys %s, want %s", got, want)
	}
	for path, content := range map[string]string{url: "hunter2", key: "\n"} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(path, content)
		var failed *alerts.Error
		if err := deliver(); !errors.As(err, &failed) || failed.Permanent() || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a spoilt file: got %v, want an error that may pass, without what stands in it", err)
		}
		write(path, string(before))
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := deliver(); err == nil || !strings.Contains(err.Error(), "read the API key") {
		t.Errorf("no file: got %v, want that the key can't be read", err)
	}
}

// TestAnUpgradeThatWasFound is called by what it is in what people read; the label, by which
// receivers know the alert, and the links keep its ID.
func TestAnUpgradeThatWasFound(t *testing.T) {
	h := newHook(t, nil)
	s := sender(t, webhookTo(h.URL))
	a := story()
	a.Upgrade, a.Title = "dten-checkout-4.2.0-20260306T090000Z", "2 binaries on 2026-03-06 09:00 UTC (dten-payments, dten-checkout)"
	if err := s.Deliver(t.Context(), "oncall", a); err != nil {
		t.Fatal(err)
	}
	var p struct {
		Alerts []struct{ Labels, Annotations map[string]string }
	}
	if err := json.Unmarshal(h.requests()[0].body, &p); err != nil {
		t.Fatal(err)
	}
	text := p.Alerts[0].Annotations["description"]
	for _, want := range []string{"\nUpgrade: " + a.Title + "\n", "--reason '" + a.Title + ": tail latency of checkout /place worse'"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, a.Upgrade+":") || strings.Contains(text, "(upgrade ") || p.Alerts[0].Labels["upgrade"] != a.Upgrade {
		t.Errorf("labels %v, text\n%s", p.Alerts[0].Labels, text)
	}
}
