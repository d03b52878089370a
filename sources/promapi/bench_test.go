package promapi

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"aftershock/internal/servers"
	"aftershock/sources/series"
)

const (
	benchSeries = 864
	benchEvery  = 30 * time.Second
	benchTime   = 7 * 24 * time.Hour
	// What the fast way has to reach.
	wantRatio = 10
	wantPeak  = 200 // MB
)

// BenchmarkReadSamples reads 17.4 million samples, a week of 864 bucket series,
// from one real Prometheus by chunks and as JSON. It fails where chunks aren't
// ten times as fast, or take 200 MB.
func BenchmarkReadSamples(b *testing.B) {
	end := time.Now().Truncate(2 * time.Hour)
	start := end.Add(-benchTime)
	server := servers.Prometheus(b, servers.PrometheusOptions{Major: 3, Fill: func(dir string) { fillWeek(b, dir, start, end) }})
	measure := func(way Way) (time.Duration, float64) {
		s, err := Open(context.Background(), Config{URL: server.URL, Way: way}, quiet(), nil)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		debug.FreeOSMemory()
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			b.Fatalf("reset the peak of the memory: %v", err)
		}
		samples, began := 0, time.Now()
		err = s.Series(context.Background(), start.Add(-time.Millisecond), end, func(one series.Series) error {
			samples += len(one.Times)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		took := time.Since(began)
		if want := benchSeries * int(benchTime/benchEvery); samples != want {
			b.Fatalf("%s: got %d samples, want %d", way, samples, want)
		}
		return took, peak(b)
	}
	measure(RemoteRead) // so that neither way pays for a cold cache
	for b.Loop() {
		// Of each way the fastest of several turns: what other programs take
		// away in between is no property of the way.
		fast, fastMB := measure(RemoteRead)
		slow, slowMB := measure(JSON)
		for range 4 {
			took, mb := measure(RemoteRead)
			fast, fastMB = min(fast, took), max(fastMB, mb)
		}
		took, mb := measure(JSON)
		slow, slowMB = min(slow, took), max(slowMB, mb)
		ratio := slow.Seconds() / fast.Seconds()
		b.ReportMetric(fast.Seconds(), "chunks-s")
		b.ReportMetric(fastMB, "chunks-peak-MB")
		b.ReportMetric(slow.Seconds(), "json-s")
		b.ReportMetric(slowMB, "json-peak-MB")
		b.ReportMetric(ratio, "json/chunks")
		if ratio < wantRatio {
			b.Errorf("chunks took %s, JSON %s: got %.1f times the speed, want %d", fast, slow, ratio, wantRatio)
		}
		if fastMB >= wantPeak {
			b.Errorf("reading chunks took %.0f MB, want less than %d", fastMB, wantPeak)
		}
	}
}

// fillWeek writes the series as one block.
func fillWeek(b *testing.B, dir string, start, end time.Time) {
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, benchTime.Milliseconds())
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	var sets []labels.Labels
	for n := range benchSeries {
		sets = append(sets, labels.FromStrings(
			"__name__", "http_server_request_duration_seconds_bucket", "job", "shop",
			"instance", fmt.Sprintf("10.0.0.%d:8080", n/108), "http_route", fmt.Sprintf("/r%d", n/12%9), "le", strconv.Itoa(n%12),
		))
	}
	values := make([]float64, benchSeries)
	for at := start; at.Before(end); at = at.Add(benchEvery) {
		app := w.Appender(ctx)
		for n, set := range sets {
			values[n] += float64((int(at.Unix()/30)*7+n*13)%(n%12*5+3) + n%12)
			if _, err := app.Append(0, set, at.UnixMilli(), values[n]); err != nil {
				b.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := w.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the most memory that the process had resident, in MB.
func peak(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	found := peakLine.FindSubmatch(bytes.TrimSpace(status))
	if found == nil {
		b.Fatal("find the peak of the memory: no VmHWM in /proc/self/status")
	}
	kb, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb / 1024
}
