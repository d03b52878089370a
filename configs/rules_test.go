package configs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"aftershock/internal/servers"
)

const rulesFile, rulesTest = "prometheus-rules.yml", "testdata/prometheus-rules.test.yml"

func TestPrometheusRules(t *testing.T) {
	if out, err := servers.Promtool(t, "check", "rules", rulesFile); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
	if out, err := servers.Promtool(t, "test", "rules", rulesTest); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Each alert is said to fire by a test of its own, says what it is about and what to do, and
// is known by its name where Alertmanager's configuration has it.
func TestPrometheusRulesAreWhole(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, rulesFile)), &file); err != nil {
		t.Fatal(err)
	}
	tests, runbook := read(t, rulesTest), read(t, "../docs/runbook.md")
	names := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			names[r.Alert] = true
			if !strings.HasPrefix(r.Alert, "Aftershock") {
				t.Errorf("%s: the routes know the daemon's own alerts by the beginning Aftershock", r.Alert)
			}
			if !strings.Contains(tests, `ALERTS{alertname="`+r.Alert+`", alertstate="firing"`) {
				t.Errorf("%s: %s never has it fire", r.Alert, rulesTest)
			}
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: got severity %q, want critical or warning", r.Alert, s)
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: says neither what it is about nor what it means: %v", r.Alert, r.Annotations)
			}
			if r.Annotations["runbook"] != "docs/runbook.md#"+strings.ToLower(r.Alert) || !strings.Contains(runbook, "\n## "+r.Alert+"\n") {
				t.Errorf("%s: got the runbook %q, want its own section of docs/runbook.md", r.Alert, r.Annotations["runbook"])
			}
		}
	}
	for _, f := range []string{routesFile, "../docs/runbook.md"} {
		for _, name := range regexp.MustCompile(`Aftershock[A-Z]\w+`).FindAllString(read(t, f), -1) {
			if !names[name] {
				t.Errorf("%s has %s, which isn't an alert of %s", f, name, rulesFile)
			}
		}
	}
}
