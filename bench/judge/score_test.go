package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/bench/fleet"
	"aftershock/detector"
)

// A culprit, one moved indicator, and what may be said of it and of another.
func TestScore(t *testing.T) {
	onset := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	culprits := []string{"a"}
	r := result{kind: fleet.Latency, answer: fleet.Answer{
		Culprits: culprits, Onset: &onset,
		Shifted: []fleet.Shifted{{Culprits: culprits, Onset: onset, Kind: "latency", Key: "moved", Ratio: 2, SNR: 5, Material: true, Worse: true}},
	}}
	for _, tt := range []struct {
		name                         string
		says                         []said
		spoiled, found, soon, rights int
	}{
		{name: "nothing"},
		{"right", []said{{at: onset.Add(time.Hour), key: "moved", worse: true, binary: "a"}}, 0, 1, 1, 1},
		{"late", []said{{at: onset.Add(7 * time.Hour), key: "moved", worse: true, binary: "a"}}, 0, 1, 0, 1},
		{"other binary", []said{{at: onset.Add(time.Hour), key: "moved", worse: true, binary: "b"}}, 0, 1, 1, 0},
		{"other direction", []said{{at: onset.Add(time.Hour), key: "moved", binary: "a"}}, 0, 0, 0, 0},
		{"too early", []said{{at: onset.Add(-time.Hour), key: "moved", worse: true, binary: "a"}}, 1, 0, 0, 0},
		{"unmoved", []said{{at: onset.Add(time.Hour), key: "still", worse: true, binary: "a"}}, 1, 0, 0, 0},
		{"unmoved, nobody blamed", []said{{at: onset.Add(time.Hour), key: "still", worse: true, cause: "load"}}, 0, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.says[1] = tt.says
			var s score
			s.add(&r, 1)
			if s.spoiled.of != tt.spoiled || s.found.of != tt.found || s.stands.of != tt.soon || s.culprit.of != tt.rights {
				t.Errorf("spoiled %d, found %d, soon %d, culprit %d; want %d, %d, %d, %d",
					s.spoiled.of, s.found.of, s.stands.of, s.culprit.of, tt.spoiled, tt.found, tt.soon, tt.rights)
			}
		})
	}
}

// Delays count from the onset to the first true shift; what is late, early, or of
// another indicator counts as never found, and never found as longer than all.
func TestDelays(t *testing.T) {
	onset := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	culprits := []string{"a"}
	after := func(minutes int, key, binary string) said {
		return said{at: onset.Add(time.Duration(minutes) * time.Minute), key: key, worse: true, binary: binary}
	}
	var d delays
	for _, says := range [][]said{
		{after(9, "moved", "a"), after(4, "upstream", "b")},
		{after(12, "moved", "a")},
		{after(400, "moved", "a")},
		{after(-3, "moved", "a"), after(3, "still", "")},
		{},
	} {
		r := result{kind: "rise", answer: fleet.Answer{
			Culprits: culprits, Onset: &onset, Shifted: []fleet.Shifted{
				{Culprits: culprits, Onset: onset, Key: "moved", Worse: true}, {Culprits: culprits, Onset: onset, Key: "upstream", Worse: true},
			},
		}}
		r.says[0] = says
		d.add(&r, 0)
	}
	inf := math.Inf(1)
	if want := []float64{4, 12, inf, inf, inf}; !slices.Equal(d.minutes, want) {
		t.Errorf("delays %v, want %v", d.minutes, want)
	}
	if d.found != (part{2, 5}) || d.culprit != (part{1, 2}) || d.spoiled != (part{1, 5}) {
		t.Errorf("found %v, culprit %v, spoiled %v; want 2 of 5, 1 of 2, 1 of 5", d.found, d.culprit, d.spoiled)
	}
	if got := d.row("x", scenarios[0]); got[4] != "12" || got[5] != "over 360" {
		t.Errorf("quartiles %v, want 12 and over 360", got)
	}
}

func TestTrueRatio(t *testing.T) {
	s := fleet.Shifted{Kind: "latency", Ratio: 9, Bounds: []float64{0.25, 0.5}, Ratios: []float64{2, 3}}
	for what, want := range map[string]float64{
		"share of requests over 0.5 s": 3, "share of requests over 250 ms": 2, "share of requests over 7 s": math.NaN(), "speed": math.NaN(),
	} {
		got := trueRatio(&s, &detector.Effect{What: what})
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
}

// Two equal ladders, ten apart: the difference is ten, and its lower end some steps below.
func TestHodgesLehmann(t *testing.T) {
	var a, b []float64
	for i := range 40 {
		a, b = append(a, float64(i)+10), append(b, float64(i))
	}
	low, estimate := hodgesLehmann(a, b, 2.326)
	if estimate != 10 || low < 3 || low > 5 {
		t.Errorf("estimate %v from %v, want 10 from about 4", estimate, low)
	}
}

func TestPrint(t *testing.T) {
	var text, md strings.Builder
	rows := [][]string{{"a", "b"}, {"long", "c"}}
	print(&text, rows, false)
	print(&md, rows, true)
	if want := "a     b\nlong  c\n"; text.String() != want {
		t.Errorf("text %q, want %q", text.String(), want)
	}
	if want := "| a     | b |\n| --- | --- |\n| long  | c |\n"; md.String() != want {
		t.Errorf("md %q, want %q", md.String(), want)
	}
}
