package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The long recording: two and a half days of eighteen latency and two retry
// indicators on three instances each, a sample a minute.
const (
	longMinutes  = 3600
	longUpgrade  = 2880 // minute of the upgrade
	longServices = 6
	// What a backtest of it may take on one core.
	mostSeconds = 5
	mostPeak    = 300 // MB
)

// longSeries is one series of the long recording.
type longSeries struct {
	name   string
	values []float64
}

// longHistogram plays one histogram. After the upgrade, its slow requests are
// multiplied by harm.
func longHistogram(rng *rand.Rand, labels string, harm float64) []longSeries {
	bounds := []string{"0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "5.0", "+Inf"}
	shares := []float64{2, 6, 18, 25, 17, 12, 11, 5, 2, 1, 0.6, 0.3, 0.1}
	const metric = "http_request_duration_seconds"
	out := make([]longSeries, 0, len(bounds)+2)
	for _, le := range bounds {
		out = append(out, longSeries{name: metric + "_bucket{" + labels + `,le="` + le + `"}`})
	}
	out = append(out, longSeries{name: metric + "_count{" + labels + "}"}, longSeries{name: metric + "_sum{" + labels + "}"})
	counts, sum := make([]float64, len(bounds)), 0.0
	for minute := range longMinutes {
		rate := 5 * (1 + 0.4*math.Sin(2*math.Pi*float64(minute)/1440)) * math.Exp(0.05*rng.NormFloat64())
		below := 0.0
		for i, share := range shares {
			mean := rate * share
			if i > 6 {
				if mean *= math.Exp(0.05 * rng.NormFloat64()); minute >= longUpgrade {
					mean *= harm
				}
			}
			n := math.Max(0, math.Round(mean+math.Sqrt(mean)*rng.NormFloat64()))
			counts[i] += n
			below += counts[i]
			sum += n * 0.01 * float64(i*i)
			out[i].values = append(out[i].values, below)
		}
		out[len(bounds)].values = append(out[len(bounds)].values, below)
		out[len(bounds)+1].values = append(out[len(bounds)+1].values, math.Round(sum*1e4)/1e4)
	}
	return out
}

// longCounter plays a counter of about perMinute events.
func longCounter(rng *rand.Rand, name string, perMinute float64) longSeries {
	s, v := longSeries{name: name}, 0.0
	for range longMinutes {
		v += math.Max(0, math.Round(perMinute+math.Sqrt(perMinute)*rng.NormFloat64()))
		s.values = append(s.values, v)
	}
	return s
}

// longInstance plays an instance of a service. The first route of the first
// service is harmed.
func longInstance(rng *rand.Rand, service, instance int) (all []longSeries) {
	for route := range 3 {
		harm := 1.0
		if service == 0 && route == 0 {
			harm = 1.5
		}
		labels := fmt.Sprintf(`service="svc-%d",route="/r/%d",instance="%d-%d"`, service, route, service, instance)
		all = append(all, longHistogram(rng, labels, harm)...)
	}
	if service < 2 {
		labels := fmt.Sprintf(`{service="svc-%d",peer="acme-pay",instance="%d-%d"}`, service, service, instance)
		all = append(all, longCounter(rng, "thirdparty_client_requests_total"+labels, 80),
			longCounter(rng, "thirdparty_client_retries_total"+labels, 4))
	}
	return append(all, longSeries{
		name:   fmt.Sprintf(`dten_build_info{service="svc-%d",instance="%d-%d",binary="svc-%d",version="4.1.3"}`, service, service, instance, service),
		values: slices.Repeat([]float64{1}, longMinutes),
	})
}

// writeLong writes the long recording as OpenMetrics, series by series.
func writeLong(w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for service := range longServices {
		for instance := range 3 {
			for _, s := range longInstance(rng, service, instance) {
				s.write(b)
			}
		}
		if service > 0 {
			longCounter(rng, fmt.Sprintf(`traces_service_graph_request_total{client="svc-%d",server="svc-%d"}`, service-1, service), 1500).write(b)
		}
	}
	_, _ = b.WriteString("# EOF\n") // its error comes with Flush
	return b.Flush()
}

func (s longSeries) write(b *bufio.Writer) {
	var line []byte
	for minute, v := range s.values {
		line = append(append(line[:0], s.name...), ' ')
		line = append(strconv.AppendFloat(line, v, 'f', -1, 64), ' ')
		line = append(strconv.AppendInt(line, recordBegins.Unix()+60*int64(minute+1), 10), '\n')
		_, _ = b.Write(line) // its error comes with Flush
	}
}

const longRecord = `{"id": "svc-4.2.0", "started_at": "%s", "binaries": [{"name": "svc-0", "from": "4.1.3", "to": "4.2.0", "selector": {"service": "svc-0"}}]}`

// BenchmarkBacktest replays 300 MB of OpenMetrics, three million samples, with
// a look every five minutes, by the real program on one core. It fails where
// that takes five seconds of the core or 300 MB of memory.
func BenchmarkBacktest(b *testing.B) {
	dir := b.TempDir()
	telemetry, record := filepath.Join(dir, "telemetry.om"), filepath.Join(dir, "upgrade.json")
	f, err := os.Create(telemetry)
	if err != nil {
		b.Fatal(err)
	}
	if err := writeLong(f); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	started := recordBegins.Add(longUpgrade * time.Minute).Format(time.RFC3339)
	if err := os.WriteFile(record, fmt.Appendf(nil, longRecord, started), 0o600); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(telemetry)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	var spent time.Duration
	peak := int64(0)
	for b.Loop() {
		cmd := exec.Command(binary(b), "backtest", "--telemetry", telemetry, "--upgrade", record, "--every", "5m")
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		if out, _ := cmd.Output(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != exitRegression {
			b.Fatalf("backtest: %v, want a regression; it said:\n%s", cmd.ProcessState, out)
		}
		spent += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss*1024)
	}
	seconds := spent.Seconds() / float64(b.N)
	b.ReportMetric(seconds, "cpu-s/op")
	b.ReportMetric(float64(peak)/1e6, "peak-MB")
	if seconds > mostSeconds || peak > mostPeak*1e6 {
		b.Errorf("took %.1f s of one core and %.0f MB, want at most %d s and %d MB", seconds, float64(peak)/1e6, mostSeconds, mostPeak)
	}
}
