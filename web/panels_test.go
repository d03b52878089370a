package web_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"aftershock/flags/tuning"
	"aftershock/web"
	"aftershock/web/webtest"
)

// TestTuningChart: the picture is XML that stands by itself, whatever is in it.
func TestTuningChart(t *testing.T) {
	e := func(v float64) tuning.Estimate { return tuning.Estimate{Value: v, Error: v / 10} }
	row := func(name string, scale float64) tuning.Row {
		return tuning.Row{
			Name: name, Constants: tuning.Constants{Strategy: tuning.Exponential, BaseMS: 100, CapMS: 5000, Factor: 2, MaxAttempts: 6, SlowMS: 200, TimeoutMS: 2000, DeadlineMS: 9000},
			Retries: e(0.06 * scale), P50: e(0.1), P99: e(0.7 * scale), P999: e(1.4 * scale), Failed: e(0.02 / scale), Measured: 0.05, Calls: 100,
		}
	}
	at := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	for name, r := range map[string]tuning.Result{
		"usual":   {Flag: "payments-backoff", From: at, To: at.Add(time.Hour), Calls: 1e6, Rows: []tuning.Row{row("legacy", 1), row("new", 3)}, Suggestion: &tuning.Suggestion{Row: "new"}},
		"hostile": {Flag: "<script>\"&\x1b", Service: "a\u202eb", Peer: "</svg>", Rows: []tuning.Row{row("<b>", 1), row(strings.Repeat("x", 5000), 1e9)}},
		"nothing": {},
		"zeros":   {Rows: []tuning.Row{{}}},
		"wild":    {Rows: []tuning.Row{row("a", 1e-9), row("b", 1e9), row("c", math.Inf(1)), row("d", math.NaN())}},
	} {
		picture := web.TuningChart(r)
		d := xml.NewDecoder(strings.NewReader(picture))
		texts := 0
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if s, ok := tok.(xml.StartElement); ok && s.Name.Local == "text" {
				texts++
			}
			if s, ok := tok.(xml.StartElement); ok && s.Name.Local == "script" {
				t.Errorf("%s: a script got in", name)
			}
		}
		if texts < 2 || len(picture) > 100_000 || strings.Contains(picture, "\x1b") {
			t.Errorf("%s: %d texts in %d bytes", name, texts, len(picture))
		}
	}
}

// The page of health tells how many targets answer, whoever looks at it.
func TestTargetsOnThePageOfHealth(t *testing.T) {
	s := webtest.Start(t, func(o *web.Options) {
		o.Targets = func() []web.Target {
			return []web.Target{{Address: "a:1", Up: true}, {Address: "b:2", Error: "refused"}}
		}
	})
	for name, headers := range map[string][]string{"nobody": nil, "on call": {"Cookie", signIn(t, s)}} {
		got := ask(t, "GET", s.URL+"/health", "", headers...)
		if got.StatusCode != 200 || !strings.Contains(got.body, "1 of 2 answer") || strings.Contains(got.body, "Sign out") != (name == "on call") {
			t.Errorf("for %s: %d %s", name, got.StatusCode, got.body)
		}
	}
}
