package notify

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"aftershock/detector"
)

// evil strings are pieces of names that somebody may give to a service or a binary.
var evil = []string{
	"", " ", "a", "dten-payments", "4.2.0", "/checkout/{id}", "\n", "\r\n", "\t", "\x00", "\x1b[31m", "\u202e", "\u2066", "\u200b", "\u2028", "\u2029", "\u0085",
	"\xff\xfe", "é", "e\u0301\u0301\u0301", "☃", "😀", "👩‍👩‍👧", "{{.Secret}}", "<b>", "`$(reboot)`", "\"'", "→", "×", strings.Repeat("w", 200), strings.Repeat("𝕏", 300),
}

type chance struct{ *rand.Rand }

func (c chance) name() string {
	var b strings.Builder
	for range c.IntN(6) {
		b.WriteString(evil[c.IntN(len(evil))])
	}
	return b.String()
}

func pick[T any](c chance, of ...T) T { return of[c.IntN(len(of))] }

func (c chance) indicator() detector.Indicator {
	return detector.Indicator{
		Kind: pick(c, detector.Latency, detector.Retry, detector.Error, detector.Kind(c.name())), Metric: c.name(),
		Labels: map[string]string{"service": c.name(), "http_route": c.name(), "peer": c.name(), c.name(): c.name()},
	}
}

func (c chance) alert() detector.Alert {
	number := func() float64 {
		return pick(c, 0, 1, 2.26, 1e-300, 1e300, -1e300, math.NaN(), math.Inf(1), math.Inf(-1), 123456.789)
	}
	at := func() time.Time {
		return pick(c, time.Time{}, time.Unix(1e9, 0), time.Unix(1<<40, 0), time.Unix(-1<<40, 0))
	}
	a := detector.Alert{
		Key: c.name(), Upgrade: c.name(), State: pick(c, detector.AlertPending, detector.AlertFiring, detector.AlertResolved),
		Cause: detector.Cause{
			Kind: pick(c, detector.CauseBinary, detector.CauseThirdParty, detector.CauseFlag, detector.CauseLoad, detector.CauseEnvironment, detector.CauseEarlier, detector.CauseUnknown, c.name()),
			Name: c.name(), Probability: number(),
		},
		Root:     detector.Verdict{Indicator: c.indicator(), Control: c.name(), Warnings: []string{c.name()}, Recovered: at()},
		Binaries: []detector.Binary{{Name: c.name(), From: c.name(), To: c.name()}}, Flags: []string{c.name()}, StartsAt: at(), EndsAt: at(),
		Tally: &detector.Tally{Fired: c.IntN(1e9), Marked: c.IntN(1e9), False: c.IntN(1e9)},
	}
	if c.IntN(2) == 0 {
		a.Cause.Name = a.Binaries[0].Name
	}
	if c.IntN(2) == 0 {
		a.Root.Effect = &detector.Effect{What: pick(c, "share of requests over 0.5 s", c.name()), Before: number(), After: number(), Ratio: number(), Low: number(), High: number()}
	}
	if c.IntN(2) == 0 {
		a.Root.Onset = &detector.Onset{At: at(), Earliest: at(), Latest: at()}
	}
	if c.IntN(5) == 0 {
		a.Notice = &detector.Notice{Flag: c.name(), Text: c.name() + c.name(), Command: c.name()}
	}
	return a
}

// A phone shows the first line: whatever things are called, it is one line of under 120
// characters that says what the headline says.
func TestFirstLineFitsAPhone(t *testing.T) {
	templates, err := LoadTemplates(Files{})
	if err != nil {
		t.Fatal(err)
	}
	composer := Composer{ExternalURL: "https://a.example", RunbookURL: "https://r.example/{service}/{binary}", Templates: templates}
	for seed := range uint64(3000) {
		a := chance{rand.New(rand.NewPCG(seed, 1))}.alert()
		m, err := composer.Compose("oncall", a)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		first, _, _ := strings.Cut(m.Text, "\n")
		if n := utf8.RuneCountInString(first); n >= 120 || first != m.Headline {
			t.Errorf("seed %d: the first line has %d characters and the headline is %q: %q", seed, n, m.Headline, first)
		}
		if !utf8.ValidString(m.Text) || strings.ContainsFunc(first, func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) }) {
			t.Errorf("seed %d: the first line holds what a phone may not show: %q", seed, first)
		}
	}
}
