package unleash

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"aftershock/flags/remote"
)

func TestPin(t *testing.T) {
	const two = `"variants":[{"name":"new","weight":700},{"name":"legacy","weight":300,"payload":{"type":"number","value":"3"}}]`
	for _, tt := range []struct {
		name, environment string
		serves            string
		everyone          bool
		to                string
		want              string // strategies of the result by title or name, or what is wrong
	}{
		{"off, without strategies", `"enabled":false,"strategies":[]`, "off", true, "on", override + "on"},
		{"off, for everyone", `"enabled":false,"strategies":[{"name":"default"}]`, "off", true, "on", "default"},
		{"off, for some", `"enabled":false,"strategies":[{"name":"userWithId"}]`, "off", true, "on", override + "on, userWithId"},
		{"a share", `"enabled":true,"strategies":[{"name":"flexibleRollout","parameters":{"rollout":"10"},` + two + `}]`, "", false, "legacy", override + "legacy, flexibleRollout"},
		{"of the environment", `"enabled":true,"strategies":[{"name":"default"}],` + two, "", false, "new", override + "new, default"},
		{"ours already", `"enabled":true,"strategies":[{"name":"flexibleRollout","title":"` + override + `new","sortOrder":-1,"parameters":{"rollout":"100"},"variants":[{"name":"new","weight":1000}]},{"name":"default",` + two + `}]`, "new", true, "legacy", override + "legacy, default"},
		{"switched off", `"enabled":true,"strategies":[{"name":"default",` + two + `}]`, "", false, "off", "default"},
		{"on where there are variants", `"enabled":true,"strategies":[{"name":"default",` + two + `}]`, "", false, "on", "not declared"},
		{"disabled strategies don't count", `"enabled":true,"strategies":[{"name":"userWithId","disabled":true},{"name":"default","sortOrder":2}]`, "on", true, "off", "userWithId, default"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := parse([]byte(`{"environment":"e",`+tt.environment+`}`), "e")
			if err != nil {
				t.Fatal(err)
			}
			s, err := d.state()
			if err != nil || s.Variant != tt.serves || s.Everyone != tt.everyone {
				t.Errorf("read: got %q, everyone %t, %v", s.Variant, s.Everyone, err)
			}
			to, _, err := (&Server{}).Pin(s.Definition, tt.to)
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				return
			}
			var next definition
			if err := json.Unmarshal(to, &next); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range next.Strategies {
				if s.Title != "" {
					names = append(names, s.Title)
				} else {
					names = append(names, s.Name)
				}
			}
			if got := strings.Join(names, ", "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if served, everyone := next.served(); served != tt.to || !everyone {
				t.Errorf("pinned: serves %q, everyone %t", served, everyone)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	c := Config{URL: "https://unleash.example.org", Frontend: &Frontend{}}
	c.SetDefaults()
	if errs := c.Validate("u"); len(errs) > 0 || c.Project != "default" || c.Environment != "production" || c.Frontend.URL != c.URL {
		t.Errorf("got %+v, %v", c, errs)
	}
	c = Config{Project: strings.Repeat("x", 101), Frontend: &Frontend{URL: "nowhere"}}
	c.SetDefaults()
	if err := errors.Join(c.Validate("u")...); err == nil || strings.Count(err.Error(), "u.") != 3 {
		t.Errorf("got %v, want three problems", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"environment":"e","enabled":true,"strategies":[{"name":"default","sortOrder":-5,"variants":[{"name":"a","weight":1000,"payload":{"type":"json","value":"{"}}]}]}`))
	f.Add([]byte(`{"toggles":[{"name":"f","enabled":true,"variant":{"name":"a","enabled":true,"payload":{"type":"number","value":"x"}}}]}`))
	f.Add([]byte(`{"features":[{"name":"a"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = parseKeys(body)
		if variant, value, err := parseToggles(body, "f"); err == nil && (!json.Valid(value) || variant == "" && len(value) == 0) {
			t.Errorf("evaluated to %q, %s", variant, value)
		}
		d, err := parse(body, "e")
		if err != nil {
			return
		}
		s, err := d.state()
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range s.Variants {
			if !json.Valid(value) {
				t.Errorf("variant %q has the value %s", name, value)
			}
			to, _, err := (&Server{}).Pin(s.Definition, name)
			var next definition
			if err != nil || json.Unmarshal(to, &next) != nil {
				t.Fatalf("pin %q: %v", name, err)
			}
			// Whatever was there, what isn't ours stays.
			for _, step := range must(t)((&Server{}).steps("f", d, next)) {
				if step.method == "DELETE" && !strings.Contains(string(body), "Aftershock") {
					t.Errorf("somebody's strategy would be deleted: %+v", step)
				}
			}
			if remote.Same(s.Definition, nil) {
				t.Error("there is no definition")
			}
		}
	})
}

func must(t *testing.T) func([]step, error) []step {
	return func(s []step, err error) []step {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}
