package document

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type item struct {
	Line int      `yaml:"-"`
	Name Text     `yaml:"name"`
	N    int64    `yaml:"n"`
	P    *int64   `yaml:"p"`
	Size Size     `yaml:"size"`
	Long Duration `yaml:"long"`
	On   bool     `yaml:"on"`
}

type whole struct {
	At    time.Time         `yaml:"at"`
	Items []item            `yaml:"items"`
	Pairs map[string]string `yaml:"pairs"`
}

// TestLines: YAML and JSON give the same, each with its lines.
func TestLines(t *testing.T) {
	seven := int64(7)
	want := whole{
		At:    time.Date(2026, 3, 6, 8, 0, 0, 0, time.UTC),
		Items: []item{{Line: 3, Name: Text{"1.10", 3}, N: 5, Size: 2 << 30, Long: Duration(90 * time.Minute), On: true}, {Line: 8, Name: Text{"b\U0001f600", 8}, P: &seven}},
		Pairs: map[string]string{"a": "1"},
	}
	for _, text := range []string{
		"at: 2026-03-06T09:00:00+01:00\nitems:\n  - name: 1.10\n    n: 5\n    size: 2GiB\n    long: 1h30m\n    on: true\n  - name: \"b\U0001f600\"\n    p: 7\npairs: {a: 1}\n",
		"{\"at\": \"2026-03-06T09:00:00+01:00\", \"items\": [\n\n\t{\"name\": 1.10,\n\"n\": 5, \"size\": \"2GiB\",\n\"long\": \"1h30m\",\n\"on\": true},\n\n\t{\"name\": \"b\\ud83d\\ude00\", \"p\": 7}],\n\"pairs\": {\"a\": 1}}",
		"\ufeffat: 2026-03-06T08:00:00Z\nitems:\n  - &x {name: 1.10, n: 5,\n     size: 2147483648,\n     long: 5400,\n     on: true}\n\n  - {name: \"b\\U0001f600\", p: 7}\npairs: {a: 1}\n",
	} {
		var got whole
		if err := Read([]byte(text), 1<<20, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"items:\n- name: {}\n  n: 1.5\n  on: 1\n  x: 1\n", "line 2: items[0].name: is a mapping, want a text; line 3: items[0].n: is a number, want a whole number; line 4: items[0].on: is a number, want a boolean; line 5: items[0].x: unknown field"},
		{"items: &a [*a]\n", "line 1: items[0]: is a list, want a mapping"},
		{"pairs: [1]\n", "line 1: pairs: is a list, want a mapping"},
		{"[1, 2]", "line 1: is a list, want a mapping"},
		{"{\"at\": 1,\n\"pairs\": }}", "line 2: invalid character '}' looking for beginning of value"},
		{"? [a]\n: b\n", "line 1: a name is a list, want a text"},
		{"at: " + strings.Repeat("x", maxText+1), "line 1: at: has 16385 bytes, more than 16384"},
		{strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "line 1: is a list, want a mapping"},
	} {
		var got whole
		err := Read([]byte(tt.text), 1<<20, &got)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%.40q: %v, want %s", tt.text, err, tt.want)
		}
	}
	if err := Read([]byte(strings.Repeat("x: {}\n", 50)), 1<<20, &whole{}); strings.Count(err.Error(), ";") != 20 || !strings.Contains(err.Error(), "and ") {
		t.Error(err)
	}
	var lenient whole
	problems, unknown := ReadLenient([]byte("x: 1\nat: never\npairs: {a: b}\n"), 100, &lenient)
	if len(problems) != 1 || problems[0].Line != 2 || len(unknown) != 1 || unknown[0].Line != 1 || lenient.Pairs["a"] != "b" {
		t.Errorf("%v, %v, %v", problems, unknown, lenient)
	}
}

func TestQuantities(t *testing.T) {
	for text, want := range map[string]time.Duration{"10m": 10 * time.Minute, "1h 30m": 90 * time.Minute, "2d": 48 * time.Hour, "90": 90 * time.Second, "0": 0} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %s, %v", text, d, err)
		}
	}
	for text, want := range map[string]Size{"2048": 2048, "2 KiB": 2048, "1.5GB": 1.5e9, "3M": 3 << 20, "7b": 7, "9007199254740993": 9007199254740993} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, bad := range []string{"", "x", "-1", "1e400", "NaN", "5 parsecs", "9e30GB"} {
		var s Size
		var d Duration
		if s.UnmarshalText([]byte(bad)) == nil || d.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q is taken: %d, %d", bad, s, d)
		}
	}
	for s, want := range map[Size]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 3 << 50: "3072.0 TiB"} {
		if s.String() != want {
			t.Errorf("%d: %s, want %s", s, s, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "s")) * time.Millisecond)
		text, _ := d.MarshalText()
		var got Duration
		if err := got.UnmarshalText(text); err != nil || got != d {
			t.Fatalf("%s is read as %s: %v", text, got, err)
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("at: 2026-03-06\nitems: [{name: a, n: 1, size: 2GiB, long: 5m, on: yes}]\npairs: {a: b}\n"))
	f.Add([]byte("{\"items\": [{\"name\": \"\\ud83d\"}],\n\"x\": [[[]]]}"))
	f.Add([]byte("a: &a\n  <<: *a\nitems: [*a, *a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var w whole
		if err := Read(data, 1<<16, &w); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %q", err)
		}
		problems, unknown := ReadLenient(data, 1<<16, &w)
		for _, p := range append(problems, unknown...) {
			if p.What == "" || p.Line < 0 {
				t.Errorf("problem %+v", p)
			}
		}
	})
}
