package launchdarkly

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"aftershock/flags/remote"
)

// made is a flag as LaunchDarkly's published description has it, with what its
// environment holds.
func made(environment string) []byte {
	return []byte(`{"key":"f","variations":[{"_id":"id-a","value":"A","name":"a"},{"_id":"id-b","value":{"x":1}},{"_id":"id-c","value":true,"name":"a"}],
		"environments":{"production":{"version":3,` + environment + `}}}`)
}

func TestPin(t *testing.T) {
	const rules = `"rules":[{"_id":"r","clauses":[]}]`
	for _, tt := range []struct {
		name, environment, variant string
		serves                     string
		everyone                   bool
		want                       string // the instructions, or what is wrong
	}{
		{"the off variation", `"on":true,"offVariation":0,"fallthrough":{"variation":1}`, "a", `{"x":1}`, true, "turnFlagOff"},
		{"no rules", `"on":true,"offVariation":0,"fallthrough":{"variation":1}`, "id-c", `{"x":1}`, true, "updateFallthroughVariationOrRollout id-c"},
		{"switched off", `"on":false,"offVariation":0,"fallthrough":{"variation":1}`, `{"x":1}`, "a", true, "turnFlagOn"},
		{"rules", `"on":true,"offVariation":0,"fallthrough":{"variation":1},` + rules, `{"x":1}`, `{"x":1}`, false, "updateOffVariation id-b, turnFlagOff"},
		{"a rollout", `"on":true,"offVariation":0,"fallthrough":{"rollout":{"variations":[]}}`, `{"x":1}`, "", false, "updateOffVariation id-b, turnFlagOff"},
		{"rules without an off variation", `"on":true,"fallthrough":{"variation":1},` + rules, "a", `{"x":1}`, false, "no off variation"},
		{"unknown", `"on":true,"offVariation":0,"fallthrough":{"variation":1}`, "z", `{"x":1}`, true, "not declared"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := read(made(tt.environment), "f", "production")
			if err != nil || s.Variant != tt.serves || s.Everyone != tt.everyone || s.Revision != "3" {
				t.Fatalf("read: got %+v, %v", s, err)
			}
			to, _, err := (&Environment{}).Pin(s.Definition, tt.variant)
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				return
			}
			if got := kinds(t, s.Definition, to); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			var pinned definition
			if err := json.Unmarshal(to, &pinned); err != nil {
				t.Fatal(err)
			}
			if name, everyone := pinned.served(); name != tt.variant || !everyone {
				t.Errorf("pinned: serves %q, everyone %t", name, everyone)
			}
			if back := kinds(t, to, s.Definition); back == "" {
				t.Error("nothing leads back")
			}
		})
	}
}

func kinds(t *testing.T, from, to []byte) string {
	t.Helper()
	var a, b definition
	if err := errors.Join(json.Unmarshal(from, &a), json.Unmarshal(to, &b)); err != nil {
		t.Fatal(err)
	}
	instructions, err := a.instructions(b)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range instructions {
		text := fmt.Sprint(i["kind"])
		if id, ok := i["variationId"]; ok {
			text += " " + fmt.Sprint(id)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func TestConfig(t *testing.T) {
	c := Config{Project: "shop", Environment: "production"}
	c.SetDefaults()
	if errs := c.Validate("l"); len(errs) > 0 {
		t.Error(errs)
	}
	c = Config{URL: "https://user:pass@example.org", Project: "a/b"}
	c.SetDefaults()
	err := errors.Join(c.Validate("l")...)
	if err == nil || strings.Count(err.Error(), "l.") != 3 || strings.Contains(err.Error(), "pass") {
		t.Errorf("got %v, want three problems and no password", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(made(`"on":true,"offVariation":0,"fallthrough":{"variation":1},"rules":[{}]`))
	f.Add(made(`"on":false,"offVariation":99`))
	f.Add([]byte(`{"items":[{"key":"a"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = parseKeys(body)
		s, err := read(body, "f", "production")
		if err != nil {
			return
		}
		for name := range s.Variants {
			to, _, err := (&Environment{}).Pin(s.Definition, name)
			if errors.Is(err, remote.ErrReadOnly) {
				continue
			}
			var d definition
			if err != nil || json.Unmarshal(to, &d) != nil {
				t.Fatalf("pin %q: %v", name, err)
			}
			if got, everyone := d.served(); got != name || !everyone {
				t.Errorf("pinned to %q: serves %q, everyone %t", name, got, everyone)
			}
		}
	})
}
