package scrape

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/proto"
)

func gzipped(body []byte) http.HandlerFunc {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body)
	_ = z.Close()
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(b.Bytes())
	}
}

func delimited(t testing.TB, families ...*dto.MetricFamily) http.HandlerFunc {
	t.Helper()
	var b bytes.Buffer
	for _, f := range families {
		m, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(binary.AppendUvarint(nil, uint64(len(m))))
		b.Write(m)
	}
	return typed("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", b.String())
}

// TestHostile scrapes a bad target beside a good one: the bad one gets one clear
// line however often it is scraped and is down, the good one stays whole.
func TestHostile(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for i := 0; r.Context().Err() == nil; i++ {
			if _, err := fmt.Fprintf(w, "m%d{%s=\"x\"} 1\n", i, strings.Repeat("l", 1000)); err != nil {
				return
			}
		}
	}
	line := "m{" + strings.Repeat("x", 600) + "=\"1\"} 1\n"
	for _, tt := range []struct {
		name    string
		answer  http.HandlerFunc
		outcome outcome
		want    string // in the log line and in the status
	}{
		{"broken text", text("a 1\nb{x=\"1\" 2\n"), outcomeMalformed, "parse answer after 1 samples: "},
		{"openmetrics without its end", typed("application/openmetrics-text; version=1.0.0", "a 1\n"), outcomeMalformed, "data does not end with # EOF"},
		{"binary rubbish", typed("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", "\xff\xff\xff\xff\x0f\x01\x02"), outcomeMalformed, "parse answer after 0 samples: "},
		{"a web page", typed("text/html", "<html></html>"), outcomeMalformed, `answer of type "text/html" is no metrics page`},
		{"no type and no metrics", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "<html></html>")
		}, outcomeMalformed, "parse answer after 0 samples: "},
		{"endless", endless, outcomeTooLarge, "answer is larger than 1048576 bytes: expose less, or raise body_size_limit"},
		{"gzip bomb", gzipped(make([]byte, 8<<20)), outcomeTooLarge, "answer is larger than 1048576 bytes"},
		{"endless empty gzip members", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Encoding", "gzip")
			var b bytes.Buffer
			for b.Len() < 64<<10 {
				_ = gzip.NewWriter(&b).Close()
			}
			for r.Context().Err() == nil {
				if _, err := w.Write(b.Bytes()); err != nil {
					return
				}
			}
		}, outcomeMalformed, "answer ends too early"},
		{"not gzip at all", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, strings.Repeat("a 1\n", 100))
		}, outcomeMalformed, "answer isn't valid gzip"},
		{"unknown encoding", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "a 1\n")
		}, outcomeMalformed, `answer is encoded in "br"`},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "a 1\n")
		}, outcomeMalformed, "answer ends too early"},
		{"hung up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, outcomeUnreachable, "read target: "},
		{"slow loris", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "#")
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}, outcomeTimeout, "no whole answer within 200ms: see why the target is slow"},
		{"huge label value", text("a{x=\"" + strings.Repeat("v", 900_000) + "\"} 1\n"), outcomeLimit, "label value of x in a is 900000 bytes long, more than 4096"},
		{"huge label name", text(line), outcomeLimit, "label name xxx"},
		{"too many labels", text("a{" + labelList(100) + "} 1\n"), outcomeLimit, "series of a has 104 labels, more than 64"},
		{"too many samples", text(numbered(2000)), outcomeLimit, "answer has more than 1000 samples: expose less, or raise sample_limit"},
		{"same label twice", text("a{x=\"1\",x=\"2\"} 1\n"), outcomeMalformed, `label "x" comes twice in a`},
		{"unauthorized", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, outcomeStatus, "401 Unauthorized: give credentials in http_client"},
		{"endless redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, outcomeUnreachable, "stopped after 10 redirects"},
		{"impossible native histogram", delimited(t, &dto.MetricFamily{
			Name: proto.String("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
				SampleCount: proto.Uint64(1), SampleSum: proto.Float64(1), Schema: proto.Int32(3), ZeroThreshold: proto.Float64(0.001),
				PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(4_000_000_000)}}, PositiveDelta: []int64{1},
			}}},
		}), outcomeMalformed, "h"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad, good := newPage(t, tt.answer), newPage(t, text("good 1\n"))
			c := testConfig(good.addr(), bad.addr())
			c.Interval, c.Timeout = model.Duration(time.Minute), model.Duration(20*time.Second)
			if tt.outcome == outcomeTimeout {
				c.Timeout = model.Duration(200 * time.Millisecond)
			}
			c.BodySizeLimit, c.SampleLimit = 1<<20, 1000
			s, hook := open(t, c, t.TempDir())
			ls := loops(t, s)
			for i := range 3 {
				for _, l := range ls {
					l.scrape(t.Context(), at(i))
				}
			}
			log := lines(hook)
			if len(log) != 1 || !strings.Contains(log[0], tt.want) || len(log[0]) > 600 {
				t.Errorf("log = %.700q, want one line with %q", log, tt.want)
			}
			if got := s.targetError(ls[1]); !strings.Contains(got, tt.want) {
				t.Errorf("status = %q, want %q in it", got, tt.want)
			}
			if got := testutil.ToFloat64(s.metrics.scrapes.WithLabelValues(string(tt.outcome))); got != 3 {
				t.Errorf("aftershock_scrapes_total{outcome=%q} = %g, want 3", tt.outcome, got)
			}
			got := dump(t, s)
			want := map[string][]string{
				key("good", good.addr()): {"1", "1", "1"},
				key("up", good.addr()):   {"1", "1", "1"},
				key("up", bad.addr()):    {"0", "0", "0"},
			}
			for k := range got {
				if strings.HasPrefix(k, `{__name__="scrape_`) {
					delete(got, k)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("stored (-want +got):\n%s", d)
			}
		})
	}
}

func key(name, instance string) string {
	return fmt.Sprintf(`{__name__=%q, instance=%q, job="aftershock", service="checkout"}`, name, instance)
}

func labelList(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "l%d=\"1\",", i)
	}
	return b.String()
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "m%d 1\n", i)
	}
	return b.String()
}

// TestOddButHarmless scrapes what is strange and still counts as an answer.
func TestOddButHarmless(t *testing.T) {
	stale := math.Float64frombits(0x7ff0000000000002)
	wide := &dto.Histogram{
		SampleCount: proto.Uint64(8000), SampleSum: proto.Float64(1), Schema: proto.Int32(8), ZeroThreshold: proto.Float64(0.001),
		PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(8000)}}, PositiveDelta: append([]int64{1}, make([]int64, 7999)...),
	}
	for _, tt := range []struct {
		name    string
		answer  http.HandlerFunc
		want    []string // samples of m
		dropped float64
	}{
		{"not a number", text("m NaN\n"), []string{"NaN"}, 0},
		{"infinite", text("m +Inf\n"), []string{"+Inf"}, 0},
		{"series twice", text("m 1\nm 2\n"), []string{"1"}, 1},
		{"series twice, spelled differently", text("m{a=\"\",job=\"\"} 1\nm 1\n"), []string{"1"}, 0},
		{"timestamp far ahead", text("m 1 99999999999999\n"), []string{"1"}, 0},
		{"timestamp far back", text("m 1 1\n"), []string{"1"}, 0},
		{"nothing", text(""), nil, 0},
		{"a stale marker of its own", delimited(t, &dto.MetricFamily{
			Name: proto.String("m"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &stale}}},
		}), []string{"NaN"}, 0},
		{"a native histogram too fine", delimited(t, &dto.MetricFamily{
			Name: proto.String("m"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: wide}},
		}), []string{"hist(8000)"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPage(t, tt.answer)
			s, _ := open(t, testConfig(p.addr()), t.TempDir())
			l := loops(t, s)[0]
			l.scrape(t.Context(), at(1))
			if got := s.targetError(l); got != "" {
				t.Fatal(got)
			}
			got := dump(t, s)
			if d := cmp.Diff(tt.want, got[key("m", p.addr())]); d != "" {
				t.Errorf("samples (-want +got):\n%s", d)
			}
			if n := testutil.ToFloat64(s.metrics.dropped.WithLabelValues(dropDuplicate)); n != tt.dropped {
				t.Errorf("dropped duplicates = %g, want %g", n, tt.dropped)
			}
		})
	}
}

// TestClockSetBack scrapes with a clock that goes back: nothing fails, the
// samples are counted, and one line says so.
func TestClockSetBack(t *testing.T) {
	p := newPage(t, text("m 1\n"))
	s, hook := open(t, testConfig(p.addr()), t.TempDir())
	l := loops(t, s)[0]
	for _, i := range []int{10, 5, 6, 11} {
		l.scrape(t.Context(), at(i))
	}
	if got := dump(t, s)[key("m", p.addr())]; !cmp.Equal(got, []string{"1", "1"}) {
		t.Errorf("samples = %v, want two", got)
	}
	if log := lines(hook); len(log) != 1 || !strings.Contains(log[0], "check that clocks go forward") {
		t.Errorf("log = %q, want one line", log)
	}
	if got := testutil.ToFloat64(s.metrics.dropped.WithLabelValues(dropOutOfOrder)); got == 0 {
		t.Error("no sample was counted as out of order")
	}
}

// TestManyLargeAnswers lets more answers be in memory than there is room for:
// large ones are refused then, small ones aren't.
func TestManyLargeAnswers(t *testing.T) {
	small, large := newPage(t, text("m 1\n")), newPage(t, text("# "+strings.Repeat("x", 2<<20)+"\nm 1\n"))
	s, _ := open(t, testConfig(small.addr(), large.addr()), t.TempDir())
	ls := loops(t, s)
	s.bodies.Store(maxBodies)
	for _, l := range ls {
		l.scrape(t.Context(), at(1))
	}
	if got := s.targetError(ls[0]); got != "" {
		t.Errorf("small: %s", got)
	}
	if got := s.targetError(ls[1]); !strings.Contains(got, "answers that are being read hold more than 512 MiB together") {
		t.Errorf("large: %q", got)
	}
	if got := s.bodies.Load(); got != maxBodies {
		t.Errorf("%d bytes are held after the scrapes, want %d", got, maxBodies)
	}
}

// TestOpenMetricsWithoutStartTimes scrapes one long metric: the search for start
// times must not cost the square of its length (minutes, here).
func TestOpenMetricsWithoutStartTimes(t *testing.T) {
	var b strings.Builder
	b.WriteString("# TYPE m counter\n")
	const n = 30_000
	for i := range n {
		fmt.Fprintf(&b, "m_total{i=\"%d\"} 1\n", i)
	}
	p := newPage(t, typed("application/openmetrics-text; version=1.0.0", b.String()+"# EOF\n"))
	c := testConfig(p.addr())
	c.Interval, c.Timeout = model.Duration(time.Minute), model.Duration(time.Minute)
	s, _ := open(t, c, t.TempDir())
	l := loops(t, s)[0]
	begin := time.Now()
	l.scrape(t.Context(), at(1))
	if took := time.Since(begin); took > 20*time.Second || l.status.Samples != n {
		t.Errorf("scrape of %d samples took %s: %s", l.status.Samples, took, s.targetError(l))
	}
}

// TestSeriesLimit fills the store with series; known ones go on.
func TestSeriesLimit(t *testing.T) {
	good, bad := newPage(t, text("good 1\n")), newPage(t, text(numbered(10)))
	c := testConfig(good.addr(), bad.addr())
	c.SeriesLimit = 12
	s, hook := open(t, c, t.TempDir())
	ls := loops(t, s)
	for i := range 3 {
		for _, l := range ls {
			l.scrape(t.Context(), at(i))
		}
	}
	if got := dump(t, s)[key("good", good.addr())]; !cmp.Equal(got, []string{"1", "1", "1"}) {
		t.Errorf("good = %v", got)
	}
	if log := lines(hook); len(log) != 1 || !strings.Contains(log[0], "raise series_limit") {
		t.Errorf("log = %q", log)
	}
}

// TestFlapping counts the lines of a target that is up and down in turn.
func TestFlapping(t *testing.T) {
	up := text("m 1\n")
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }
	p := newPage(t, up)
	s, hook := open(t, testConfig(p.addr()), t.TempDir())
	l := loops(t, s)[0]
	for i := range 120 {
		p.set([]http.HandlerFunc{up, down}[i%2])
		l.scrape(t.Context(), at(i))
	}
	if n := len(lines(hook)); n < 2 || n > 8 {
		t.Errorf("%d lines for 120 changes in 2 minutes, want 2 to 8", n)
	}
}
