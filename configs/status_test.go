package configs

import (
	"errors"
	"strings"
	"testing"
)

// The section status names what isn't there, and what would wake somebody.
func TestStatus(t *testing.T) {
	const head = "sources: {prometheus: {url: \"http://127.0.0.1:9090\"}}\n" +
		"alerts: {receivers: [{name: pager, pagerduty: {routing_key: 0123456789abcdef0123456789abcdef}}, {name: hook, webhook: {url: \"http://127.0.0.1:1\"}}]}\n"
	for text, want := range map[string]string{
		"status: {receivers: [hook], auto: [], read: anyone}": "",
		"status: {receivers: [pager]}":                        `status.receivers[0]: "pager" takes alerts alone`,
		"status: {receivers: [nobody]}":                       `status.receivers[0]: "nobody" is no receiver`,
		"status: {auto: [lunch]}":                             `status.auto[0]: "lunch" is none of`,
		"status: {read: viewer}":                              `status.read: "viewer" isn't anyone`,
	} {
		c, err := Parse([]byte(head+text), "/etc")
		var e *Error
		switch {
		case want == "" && (err != nil || c.Status.Auto == nil || len(c.Status.Auto) != 0):
			t.Errorf("%s: got %v, %v", text, c.Status, err)
		case want != "" && (!errors.As(err, &e) || len(e.Problems) != 1 || !strings.Contains(e.Problems[0].String(), want)):
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
