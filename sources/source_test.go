package sources

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/sources/openmetrics"
	"aftershock/sources/series"
	"aftershock/sources/tsdbdir"
)

var epoch = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

// recording is one service with two instances, of which one is replaced by a
// new build after an hour, over two hours.
func recording() []series.Series {
	var out []series.Series
	put := func(from, to int, value func(i int) float64, lbls ...string) {
		s := series.Series{Labels: labels.FromStrings(lbls...)}
		for i := from; i < to; i++ {
			s.Times = append(s.Times, epoch.Add(time.Duration(i)*30*time.Second).UnixMilli())
			s.Values = append(s.Values, value(i-from))
		}
		out = append(out, s)
	}
	run := func(inst, version string, from, to int) {
		for n, le := range []string{"0.1", "0.5", "+Inf"} {
			put(from, to, func(i int) float64 { return float64((n + 5) * (i + 1)) },
				model.MetricNameLabel, "http_request_duration_seconds_bucket", "service", "s", "instance", inst, "le", le)
		}
		put(from, to, func(i int) float64 { return float64(10 * i) }, model.MetricNameLabel, "tp_requests_total", "service", "s", "peer", "p", "instance", inst)
		put(from, to, func(i int) float64 { return float64(i) }, model.MetricNameLabel, "tp_retries_total", "service", "s", "peer", "p", "instance", inst)
		put(from, to, func(int) float64 { return 1 }, model.MetricNameLabel, "s_build_info", "service", "s", "instance", inst, "version", version)
	}
	run("a", "1", 0, 240)
	run("b", "1", 0, 120)
	run("c", "2", 121, 240)
	return out
}

func asText(all []series.Series) []byte {
	var b bytes.Buffer
	for _, s := range all {
		name := s.Labels.Get(model.MetricNameLabel)
		var pairs []string
		s.Labels.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel {
				pairs = append(pairs, fmt.Sprintf("%s=%q", l.Name, l.Value))
			}
		})
		for i := range s.Times {
			fmt.Fprintf(&b, "%s{%s} %v %d\n", name, strings.Join(pairs, ","), s.Values[i], s.Times[i]/1000)
		}
	}
	b.WriteString("# EOF\n")
	return b.Bytes()
}

func asTSDB(t *testing.T, all []series.Series) string {
	t.Helper()
	dir := t.TempDir()
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	app := db.Appender(context.Background())
	for _, s := range all {
		for i := range s.Times {
			if _, err := app.Append(0, s.Labels, s.Times[i], s.Values[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(app.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func quiet() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(&bytes.Buffer{})
	return l
}

func collect(t *testing.T, s *Source, start, end time.Time, step time.Duration) []detector.Frame {
	t.Helper()
	var out []detector.Frame
	if err := s.Frames(context.Background(), start, end, step, func(f detector.Frame) error {
		out = append(out, f)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSameFrames holds that one recording gives equal frames by every way, in
// one call, in many, and after a restart in the middle.
func TestSameFrames(t *testing.T) {
	all := recording()
	path := filepath.Join(t.TempDir(), "telemetry.om")
	if err := os.WriteFile(path, asText(all), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := asTSDB(t, all)
	end := epoch.Add(2 * time.Hour)
	var want []detector.Frame
	for _, where := range []string{path, dir} {
		cfg, err := At(where)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(context.Background(), cfg, "", quiet(), prometheus.NewPedanticRegistry())
		if err != nil {
			t.Fatal(err)
		}
		first, last, err := s.Range(context.Background())
		if err != nil || !first.Equal(epoch) || !last.Equal(epoch.Add(239*30*time.Second)) {
			t.Errorf("%s: range %v to %v, %v", where, first, last, err)
		}
		got := collect(t, s, epoch, end, time.Minute)
		if want == nil {
			want = got
			if len(want) != 120 {
				t.Fatalf("%d frames, want 120", len(want))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: frames (-file +this):\n%s", where, diff)
		}
		var parts []detector.Frame
		for at := epoch; at.Before(end); at = at.Add(20 * time.Minute) {
			parts = append(parts, collect(t, s, at, at.Add(20*time.Minute), time.Minute)...)
		}
		if diff := cmp.Diff(want, parts); diff != "" {
			t.Errorf("%s: in parts (-whole +parts):\n%s", where, diff)
		}
		if diff := cmp.Diff(want[50:], collect(t, s, epoch.Add(50*time.Minute), end, time.Minute)); diff != "" {
			t.Errorf("%s: from the middle (-whole +primed):\n%s", where, diff)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	total := 0.0
	for _, f := range want {
		for _, p := range f.Points {
			if p.Indicator.Kind == detector.Retry && p.Instance == "c" {
				total += p.Total
				if p.Version != "2" {
					t.Errorf("version of %s at %v = %q, want 2", p.Instance, f.Time, p.Version)
				}
			}
		}
	}
	if total != 1180 {
		t.Errorf("the new instance counted %v calls, want 1180", total)
	}
}

// flaky is a reader that fails when it is told to, after some series.
type flaky struct {
	all  []series.Series
	fail error
	from []time.Time
}

func (r *flaky) Series(_ context.Context, start, end time.Time, add func(series.Series) error) error {
	r.from = append(r.from, start)
	for n, s := range r.all {
		if r.fail != nil && n == len(r.all)/2 {
			return r.fail
		}
		var part series.Series
		part.Labels = s.Labels
		for i, at := range s.Times {
			if at > start.UnixMilli() && at <= end.UnixMilli() {
				part.Times, part.Values = append(part.Times, at), append(part.Values, s.Values[i])
			}
		}
		if err := add(part); err != nil {
			return err
		}
	}
	return nil
}

// TestFailureLosesNothing holds that a read that broke off is made good by the
// next, and that only what is new is read.
func TestFailureLosesNothing(t *testing.T) {
	r := &flaky{all: recording()}
	whole, err := New(&flaky{all: r.all}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := collect(t, whole, epoch, epoch.Add(30*time.Minute), time.Minute)
	s, err := New(r, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := collect(t, s, epoch, epoch.Add(10*time.Minute), time.Minute)
	r.fail = errors.New("connection refused")
	err = s.Frames(context.Background(), epoch.Add(10*time.Minute), epoch.Add(20*time.Minute), time.Minute, func(detector.Frame) error {
		t.Error("a frame from a read that failed")
		return nil
	})
	if !errors.Is(err, r.fail) || !strings.Contains(err.Error(), "2026-03-05T12:10:00Z to 2026-03-05T12:20:00Z") {
		t.Errorf("error = %v", err)
	}
	r.fail = nil
	got = append(got, collect(t, s, epoch.Add(10*time.Minute), epoch.Add(30*time.Minute), time.Minute)...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
	for n, from := range r.from[1:] {
		if from.Before(epoch.Add(10 * time.Minute)) {
			t.Errorf("read %d went back to %v", n+1, from)
		}
	}
}

// TestYieldError holds that an error of yield comes back, and that its frame
// isn't given again when reading goes on.
func TestYieldError(t *testing.T) {
	s, err := New(&flaky{all: recording()}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	n := 0
	err = s.Frames(context.Background(), epoch, epoch.Add(30*time.Minute), time.Minute, func(detector.Frame) error {
		if n++; n == 5 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Errorf("error = %v, want %v", err, stop)
	}
	got := collect(t, s, epoch.Add(5*time.Minute), epoch.Add(30*time.Minute), time.Minute)
	if len(got) != 25 || !got[0].Time.Equal(epoch.Add(6*time.Minute)) {
		t.Errorf("%d frames, want 25 from minute 6 on", len(got))
	}
}

func TestSmallSteps(t *testing.T) {
	s, err := New(&flaky{all: recording()}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Samples come every 30 s: most steps of a second have no frame.
	got := collect(t, s, epoch, epoch.Add(10*time.Minute+500*time.Millisecond), time.Second)
	if len(got) != 20 || got[0].Step != time.Second {
		t.Errorf("%d frames, want 20", len(got))
	}
}

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"none", Config{}, []string{"sources: give exactly one of prometheus, scrape, tsdb and openmetrics, not 0 of them"}},
		{
			"two",
			Config{TSDB: &tsdbdir.Config{Path: "x"}, OpenMetrics: &openmetrics.Config{Path: "y"}},
			[]string{"sources: give exactly one of prometheus, scrape, tsdb and openmetrics, not 2 of them"},
		},
		{"no path", Config{TSDB: &tsdbdir.Config{}}, []string{"sources.tsdb.path: missing: give the directory to read"}},
		{"no file", Config{OpenMetrics: &openmetrics.Config{}}, []string{"sources.openmetrics.path: missing: give the file to read"}},
		{"good", Config{OpenMetrics: &openmetrics.Config{Path: "y"}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, err := range tc.cfg.Validate("sources") {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := At(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("At(missing file) gives no error")
	}
}
