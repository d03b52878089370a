package servers

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// PrometheusOptions says which Prometheus to start, and on what.
type PrometheusOptions struct {
	// Major is 2 (Debian's package, the default) or 3 (tools/prometheus).
	Major int
	// Config is the whole prometheus.yml; empty: no scraping, and samples of
	// any age are taken.
	Config string
	// Fill, when given, writes into the data directory before the start.
	Fill func(dataDir string)
	// Flags are further command line flags.
	Flags []string
}

const anyAge = "storage:\n  tsdb:\n    out_of_order_time_window: 3650d\n"

// Prometheus starts a Prometheus server with its remote-write receiver on,
// native histograms, and no retention worth speaking of.
func Prometheus(t testing.TB, o PrometheusOptions) *Server {
	t.Helper()
	path := ""
	switch o.Major {
	case 0, 2:
		path = prometheus2(t)
	case 3:
		path = tool(t, "prometheus")
	default:
		t.Fatalf("start a Prometheus: no major version %d", o.Major)
	}
	if o.Config == "" {
		o.Config = anyAge
	}
	s := &Server{t: t, Dir: t.TempDir(), stop: syscall.SIGTERM}
	config, data := filepath.Join(s.Dir, "prometheus.yml"), filepath.Join(s.Dir, "data")
	write(t, config, o.Config)
	if o.Fill != nil {
		if err := os.MkdirAll(data, 0o755); err != nil {
			t.Fatal(err)
		}
		o.Fill(data)
	}
	s.command = func(port int) *exec.Cmd {
		flags := []string{
			"--config.file=" + config, "--storage.tsdb.path=" + data,
			"--storage.tsdb.retention.time=100y", "--web.enable-remote-write-receiver",
			"--web.enable-lifecycle", "--web.enable-admin-api",
			"--web.listen-address=" + loopback(port)[len("http://"):],
			"--enable-feature=native-histograms",
		}
		return program(path, append(flags, o.Flags...)...)
	}
	s.ready = s.answers("/-/ready")
	s.launch(loopback)
	return s
}

// prometheus2 finds Debian's Prometheus, which has the same name as the pinned
// Prometheus 3: it is the one outside of the tools directory.
func prometheus2(t testing.TB) string {
	t.Helper()
	tools, _ := filepath.Abs(ToolsDir())
	for _, dir := range append([]string{"/usr/bin"}, filepath.SplitList(os.Getenv("PATH"))...) {
		if abs, _ := filepath.Abs(dir); abs == tools {
			continue
		}
		if path := filepath.Join(dir, "prometheus"); executable(path) {
			return path
		}
	}
	t.Fatal("find Debian's prometheus: not in the PATH: run make tools")
	return ""
}

// VictoriaMetrics starts a single-node VictoriaMetrics, which speaks the
// Prometheus HTTP API without remote read and takes remote writes.
func VictoriaMetrics(t testing.TB) *Server {
	t.Helper()
	path := packaged(t, "victoria-metrics")
	s := &Server{t: t, Dir: t.TempDir(), stop: syscall.SIGTERM}
	s.command = func(port int) *exec.Cmd {
		return program(
			path, "-storageDataPath="+filepath.Join(s.Dir, "data"),
			"-httpListenAddr="+loopback(port)[len("http://"):], "-retentionPeriod=100y",
			"-memory.allowedBytes=256MB", "-search.latencyOffset=0s",
			"-search.maxPointsPerTimeseries=100000",
		)
	}
	s.ready = s.answers("/health")
	s.launch(loopback)
	return s
}

// Write sends series to the remote-write receiver of a Prometheus or a
// VictoriaMetrics. Labels are to be sorted by name, samples by time.
func (s *Server) Write(series []prompb.TimeSeries) {
	s.t.Helper()
	body, err := (&prompb.WriteRequest{Timeseries: series}).Marshal()
	if err != nil {
		s.t.Fatalf("encode a remote write: %v", err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.URL+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, body)))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	client := &http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatalf("write to %s: %v", s.URL, err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode/100 != 2 {
		s.t.Fatalf("write to %s: %s: %s", s.URL, resp.Status, answer)
	}
}

// Flush makes a VictoriaMetrics show what was written so far.
func (s *Server) Flush() {
	s.t.Helper()
	if err := s.answers("/internal/force_flush")(); err != nil {
		s.t.Fatalf("flush %s: %v", s.URL, err)
	}
}
