package definitions

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/murmur3"
)

var now = time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)

// parse reads a set or ends the test.
func parse(t testing.TB, text string) *Set {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// one is a set with the flag f, whose variants are a and b, a the default.
func one(t testing.TB, targeting string) *Set {
	return parse(t, `{"flags":{"f":{"state":"ENABLED","variants":{"a":"A","b":"B","true":"T","1":"N"},"defaultVariant":"a","targeting":`+targeting+`}}}`)
}

func TestTargeting(t *testing.T) {
	const miss = "a DEFAULT"
	const hit = "b TARGETING_MATCH"
	for _, tt := range []struct {
		targeting, context, want string
	}{
		{`{}`, `{}`, "a STATIC"},
		{`null`, `{}`, "a STATIC"},
		{`{"if":[true,"b"]}`, `{}`, hit},
		{`{"if":[false,"b"]}`, `{}`, miss},
		{`{"if":[false,"b",null]}`, `{}`, miss},
		{`{"if":[{"==":[{"var":"region"},"eu"]},"b","a"]}`, `{"region":"us"}`, "a TARGETING_MATCH"},
		{`{"==":[{"var":"region"},"eu"]}`, `{"region":"eu"}`, "true TARGETING_MATCH"},
		{`{"+":[0,1]}`, `{}`, "1 TARGETING_MATCH"},
		{`{"if":[true,"zz"]}`, `{}`, " ERROR GENERAL"},
		{`{"if":[true,["a"]]}`, `{}`, " ERROR GENERAL"},
		{`{"%":[true]}`, `{}`, " ERROR PARSE_ERROR"},
		{`{"in":[{"var":"n"},"abc"]}`, `{"n":1}`, " ERROR PARSE_ERROR"},
		{`{"if":[{"==":[{"var":"$flagd.flagKey"},"f"]},"b"]}`, `{}`, hit},
		{`{"if":[{"==":[{"var":"$flagd.flagKey"},"f"]},"b"]}`, `{"$flagd":{"flagKey":"forged"}}`, hit},
		{`{"if":[{"==":[{"var":"$flagd.timestamp"},1772787600]},"b"]}`, `{}`, hit},
		{`{"if":[{"in":[{"var":"region"},["eu","us"]]},"b"]}`, `{"region":"us"}`, hit},
		{`{"if":[{"some":[{"var":"l"},{"==":[{"var":""},2]}]},"b"]}`, `{"l":[1,2]}`, hit},

		{`{"if":[{"starts_with":[{"var":"v"},"192."]},"b"]}`, `{"v":"192.168.0.1"}`, hit},
		{`{"if":[{"starts_with":[{"var":"v"},"192."]},"b"]}`, `{"v":192}`, miss},
		{`{"if":[{"ends_with":[{"var":"v"},"@faas.com"]},"b"]}`, `{"v":"me@faas.com"}`, hit},
		{`{"if":[{"ends_with":["x"]},"b"]}`, `{}`, miss},
		{`{"if":[{"==":[{"cat":["a ",{"var":"n"}]},"a 1"]},"b"]}`, `{"n":1}`, hit},
	} {
		var context map[string]any
		if err := json.Unmarshal([]byte(tt.context), &context); err != nil {
			t.Fatal(err)
		}
		r := one(t, tt.targeting).Evaluate("f", context, now)
		got := r.Variant + " " + r.Reason
		if r.ErrorCode != "" {
			got += " " + r.ErrorCode
		}
		if got != tt.want {
			t.Errorf("%s with %s: got %q (%s), want %q", tt.targeting, tt.context, got, r.ErrorDetails, tt.want)
		}
	}
}

func TestSemVer(t *testing.T) {
	for _, tt := range []struct {
		version, operator, other string
		want                     any
	}{
		{`"1.2.3"`, "=", "1.2.3", true},
		{`"1.2.3"`, "!=", "1.2.3", false},
		{`"1.2.3"`, "<", "1.10.0", true},
		{`"1.2.3"`, "<=", "1.2.3", true},
		{`"1.2.3-rc.1"`, "<", "1.2.3", true},
		{`"1.2.3"`, ">", "1.2.3-rc.1", true},
		{`"2.0.0"`, ">=", "1.9.9", true},
		{`"1.2.3"`, "^", "1.9.0", true},
		{`"2.2.3"`, "^", "1.9.0", false},
		{`"1.2.3"`, "~", "1.2.9", true},
		{`"1.3.3"`, "~", "1.2.9", false},
		{`"v1.2.3"`, "=", "V1.2.3", true},
		{`"1.2"`, "=", "1.2.0", true},
		{`1`, "=", "1.0.0", true},
		{`"1.2.3+build"`, "=", "1.2.3", true},
		{`"1.2.3"`, "?", "1.2.3", nil},
		{`"mine"`, "=", "1.2.3", nil},
		{`"2.0.0.0"`, "=", "2.0.0", nil},
		{`"1.2-rc"`, "=", "1.2.0", nil},
		{`""`, "=", "1.2.3", nil},
		{`null`, "=", "1.2.3", nil},
	} {
		var v any
		if err := json.Unmarshal([]byte(tt.version), &v); err != nil {
			t.Fatal(err)
		}
		if got := semVer([]any{v, tt.operator, tt.other}, nil); got != tt.want {
			t.Errorf("%s %s %s: got %v, want %v", tt.version, tt.operator, tt.other, got, tt.want)
		}
	}
}

// The values are those of @openfeature/flagd-core 4.0.1.
func TestFractionalAsFlagd(t *testing.T) {
	const four = `["clubs",25],["diamonds",25],["hearts",25],["spades",25]`
	const rest = `,"state":"ENABLED","variants":{"clubs":1,"diamonds":2,"hearts":3,"spades":4},"defaultVariant":"clubs"}`
	s := parse(t, `{"flags":{
		"header":{"targeting":{"fractional":[`+four+`]}`+rest+`,
		"email":{"targeting":{"fractional":[{"var":"email"},`+four+`]}`+rest+`,
		"fine":{"targeting":{"fractional":[["clubs",1],["diamonds",99999],["hearts",400000],["spades",2000000]]}`+rest+`}}`)
	for _, tt := range []struct{ flag, key, want string }{
		{"header", "me", "diamonds"},
		{"header", "user-1", "spades"},
		{"header", "user-2", "diamonds"},
		{"header", "user-3", "spades"},
		{"header", strings.Repeat("x", 40), "spades"},
		{"header", "a-b-c", "clubs"},
		{"fine", "me", "spades"},
		{"fine", "user-1", "diamonds"},
		{"fine", "user-2", "spades"},
		{"email", "rachel@faas.com", "diamonds"},
		{"email", "monica@faas.com", "diamonds"},
		{"email", "joey@faas.com", "spades"},
		{"email", "ross@faas.com", "clubs"},
	} {
		context := map[string]any{"targetingKey": tt.key}
		if tt.flag == "email" {
			context = map[string]any{"email": tt.key}
		}
		if got := s.Evaluate(tt.flag, context, now); got.Variant != tt.want || got.Reason != ReasonTargeting {
			t.Errorf("%s for %s: got %s (%s %s), want %s", tt.flag, tt.key, got.Variant, got.Reason, got.ErrorDetails, tt.want)
		}
	}
}

func TestFractionalPicksByHash(t *testing.T) {
	// The published test vector of MurmurHash3_x86_32.
	if got := murmur3.StringSum32("The quick brown fox jumps over the lazy dog"); got != 0x2e4ff723 {
		t.Fatalf("hash: got %#x, want 0x2e4ff723", got)
	}
	buckets := []bucket{{"a", 25}, {"none", 0}, {"b", 75}}
	for hash, want := range map[uint32]any{0: "a", 1<<30 - 1: "a", 1 << 30: "b", 1<<32 - 1: "b"} {
		if got := pick(hash, buckets, 100); got != want {
			t.Errorf("hash %d: got %v, want %v", hash, got, want)
		}
	}
	if got := pick(0, []bucket{{"a", 1<<31 - 2}, {"b", 1}}, 1<<31-1); got != "a" {
		t.Errorf("hash 0 of the largest total: got %v, want a", got)
	}
	if got := pick(1<<32-1, []bucket{{"a", 1<<31 - 2}, {"b", 1}}, 1<<31-1); got != "b" {
		t.Errorf("largest hash of the largest total: got %v, want b", got)
	}
}

func TestFractionalThatCantBeDistributed(t *testing.T) {
	for name, rule := range map[string]string{
		"no buckets":           `{"fractional":[]}`,
		"no list":              `{"fractional":"x"}`,
		"weights of 0":         `{"fractional":["x",["b",0]]}`,
		"negative weight only": `{"fractional":["x",["b",-1]]}`,
		"broken weight":        `{"fractional":["x",["b",0.5]]}`,
		"weight of text":       `{"fractional":["x",["b","5"]]}`,
		"weights too large":    `{"fractional":["x",["b",2147483647],["a",1]]}`,
		"empty bucket":         `{"fractional":["x",[]]}`,
		"bucket is no list":    `{"fractional":["x","b"]}`,
		"no targeting key":     `{"fractional":[["b",1]]}`,
		"variant null":         `{"fractional":["x",[null,1]]}`,
	} {
		if got := one(t, rule).Evaluate("f", nil, now); got.Variant != "a" || got.Reason != ReasonDefault {
			t.Errorf("%s: got %s %s %s, want a DEFAULT", name, got.Variant, got.Reason, got.ErrorDetails)
		}
	}
	// A weight that is left out is 1.
	if got := one(t, `{"fractional":[["b"]]}`).Evaluate("f", map[string]any{"targetingKey": "x"}, now); got.Variant != "b" {
		t.Errorf("single bucket: got %s, want b", got.Variant)
	}
}

func TestStatesAndDefaults(t *testing.T) {
	s := parse(t, `{"metadata":{"owner":"pay","tier":1,"list":[1]},"flags":{
		"off":{"state":"DISABLED","variants":{"a":1},"defaultVariant":"a","metadata":{"tier":2}},
		"open":{"state":"ENABLED","variants":{"a":1}},
		"nulled":{"state":"ENABLED","variants":{"a":1},"defaultVariant":null,"targeting":{"if":[{"var":"x"},"a"]}},
		"object":{"state":"ENABLED","variants":{"a":{"base_ms": 50, "jitter":true},"b":false},"defaultVariant":"a"},
		"nullish":{"state":"ENABLED","variants":{"a":null},"defaultVariant":"a"}}}`)
	for _, tt := range []struct {
		flag, context string
		want          Resolution
	}{
		{"off", `{}`, Resolution{Reason: "DISABLED", Metadata: map[string]any{"owner": "pay", "tier": 2.0}}},
		{"open", `{}`, Resolution{Reason: "DEFAULT", Metadata: map[string]any{"owner": "pay", "tier": 1.0}}},
		{"nulled", `{}`, Resolution{Reason: "DEFAULT", Metadata: map[string]any{"owner": "pay", "tier": 1.0}}},
		{"nulled", `{"x":1}`, Resolution{Value: json.RawMessage("1"), Variant: "a", Reason: "TARGETING_MATCH", Metadata: map[string]any{"owner": "pay", "tier": 1.0}}},
		{"object", `{}`, Resolution{
			Value: json.RawMessage(`{"base_ms":50,"jitter":true}`), Variant: "a", Reason: "STATIC",
			Metadata: map[string]any{"owner": "pay", "tier": 1.0},
		}},
		{"missing", `{}`, Resolution{
			Reason: "ERROR", ErrorCode: "FLAG_NOT_FOUND", ErrorDetails: `flag "missing" isn't defined`,
			Metadata: map[string]any{"owner": "pay", "tier": 1.0},
		}},
	} {
		var context map[string]any
		if err := json.Unmarshal([]byte(tt.context), &context); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, s.Evaluate(tt.flag, context, now)); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.flag, d)
		}
	}
}

func TestContextIsntChanged(t *testing.T) {
	context := map[string]any{"region": "eu"}
	one(t, `{"if":[true,"b"]}`).Evaluate("f", context, now)
	if d := cmp.Diff(map[string]any{"region": "eu"}, context); d != "" {
		t.Errorf("context (-want +got):\n%s", d)
	}
}

func TestRuleThatSwellsAtEvaluation(t *testing.T) {
	list := "[" + strings.Repeat("1,", 99) + "1]"
	got := one(t, `{"reduce":[`+list+`,{"cat":[{"var":"accumulator"},{"var":"accumulator"}]},"x"]}`).Evaluate("f", nil, now)
	if got.ErrorCode != CodeParseError || !strings.Contains(got.ErrorDetails, "65536 bytes") {
		t.Errorf("got %s %q, want a parse error about the text's size", got.ErrorCode, got.ErrorDetails)
	}
}

func TestPin(t *testing.T) {
	for _, tt := range []struct{ name, definition, want string }{
		{
			"without targeting", `{"state":"ENABLED","variants":{"a":1,"b":2},"defaultVariant":"a","x":1}`,
			`{"defaultVariant":"b","state":"ENABLED","variants":{"a":1,"b":2},"x":1}`,
		},
		{
			"with targeting", `{"state":"ENABLED","variants":{"a":1,"b":2},"defaultVariant":"a","targeting":{"if":[{"var":"x"},"a"]}}`,
			`{"defaultVariant":"a","state":"ENABLED","targeting":{"if":[true,"b",{"if":[{"var":"x"},"a"]}]},"variants":{"a":1,"b":2}}`,
		},
	} {
		got, err := Pin(json.RawMessage(tt.definition), "b")
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
		r := parse(t, fmt.Sprintf(`{"flags":{"f":%s}}`, got)).Evaluate("f", map[string]any{"x": true}, now)
		if r.Variant != "b" {
			t.Errorf("%s: serves %q, want b", tt.name, r.Variant)
		}
	}
}

func BenchmarkFractional(b *testing.B) {
	s := one(b, `{"fractional":[["a",50],["b",50]]}`)
	context := map[string]any{"targetingKey": "me", "region": "eu"}
	for b.Loop() {
		s.Evaluate("f", context, now)
	}
}

// A caller can't make one evaluation last by the length of its lists.
func TestLongListsOfTheContext(t *testing.T) {
	rules := map[string]string{
		"one":    `{"some":[{"var":"l"},{"==":[{"var":""},2]}]}`,
		"nested": `{"some":[{"var":"l"},{"some":[{"var":"l"},{"==":[{"var":""},2]}]}]}`,
		"merged": `{"some":[{"merge":[{"var":"l"},{"var":"l"}]},{"some":[{"merge":[{"var":"l"},{"var":"l"}]},{"==":[{"var":""},2]}]}]}`,
		"own":    `{"some":[{"var":["x",[1,1,1]]},{"==":[{"var":""},2]}]}`,
	}
	for _, tt := range []struct {
		rule   string
		length int
		served bool
	}{
		{"one", 10, true},
		{"one", 100_000, true},
		{"nested", 100, true},
		{"nested", 100_000, false},
		{"merged", 100, true},
		{"merged", 2_000, false},
		{"own", 100_000, true},
	} {
		s, err := Parse([]byte(`{"flags":{"f":{"state":"ENABLED","variants":{"a":1,"b":2},"defaultVariant":"a","targeting":{"if":[` + rules[tt.rule] + `,"a","b"]}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		list := make([]any, tt.length)
		for i := range list {
			list[i] = float64(1)
		}
		began := time.Now()
		r := s.Evaluate("f", map[string]any{"l": list}, began)
		if tt.served && r.Variant != "b" || !tt.served && !strings.Contains(r.ErrorDetails, "steps allowed") {
			t.Errorf("%s, a list of %d: %+v", tt.rule, tt.length, r)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s, a list of %d: %v", tt.rule, tt.length, took)
		}
	}
}
