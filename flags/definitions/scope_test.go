package definitions

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// Whatever callers send, those out of scope get what they got before.
func TestNarrow(t *testing.T) {
	rules := []string{
		``, `null`, `{}`, `{"if":[{"===":[{"var":"vip"},true]},"c"]}`, `{"if":[{"var":"vip"},"c","a"]}`, `{"if":["c"]}`, `{"if":[]}`,
		`{"fractional":[["a",50],["c",50]]}`, `{"if":[{"var":"x"},"a",{"var":"y"},"c"]}`,
	}
	scopes := map[string]Scope{
		"percent": {Percent: 25}, "fine": {Percent: 12.5}, "region": {In: map[string][]string{"region": {"eu-1"}}},
		"instances": {In: map[string][]string{"instance": {"a", "b"}}},
		"all":       {Percent: 50, In: map[string][]string{"region": {"eu-1"}, "instance": {"a", "b"}}},
	}
	var contexts []map[string]any
	for _, v := range []any{nil, "a", "b", "eu-1", "x", 1.0, true, []any{"a"}, []any{}, map[string]any{"a": 1.0}} {
		for n := range 30 {
			contexts = append(contexts, map[string]any{"targetingKey": fmt.Sprint("k", n), "region": v, "instance": v, "vip": n%2 == 0})
			contexts = append(contexts, map[string]any{"targetingKey": fmt.Sprint("k", n), "region": "eu-1", "instance": v, "y": v})
		}
		contexts = append(contexts, map[string]any{"instance": v}, map[string]any{"region": v})
	}
	contexts = append(contexts, nil, map[string]any{})
	now := time.Unix(0, 0)
	for name, scope := range scopes {
		members, err := Members("f", scope)
		if err != nil {
			t.Fatal(err)
		}
		in := 0
		for _, rule := range rules {
			definition := `{"state":"ENABLED","defaultVariant":"a","variants":{"a":1,"b":2,"c":3}}`
			if rule != "" {
				definition = strings.TrimSuffix(definition, "}") + `,"targeting":` + rule + `}`
			}
			before := parseOne(t, definition)
			changed, err := Narrow(json.RawMessage(definition), scope, "b")
			if err != nil {
				t.Fatal(err)
			}
			after := parseOne(t, string(changed))
			for _, c := range contexts {
				got, want := after.Evaluate("f", c, now), before.Evaluate("f", c, now).Variant
				member := members.Evaluate("f", c, now)
				if member.ErrorCode != "" || got.ErrorCode != "" {
					t.Fatalf("%s %s %v: %+v %+v", name, rule, c, member, got)
				}
				if member.Variant == "in" {
					in++
					want = "b"
				}
				if got.Variant != want {
					t.Errorf("%s, rule %s, context %v: got %q, want %q", name, rule, c, got.Variant, want)
				}
			}
		}
		if in == 0 {
			t.Errorf("%s: nobody is in scope", name)
		}
	}
}

func parseOne(t *testing.T, definition string) *Set {
	t.Helper()
	s, err := Parse([]byte(`{"flags":{"f":` + definition + `}}`))
	if err != nil || len(s.Problems()) > 0 {
		t.Fatalf("%s: %v %v", definition, err, s.Problems())
	}
	return s
}

func TestPercentagesGrow(t *testing.T) {
	was := map[int]bool{}
	for _, percent := range []float64{0.5, 1, 12.5, 25, 50, 99, 99.99} {
		members, err := Members("f", Scope{Percent: percent})
		if err != nil {
			t.Fatal(err)
		}
		in := 0
		const keys = 20_000
		for n := range keys {
			is := members.Evaluate("f", map[string]any{"targetingKey": fmt.Sprint("caller-", n)}, time.Unix(0, 0)).Variant == "in"
			if was[n] && !is {
				t.Fatalf("caller %d is in less than %v%%, but not in that", n, percent)
			}
			if was[n] = is; is {
				in++
			}
		}
		// Five standard deviations of a binomial count.
		mean := keys * percent / 100
		if d := math.Abs(float64(in) - mean); d > 5*math.Sqrt(mean*(1-percent/100))+1 {
			t.Errorf("%v%%: %d of %d callers", percent, in, keys)
		}
	}
}

func TestNarrowRefuses(t *testing.T) {
	for _, s := range []Scope{{}, {Percent: math.NaN()}, {Percent: -1}, {Percent: 100}, {Percent: 1e-9}, {Percent: math.Inf(1)}} {
		if got, err := Narrow([]byte(`{}`), s, "b"); err == nil {
			t.Errorf("%+v: got %s", s, got)
		}
	}
	if _, err := Narrow([]byte(`1`), Scope{Percent: 5}, "b"); err == nil {
		t.Error("no object: no error")
	}
}
