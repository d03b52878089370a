package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExamples(t *testing.T) {
	for _, file := range []string{"aftershock.example.yml", "minimal.yml"} {
		t.Run(file, func(t *testing.T) {
			c, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			if c.Sources.Prometheus == nil || c.Sources.Prometheus.URL != "http://127.0.0.1:9090" {
				t.Errorf("got source %+v, want the Prometheus at 127.0.0.1:9090", c.Sources)
			}
		})
	}
}

// The example says what the defaults are; the values that it doesn't call
// examples are held to that.
func TestExampleShowsDefaults(t *testing.T) {
	example, err := Load("aftershock.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	minimal, err := Load("minimal.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"log", example.Log, minimal.Log},
		{"web.listen", example.Web.Listen, minimal.Web.Listen},
		{"journal", example.Journal, minimal.Journal},
		{"sources.prometheus.timeout", example.Sources.Prometheus.Timeout, minimal.Sources.Prometheus.Timeout},
		{"sources.prometheus.window", example.Sources.Prometheus.Window, minimal.Sources.Prometheus.Window},
		{"watch", example.Watch, minimal.Watch},
		{"upgrades.detect", example.Upgrades.Detect, minimal.Upgrades.Detect},
		{"upgrades.settle", example.Upgrades.Settle, minimal.Upgrades.Settle},
		{"upgrades.packages.look_back", example.Upgrades.Packages.LookBack, minimal.Upgrades.Packages.LookBack},
		{"upgrades.packages.time_zone", example.Upgrades.Packages.TimeZone, minimal.Upgrades.Packages.TimeZone},
		{"upgrades.inbox.token_file", example.Upgrades.Inbox.TokenFile, minimal.Upgrades.Inbox.TokenFile},
		{"flags.client_key_file", example.Flags.ClientKeyFile, minimal.Flags.ClientKeyFile},
		{"flags.sync", example.Flags.Sync, minimal.Flags.Sync},
		{"rehearsal.max_rate", example.Rehearsal.MaxRate, minimal.Rehearsal.MaxRate},
		{"rehearsal.max_duration", example.Rehearsal.MaxDuration, minimal.Rehearsal.MaxDuration},
		{"rehearsal.max_in_flight", example.Rehearsal.MaxInFlight, minimal.Rehearsal.MaxInFlight},
		{"rehearsal.stop_errors", example.Rehearsal.StopErrors, minimal.Rehearsal.StopErrors},
		{"alerts.severity", example.Alerts.Severity, minimal.Alerts.Severity},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s: the example isn't the default (-default +example):\n%s", tt.name, diff)
		}
	}
}

// What the example has commented out is right as well.
func TestExampleAlternatives(t *testing.T) {
	data, err := os.ReadFile("aftershock.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	_, scrape, ok := strings.Cut(text, "  # scrape:\n")
	if !ok {
		t.Fatal("the example has no commented scrape section")
	}
	scrape, _, _ = strings.Cut(scrape, "\n\n")
	scrape = "sources:\n  scrape:\n" + strings.ReplaceAll(scrape, "  # ", "  ")
	c, err := Parse([]byte(scrape), "/etc")
	if err != nil {
		t.Fatalf("%v\n%s", err, scrape)
	}
	if got, want := c.Sources.Scrape.Files[0], "/etc/targets/*.json"; got != want {
		t.Errorf("got target file %s, want %s", got, want)
	}
	for _, line := range []string{"tsdb: {path: /var/lib/prometheus/data}", "openmetrics: {path: telemetry.om.zst}"} {
		if !strings.Contains(text, "  # "+line+"\n") {
			t.Fatalf("the example lacks %q", line)
		}
		if _, err := Parse([]byte("sources:\n  "+line), "."); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestGood(t *testing.T) {
	files, err := filepath.Glob("testdata/good-*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no good files: %v", err)
	}
	for _, file := range files {
		if _, err := Load(file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// Each bad file holds, in its comments, the problems that are told of it.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad-*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if w, ok := strings.CutPrefix(strings.TrimSpace(line), "#! "); ok {
					want = append(want, w)
				}
			}
			_, err = Load(file)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got error %v, want a list of problems", err)
			}
			var got []string
			for _, p := range e.Problems {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error isn't one line with the file's name and without secrets: %s", err)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	c, err := Parse([]byte(`
data: state
web: {config_file: web.yml}
sources:
  prometheus:
    url: https://prometheus
    http_client:
      basic_auth: {username: a, password_file: secret}
      tls_config: {ca_file: ca.pem}
      http_headers: {X-Scope-OrgID: {files: [org]}}
upgrades: {records: records}
flags:
  definitions: /abs/flags.json
  client_key_file: keys
  backends:
    - {name: a, kind: flagd-file, flags: [a], flagd_file: {path: edge.json}, ofrep: {url: "https://o", token_file: o}}
    - {name: b, kind: unleash, flags: [b], unleash: {url: "https://u", token_file: u, http_client: {tls_config: {ca_file: u.pem}}, frontend: {token_file: f}}}
alerts:
  receivers:
    - name: hook
      webhook: {url_file: hook, secret_file: key, http_client: {authorization: {credentials_file: token}}}
    - {name: slack, slack: {url_file: slack, http_client: {tls_config: {ca_file: slack.pem}}}}
    - {name: pager, pagerduty: {routing_key_file: pager}}
    - {name: genie, opsgenie: {api_key_file: genie}}
    - {name: mail, mail: {smarthost: "m:25", from: a@b.example, to: [c@d.example], auth_username: a, auth_password_file: mail, require_tls: false, tls_config: {ca_file: mail.pem}}}
reports: {dir: out}
`), "/etc/aftershock")
	if err != nil {
		t.Fatal(err)
	}
	client, receivers := c.Sources.Prometheus.HTTPClient, c.Alerts.Receivers
	hook, mail := receivers[0].Webhook, receivers[4].Mail
	if *mail.RequireTLS || *mail.ImplicitTLS {
		t.Error("TLS is required though it was turned off")
	}
	for got, want := range map[string]string{
		c.Data: "/etc/aftershock/state", c.Web.ConfigFile: "/etc/aftershock/web.yml",
		client.BasicAuth.PasswordFile:                        "/etc/aftershock/secret",
		client.TLSConfig.CAFile:                              "/etc/aftershock/ca.pem",
		client.HTTPHeaders.Headers["X-Scope-OrgID"].Files[0]: "/etc/aftershock/org",
		c.Upgrades.Records:                                   "/etc/aftershock/records",
		c.Flags.Definitions:                                  "/abs/flags.json",
		c.Flags.Backends[0].FlagdFile.Path:                   "/etc/aftershock/edge.json",
		c.Flags.Backends[0].OFREP.TokenFile:                  "/etc/aftershock/o",
		c.Flags.Backends[1].Unleash.TokenFile:                "/etc/aftershock/u",
		c.Flags.Backends[1].Unleash.Client.TLSConfig.CAFile:  "/etc/aftershock/u.pem",
		c.Flags.Backends[1].Unleash.Frontend.TokenFile:       "/etc/aftershock/f",
		c.Flags.ClientKeyFile:                                "/etc/aftershock/keys",
		hook.URLFile:                                         "/etc/aftershock/hook",
		hook.SecretFile:                                      "/etc/aftershock/key",
		receivers[1].Slack.URLFile:                           "/etc/aftershock/slack",
		receivers[1].Slack.HTTPClient.TLSConfig.CAFile:       "/etc/aftershock/slack.pem",
		receivers[2].PagerDuty.RoutingKeyFile:                "/etc/aftershock/pager",
		receivers[3].Opsgenie.APIKeyFile:                     "/etc/aftershock/genie",
		mail.PasswordFile:                                    "/etc/aftershock/mail",
		mail.TLS.CAFile:                                      "/etc/aftershock/mail.pem",
		hook.HTTPClient.Authorization.CredentialsFile:        "/etc/aftershock/token",
		c.Reports.Dir:                                        "/etc/aftershock/out",
	} {
		if got != want {
			t.Errorf("got path %s, want %s", got, want)
		}
	}
	if c, err = Parse([]byte("sources: {tsdb: {path: db}}"), "/etc"); err != nil {
		t.Fatal(err)
	}
	if c.Data != "data" || c.Sources.TSDB.Path != "/etc/db" {
		t.Errorf("got data %s and TSDB %s, want data and /etc/db", c.Data, c.Sources.TSDB.Path)
	}
}

func TestDefaultsAndOverrides(t *testing.T) {
	c, err := Parse([]byte(`
web: {external_url: "https://a.example/x"}
sources: {scrape: {interval: 1s, targets: [{targets: ["127.0.0.1:1"]}]}}
watch: {step: 1s, day: 30s, baseline: 1d}
upgrades: {detect: false, settle: 10s}
flags: {gates: [{flag: f, binary: b, safe: off}]}
`), ".")
	if err != nil {
		t.Fatal(err)
	}
	if c.Upgrades.Detect || time.Duration(c.Upgrades.Settle) != 10*time.Second {
		t.Errorf("got upgrades %+v, want no detection and 10s", c.Upgrades)
	}
	if c.Watch.Day != 30*time.Second || c.Watch.Baseline != 24*time.Hour || c.Watch.Margin != 0.05 {
		t.Errorf("got watch %+v, want day 30s, baseline 24h, margin 0.05", c.Watch)
	}
	if c.Alerts.ExternalURL != "https://a.example/x" || c.Alerts.Safe["f"] != "off" {
		t.Errorf("got alerts %+v, want the web's URL and the gates' safe variants", c.Alerts)
	}
}

func TestSize(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{strings.Repeat("#", MaxSize+1), "larger than 1048576 bytes"},
		{"", "sources: give exactly one of"},
		{"a: 1\n---\nb: 1\n", "more than one YAML document"},
		{"\t", "isn't YAML"},
		{"- a", "want keys with values"},
		{"x: &a [1]\ny: *a", "y: unknown key"},
	} {
		if _, err := Parse([]byte(tt.text), "."); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.20q: got error %v, want one with %q", tt.text, err, tt.want)
		}
	}
	if _, err := Load("testdata/none.yml"); err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v of a file that isn't there", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, glob := range []string{"*.yml", "testdata/*.yml"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := Parse(data, "/etc")
		var e *Error
		if err != nil && (!errors.As(err, &e) || len(e.Problems) == 0) {
			t.Errorf("got error %v without problems", err)
		}
	})
}
