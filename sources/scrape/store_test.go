package scrape

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aftershock/sources/series"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
)

// childEnv names the part that the test binary plays when a test starts it again.
const childEnv = "AFTERSHOCK_SCRAPE_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "scrape":
		childScrape(os.Args[1], os.Args[2:])
	case "full":
		childFull(os.Args[1], os.Args[2])
	default:
		os.Exit(m.Run())
	}
}

func TestSecondDaemonIsKeptOut(t *testing.T) {
	dir := t.TempDir()
	c := testConfig("127.0.0.1:1")
	open(t, c, dir)
	log, _ := quiet()
	_, err := Open(t.Context(), c, dir, log, nil)
	want := fmt.Sprintf("lock %s/tsdb: another process uses this data directory: stop it, or give this one a directory of its own (--data)", dir)
	if err == nil || err.Error() != want {
		t.Errorf("err = %v\nwant  %s", err, want)
	}
}

// TestRestart finds after a restart all that was stored, without marks of the
// restart, and goes on from there.
func TestRestart(t *testing.T) {
	var n atomic.Int64
	p := newPage(t, func(w http.ResponseWriter, r *http.Request) { text(fmt.Sprintf("m %d\n", n.Add(1)))(w, r) })
	dir := t.TempDir()
	log, _ := quiet()
	for round := range 3 {
		s, err := Open(t.Context(), testConfig(p.addr()), dir, log, nil)
		if err != nil {
			t.Fatal(err)
		}
		l := loops(t, s)[0]
		l.scrape(t.Context(), at(2*round))
		l.scrape(t.Context(), at(2*round+1))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
	}
	s, _ := open(t, testConfig(p.addr()), dir)
	if d := cmp.Diff([]string{"1", "2", "3", "4", "5", "6"}, dump(t, s)[key("m", p.addr())]); d != "" {
		t.Errorf("samples (-want +got):\n%s", d)
	}
}

// TestBlocks scrapes half a day in fast motion: head chunks become blocks, old
// blocks are deleted, and start times and native histograms are still there.
func TestBlocks(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "d", Buckets: []float64{1}, NativeHistogramBucketFactor: 1.1})
	reg.MustRegister(h)
	handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	p := newPage(t, handler.ServeHTTP)
	dir := t.TempDir()
	c := testConfig(p.addr())
	c.Retention = model.Duration(5 * time.Hour)
	s, _ := open(t, c, dir)
	l := loops(t, s)[0]
	// The start time is now, so the samples lie in the future.
	begin := time.Now().Add(time.Second)
	for i := range 12 * 60 {
		h.Observe(2)
		l.scrape(t.Context(), begin.Add(time.Duration(i)*time.Minute))
		if i%120 == 0 {
			s.store.maintain(time.Now())
		}
	}
	end := begin.Add(13 * time.Hour)
	first := func() (first time.Time) {
		err := s.Series(t.Context(), begin, end, func(se series.Series) error {
			name := se.Labels.Get("__name__")
			if name != "d" && name != "d_count" {
				return nil
			}
			first = time.UnixMilli(se.Times[0])
			for i, st := range se.Starts {
				if st < begin.Add(-time.Minute).UnixMilli() || st > begin.UnixMilli() {
					return fmt.Errorf("start %d of %s is %d", i, name, st)
				}
				if se.Histograms != nil && i > 0 && se.Histograms[i].Count != se.Histograms[i-1].Count+1 {
					return fmt.Errorf("histogram %d counts %g after %g", i, se.Histograms[i].Count, se.Histograms[i-1].Count)
				}
			}
			if len(se.Starts) != len(se.Times) || (name == "d") != (se.Histograms != nil) {
				return fmt.Errorf("%s has %d starts for %d samples, histograms: %t", name, len(se.Starts), len(se.Times), se.Histograms != nil)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	eventually(t, "old blocks deleted", func() bool { return first().Sub(begin) > 3*time.Hour })
	if blocks, _ := os.ReadDir(dir + "/tsdb"); len(blocks) < 5 {
		t.Errorf("%d entries in the TSDB's directory, want blocks", len(blocks))
	}
}

// TestDiskAlmostFull stops storing before the disk is full and goes on after.
func TestDiskAlmostFull(t *testing.T) {
	p := newPage(t, text("m 1\n"))
	s, hook := open(t, testConfig(p.addr()), t.TempDir())
	free := uint64(1 << 40)
	s.store.free = func(string) (uint64, error) { return free, nil }
	l := loops(t, s)[0]
	l.scrape(t.Context(), at(1))
	free = 3 << 20
	l.scrape(t.Context(), at(2))
	l.scrape(t.Context(), at(3))
	s.store.maintain(time.Now())
	if got := s.targetError(l); !strings.Contains(got, "storing is paused: 3 MiB are free, below min_free (64 MiB)") {
		t.Errorf("status = %q", got)
	}
	if !l.status.Up {
		t.Error("the target counts as down while the disk is full")
	}
	if got := testutil.ToFloat64(s.metrics.storageUp); got != 0 {
		t.Errorf("aftershock_scrape_storage_up = %g, want 0", got)
	}
	free = 1 << 40
	l.scrape(t.Context(), at(4))
	if got := testutil.ToFloat64(s.metrics.storageUp); got != 1 {
		t.Errorf("aftershock_scrape_storage_up = %g, want 1", got)
	}
	want := []string{
		"Scraped samples are not stored: free space on this disk or lower sources.scrape.retention; storing goes on by itself then",
		"Scraped samples are stored again",
	}
	if d := cmp.Diff(want, lines(hook)); d != "" {
		t.Errorf("log (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"1", "1"}, dump(t, s)[key("m", p.addr())]); d != "" {
		t.Errorf("samples (-want +got):\n%s", d)
	}
}

// TestWriteFails lets the kernel refuse writes in a process of its own: storing
// stops, goes on, and a restart finds all that was acknowledged.
func TestWriteFails(t *testing.T) {
	var n atomic.Int64
	p := newPage(t, func(w http.ResponseWriter, r *http.Request) {
		text(fmt.Sprintf("m %d\nnew%d 1\n", n.Add(1), n.Load()))(w, r)
	})
	dir := t.TempDir()
	cmd := child("full", dir, p.addr())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	s, _ := open(t, testConfig(p.addr()), dir)
	got := dump(t, s)
	if d := cmp.Diff([]string{"1", "2", "6", "7"}, got[key("m", p.addr())]); d != "" {
		t.Errorf("samples (-want +got):\n%s\n%s", d, out)
	}
	if d := cmp.Diff([]string{"1", "stale"}, got[key("new6", p.addr())]); d != "" {
		t.Errorf("a series that came while storing was paused (-want +got):\n%s", d)
	}
	if n := strings.Count(string(out), "are not stored"); n != 1 {
		t.Errorf("%d lines about the failed write, want 1:\n%s", n, out)
	}
}

func child(part string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"="+part)
	return cmd
}

// must ends a child that can't do its part.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestKill kills a scraping process at random instants and finds all samples
// that it had acknowledged, with their start times.
func TestKill(t *testing.T) {
	const targets, rounds, start = 3, 4, 1700000000
	var addrs []string
	for range targets {
		var n atomic.Int64
		addrs = append(addrs, newPage(t, func(w http.ResponseWriter, r *http.Request) {
			k := n.Add(1)
			typed("application/openmetrics-text; version=1.0.0",
				fmt.Sprintf("# TYPE m counter\nm_total %d\nm_created %d\n# TYPE new%d gauge\nnew%d 1\n# EOF\n", k, start, k, k))(w, r)
		}).addr())
	}
	dir := t.TempDir()
	acked := map[string][]float64{}
	for range rounds {
		cmd := child("scrape", append([]string{dir}, addrs...)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(300+rand.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for sc := bufio.NewScanner(out); sc.Scan(); {
			addr, v, ok := strings.Cut(sc.Text(), " ")
			f, err := strconv.ParseFloat(v, 64)
			if !ok || err != nil {
				continue // the line that the kill cut off
			}
			acked[addr] = append(acked[addr], f)
		}
		err = cmd.Wait()
		kill.Stop()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("child ended by itself: %v", err)
		}
	}
	s, _ := open(t, testConfig(addrs...), dir)
	stored := map[string]map[float64]int64{}
	err := s.Series(t.Context(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour), func(se series.Series) error {
		if se.Labels.Get("__name__") != "m_total" {
			return nil
		}
		of := map[float64]int64{}
		for i, v := range se.Values {
			of[v] = se.Starts[i]
		}
		stored[se.Labels.Get("instance")] = of
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if len(acked[a]) < rounds {
			t.Errorf("only %d samples of %s were acknowledged", len(acked[a]), a)
		}
		for _, v := range acked[a] {
			if st, ok := stored[a][v]; !ok || st != start*1000 {
				t.Errorf("sample %g of %s: stored: %t, start %d", v, a, ok, st)
			}
		}
	}
}
