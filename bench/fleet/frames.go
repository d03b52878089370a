package fleet

import (
	"time"

	"aftershock/detector"
	"aftershock/detector/hist"
)

// Names of the metrics.
const (
	latencyMetric = "http_server_request_duration_seconds"
	errorMetric   = "http_server_requests_total"
	retryMetric   = "thirdparty_client_retries_total"
	callMetric    = "thirdparty_client_requests_total"
	firstMetric   = "thirdparty_client_first_attempt_failures_total"
	retriedMetric = "thirdparty_client_retried_calls_total"
	oldVersion    = "4.1.3"
	newVersion    = "4.2.0"
)

// Frames simulates the world and gives its telemetry as frames, in order of
// time: the same that a reader makes of the world's OpenMetrics text.
func (w *World) Frames(yield func(detector.Frame) error) error {
	return w.run(&framer{w: w, yield: yield, known: make(map[*slot]*detector.Indicator), index: make(map[string]int)})
}

type framer struct {
	w     *World
	t     int
	yield func(detector.Frame) error
	frame detector.Frame
	known map[*slot]*detector.Indicator
	// builds are those seen so far, index finds them by instance.
	builds []seen
	index  map[string]int
}

// seen is a build that was last scraped in minute at, some minutes after the
// time before.
type seen struct {
	detector.Build
	at, interval int
}

// alive says whether the build was there in the last three scrapes.
func (b seen) alive(t int) bool {
	return t == b.at || 2*(t-b.at) < 7*b.interval && t-b.at < lookback
}

func (f *framer) begin(t int) {
	f.t = t
	f.frame = detector.Frame{Time: f.w.Time(t + 1), Step: time.Minute}
}

func (f *framer) end(t int) error {
	for _, b := range f.builds {
		if b.alive(t) {
			f.frame.Builds = append(f.frame.Builds, b.Build)
		}
	}
	if len(f.frame.Points) == 0 && len(f.frame.Builds) == 0 && len(f.frame.Calls) == 0 {
		return nil
	}
	return f.yield(f.frame)
}

func (f *framer) called(client, server, count int) {
	f.frame.Calls = append(f.frame.Calls, detector.Call{
		Client: f.w.services[client].name, Server: f.w.services[server].name, Count: float64(count),
	})
}

func (f *framer) scraped(p process, counts []counted, known bool) {
	version := oldVersion
	if p.upgraded {
		version = newVersion
	}
	if f.w.Covariates.Builds {
		f.build(p, version)
	} else {
		version = "" // nothing else tells which build counted
	}
	if !known {
		return
	}
	for i := range counts {
		c := &counts[i]
		pt := detector.Point{
			Indicator: f.indicator(c.slot), Instance: p.name, Version: version,
			Total: float64(c.total), Bad: float64(c.bad), FirstFailures: -1, Retried: -1,
		}
		if c.slot.kind == "retry" && f.w.Covariates.FirstAttempts {
			pt.FirstFailures, pt.Retried = float64(c.first), float64(c.retried)
		}
		if c.slot.kind == "latency" {
			pt.Hist = hist.Histogram{Bounds: p.layout.bounds, Counts: make([]float64, len(p.layout.bounds))}
			for b := range pt.Hist.Counts {
				pt.Hist.Counts[b] = float64(c.hist[b])
			}
		}
		f.frame.Points = append(f.frame.Points, pt)
	}
}

// build notes which build an instance runs.
func (f *framer) build(p process, version string) {
	n, ok := f.index[p.name]
	if !ok {
		n = len(f.builds)
		f.index[p.name] = n
		f.builds = append(f.builds, seen{Build: detector.Build{
			Binary: p.service.binary(), Labels: map[string]string{"service": p.service.name}, Instance: p.name,
		}})
	}
	b := &f.builds[n]
	if b.Version != version { // another series
		b.interval = 0
	} else {
		b.interval = f.t - b.at
	}
	b.Version, b.at = version, f.t
}

func (f *framer) indicator(s *slot) *detector.Indicator {
	in := f.known[s]
	if in == nil {
		of := f.w.indicator(s)
		in = &of
		f.known[s] = in
	}
	return in
}

func (w *World) indicator(s *slot) detector.Indicator {
	in := detector.Indicator{Labels: map[string]string{"service": w.services[s.service].name}}
	if s.route >= 0 {
		in.Labels["http_route"] = w.routes[s.route].name
	}
	switch s.kind {
	case "latency":
		in.Kind, in.Metric = detector.Latency, latencyMetric
	case "error":
		in.Kind, in.Metric = detector.Error, errorMetric
	default:
		in.Kind, in.Metric = detector.Retry, retryMetric
		in.Labels["peer"] = w.peers[s.peer].name
	}
	return in
}

// UpgradeRecord is the upgrade as its record would say it.
func (w *World) UpgradeRecord() detector.Upgrade {
	u := detector.Upgrade{
		ID: w.ID(), Package: "Full-upgrade-package-dten.zip",
		StartedAt: w.Time(w.Upgrade), FinishedAt: w.Time(w.finish()),
	}
	for _, d := range w.deploys {
		s := w.services[d.service]
		u.Binaries = append(u.Binaries, detector.Binary{
			Name: s.binary(), From: oldVersion, To: newVersion,
			Selector: map[string]string{"service": s.name}, DeployedAt: w.Time(d.at),
		})
	}
	return u
}
