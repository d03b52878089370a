package words_test

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"aftershock/detector"
	"aftershock/detector/words"
)

func TestClean(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "checkout /place", "checkout /place"},
		{"lines", " a\r\n\tb\x00\x1b[31mc ", "a b [31mc"},
		{"direction", "safe\u202Egnp.exe\u2066x\u200Fy\u200B", "safegnp.exexy"},
		{"bad bytes", "a\xff\xfeb", "ab"},
		{"long", strings.Repeat("x", 10_000), strings.Repeat("x", 19) + "…"},
		{"only spaces, then a word", strings.Repeat(" ", 10_000) + "x", "…"},
		{"exact", strings.Repeat("é", 20), strings.Repeat("é", 20)},
		{"one over", strings.Repeat("é", 21), strings.Repeat("é", 19) + "…"},
		{"markup stays for the medium to escape", "<b>{{.}}", "<b>{{.}}"},
	} {
		if got := words.Clean(tc.in, 20); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x00\u202Eb", 4)
	f.Add(strings.Repeat("\u200b", 300)+"x", 7)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 0 || limit > 1000 {
			return // limits are small constants
		}
		got := words.Clean(s, limit)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > limit {
			t.Errorf("Clean(%q, %d) = %q: invalid or too long", s, limit, got)
		}
		if strings.IndexFunc(got, func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Cf) }) >= 0 {
			t.Errorf("Clean(%q, %d) = %q: control or format characters left", s, limit, got)
		}
		if again := words.Clean(got, limit); again != got {
			t.Errorf("Clean isn't idempotent: %q then %q", got, again)
		}
	})
}

func TestFigures(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	inf := math.Inf(1)
	for _, tc := range []struct{ got, want string }{
		{words.Share(0.0231), "2.31%"},
		{words.Share(1), "100%"},
		{words.Bytes(0), "0 kB"},
		{words.Bytes(310_000), "310 kB"},
		{words.Bytes(12_345_678), "12.3 MB"},
		{words.Bytes(1e15), "1000 TB"},
		{words.Share(0), "0%"},
		{words.Share(0.000123), "0.0123%"},
		{words.Share(1.23e-9), "0.000000123%"},
		{words.Share(math.NaN()), "unknown"},
		{words.Number(0.3), "0.3"},
		{words.Number(1250), "1250"},
		{words.Number(99.96), "100"},
		{words.Number(-0.0412), "-0.0412"},
		{words.Count(1234567.4), "1,234,567"},
		{words.Count(999), "999"},
		{words.Count(-1000), "-1,000"},
		{words.Ratio(detector.Effect{Ratio: 2.26, Low: 1.71, High: 2.9}), "×2.26 (1.71–2.90)"},
		{words.Ratio(detector.Effect{Ratio: 23.44, Low: 9, High: inf}), "×23.4 (9.00–∞)"},
		{words.Change(detector.Effect{What: "retries per call", Before: 0.02, After: 0.0912, Ratio: 4.56, Low: 4, High: 5}), "retries per call: 0.02 → 0.0912, ×4.56 (4.00–5.00)"},
		{words.BeforeAfter(detector.Effect{What: "share of requests over 0.5 s", Before: 0.0102, After: 0.0231}), "1.02% → 2.31%"},
		{words.BeforeAfter(detector.Effect{What: "share of failed requests", Before: 0.00002, After: 0.000001}), "0.002% → 0.0001%"},
		{words.BeforeAfter(detector.Effect{What: "share of failed requests", Before: 4.5e-8, After: 2.7e-9}), "0.0000045% → 0.00000027%"},
		{words.BeforeAfter(detector.Effect{What: "share of failed requests", Before: 0.00002}), "0.002% → none"},
		{words.BeforeAfter(detector.Effect{What: "retries per call", Before: 0.02}), "0.02 → 0"},
		{words.BeforeAfter(detector.Effect{What: "p99 (summary)", Before: 0.00412, After: 0.31}), "4.12 ms → 0.31 s"},
		{words.Value("p95 (gauge)", 0.5), "0.5 s"},
		{words.Seconds(0.5), "0.5 s"},
		{words.Seconds(0.0005), "0.5 ms"},
		{words.Bucket(detector.Interval{Lower: 0.25, Upper: 0.5}), "0.25–0.5 s"},
		{words.Bucket(detector.Interval{Lower: 0.0025, Upper: 0.005}), "2.5–5 ms"},
		{words.Bucket(detector.Interval{Lower: 10, Upper: inf}), "over 10 s"},
		{words.Bucket(detector.Interval{Lower: 0, Upper: 0.005}), "up to 5 ms"},
		{words.Bucket(detector.Interval{Lower: math.NaN(), Upper: 1}), "unknown"},
		{words.Quantile(0.99), "p99"},
		{words.Quantile(0.999), "p99.9"},
		{words.Time(at("2026-03-06T10:15:00+01:00")), "2026-03-06 09:15 UTC"},
		{words.Time(at("2026-03-06T09:15:07Z")), "2026-03-06 09:15:07 UTC"},
		{words.Time(time.Time{}), "unknown"},
		{words.Range(at("2026-03-06T09:00:00Z"), at("2026-03-06T09:26:00Z")), "2026-03-06 09:00–09:26 UTC"},
		{words.Range(at("2026-03-06T23:00:00Z"), at("2026-03-07T01:00:00Z")), "2026-03-06 23:00 – 2026-03-07 01:00 UTC"},
		{words.Onset(detector.Onset{At: at("2026-03-06T09:15:00Z"), Earliest: at("2026-03-06T09:05:00Z"), Latest: at("2026-03-07T09:25:00Z")}), "2026-03-06 09:15 UTC (between 09:05 and 2026-03-07 09:25)"},
		{words.Duration(0), "0 s"},
		{words.Duration(1400 * time.Millisecond), "1.4 s"},
		{words.Duration(45 * time.Second), "45 s"},
		{words.Duration(59700 * time.Millisecond), "1 min"},
		{words.Duration(4*time.Minute + 12*time.Second), "4 min 12 s"},
		{words.Duration(26 * time.Minute), "26 min"},
		{words.Duration(59*time.Minute + 40*time.Second), "1 h"},
		{words.Duration(65 * time.Minute), "1 h 5 min"},
		{words.Duration(51 * time.Hour), "2 d 3 h"},
		{words.Duration(-90 * time.Second), "−1 min 30 s"},
		{words.Probability(0.93), "93%"},
		{words.Probability(1), "over 99%"},
		{words.Probability(0.001), "under 1%"},
		{words.Placebos(&detector.FalseAlarms{Fired: 1, Placebos: 96}), "this rule fired at 1 of 96 placebo upgrades here"},
		{words.Placebos(nil), "this rule has no placebo figure here yet (too little quiet history)"},
		{words.Tally(detector.Tally{Fired: 9, Marked: 4, False: 1}), "people marked 1 of 4 alerts as false (25%), of 9 that fired here"},
		{words.Tally(detector.Tally{Fired: 9}), "people marked none of the 9 alerts that fired here"},
		{words.Tally(detector.Tally{Fired: 1}), "nobody marked the one alert that fired here"},
		{words.Tally(detector.Tally{}), ""},
		{words.SetFlag("payments-backoff", "legacy", "p99 up"), "aftershock flags set payments-backoff legacy --reason 'p99 up'"},
		{words.SetFlag("x; rm -rf $(HOME)", "", "it's\nbad"), `aftershock flags set 'x; rm -rf $(HOME)' SAFE_VARIANT --reason 'it'\''s bad'`},
		{words.Series(detector.Indicator{Metric: "m", Labels: map[string]string{"b": `x"y`, "a": "1"}}), `m{a="1",b="x\"y"}`},
		{words.Place(detector.Indicator{Kind: detector.Retry, Metric: "m", Labels: map[string]string{"service": "payments", "peer": "acme-pay"}}), "payments → acme-pay"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestHeadline(t *testing.T) {
	onset := time.Date(2026, 3, 6, 9, 15, 0, 0, time.UTC)
	base := detector.Alert{
		State: detector.AlertFiring,
		Cause: detector.Cause{Kind: detector.CauseBinary, Name: "dten-payments", Probability: 0.93},
		Root: detector.Verdict{
			Indicator: detector.Indicator{Kind: detector.Latency, Metric: "m", Labels: map[string]string{"service": "checkout", "http_route": "/place"}},
			Effect:    &detector.Effect{What: "share of requests over 0.5 s", Ratio: 2.26},
			Onset:     &detector.Onset{At: onset},
		},
		Binaries: []detector.Binary{{Name: "dten-payments", From: "4.1.3", To: "4.2.0"}},
	}
	resolved := base
	resolved.State, resolved.EndsAt = detector.AlertResolved, onset.Add(time.Hour)
	unknown := base
	unknown.Cause = detector.Cause{Kind: detector.CauseUnknown}
	suspicious := base
	suspicious.Cause.Probability = 0.4
	hostile := base
	hostile.Root.Indicator.Labels = map[string]string{"service": strings.Repeat("s", 10_000), "http_route": strings.Repeat("\u202Er", 10_000)}
	hostile.Root.Effect = &detector.Effect{What: strings.Repeat("w", 10_000), Ratio: 1e300}
	hostile.Cause.Name = strings.Repeat("b", 10_000)
	for _, tc := range []struct {
		name  string
		alert detector.Alert
		want  string
	}{
		{"firing", base, "checkout /place: requests over 0.5 s ×2.26 since 09:15 UTC, dten-payments 4.1.3 → 4.2.0 (93%)"},
		{"resolved", resolved, "Resolved: checkout /place: requests over 0.5 s ×2.26 until 10:15 UTC, dten-payments 4.1.3 → 4.2.0 (93%)"},
		{"unknown cause", unknown, "checkout /place: requests over 0.5 s ×2.26 since 09:15 UTC, cause unknown"},
		{"a suspect", suspicious, "checkout /place: requests over 0.5 s ×2.26 since 09:15 UTC, perhaps dten-payments 4.1.3 → 4.2.0 (40%)"},
		{"nothing known", detector.Alert{}, "an indicator: shifted"},
		{"hostile", hostile, ""},
	} {
		got := words.Headline(tc.alert)
		if tc.want != "" && got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
		if n := utf8.RuneCountInString(got); n >= 120 {
			t.Errorf("%s: %d characters, want under 120: %q", tc.name, n, got)
		}
	}
}
