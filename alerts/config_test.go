package alerts_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"aftershock/alerts"
	"aftershock/alerts/notify"
)

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.tmpl")
	if err := os.WriteFile(broken, []byte("{{ .NoSuchField }}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, yaml, want string }{
		{"all kinds", `
receivers:
- {name: oncall, webhook: {url: "https://example.com/x", secret_file: s, timeout: 5s, http_client: {authorization: {credentials: x}}}}
- {name: am, alertmanager: {urls: ["http://a:9093", "http://b:9093"]}}
- {name: log, log: {}}
external_url: https://aftershock.example
runbook_url: https://runbooks.example/x
severity: {retry: info}`, ""},
		{"nothing", ``, ""},
		{"no kind", `receivers: [{name: x}]`, "alerts.receivers[0]: needs exactly one of webhook, alertmanager, log"},
		{"null kind", `receivers: [{name: x, log: }]`, "alerts.receivers[0]: needs exactly one of webhook, alertmanager, log"},
		{"two kinds", `receivers: [{name: x, log: {}, webhook: {url: "http://x"}}]`, "alerts.receivers[0]: needs exactly one of webhook, alertmanager, log"},
		{"twice", `receivers: [{name: x, log: {}}, {name: x, log: {}}]`, `alerts.receivers[1].name: "x" is used twice`},
		{"names", `receivers: [{name: "a b", log: {}}]`, `alerts.receivers[0].name: "a b" needs 1 to 64 of letters, digits, dot, dash and underscore`},
		{"no URL", `receivers: [{name: x, webhook: {}}]`, "alerts.receivers[0].webhook.url: is missing"},
		{"bad URL", `receivers: [{name: x, webhook: {url: "http://u:secret@%zz"}}]`, "alerts.receivers[0].webhook.url: is no URL"},
		{"scheme", `receivers: [{name: x, alertmanager: {urls: ["http://a", "ftp://b"]}}]`, "alerts.receivers[0].alertmanager.urls[1]: needs the scheme http or https"},
		{"no URLs", `receivers: [{name: x, alertmanager: {}}]`, "alerts.receivers[0].alertmanager.urls: has 0 URLs, needs 1 to 16"},
		{"time limit", `receivers: [{name: x, webhook: {url: "http://a", timeout: 1h}}]`, "alerts.receivers[0].webhook.timeout: 1h0m0s is not in 0s..1m"},
		{"severity", `severity: {speed: high}`, `alerts.severity: "speed" is none of latency, retry, error`},
		{"external", `external_url: aftershock.example`, "alerts.external_url: needs the scheme http or https"},
		{"template", `templates: {text: ` + broken + `}`, "alerts.templates: render the alert template text: "},
	} {
		var c alerts.Config
		d := yaml.NewDecoder(strings.NewReader(tc.yaml))
		d.KnownFields(true)
		if err := d.Decode(&c); err != nil && tc.yaml != "" {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		c.SetDefaults()
		got := errors.Join(c.Validate("alerts")...)
		switch {
		case tc.want == "" && got != nil:
			t.Errorf("%s: got %v, want no error", tc.name, got)
		case tc.want != "" && (got == nil || !strings.HasPrefix(got.Error(), tc.want)):
			t.Errorf("%s: got %v, want %s", tc.name, got, tc.want)
		}
	}
}

func TestOwnTemplate(t *testing.T) {
	dir := t.TempDir()
	headline, text := filepath.Join(dir, "headline"), filepath.Join(dir, "text")
	for path, content := range map[string]string{
		headline: "{{ .Upgrade }} broke {{ .Root.Place }}", text: "{{ range .Commands }}{{ . }}{{ end }}",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := newHook(t, nil)
	c := webhookTo(h.URL)
	c.Templates = notify.Files{Headline: headline, Text: text}
	if err := sender(t, c).Deliver(t.Context(), "oncall", story()); err != nil {
		t.Fatal(err)
	}
	var p struct {
		CommonAnnotations map[string]string `json:"commonAnnotations"`
	}
	if err := json.Unmarshal(h.requests()[0].body, &p); err != nil {
		t.Fatal(err)
	}
	if got, want := p.CommonAnnotations["summary"], "dten-4.2.0 broke checkout /place"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want := "aftershock flags set payments-backoff SAFE_VARIANT --reason 'dten-4.2.0: tail latency of checkout /place worse'"
	if got := p.CommonAnnotations["description"]; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
