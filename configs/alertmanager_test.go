package configs

import (
	"strings"
	"testing"

	"aftershock/internal/servers"
)

const routesFile = "alertmanager.yml"

func TestAlertmanagerRoutesAreValid(t *testing.T) {
	if out, err := servers.Amtool(t, "check-config", routesFile); err != nil {
		t.Errorf("amtool check-config: %v\n%s", err, out)
	}
}

// Alertmanager itself says who is told of what.
func TestAlertmanagerRoutes(t *testing.T) {
	for labels, want := range map[string]string{
		"alertname=UpgradeRegression severity=critical cause=binary binary=dten-payments": "page",
		"alertname=UpgradeRegression severity=error cause=binary binary=dten-payments":    "page",
		"alertname=UpgradeRegression severity=warning cause=binary binary=dten-payments":  "chat",
		"alertname=UpgradeRegression severity=critical cause=flag flag=payments-backoff":  "page",
		"alertname=UpgradeRegression severity=critical cause=unknown":                     "page",
		"alertname=UpgradeRegression severity=warning cause=unknown":                      "chat",
		"alertname=UpgradeRegression severity=critical cause=third-party third_party=pay": "chat",
		"alertname=UpgradeRegression severity=critical cause=load":                        "chat",
		"alertname=UpgradeRegression severity=critical cause=environment":                 "chat",
		"alertname=UpgradeRegression severity=error cause=earlier":                        "chat",
		"alertname=UpgradeRegression severity=critical cause=binary test=true":            "chat",
		"alertname=UpgradeNotice severity=warning upgrade=dten-4.2.0":                     "chat",
		"alertname=FlagNotice severity=warning flag=payments-backoff":                     "notices",
		"alertname=AftershockDown severity=critical job=aftershock":                       "page",
		"alertname=AftershockFrozen severity=warning job=aftershock":                      "chat",
		"alertname=HighTemperature severity=critical":                                     "chat",
	} {
		args := append([]string{"config", "routes", "test", "--config.file=" + routesFile}, strings.Fields(labels)...)
		out, err := servers.Amtool(t, args...)
		lines := strings.Fields(out)
		if err != nil || len(lines) == 0 || lines[len(lines)-1] != want {
			t.Errorf("%s: got %q (%v), want %s", labels, out, err, want)
		}
	}
}
