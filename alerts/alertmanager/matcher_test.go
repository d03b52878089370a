package alertmanager

import (
	"encoding/json"
	"testing"
)

func TestSilenceCovers(t *testing.T) {
	labels := map[string]string{"alertname": "UpgradeRegression", "service": "checkout", "upgrade": "dten-4.2.0"}
	for _, c := range []struct {
		matchers string
		want     bool
	}{
		{`[{"name":"service","value":"checkout","isRegex":false,"isEqual":true}]`, true},
		{`[{"name":"service","value":"checkout","isRegex":false}]`, true},
		{`[{"name":"service","value":"check","isRegex":false}]`, false},
		{`[{"name":"service","value":"checkout","isRegex":false,"isEqual":false}]`, false},
		{`[{"name":"service","value":"payments","isRegex":false,"isEqual":false}]`, true},
		{`[{"name":"service","value":"check.*","isRegex":true}]`, true},
		{`[{"name":"service","value":"check","isRegex":true}]`, false},
		{`[{"name":"service","value":"cart|checkout","isRegex":true}]`, true},
		{`[{"name":"service","value":"cart|check","isRegex":true}]`, false},
		{`[{"name":"service","value":"cart|pay","isRegex":true,"isEqual":false}]`, true},
		{`[{"name":"team","value":"","isRegex":false}]`, true},
		{`[{"name":"team","value":".+","isRegex":true}]`, false},
		{`[{"name":"service","value":"checkout"},{"name":"upgrade","value":"dten-4.2.0"}]`, true},
		{`[{"name":"service","value":"checkout"},{"name":"upgrade","value":"other"}]`, false},
		{`[{"name":"service","value":"(","isRegex":true}]`, false},
		{`[{"name":"service","value":"(","isRegex":true,"isEqual":false}]`, false},
		{`[]`, false},
	} {
		var s rule
		if err := json.Unmarshal([]byte(c.matchers), &s.matchers); err != nil {
			t.Fatal(err)
		}
		if got := s.covers(labels); got != c.want {
			t.Errorf("%s: got %v, want %v", c.matchers, got, c.want)
		}
	}
}
