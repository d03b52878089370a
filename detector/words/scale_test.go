package words_test

import (
	"testing"

	"aftershock/detector"
	"aftershock/detector/words"
)

// TestAxis: the axis follows from the kind of indicator and what is told of it alone.
func TestAxis(t *testing.T) {
	for _, c := range []struct {
		kind       detector.Kind
		what, want string
	}{
		{detector.Latency, "share of requests over 0.5 s", "linear axis from 0"},
		{detector.Latency, "p99 (summary)", "logarithmic axis"},
		{detector.Latency, "p99 (gauge)", "logarithmic axis"},
		{detector.Retry, "retries per call", "linear axis from 0"},
		{detector.Error, "share of failed requests", "logarithmic axis"},
	} {
		if got := words.Axis(detector.Indicator{Kind: c.kind}, c.what); got != c.want {
			t.Errorf("%s, %s: got %q, want %q", c.kind, c.what, got, c.want)
		}
	}
}

func TestUnit(t *testing.T) {
	for kind, want := range map[detector.Kind]string{detector.Error: "share of failed requests", detector.Retry: "retries per call", detector.Latency: ""} {
		v := detector.Verdict{Indicator: detector.Indicator{Kind: kind}}
		if got := words.Unit(v); got != want {
			t.Errorf("%s without an effect: got %q, want %q", kind, got, want)
		}
		v.Effect = &detector.Effect{What: "p99 (gauge)"}
		if got := words.Unit(v); got != "p99 (gauge)" {
			t.Errorf("%s: got %q, want the effect's", kind, got)
		}
	}
}

// TestCounted: a last block that is hardly begun is left out, and no other.
func TestCounted(t *testing.T) {
	for name, c := range map[string]struct {
		totals []float64
		want   int
	}{
		"none": {nil, 0}, "two": {[]float64{10, 1}, 2}, "whole": {[]float64{10, 10, 5}, 3},
		"hardly begun": {[]float64{10, 10, 4}, 2}, "less before": {[]float64{10, 1, 9}, 3},
	} {
		var course []detector.CoursePoint
		for _, n := range c.totals {
			course = append(course, detector.CoursePoint{Total: n})
		}
		if got := len(words.Counted(course)); got != c.want {
			t.Errorf("%s: %d of %d blocks are left, want %d", name, got, len(course), c.want)
		}
	}
}

func TestMiddle(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"dten-payments", 13, "dten-payments"},
		{"dten-payments", 9, "dten…ents"},
		{"dten-payments", 8, "dten…nts"},
		{"éééééééééé-b", 5, "éé…-b"},
		{"a  b  c  d  e", 5, "a…e"},
		{"abcdef", 2, "a…"},
		{"", 5, ""},
	} {
		if got := words.Middle(c.in, c.limit); got != c.want {
			t.Errorf("%q at %d: got %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}
