package definitions

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBadFlagsDontTakeTheSetDown(t *testing.T) {
	const good = `"good":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}`
	ok := `"state":"ENABLED","variants":{"on":true}`
	for _, tt := range []struct{ name, bad, want string }{
		{"no object", `17`, "cannot unmarshal"},
		{"state", `{"state":"on","variants":{"on":true}}`, `"on" is neither`},
		{"no state", `{"variants":{"on":true}}`, "read state"},
		{"no variants", `{"state":"ENABLED"}`, "there are none"},
		{"another case", `{` + ok + `,"DefaultVariant":"on"}`, `"DefaultVariant" has to be written "defaultVariant"`},
		{"default", `{` + ok + `,"defaultVariant":"off"}`, `"off" isn't among the variants [on]`},
		{"unknown operator", `{` + ok + `,"targeting":{"if":[{"frobnicate":[1]},"on"]}}`, `operator "frobnicate" is unknown`},
		{"the library's own operator", `{` + ok + `,"targeting":{"contains_any":[[1],[2]]}}`, "is unknown"},
		{"two operators", `{` + ok + `,"targeting":{"if":[true],"or":[true]}}`, "2 keys"},
		{"rule is no object", `{` + ok + `,"targeting":[1]}`, "no object"},
		{"unknown ref", `{` + ok + `,"targeting":{"$ref":"nowhere"}}`, "isn't among $evaluators"},
		{"ref of a number", `{` + ok + `,"targeting":{"$ref":1}}`, "doesn't name"},
		{"cycle", `{` + ok + `,"targeting":{"if":[{"$ref":"a"},"on"]}}`, "refers to itself"},
		{"swelling refs", `{` + ok + `,"targeting":{"if":[{"$ref":"l0"},"on"]}}`, "parts allowed"},
		{"too many steps", `{` + ok + `,"targeting":{"map":[{"var":"l"},{"map":[{"var":"l"},{"map":[{"var":"l"},{"map":[{"var":"l"},1]}]}]}]}}`, "steps allowed"},
		{"long variant", `{"state":"ENABLED","variants":{"` + strings.Repeat("x", MaxKey+1) + `":1}}`, "a name of 257 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var laughs strings.Builder
			for i := range 20 {
				fmt.Fprintf(&laughs, `,"l%d":{"or":[{"$ref":"l%d"},{"$ref":"l%d"}]}`, i, i+1, i+1)
			}
			s := parse(t, `{"$evaluators":{"a":{"!":{"$ref":"b"}},"b":{"!":{"$ref":"a"}},"l20":{"var":"x"}`+laughs.String()+`},
				"flags":{"bad":`+tt.bad+`,`+good+`}}`)
			if got := s.Evaluate("good", nil, now); string(got.Value) != "true" {
				t.Errorf("good flag: got %s (%s), want true", got.Value, got.ErrorDetails)
			}
			p := s.Problems()
			if len(p) != 1 || p[0].Flag != "bad" || !strings.Contains(p[0].Err.Error(), tt.want) {
				t.Fatalf("problems: got %v, want one of flag bad with %q", p, tt.want)
			}
			got := s.Evaluate("bad", nil, now)
			if got.ErrorCode != CodeParseError || !strings.Contains(got.ErrorDetails, tt.want) || got.Value != nil {
				t.Errorf("bad flag: got %s %q, want PARSE_ERROR with %q", got.ErrorCode, got.ErrorDetails, tt.want)
			}
			if d := cmp.Diff([]string{"bad", "good"}, s.Keys()); d != "" {
				t.Errorf("keys (-want +got):\n%s", d)
			}
		})
	}
}

func TestRefs(t *testing.T) {
	s := parse(t, `{"$evaluators":{"internal":{"or":[{"$ref":"staff"},{"starts_with":[{"var":"ip"},"10."]}]},
		"staff":{"ends_with":[{"var":"email"},"@faas.com"]}},
		"flags":{"f":{"state":"ENABLED","variants":{"a":1,"b":2},"defaultVariant":"a",
			"targeting":{"if":[{"and":[{"$ref":"internal"},{"$ref":"internal"}]},"b"]}}}}`)
	for email, want := range map[string]string{"me@faas.com": "b", "me@x.com": "a"} {
		if got := s.Evaluate("f", map[string]any{"email": email, "ip": "1.1.1.1"}, now); got.Variant != want {
			t.Errorf("%s: got %s (%s), want %s", email, got.Variant, got.ErrorDetails, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	many := map[string]any{}
	for i := range MaxFlags + 1 {
		many[fmt.Sprint(i)] = 1
	}
	tooMany, err := json.Marshal(map[string]any{"flags": many})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"empty", ``, "read flag definitions"},
		{"no flags", `{}`, `no "flags" object`},
		{"list", `[]`, "cannot unmarshal"},
		{"syntax", "{\n\"flags\": {,}}", "line 2"},
		{"deep", strings.Repeat("[", 1_000_000), "nested deeper"},
		{"huge", strings.Repeat(" ", MaxBytes+1), "more than the 4194304 allowed"},
		{"many", string(tooMany), "10001 flags"},
		{"long key", `{"flags":{"` + strings.Repeat("k", MaxKey+1) + `":{}}}`, "257 bytes"},
		{"empty key", `{"flags":{"":{}}}`, "0 bytes"},
	} {
		if _, err := Parse([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestDepth(t *testing.T) {
	for text, want := range map[string]int{``: 0, `1`: 0, `{}`: 1, `[[{"a":"[[["}],[]]`: 3, `"\"["`: 0, `"`: 0, `}}`: 0} {
		if got := Depth([]byte(text)); got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"flags":{"f":{"state":"ENABLED","variants":{"a":1,"b":{"x":[null]}},"defaultVariant":"a","targeting":{"fractional":[{"cat":[{"var":"$flagd.flagKey"},{"var":"email"}]},["a",50],["b",{"if":[{"var":"x"},1]}]]}}}}`), []byte(`{"targetingKey":"me"}`))
	f.Add([]byte(`{"$evaluators":{"e":{"$ref":"e"}},"metadata":{"v":"1"},"flags":{"f":{"state":"ENABLED","variants":{"a":1},"targeting":{"$ref":"e"}}}}`), []byte(`{}`))
	f.Add([]byte(`{"flags":{"f":{"state":"ENABLED","variants":{"true":1},"targeting":{"sem_ver":[{"var":"v"},"^","1.0"]}}}}`), []byte(`{"v":"1.2.3"}`))
	f.Add([]byte(`{"flags":{"f":{"state":"ENABLED","variants":{"a":1},"targeting":{"reduce":[[1,2],{"substr":["abc",{"var":"current"},-9]},"x"]}}}}`), []byte(`{"v":[{"v":1}]}`))
	f.Fuzz(func(t *testing.T, text, context []byte) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		var ctx map[string]any
		if Depth(context) > MaxDepth || json.Unmarshal(context, &ctx) != nil {
			ctx = nil
		}
		for _, key := range s.Keys() {
			r := s.Evaluate(key, ctx, now)
			if r.Value != nil && !json.Valid(r.Value) {
				t.Errorf("flag %q: value is no JSON: %q", key, r.Value)
			}
			if (r.ErrorCode != "") != (r.Reason == ReasonError) {
				t.Errorf("flag %q: reason %s with code %q", key, r.Reason, r.ErrorCode)
			}
			d, ok := s.Flag(key)
			if !ok || (d.Problem != "") != (d.Problem != "" && r.Reason == ReasonError) {
				t.Errorf("flag %q: problem %q but reason %s", key, d.Problem, r.Reason)
			}
			if d.Problem != "" {
				continue
			}
			for name := range d.Variants {
				if _, err := Pin(d.Definition, name); err != nil {
					t.Errorf("flag %q: %v", key, err)
				}
				break
			}
		}
	})
}

func TestParseRefusesKeysThatComeTwice(t *testing.T) {
	const flag = `{"state":"ENABLED","variants":{"on":true}}`
	for text, want := range map[string]string{
		`{"flags":{"a":` + flag + `,"b":` + flag + `}}`:                            "",
		`{"flags":{"a":` + flag + `,"a":` + flag + `}}`:                            `key "a" comes twice`,
		`{"flags":{"a":` + flag + `},"flags":{}}`:                                  `key "flags" comes twice`,
		`{"flags":{},"$evaluators":{"x":{"!":true},"x":{"!":false}}}`:              `key "x" comes twice`,
		`{"flags":{"a":` + flag + `},"$evaluators":null,"metadata":{"version":1}}`: "",
	} {
		_, err := Parse([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
