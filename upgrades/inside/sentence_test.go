package inside

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tagged is a type whose tags are read by reflection alone.
func tagged(key string) []edit {
	return []edit{
		{"main.go", "type Strategy interface", "type settings struct {\n\tWait int `json:\"" + key + "\"`\n}\n\ntype Strategy interface"},
		{"main.go", "\tflag.Parse()\n", "\tflag.Parse()\n\tfmt.Println(settings{len(os.Args)})\n"},
	}
}

// Golden sentences over pairs of builds.
func TestSentence(t *testing.T) {
	tagMode := stripped
	tagMode.name, tagMode.flags = "tags", append([]string{"-tags=canary"}, stripped.flags...)
	byName := map[string][]edit{}
	for _, k := range changes {
		byName[k.name] = k.edits
	}
	base := func(t *testing.T) string { return build(t, "base", stripped) }
	edited := func(name string) func(*testing.T) string {
		return func(t *testing.T) string {
			return build(t, strings.ReplaceAll(name, " ", "-"), stripped, byName[name]...)
		}
	}
	for _, tt := range []struct {
		name     string
		old, new func(*testing.T) string
		want     string
	}{
		{"nothing", base, base, "payments: nothing changed inside"},
		{"settings", base, func(t *testing.T) string { return build(t, "base", tagMode) }, "payments: only build settings differ: -tags (none) -> canary"},
		{
			"keys", func(t *testing.T) string { return build(t, "tag-old", stripped, tagged("retry_base")...) },
			func(t *testing.T) string { return build(t, "tag-new", stripped, tagged("retry_cap")...) },
			"payments: new keys retry_cap; keys gone: retry_base",
		},
		{"strategy", base, edited("strategy"), "payments: added main.jittered; main.delay 50ms -> 20ms, 2s -> 8s; 1 function changed, 2 added"},
		{"back again", edited("strategy"), base, "payments: removed main.jittered; main.delay 20ms -> 50ms, 8s -> 2s; 1 function changed, 2 removed"},
		{
			"constants", base, edited("constants"),
			"payments: changed main.limits (9s -> 10s); main.delay 50ms -> 20ms, 2s -> 8s, main.main 30s -> 12s; main.grow 1.5 -> 1.75; 4 functions changed",
		},
		{"variables", base, edited("variables"), "payments: variable of main.retry 10ms -> 25ms, a variable 16s -> 20s; variable of main.retry 3 -> 5, variable of main.spread 1.25 -> 2.5"},
		{"log text", base, edited("log text"), "payments: changed main.retry; 3 functions changed"},
		{"variable text", base, edited("variable text"), "payments: 2 strings came or went"},
		{"module", base, edited("module"), "payments: changed backoff.Wait; module dten.example/backoff v1.2.0 -> v1.3.0"},
		{"configuration", base, edited("configuration"), "payments: new keys DTEN_RETRY_DEBUG; keys gone: DTEN_VERBOSE; 1 function changed"},
		{"switch", base, edited("switch"), "payments: changed main.call"},
		{"closure", base, edited("closure"), "payments: changed main.main; added main.main.func1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := Compare("payments", take(t, tt.old(t)), take(t, tt.new(t)))
			if diff := cmp.Diff(tt.want, d.Sentence()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// The sentence over services of real size has what matters within its bounds.
func TestSentenceOfDemo(t *testing.T) {
	root := repository(t)
	binary := func(main string) Fingerprint {
		return take(t, source{dir: root, main: main, mode: stripped}.compiled(t, "program"))
	}
	old, new := binary("./demo/payments/payments-4.1.3"), binary("./demo/payments/payments-4.2.0")
	for _, tt := range []struct {
		name     string
		old, new Fingerprint
		want     string
	}{
		{"came", old, new, "payments: added backoff.Exponential, backoff.Parse; main.main.func1 no longer has 20ms, 2s; new keys jitter, max_attempts, payments-backoff and "},
		{"went", new, old, "payments: removed backoff.Exponential, backoff.Parse; main.main.func1 now has 20ms, 2s; keys gone: jitter, max_attempts, payments-backoff and "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Compare("payments", tt.old, tt.new).Sentence()
			if !strings.HasPrefix(got, tt.want) || len(got) > maxSentence || !strings.Contains(got, "; 3 functions changed, ") {
				t.Errorf("%d bytes: %s\nwant it to begin %s", len(got), got, tt.want)
			}
		})
	}
}

func TestBrief(t *testing.T) {
	for name, want := range map[string]string{
		"aftershock/demo/payments/backoff.(*Exponential).Wait":                      "backoff.Exponential.Wait",
		"aftershock/demo/fleet.through[go.shape.interface {}].func1":                "fleet.through.func1",
		"main.(*chooser).strategy-fm":                                               "main.chooser.strategy-fm",
		"main.main":                                                                 "main.main",
		"dten.example/a.(*Ring[go.shape.*dten.example/b.Node[go.shape.int]]).Retry": "a.Ring.Retry",
		"com.dten.Retry":                                                            "com.dten.Retry",
		"code at 0x1040":                                                            "code at 0x1040",
	} {
		if got := brief(name); got != want {
			t.Errorf("brief(%q) is %q, want %q", name, got, want)
		}
	}
}

// However much changed and whatever its names, the sentence is one line in
// bounds.
func TestSentenceIsBounded(t *testing.T) {
	var old, new Fingerprint
	old.Form, new.Form = FormGo, FormGo
	for i := range 300 {
		name := "main.(*Retry" + strings.Repeat("er", i) + ").Wait"
		new.Functions = append(new.Functions, Function{Name: name, Size: i})
		new.Keys = append(new.Keys, "retry_"+strings.Repeat("x", i))
	}
	got := Compare(strings.Repeat("n", 30), old, new).Sentence()
	if len(got) > maxSentence || strings.Contains(got, "\n") || !strings.Contains(got, "300 functions added") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}
