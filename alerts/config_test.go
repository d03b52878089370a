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
	own := filepath.Join(dir, "own.tmpl")
	if err := os.WriteFile(own, []byte("{{ .Upgrade }}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, yaml, want string }{
		{"all kinds", `
receivers:
- {name: oncall, webhook: {url: "https://example.com/x", secret_file: s, timeout: 5s, http_client: {authorization: {credentials: x}}}}
- {name: am, alertmanager: {urls: ["http://a:9093", "http://b:9093"]}}
- {name: log, log: {}}
- {name: slack, slack: {url_file: s, channel: "#ops"}}
- {name: mattermost, mattermost: {url: "https://example.com/hooks/x"}, templates: {text: ` + own + `}}
- {name: pagerduty, pagerduty: {routing_key_file: k}}
- {name: opsgenie, opsgenie: {api_key: k, url: "https://api.eu.opsgenie.com"}}
- {name: teams, teams: {url_file: t, timeout: 20s}}
- {name: mail, mail: {smarthost: "mail:587", from: "Aftershock <a@example.org>", to: [b@example.org, "C <c@example.org>"],
    auth_username: a, auth_password_file: p, auth_mechanism: plain, hello: aftershock.example.org, tls_config: {server_name: mail}}}
external_url: https://aftershock.example
runbook_url: https://runbooks.example/x
severity: {retry: info}`, ""},
		{"nothing", ``, ""},
		{"no kind", `receivers: [{name: x}]`, "alerts.receivers[0]: needs exactly one of alertmanager, slack, mattermost, pagerduty, opsgenie, mail, teams, webhook, log"},
		{"null kind", `receivers: [{name: x, log: }]`, "alerts.receivers[0]: needs exactly one of alertmanager, slack, mattermost, pagerduty, opsgenie, mail, teams, webhook, log"},
		{"two kinds", `receivers: [{name: x, log: {}, webhook: {url: "http://x"}}]`, "alerts.receivers[0]: needs exactly one of alertmanager, slack, mattermost, pagerduty, opsgenie, mail, teams, webhook, log"},
		{"twice", `receivers: [{name: x, log: {}}, {name: x, log: {}}]`, `alerts.receivers[1].name: "x" is used twice`},
		{"names", `receivers: [{name: "a b", log: {}}]`, `alerts.receivers[0].name: "a b" needs 1 to 64 of letters, digits, dot, dash and underscore`},
		{"no URL", `receivers: [{name: x, webhook: {}}]`, "alerts.receivers[0].webhook: needs exactly one of url and url_file"},
		{"bad URL", `receivers: [{name: x, webhook: {url: "http://u:secret@%zz"}}]`, "alerts.receivers[0].webhook.url: is no URL"},
		{"scheme", `receivers: [{name: x, alertmanager: {urls: ["http://a", "ftp://b"]}}]`, "alerts.receivers[0].alertmanager.urls[1]: needs the scheme http or https"},
		{"no URLs", `receivers: [{name: x, alertmanager: {}}]`, "alerts.receivers[0].alertmanager.urls: has 0 URLs, needs 1 to 16"},
		{"time limit", `receivers: [{name: x, webhook: {url: "http://a", timeout: 1h}}]`, "alerts.receivers[0].webhook.timeout: 1h0m0s is not in 0s..1m"},
		{"two URLs", `receivers: [{name: x, slack: {url: "http://a", url_file: b}}]`, "alerts.receivers[0].slack: needs exactly one of url and url_file"},
		{"channel", `receivers: [{name: x, slack: {url: "http://a", channel: "` + strings.Repeat("x", 81) + `"}}]`, "alerts.receivers[0].slack.channel: has 81 bytes"},
		{"no routing key", `receivers: [{name: x, pagerduty: {}}]`, "alerts.receivers[0].pagerduty: needs exactly one of routing_key and routing_key_file"},
		{"no API key", `receivers: [{name: x, opsgenie: {}}]`, "alerts.receivers[0].opsgenie: needs exactly one of api_key and api_key_file"},
		{"own template", `receivers: [{name: x, log: {}, templates: {headline: ` + broken + `}}]`, "alerts.receivers[0].templates: render the alert template headline: "},
		{"smarthost", mailWith(`smarthost: mail`), "alerts.receivers[0].mail.smarthost: needs the form HOST:PORT"},
		{"sender", mailWith(`from: "a\r\nBcc: all@example.org"`), "alerts.receivers[0].mail.from: is no mail address"},
		{"recipient", mailWith(`to: [b@example.org, c]`), "alerts.receivers[0].mail.to[1]: is no mail address"},
		{"no recipients", mailWith(`to: []`), "alerts.receivers[0].mail.to: has 0 addresses, needs 1 to 50"},
		{"hello", mailWith(`hello: "a b"`), "alerts.receivers[0].mail.hello: is no host's name"},
		{"no password", mailWith(`auth_username: a`), "alerts.receivers[0].mail: needs exactly one of auth_password and auth_password_file"},
		{"no user", mailWith(`auth_password: hunter2`), "alerts.receivers[0].mail.auth_username: is missing"},
		{"mechanism", mailWith(`auth_username: a, auth_password: b, auth_mechanism: ntlm`), `alerts.receivers[0].mail.auth_mechanism: "ntlm" is none of plain, login, cram-md5`},
		{"mail's time limit", mailWith(`timeout: 1h`), "alerts.receivers[0].mail.timeout: 1h0m0s is not in 0s..1m"},
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

// mailWith is a mail receiver with one setting replaced or added.
func mailWith(setting string) string {
	all := `receivers: [{name: x, mail: {`
	for _, s := range []string{`smarthost: "mail:587"`, `from: a@example.org`, `to: [b@example.org]`} {
		if name, _, _ := strings.Cut(s, ":"); !strings.HasPrefix(setting, name+":") {
			all += s + ", "
		}
	}
	return all + setting + `}}]`
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
