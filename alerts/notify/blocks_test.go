package notify

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBlocks(t *testing.T) {
	const run = "aftershock flags set a b"
	m := Message{
		Headline: "first line", Commands: []string{run},
		Links: []Link{{"Runbook", "https://r.example/x"}},
		Text: "first line\n\n<b>{{.Secret}}</b>\nsee https://r.example/x before all\n\nNow:\n" + run +
			"\nRunbook: https://r.example/x\n\nthe command again:\n" + run,
	}
	for _, tc := range []struct {
		name       string
		most, size int
		want       []Block
	}{
		{"all", 1000, 1000, []Block{
			{"<b>{{.Secret}}</b>\nsee https://r.example/x before all\n\nNow:", false},
			{run, true},
			{"the command again:\n" + run, false},
		}},
		{"small parts", 1000, 30, []Block{
			{"<b>{{.Secret}}</b>", false},
			{"see https://r.example/x before", false},
			{" all\n\nNow:", false},
			{run, true},
			{"the command again:", false},
			{run, false},
		}},
		{"little text", 10, 1000, []Block{{"<b>{{.Sec…", false}, {run, true}}},
		{"no text", 0, 1000, []Block{{run, true}}},
	} {
		if diff := cmp.Diff(tc.want, m.Blocks(tc.most, tc.size)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, tc := range []struct {
		in   string
		most int
		want string
	}{
		{"short", 5, "short"},
		{"longer", 5, "long…"},
		{"two words", 5, "two…"},
		{"😀😀😀", 6, "😀😀😀"}, // each is two of UTF-16's
		{"😀😀😀", 5, "😀😀…"},
		{"😀😀😀", 4, "😀…"},
		{"x", 0, ""},
		{"\xff\xff\xff", 2, "\xff…"},
	} {
		if got := Shorten(tc.in, tc.most); got != tc.want {
			t.Errorf("%q to %d: got %q, want %q", tc.in, tc.most, got, tc.want)
		}
	}
}

func FuzzBlocks(f *testing.F) {
	f.Add("a\n\nb\nrun\n", 10, 3)
	f.Add(strings.Repeat("😀", 100), 50, 2)
	f.Fuzz(func(t *testing.T, text string, most, size int) {
		if size < 2 || size > 1<<16 || most > 1<<16 {
			t.Skip("no such bounds are used")
		}
		total := 0
		for _, b := range (Message{Text: text, Commands: []string{"run"}}).Blocks(most, size) {
			n := Length(b.Text)
			if b.Code {
				continue
			}
			if total += n; n == 0 || n > size {
				t.Errorf("a part of %d characters, want 1 to %d", n, size)
			}
		}
		if total > max(most, 0) {
			t.Errorf("%d characters, want at most %d", total, most)
		}
	})
}
