package openmetrics

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"aftershock/sources/series"
)

type sample struct {
	Series string
	T      int64
	V      float64
}

// all lists the samples that a text holds.
func all(t testing.TB, text []byte) ([]sample, error) {
	t.Helper()
	f, err := read(context.Background(), bytes.NewReader(text), Config{})
	if err != nil {
		return nil, err
	}
	var out []sample
	first, last := f.Range()
	err = f.Series(context.Background(), first.Add(-time.Millisecond), last, func(s series.Series) error {
		for i := range s.Times {
			out = append(out, sample{s.Labels.String(), s.Times[i], s.Values[i]})
		}
		return nil
	})
	return out, err
}

// recording is a small recording of one service.
func recording(seriesCount, samples int) []byte {
	var b bytes.Buffer
	b.WriteString("# TYPE http_server_request_duration_seconds histogram\n# UNIT http_server_request_duration_seconds seconds\n")
	for s := range seriesCount {
		for _, le := range []string{"0.1", "0.25", "0.5", "1.0", "+Inf"} {
			for i := range samples {
				fmt.Fprintf(&b, "http_server_request_duration_seconds_bucket{service=\"checkout\",http_route=\"/r/%d\",instance=\"checkout-0\",le=\"%s\"} %d %d\n",
					s, le, i*(s+3), 1772550060+60*i)
			}
		}
		for i := range samples {
			fmt.Fprintf(&b, "http_server_request_duration_seconds_sum{service=\"checkout\",http_route=\"/r/%d\",instance=\"checkout-0\"} %f %d\n",
				s, float64(i)*1.7, 1772550060+60*i)
		}
	}
	b.WriteString("# EOF\n")
	return b.Bytes()
}

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []sample
	}{
		{
			"seconds, exemplars, escapes, unwanted metrics",
			"# HELP a_requests Some.\n# TYPE a_requests counter\n" +
				"a_requests_total{path=\"a\\\\b\\\"c\\n}\",x=\"1\"} 1 1000000000.5 # {trace_id=\"}\"} 1 2\n" +
				"node_load1 7 1000000000\n" +
				"a_requests_total 2e3 1000000001\n# EOF\n",
			[]sample{
				{`{__name__="a_requests_total", path="a\\b\"c\n}", x="1"}`, 1000000000500, 1},
				{`{__name__="a_requests_total"}`, 1000000001000, 2000},
			},
		},
		{
			"milliseconds, tabs, carriage returns, no end of line",
			"a_requests_total\t1\t1772550060123\r\na_requests_total { x = \"1\" , } NaN 1772550060124",
			[]sample{
				{`{__name__="a_requests_total"}`, 1772550060123, 1},
				{`{__name__="a_requests_total", x="1"}`, 1772550060124, math.NaN()},
			},
		},
		{
			"a quoted name",
			"{\"a.b_requests_total\",\"x.y\"=\"1\"} 1 1000000000\n# EOF\n",
			[]sample{{`{__name__="a.b_requests_total", "x.y"="1"}`, 1000000000000, 1}},
		},
		{
			"scrapes one after the other, out of order, and a repeated line",
			"a_requests_total 1 1000000000\nb_requests_total 1 1000000000\na_requests_total 3 1000000002\na_requests_total 3 1000000002\na_requests_total 2 1000000001\n# EOF\n",
			[]sample{
				{`{__name__="a_requests_total"}`, 1000000000000, 1},
				{`{__name__="a_requests_total"}`, 1000000001000, 2},
				{`{__name__="a_requests_total"}`, 1000000002000, 3},
				{`{__name__="b_requests_total"}`, 1000000000000, 1},
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := all(t, []byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.Comparer(func(a, b float64) bool {
				return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
			})); diff != "" {
				t.Errorf("samples (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	ok := "a_requests_total 1 1000000000\n"
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "found nothing to watch in 0 lines"},
		{"nothing wanted", "node_load1 1 1000000000\n# EOF\n", "found nothing to watch in 2 lines"},
		{"no timestamp", ok + "a_requests_total 1\n", "line 2: no timestamp"},
		{"no value", ok + "a_requests_total{a=\"b\"}\n", "line 2: no value"},
		{"bad value", ok + "a_requests_total 0x1p1 5\n", `line 2: value "0x1p1" is no number`},
		{"bad time", ok + "a_requests_total 1 soon\n", `line 2: timestamp "soon" is no time`},
		{"trailing text", ok + "a_requests_total 1 5 6\n", `line 2: unexpected "6" after the timestamp`},
		{"open label", ok + "a_requests_total{a=\"b 1 5\n", "line 2: labels are not closed"},
		{"no comma", ok + "a_requests_total{a=\"b\"c=\"d\"} 1 5\n", "line 2: labels are not separated by a comma"},
		{"bare label", ok + "a_requests_total{a} 1 5\n", `line 2: label "a" has no value`},
		{"label twice", ok + "a_requests_total{a=\"b\",a=\"c\"} 1 5\n", `line 2: label "a" is given twice`},
		{"bad name", ok + "1a_requests_total 1 5\n", `line 2: invalid metric name "1a_requests_total"`},
		{"no name", ok + "{a=\"b\"} 1 5\n", "line 2: no metric name"},
		{"not UTF-8", ok + "a_requests_total{a=\"\xff\"} 1 5\n", `line 2: label "a": value is no UTF-8`},
		{"after the end", ok + "# EOF\n" + ok, `line 3: text after "# EOF"`},
		{"two values at one time", ok + "a_requests_total 2 1000000000\n", "line 2: second value of"},
		{"two values at one time, apart", ok + "a_requests_total 2 1000000001\na_requests_total 3 1000000000\n", "two values at 2001-09-09T01:46:40Z: 1 and 3"},
		{"binary", "\x00\x01\x02\x03", "line 1: "},
		{"gzip cut off", string(zip(t, recording(1, 50))[:60]), "unexpected EOF"},
		{"zstd cut off", string(zst(t, recording(1, 50))[:60]), "unexpected EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := all(t, []byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"series", Config{MaxSeries: 3}, "more than 3 series"},
		{"samples", Config{MaxSamples: 30}, "line 33: more than 30 samples"},
		{"line", Config{MaxLine: 50}, "longer than 50 bytes"},
		{"bytes", Config{MaxBytes: 1000}, "more than 1000 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := read(context.Background(), bytes.NewReader(recording(1, 50)), tc.cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one with %q", err, tc.want)
			}
		})
	}
}

func zip(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zst(t testing.TB, b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

func TestCompressed(t *testing.T) {
	text := recording(2, 20)
	want, err := all(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != 2*5*20 {
		t.Errorf("%d samples, want %d", len(want), 2*5*20)
	}
	for name, b := range map[string][]byte{"plain": text, "gzip": zip(t, text), "zstd": zst(t, text)} {
		path := filepath.Join(t.TempDir(), "telemetry")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(context.Background(), Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if f.Samples() != len(want) || len(f.Warnings()) > 0 {
			t.Errorf("%s: %d samples, warnings %q, want %d and none", name, f.Samples(), f.Warnings(), len(want))
		}
	}
	f, err := read(context.Background(), bytes.NewReader(bytes.TrimSuffix(text, []byte("# EOF\n"))), Config{})
	if err != nil || len(f.Warnings()) != 1 {
		t.Errorf("without EOF: %v, want one warning", err)
	}
}

// TestRange holds that consecutive reads share no sample and lose none.
func TestRange(t *testing.T) {
	f, err := read(context.Background(), bytes.NewReader(recording(2, 20)), Config{})
	if err != nil {
		t.Fatal(err)
	}
	first, last := f.Range()
	n := 0
	for at := first.Add(-time.Second); at.Before(last); at = at.Add(7 * time.Minute) {
		err := f.Series(context.Background(), at, at.Add(7*time.Minute), func(s series.Series) error {
			n += len(s.Times)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n != f.Samples() {
		t.Errorf("read %d samples in parts, want %d", n, f.Samples())
	}
}

func FuzzRead(f *testing.F) {
	f.Add(recording(1, 3))
	f.Add([]byte("a_requests_total{path=\"a\\\\b\\\"c\\n}\",x=\"1\"} 1 1000000000.5 # {trace_id=\"}\"} 1 2\n# EOF\n"))
	f.Add([]byte("{\"a.b_requests_total\",\"x.y\"=\"1\"} 1 1000000000\n# EOF\n"))
	f.Add([]byte("a_requests_total 1 1000000000\na_requests_total 1e308 1000000001\na_requests_total -Inf 1000000002"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1 && (text[0] == 0x1f || text[0] == 0x28) {
			return // compressed: the decompressors have their own tests
		}
		got, err := all(t, text)
		if err != nil {
			return
		}
		for i := 1; i < len(got); i++ {
			if got[i].Series == got[i-1].Series && got[i].T <= got[i-1].T {
				t.Fatalf("%v isn't later than %v", got[i], got[i-1])
			}
		}
	})
}

func FuzzValue(f *testing.F) {
	for _, s := range []string{"", "0", "1.5", "123456789012345", "1234567890123456", "0.000001", "1e5", "NaN", "+Inf", "-1", ".5", "5.", "99999999999999.9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseValue([]byte(s))
		want, slow := parseSlow([]byte(s))
		if (err == nil) != (slow == nil) || err == nil && math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("parseValue(%q) = %v, %v, want %v, %v", s, got, err, want, slow)
		}
	})
}
