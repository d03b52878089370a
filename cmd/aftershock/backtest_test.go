package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"aftershock/detector"
)

// The recording: a sample a minute of two services, an upgrade at six o'clock.
var (
	recordBegins  = time.Date(2026, 3, 6, 0, 0, 0, 0, time.UTC)
	recordUpgrade = recordBegins.Add(6 * time.Hour)
	recordEnds    = recordBegins.Add(10 * time.Hour)
)

const backtestConfig = `
sources: {prometheus: {url: http://127.0.0.1:9090}}
watch: {step: 1m, day: 2h, baseline: 4h, duration: 24h, warmup: 1m}
`

const upgradeRecord = `{
 "id": "dten-4.2.0", "package": "Full-upgrade-package-dten.zip",
 "started_at": "2026-03-06T06:00:00Z", "finished_at": "2026-03-06T06:01:00Z",
 "binaries": [
  {"name": "dten-payments", "from": "4.1.3", "to": "4.2.0", "selector": {"service": "payments"}, "deployed_at": "2026-03-06T06:00:00Z"},
  {"name": "dten-catalog", "from": "4.1.3", "to": "4.2.0", "selector": {"service": "catalog"}, "deployed_at": "2026-03-06T06:01:00Z"}
 ]
}`

// sample is one line of a recording.
type sample struct {
	labels labels.Labels
	at     time.Time
	value  float64
}

// recording plays both services: after the upgrade, payments' share of slow
// requests is multiplied by shift. rate is the requests of a minute.
func recording(rate, shift float64) (all []sample) {
	bounds := []string{"0.1", "0.5", "1", "+Inf"}
	for i, service := range []string{"catalog", "payments"} {
		rng := rand.New(rand.NewPCG(uint64(i), 9))
		counts := make([]float64, len(bounds))
		series := make([][]sample, len(bounds))
		for at := recordBegins; !at.After(recordEnds); at = at.Add(time.Minute) {
			slow := 0.02
			if service == "payments" && at.After(recordUpgrade) {
				slow *= shift
			}
			sum := 0.0
			for b, share := range []float64{0.7, 0.3 - slow, slow * 0.7, slow * 0.3} {
				mean := rate * share
				counts[b] += math.Max(0, math.Round(mean+math.Sqrt(mean)*rng.NormFloat64()))
				sum += counts[b]
				series[b] = append(series[b], sample{labels.FromStrings(
					model.MetricNameLabel, "http_server_request_duration_seconds_bucket",
					"http_route", "/"+service, "instance", service+"-1", "le", bounds[b], "service", service,
				), at, sum})
			}
		}
		for _, s := range series {
			all = append(all, s...)
		}
	}
	return all
}

// until leaves out what comes after an instant.
func until(all []sample, end time.Time) (out []sample) {
	for _, s := range all {
		if !s.at.After(end) {
			out = append(out, s)
		}
	}
	return out
}

// openMetrics is the recording as text.
func openMetrics(all []sample) []byte {
	var b bytes.Buffer
	b.WriteString("# TYPE http_server_request_duration_seconds histogram\n")
	for _, s := range all {
		name := s.labels.Get(model.MetricNameLabel)
		fmt.Fprintf(&b, "%s%s %g %d\n", name, labels.NewBuilder(s.labels).Del(model.MetricNameLabel).Labels(), s.value, s.at.Unix())
	}
	b.WriteString("# EOF\n")
	return b.Bytes()
}

// bench is a directory with a configuration, a record and recordings.
type bench struct {
	t   *testing.T
	dir string
}

func newBench(t *testing.T) bench {
	b := bench{t, t.TempDir()}
	b.file("config.yml", []byte(backtestConfig))
	b.file("upgrade.json", []byte(upgradeRecord))
	return b
}

func (b bench) file(name string, content []byte) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// run calls the program, with the bench's config and record unless args name
// others.
func (b bench) run(command, telemetry string, args ...string) (stdout, stderr string, status int) {
	b.t.Helper()
	all := append([]string{
		command, "--telemetry", telemetry, "--upgrade", filepath.Join(b.dir, "upgrade.json"),
		"--config", filepath.Join(b.dir, "config.yml"),
	}, args...)
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(b.t), all...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		b.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// events decodes jsonl strictly.
func events(t *testing.T, jsonl string) (all []detector.Event) {
	t.Helper()
	for line := range strings.Lines(jsonl) {
		var e detector.Event
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v in the line %s", err, line)
		}
		all = append(all, e)
	}
	return all
}

// quietly holds that nothing was said on stderr.
func quietly(t *testing.T, stderr string) {
	t.Helper()
	if stderr != "" {
		t.Errorf("stderr: got %q, want nothing", stderr)
	}
}

func TestBacktestExitStatus(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, tt := range []struct {
		name    string
		samples []sample
		want    int
		states  map[string]detector.State // by service
	}{
		{"regressed", recording(400_000, 2), exitRegression, map[string]detector.State{"payments": detector.Regressed, "catalog": detector.Clear}},
		{"clear", recording(400_000, 1), exitOK, map[string]detector.State{"payments": detector.Clear, "catalog": detector.Clear}},
		{"improved", recording(400_000, 0.5), exitOK, map[string]detector.State{"payments": detector.Improved, "catalog": detector.Clear}},
		{"undecided", recording(30, 1), exitUndecided, map[string]detector.State{"payments": detector.Undecided, "catalog": detector.Undecided}},
		{"nothing after", until(recording(20_000, 2), recordUpgrade.Add(-time.Hour)), exitUndecided, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := bench{t, b.dir}
			path := b.file(strings.ReplaceAll(tt.name, " ", "-")+".om", openMetrics(tt.samples))
			for _, command := range []string{"assess", "backtest"} {
				stdout, stderr, status := b.run(command, path)
				quietly(t, stderr)
				if status != tt.want {
					t.Errorf("%s: status %d, want %d", command, status, tt.want)
				}
				all := events(t, stdout)
				if len(all) == 0 || all[len(all)-1].Event != detector.EventSummary {
					t.Fatalf("%s: the last line isn't the summary: %s", command, stdout)
				}
				if command == "assess" && len(all) != 1 {
					t.Errorf("assess printed %d lines, want the summary alone", len(all))
				}
				for _, v := range all[len(all)-1].Verdicts {
					if s := v.Indicator.Service(); v.State != tt.states[s] {
						t.Errorf("%s: verdict on %s is %s (%s), want %s", command, s, v.State, v.Missing, tt.states[s])
					}
					if v.State == detector.Undecided && v.Missing == "" {
						t.Errorf("%s: the undecided verdict on %s doesn't say what is missing", command, v.Indicator.Name())
					}
				}
				if got := len(all[len(all)-1].Verdicts); got != len(tt.states) {
					t.Errorf("%s: %d verdicts, want %d", command, got, len(tt.states))
				}
			}
			stdout, stderr, status := b.run("assess", path, "--format", "text")
			quietly(t, stderr)
			if status != tt.want || len(tt.states) > 0 && !strings.Contains(stdout, "payments") {
				t.Errorf("as text: status %d and %q", status, stdout)
			}
			if !strings.HasPrefix(stdout, "INDICATOR") {
				t.Errorf("as text: %q, want the verdicts at once", stdout)
			}
		})
	}
}

// The lines have the fields of the contract, in their types.
func TestBacktestLines(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.file("telemetry.om", openMetrics(recording(20_000, 2)))
	stdout, _, _ := b.run("backtest", path)
	last := time.Time{}
	seen := map[string]int{}
	lead := ""
	for line := range strings.Lines(stdout) {
		var e struct {
			Time, Event, Upgrade *string
			Indicator            *struct {
				Kind, Metric *string
				Labels       map[string]string
			}
			Direction *string
			Effect    *struct {
				What                            *string
				Before, After, Ratio, Low, High *float64
			}
			Onset  *struct{ At, Earliest, Latest *time.Time }
			Causes []struct {
				Kind, Name  *string
				Probability *float64
				Why         []string
			}
			Verdict *string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Time == nil || e.Event == nil || e.Upgrade == nil || *e.Upgrade != "dten-4.2.0" {
			t.Fatalf("a line without time, event or upgrade: %s", line)
		}
		seen[*e.Event]++
		at, err := time.Parse(time.RFC3339, *e.Time)
		if err != nil || !strings.HasSuffix(*e.Time, "Z") || at.Before(last) {
			t.Errorf("time %s (%v) after %s: want RFC 3339 in UTC, in order", *e.Time, err, last)
		}
		last = at
		if *e.Event == detector.EventSummary {
			continue
		}
		if e.Indicator == nil || e.Indicator.Kind == nil || e.Indicator.Metric == nil || e.Indicator.Labels["service"] == "" {
			t.Errorf("no indicator: %s", line)
		}
		if *e.Event == detector.EventVerdict && (e.Verdict == nil || *e.Verdict == "") {
			t.Errorf("a verdict without one: %s", line)
		}
		if *e.Event != detector.EventShift {
			continue
		}
		f, o := e.Effect, e.Onset
		switch {
		case e.Direction == nil || *e.Direction != "worse":
			t.Errorf("direction: %s", line)
		case f == nil || f.What == nil || f.Before == nil || f.After == nil || f.Ratio == nil || f.Low == nil || f.High == nil:
			t.Errorf("effect: %s", line)
		case math.Abs(*f.Ratio - *f.After / *f.Before) > 0.02**f.Ratio || *f.Low > *f.Ratio || *f.High < *f.Ratio:
			t.Errorf("ratio %g of %g to %g in %g..%g: want after/before inside of the interval", *f.Ratio, *f.Before, *f.After, *f.Low, *f.High)
		case *f.Low > 2 || *f.High < 2:
			t.Errorf("the interval %g..%g doesn't hold the true ratio 2", *f.Low, *f.High)
		case o == nil || o.At == nil || o.Earliest == nil || o.Latest == nil || o.At.Before(*o.Earliest) || o.At.After(*o.Latest):
			t.Errorf("onset: %s", line)
		case o.Earliest.After(recordUpgrade.Add(time.Minute)) || o.Latest.Before(recordUpgrade):
			t.Errorf("onset %s..%s doesn't hold the true one", o.Earliest, o.Latest)
		case len(e.Causes) < 2:
			t.Errorf("causes: %s", line)
		}
		// Before it is named, the culprit is the first suspect beside what isn't known.
		suspect := e.Causes[0]
		if lead = *suspect.Kind; lead == "unknown" {
			suspect = e.Causes[1]
		}
		if *suspect.Kind != "binary" || *suspect.Name != "dten-payments" {
			t.Errorf("causes: %s", line)
		}
		sum, before := 0.0, math.Inf(1)
		for _, c := range e.Causes {
			sum += *c.Probability
			if *c.Probability > before {
				t.Errorf("causes aren't in order of probability: %s", line)
			}
			before = *c.Probability
		}
		if math.Abs(sum-1) > 1e-6 {
			t.Errorf("the causes' probabilities add up to %g", sum)
		}
	}
	if seen[detector.EventShift] == 0 || seen[detector.EventVerdict] == 0 || seen[detector.EventSummary] != 1 {
		t.Errorf("events: got %v, want shifts, verdicts and one summary", seen)
	}
	if lead != "binary" {
		t.Errorf("the last word of the cause is %s, want the culprit named", lead)
	}
}

// Nothing after an instant influences what is printed for it: a recording that
// ends there gives the same lines.
func TestBacktestDoesNotSeeTheFuture(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	all := recording(2_000, 2)
	whole, _, _ := b.run("backtest", b.file("whole.om", openMetrics(all)))
	lines := strings.SplitAfter(whole, "\n")
	for _, after := range []time.Duration{-time.Hour, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, 90 * time.Minute, 3 * time.Hour} {
		end := recordUpgrade.Add(after)
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			b := bench{t, b.dir}
			want := ""
			for i, e := range events(t, whole) {
				if !e.Time.After(end) && e.Event != detector.EventSummary {
					want += lines[i]
				}
			}
			stdout, stderr, _ := b.run("backtest", b.file(fmt.Sprintf("cut%d.om", end.Unix()), openMetrics(until(all, end))))
			quietly(t, stderr)
			got := stdout[:strings.LastIndex(strings.TrimSpace(stdout), "\n")+1] // all but the summary
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("what was said up to %s (-with the future +without):\n%s", end, d)
			}
		})
	}
}

// The same samples give the same lines, however they are kept.
func TestBacktestReadsEveryForm(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	all := recording(20_000, 2)
	text := openMetrics(all)
	want, stderr, status := b.run("backtest", b.file("plain.om", text))
	quietly(t, stderr)
	if status != exitRegression || strings.Count(want, "\n") < 3 {
		t.Fatalf("status %d and %s", status, want)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(text); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	zst, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(b.dir, "tsdb")
	writeTSDB(t, dir, all)
	for name, path := range map[string]string{
		"gzip":                b.file("telemetry.om.gz", zipped.Bytes()),
		"gzip, unnamed":       b.file("telemetry", zipped.Bytes()),
		"zstd":                b.file("telemetry.om.zst", zst.EncodeAll(text, nil)),
		"TSDB":                dir,
		"TSDB, a second time": dir,
	} {
		got, stderr, status := b.run("backtest", path)
		quietly(t, stderr)
		if d := cmp.Diff(want, got); d != "" || status != exitRegression {
			t.Errorf("%s: status %d, and lines differ (-plain +this):\n%s", name, status, d)
		}
	}
}

func writeTSDB(t *testing.T, dir string, all []sample) {
	t.Helper()
	o := tsdb.DefaultOptions()
	o.OutOfOrderTimeWindow = (48 * time.Hour).Milliseconds()
	db, err := tsdb.Open(dir, nil, nil, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	app := db.Appender(t.Context())
	for _, s := range all {
		if _, err := app.Append(0, s.labels, s.at.UnixMilli(), s.value); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(app.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// Wrong usage and unreadable input: status 2, and one line on stderr that says
// what and where.
func TestBacktestErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good := b.file("good.om", openMetrics(until(recording(100, 1), recordBegins.Add(time.Hour))))
	record := func(from, to string) []string {
		text := strings.Replace(upgradeRecord, from, to, 1)
		if text == upgradeRecord {
			t.Fatalf("the record has no %s", from)
		}
		return []string{"--upgrade", b.file(fmt.Sprintf("record%d.json", len(from)*1000+len(to)), []byte(text))}
	}
	for _, tt := range []struct {
		name, telemetry string
		args            []string
		want            []string
	}{
		{"no file", b.dir + "/missing.om", nil, []string{b.dir + "/missing.om", "no such file"}},
		{"empty file", b.file("empty.om", nil), nil, []string{b.dir + "/empty.om"}},
		{"only a comment", b.file("eof.om", []byte("# EOF\n")), nil, []string{b.dir + "/eof.om"}},
		{"not OpenMetrics", b.file("readme.om", []byte("Dear reader,\nthis is a letter.\n")), nil, []string{b.dir + "/readme.om", "line 1"}},
		{"random bytes", b.file("noise.om", bytes.Repeat([]byte{0xff, 0x00, 0x17}, 1000)), nil, []string{b.dir + "/noise.om"}},
		{"no timestamps", b.file("untimed.om", []byte("a_requests_total 1\n# EOF\n")), nil, []string{b.dir + "/untimed.om", "line 1", "timestamp"}},
		{"empty directory", t.TempDir(), nil, nil},
		{"no scheme that is known", "ftp://127.0.0.1/x", nil, []string{"ftp://127.0.0.1/x"}},
		{"a URL without a span", "http://127.0.0.1:1", nil, []string{"--start and --end"}},
		{"nobody at the URL", "http://127.0.0.1:1", []string{"--start", "2026-03-06T00:00:00Z", "--end", "2026-03-06T01:00:00Z"}, []string{"http://127.0.0.1:1", "refused"}},
		{"start that is no time", good, []string{"--start", "yesterday"}, []string{"--start", `"yesterday"`}},
		{"empty span", good, []string{"--start", "2026-03-06T02:00:00Z", "--end", "2026-03-06T01:00:00Z"}, []string{"empty"}},
		{"unknown field", good, record(`"package"`, `"packages"`), []string{"record", "packages"}},
		{"unknown field of a binary", good, record(`"selector"`, `"selecter"`), []string{"selecter"}},
		{"no binaries", good, record(`"binaries": [`, `"binaries": [], "binaries2": [`), []string{"binaries"}},
		{"time that is none", good, record("2026-03-06T06:00:00Z", "six o'clock"), []string{"started_at"}},
		{"only planned", good, []string{"--upgrade", b.file("planned.json", []byte(`{"id": "soon", "planned_start": "2026-03-06T06:00:00Z", "binaries": [{"name": "dten-payments"}]}`))}, []string{"want started_at", "aftershock upgrades show"}},
		{"no record", good, []string{"--upgrade", b.dir + "/missing.json"}, []string{b.dir + "/missing.json"}},
		{"no config", good, []string{"--config", b.dir + "/missing.yml"}, []string{b.dir + "/missing.yml"}},
		{"wrong config", good, []string{"--config", b.file("wrong.yml", []byte(backtestConfig+"wach: {}\n"))}, []string{"wach: unknown key"}},
		{"every under a step", good, []string{"--every", "10s"}, []string{"--every 10s"}},
		{"format", good, []string{"--format", "xml"}, []string{`"xml"`}},
		{"unknown flag", good, []string{"--telemetri", "x"}, []string{"telemetri"}},
		{"stray argument", good, []string{"stray"}, []string{`"stray"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := bench{t, b.dir}
			for _, command := range []string{"backtest", "assess"} {
				if command == "assess" && tt.name == "every under a step" {
					continue
				}
				stdout, stderr, status := b.run(command, tt.telemetry, tt.args...)
				if status != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "aftershock "+command+": ") {
					t.Errorf("%s: status %d, stdout %q, stderr %q: want status 2 and one line", command, status, stdout, stderr)
				}
				for _, w := range tt.want {
					if !strings.Contains(stderr, w) {
						t.Errorf("%s: stderr %q doesn't say %q", command, stderr, w)
					}
				}
			}
		})
	}
}
