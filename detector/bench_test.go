package detector_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/detector/hist"
)

// city makes frames of many indicators: of ten, seven are latencies of 12 buckets,
// two errors and one retries, each with some hundred requests a minute.
type city struct {
	now    time.Time
	minute int
	// frames are few that come again and again, since drawing them is not what is
	// measured.
	frames [4]detector.Frame
}

var cityBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, math.Inf(1)}

func newCity(indicators int) *city {
	c := &city{now: start}
	luck := rand.New(rand.NewPCG(1, 5))
	shares := []float64{0.1, 0.15, 0.2, 0.2, 0.15, 0.1, 0.05, 0.03, 0.012, 0.005, 0.002, 0.001}
	for i := range indicators {
		in := &detector.Indicator{Kind: detector.Latency, Metric: "http_server_request_duration_seconds", Labels: map[string]string{
			"service": fmt.Sprint("service-", i%500), "http_route": fmt.Sprint("/route/", i),
		}}
		switch i % 10 {
		case 7, 8:
			in.Kind, in.Metric = detector.Error, "http_server_requests_total"
		case 9:
			in.Kind, in.Metric = detector.Retry, "thirdparty_client_retries_total"
		}
		rate := 50 + 200*luck.Float64()
		for k := range c.frames {
			p := detector.Point{Indicator: in, Instance: in.Labels["service"] + "-0", Version: "1", FirstFailures: -1, Retried: -1}
			// About Poisson: what is drawn matters little here.
			count := func(mean float64) float64 { return math.Max(0, math.Round(mean+math.Sqrt(mean)*luck.NormFloat64())) }
			if in.Kind == detector.Latency {
				p.Hist = hist.Histogram{Bounds: cityBounds, Counts: make([]float64, len(cityBounds))}
				for b, s := range shares {
					p.Hist.Counts[b] = count(rate * s)
				}
				p.Total = p.Hist.Total()
			} else {
				p.Total = math.Round(rate)
				p.Bad = math.Min(p.Total, count(rate*0.03))
			}
			c.frames[k].Points = append(c.frames[k].Points, p)
		}
	}
	return c
}

func (c *city) frame() detector.Frame {
	f := c.frames[c.minute*7%11%len(c.frames)]
	c.minute++
	c.now = c.now.Add(time.Minute)
	f.Time, f.Step, f.Up, f.Targets = c.now, time.Minute, 1, 1
	return f
}

// upgrade replaces the binaries of 20 of the 500 services.
func (c *city) upgrade() detector.Upgrade {
	u := detector.Upgrade{ID: "u", StartedAt: c.now}
	for i := range 20 {
		u.Binaries = append(u.Binaries, detector.Binary{
			Name: fmt.Sprint("bin-", i), From: "1", To: "2", DeployedAt: c.now, Selector: map[string]string{"service": fmt.Sprint("service-", i)},
		})
	}
	return u
}

// BenchmarkHundredThousand measures a minute of 100,000 indicators, as Observe and
// Look: with no upgrade in sight, and with one being watched. The aim is 2 s on two
// cores and 4 kB of state an indicator. The indicators have an hour of history only,
// lest the benchmark take one: see BenchmarkFullMemory for more.
func BenchmarkHundredThousand(b *testing.B) {
	c, j := newCity(100_000), detector.NewJudge(detector.Config{})
	j.Employ(hands(runtime.GOMAXPROCS(0)))
	for range 61 {
		j.Observe(c.frame())
	}
	b.Run("quiet", func(b *testing.B) { minutes(b, c, j) })
	j.Watch(c.upgrade())
	b.Run("watched", func(b *testing.B) { minutes(b, c, j) })
}

// BenchmarkFullMemory measures the same of 1000 indicators that are remembered as
// far back as they ever are, right after an upgrade and when it has been watched for
// five hours; a look weighs the share of them that it does of 100,000.
func BenchmarkFullMemory(b *testing.B) {
	c, j := newCity(1000), detector.NewJudge(detector.Config{})
	j.Employ(hands(runtime.GOMAXPROCS(0)))
	j.Ration(256 / 100)
	for range 1500 {
		j.Observe(c.frame())
	}
	b.Run("quiet", func(b *testing.B) { minutes(b, c, j) })
	j.Watch(c.upgrade())
	b.Run("early", func(b *testing.B) { minutes(b, c, j) })
	for range 300 {
		j.Observe(c.frame())
		j.Look()
	}
	b.Run("watched", func(b *testing.B) { minutes(b, c, j) })
}

// minutes measures minutes of new data, and the state after them.
func minutes(b *testing.B, c *city, j *detector.Judge) {
	worst, looks, busy := time.Duration(0), time.Duration(0), processors(b)
	for b.Loop() {
		began := time.Now()
		j.Observe(c.frame())
		seen := time.Now()
		j.Look()
		looks += time.Since(seen)
		worst = max(worst, time.Since(began))
	}
	hundredThousand := 100_000 / float64(j.Indicators())
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*hundredThousand, "s/100k")
	b.ReportMetric(looks.Seconds()/float64(b.N)*hundredThousand, "look-s/100k")
	b.ReportMetric((processors(b)-busy).Seconds()/float64(b.N)*hundredThousand, "cpu-s/100k")
	b.ReportMetric(worst.Seconds()*hundredThousand, "worst-s/100k")
	state, err := j.Save()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(state))/float64(j.Indicators()), "B/indicator")
}

// processors is the processor time that the program took so far: where others use
// the machine, too, it tells more than the clock.
func processors(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
