package settings

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/semver"

	"aftershock/detector"
	"aftershock/upgrades/inside"
)

func order(a, b string) int { return semver.Compare("v"+a, "v"+b) }

// documented is a block of the documentation page.
func documented(t *testing.T, mark string) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/preflight/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(page), "```"+mark+"\n")
	text, _, found := strings.Cut(after, "```")
	if !ok || !found {
		t.Fatalf("the page has no block %q", mark)
	}
	return text
}

func matrix(t *testing.T, text string) Matrix {
	t.Helper()
	m, err := ReadMatrix("matrix.yaml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDocumentedMatrix(t *testing.T) {
	m := matrix(t, documented(t, "yaml"))
	if len(m.Rows) != 8 {
		t.Fatalf("got %d rows, want 8", len(m.Rows))
	}
	first := m.Rows[0]
	if first.Line != 2 || first.Value == nil || first.Value.Equals == nil || *first.Value.Equals != "true" || len(first.Binaries) != 2 || m.Rows[1].Line != 9 {
		t.Errorf("got %+v at line %d, the second at %d", first, first.Line, m.Rows[1].Line)
	}
}

// Each rule that the code has stands on the page, and the other way round.
func TestDocumentedRules(t *testing.T) {
	page, err := os.ReadFile("../../../docs/preflight/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	code := ""
	for _, f := range []string{"live.go", "check.go", "doubts.go"} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		code += string(b)
	}
	rules := func(text, before string) (list []string) {
		for i, part := range strings.Split(text, before+"settings/") {
			if i > 0 {
				list = append(list, part[:strings.IndexAny(part, "\"`")])
			}
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	if diff := cmp.Diff(rules(code, "\""), rules(string(page), "| `")); diff != "" {
		t.Errorf("(-code +page)\n%s", diff)
	}
}

func TestMatrixRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"settings:\n- component: a\n  key: b.c\n  removed: 1\n", "matrix.yaml: line 4: unknown field removed"},
		{"other: 1\n", "matrix.yaml: line 1: unknown field other"},
		{"settings:\n- key: b\n", "matrix.yaml:2: component is missing"},
		{"settings:\n- component: a\n", "matrix.yaml:2: key is missing"},
		{"settings:\n- {component: a, key: x, removed_in: 1}\n- {component: a, key: b}\n", "matrix.yaml:3: b says nothing"},
		{"settings:\n- {component: a, key: b, removed_in: 1, severity: bad}\n", `severity "bad"`},
		{"settings:\n- {component: a, key: b, value: {}}\n", "exactly one of"},
		{"settings:\n- {component: a, key: b, value: {equals: 1, absent: true}}\n", "exactly one of"},
		{"settings:\n- {component: a, key: b, value: {regexp: '('}}\n", "valid RE2"},
		{"settings:\n- {component: a, key: b, value: {range: {min: 3, max: 1}}}\n", "is empty"},
		{"settings:\n- {component: a, key: b, value: {range: {min: 3, max: 1s}}}\n", "a number and a duration"},
		{"settings:\n- {component: a, key: b, value: {range: {min: x}}}\n", "numbers or durations"},
		{"settings:\n- {component: a, key: 'b.*', value: {present: true}}\n", "several keys"},
		{"settings: [\n", "matrix.yaml: line"},
		{"settings: []\n---\n{}\n", "more than one document"},
	} {
		_, err := ReadMatrix("matrix.yaml", strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want one line with %q", tt.text, err, tt.want)
		}
	}
}

const story = `settings:
- {component: dten-checkout, key: dten.hybrid.enable, introduced_in: 4.2.0, value: {equals: true}, otherwise: it falls back to 3.x, severity: blocker}
- {component: dten-checkout, key: dten.legacy.mode, deprecated_in: 4.0.0, removed_in: 4.2.0, replacement: dten.hybrid.mode}
- {component: dten-pay, key: pay.timeout, value: {range: {min: 1s, max: 30s}}}
- {component: dten-pay, key: pay.old, deprecated_in: 4.1.0, removed_in: 5.0.0}
- {component: dten-pay, key: pay.debug, value: {absent: true}}
- {component: dten-pay, key: 'pay.gone.*', removed_in: 4.2.0}
`

func TestCheck(t *testing.T) {
	right := "dten:\n  hybrid:\n    enable: TRUE\n"
	for _, tt := range []struct {
		name     string
		files    map[string]string
		from, to string
		want     []string
	}{
		{"right", map[string]string{"checkout.yaml": right, "pay.env": "PAY_TIMEOUT=5s"}, "4.1.3", "4.2.0", nil},
		{"missing", map[string]string{"x.yaml": "a: 1\ndten:\n  hybrid:\n    pool: 3\n", "pay.env": "PAY_TIMEOUT=5s"}, "4.1.3", "4.2.0", []string{
			"settings/required-key-missing blocker x.yaml:4 dten.hybrid.enable isn't set, and must be true",
		}},
		{"missing by name", map[string]string{"dten-checkout.conf": "a=1\n", "pay.env": "PAY_TIMEOUT=5s"}, "4.1.3", "4.2.0", []string{
			"settings/required-key-missing blocker dten-checkout.conf:0 dten.hybrid.enable isn't set, and must be true",
		}},
		{"nobody's", map[string]string{"pay.env": "PAY_TIMEOUT=5s"}, "4.1.3", "4.2.0", []string{
			"settings/required-key-missing risk matrix.yaml:2 dten.hybrid.enable isn't set, and must be true (none of the 1 files read configures dten-checkout)",
		}},
		{"needed before", map[string]string{"x.yaml": "dten: {hybrid: {pool: 3}}\n", "pay.env": "PAY_TIMEOUT=5s"}, "4.2.0", "4.2.1", []string{
			"settings/required-key-missing risk x.yaml:1 dten.hybrid.enable isn't set, and must be true",
		}},
		{"not yet", map[string]string{"x.yaml": "dten: {hybrid: {pool: 3}}\n", "pay.env": "PAY_TIMEOUT=5s"}, "4.0.0", "4.1.0", nil},
		{"differs", map[string]string{"x.env": "# c\nDTEN_HYBRID_ENABLE=false\n", "pay.env": "PAY_TIMEOUT=50s\nPAY_DEBUG=1"}, "4.1.3", "4.2.0", []string{
			"settings/value-differs blocker x.env:2 DTEN_HYBRID_ENABLE is false, and must be true",
			"settings/value-differs risk pay.env:1 PAY_TIMEOUT is 50s, and must be from 1s to 30s",
			"settings/value-differs risk pay.env:2 PAY_DEBUG is 1, and must not be set",
		}},
		{"unknown", map[string]string{"x.yaml": "dten.hybrid.enable: ${HYBRID:true}\n", "pay.env": "PAY_TIMEOUT=5"}, "4.1.3", "4.2.0", []string{
			"settings/value-unknown note x.yaml:1 whether dten.hybrid.enable is right can't be told from ${HYBRID:true}: it must be true",
			"settings/value-unknown note pay.env:1 whether PAY_TIMEOUT is right can't be told from 5: it must be from 1s to 30s",
		}},
		{"conflict", map[string]string{"a.yaml": right, "b.yaml": "dten.hybrid.enable: false\n", "pay.env": "PAY_TIMEOUT=5s", "z.env": "PAY_TIMEOUT=6s"}, "4.1.3", "4.2.0", []string{
			"settings/conflicting-values risk b.yaml:1 dten.hybrid.enable has several values: false at b.yaml:1, TRUE at a.yaml:3; it must be true",
			"settings/conflicting-values note pay.env:1 pay.timeout has several values: 5s at pay.env:1, 6s at z.env:1",
		}},
		{"removed", map[string]string{"a.yaml": right, "c.properties": "dten.legacy.mode=x\npay.gone.a.b=1\npay.timeout=3s\npay.old=1\n"}, "4.1.3", "4.2.0", []string{
			"settings/removed-key risk c.properties:1 dten.legacy.mode is set, which dten-checkout no longer knows from 4.2.0 on",
			"settings/deprecated-key note c.properties:4 pay.old is set, which dten-pay deprecates from 4.1.0 on",
			"settings/removed-key risk c.properties:2 pay.gone.a.b is set, which dten-pay no longer knows from 4.2.0 on",
		}},
		{"replaced", map[string]string{"a.yaml": right + "    mode: x\n", "c.properties": "dten.legacy.mode=x\npay.timeout=3s\n"}, "4.1.3", "4.2.0", []string{
			"settings/removed-key note c.properties:1 dten.legacy.mode is set, which dten-checkout no longer knows from 4.2.0 on",
		}},
		{"gone before", map[string]string{"a.yaml": right, "c.properties": "dten.legacy.mode=x\npay.timeout=3s\n"}, "4.2.0", "4.3.0", []string{
			"settings/removed-key note c.properties:1 dten.legacy.mode is set, which dten-checkout no longer knows from 4.2.0 on",
		}},
		{"another's", map[string]string{"a.yaml": right, "dten-pay.env": "DTEN_LEGACY_MODE=x\nPAY_TIMEOUT=5s\n"}, "4.1.3", "4.2.0", nil},
		{"mistyped", map[string]string{"a.yaml": "dten:\n  hybrid:\n    enabled: true\n", "pay.env": "PAY_TIMEOUT=5s"}, "4.1.3", "4.2.0", []string{
			"settings/required-key-missing blocker a.yaml:3 dten.hybrid.enable isn't set, and must be true",
			"settings/mistyped-key note a.yaml:3 dten.hybrid.enabled is not in the matrix, and dten.hybrid.enable is",
		}},
		{"no version", map[string]string{"a.yaml": "x: 1\n", "pay.env": "PAY_TIMEOUT=5s"}, "", "", []string{
			"settings/version-unknown note matrix.yaml:0 4 settings of the matrix depend on the version, and the package doesn't tell its own",
		}},
		{"nothing", nil, "4.1.3", "4.2.0", []string{
			"settings/no-configuration note matrix.yaml:0 2 settings are needed, and no live configuration was read to see whether they are set",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range Check(matrix(t, story), read(tt.files), tt.from, tt.to, order) {
				got = append(got, fmt.Sprintf("%s %s %s:%d %s", f.Rule, f.Severity, f.Place.File, f.Place.Line, f.What))
				if f.Why == "" || f.Do == "" {
					t.Errorf("%s says not why or what to do: %+v", f.Rule, f)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestHypotheses(t *testing.T) {
	found := Check(matrix(t, story), read(map[string]string{"x.yaml": "dten: {hybrid: {enable: false}}\n", "pay.env": "PAY_TIMEOUT=5s"}), "4.1.3", "4.2.0", order)
	want := []detector.Hypothesis{{
		Kind: detector.HypothesisFallback, Key: "dten.hybrid.enable", Binaries: []string{"dten-checkout"},
		Says: "dten-checkout: it falls back to 3.x, since dten.hybrid.enable isn't as it needs it",
	}}
	if len(found) != 1 {
		t.Fatalf("got %+v", found)
	}
	if diff := cmp.Diff(want, found[0].Hypotheses); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	reversion := []detector.Reversion{{
		Level: detector.LevelConfiguration, Step: "change dten.hybrid.enable", How: "set dten.hybrid.enable back to false", Place: detector.Place{File: "x.yaml", Line: 1},
	}}
	if diff := cmp.Diff(reversion, found[0].Reversions); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A key that is no longer known says what becomes of it where it is left.
func TestRemovedSays(t *testing.T) {
	m := matrix(t, "settings:\n- {component: a, key: poll.interval, removed_in: 2, otherwise: it polls every minute, binaries: [dten-a]}\n")
	found := Check(m, read(map[string]string{"a.yaml": "poll: {interval: 5s}\n"}), "1.0.0", "2.0.0", order)
	if len(found) != 1 || found[0].Why != "left as it is: it polls every minute" || len(found[0].Hypotheses) != 1 ||
		found[0].Hypotheses[0].Says != "dten-a: it polls every minute, since poll.interval is no longer known" {
		t.Errorf("got %+v", found)
	}
}

// No finding tells a secret, whatever the rule.
func TestNoSecretsTold(t *testing.T) {
	m := matrix(t, "settings:\n- {component: a, key: db.password, value: {regexp: '[a-z]+'}}\n- {component: a, key: db.token, removed_in: 2}\n- {component: a, key: db.secret, value: {present: true}}\n")
	found := Check(m, read(map[string]string{"a.yaml": "db: {password: HUSH1, token: HUSH2, secret: HUSH3}\n", "b.env": "DB_SECRET=HUSH4\n"}), "1.0.0", "2.0.0", order)
	if len(found) != 3 {
		t.Errorf("got %d findings, want 3", len(found))
	}
	if text := fmt.Sprintf("%+v", found); strings.Contains(text, "HUSH") || !strings.Contains(text, Hidden) {
		t.Errorf("told: %s", text)
	}
}

func TestConditions(t *testing.T) {
	for _, tt := range []struct {
		condition, value string
		want             answer
	}{
		{"{equals: true}", "TRUE", holds},
		{"{equals: true}", "yes", fails},
		{"{equals: 1}", "1.0", holds},
		{"{equals: 60s}", "1m", holds},
		{"{equals: 60}", "1m", fails},
		{"{one_of: [a, b]}", "b", holds},
		{"{one_of: [a, b]}", "B", fails},
		{"{regexp: 'a+'}", "aaa", holds},
		{"{regexp: 'a+'}", "aab", fails},
		{"{range: {min: 2}}", "2", holds},
		{"{range: {min: 2}}", "1.9", fails},
		{"{range: {max: 1m}}", "61s", fails},
		{"{range: {max: 1m}}", "61", unknown},
		{"{range: {max: 1m}}", "soon", fails},
		{"{range: {max: 1}}", "NaN", fails},
		{"{equals: x}", "$X", unknown},
		{"{present: true}", "$X", holds},
		{"{absent: true}", "", fails},
	} {
		m := matrix(t, "settings:\n- {component: a, key: b, value: "+tt.condition+"}\n")
		if got := m.Rows[0].Value.judge(tt.value); got != tt.want {
			t.Errorf("%s of %q is %d, want %d", tt.condition, tt.value, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "abc", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abcd", "acbd", 1}, {"same", "same", 0}} {
		if got := distance([]rune(tt.a), []rune(tt.b)); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
	if near("replica1count", "replica2count") || !near("hybridenable", "hybirdenable") || near("short", "shor") {
		t.Error("near is wrong about digits, swaps or short keys")
	}
}

// What was mined is a matrix that can be read, and a use of a key that went is a risk.
func TestMine(t *testing.T) {
	d := inside.Difference{Name: "dten-pay"}
	d.Configuration.Removed = []string{"PAY_RETRY_BASE", "go.mod", "pay.old", "retry_base"}
	d.Configuration.Added = []string{"--pay-mode", "content-type"}
	d.Strings.Removed = []string{"PAY_RETRY_BASE", "go.mod", "pay.old"}
	d.Strings.Added = []string{"--pay-mode", "content-type"}
	var b bytes.Buffer
	if err := Mine(d, "4.2.0").Write(&b); err != nil {
		t.Fatal(err)
	}
	m := matrix(t, b.String())
	var got []string
	for _, r := range m.Rows {
		got = append(got, fmt.Sprintf("%s -%s +%s %t %s", r.Key, r.RemovedIn, r.IntroducedIn, r.Draft, r.Confidence))
	}
	want := []string{
		"PAY_RETRY_BASE -4.2.0 + true medium: a text in the form of an environment variable",
		"pay.old -4.2.0 + true medium: a text in the form of a dotted key",
		"retry_base -4.2.0 + true medium: the tag of a struct, of configuration or of messages",
		"pay-mode - +4.2.0 true medium: a text in the form of a flag",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var rules []string
	for _, f := range Check(m, read(map[string]string{"dten-pay.yaml": "pay:\n  retry:\n    base: 1\n"}), "4.1.3", "4.2.0", order) {
		rules = append(rules, fmt.Sprintf("%s %s %s:%d", f.Rule, f.Severity, f.Place.File, f.Place.Line))
	}
	if diff := cmp.Diff([]string{"settings/draft-key risk dten-pay.yaml:3", "settings/draft note matrix.yaml:2"}, rules); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func FuzzMatrix(f *testing.F) {
	f.Add(story)
	f.Add("settings:\n- &a {component: a, key: b, value: {range: {min: 1}}}\n- *a\n")
	live := read(map[string]string{"a.yaml": "dten: {hybrid: {enable: false}}\n"})
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ReadMatrix("m", strings.NewReader(text))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		Check(m, live, "1.0.0", "2.0.0", order)
		var b bytes.Buffer
		if err := m.Write(&b); err != nil {
			t.Errorf("write what was read: %v", err)
		}
	})
}
