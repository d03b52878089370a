// Package sources reads telemetry, from wherever it is kept, as frames of
// increments.
//
// There are several ways to get at samples: a server's HTTP API, the daemon's
// own scraping, a TSDB directory, a file. Each is a package of its own that
// does one thing, delivering raw series; what series mean is worked out once,
// in sources/series, so that all ways give equal numbers.
package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/sources/openmetrics"
	"aftershock/sources/promapi"
	"aftershock/sources/scrape"
	"aftershock/sources/series"
	"aftershock/sources/tsdbdir"
)

// Reader delivers raw samples. Every way of reading telemetry is one.
type Reader interface {
	// Series gives every series that series.Wanted asks for, with its samples
	// of (start, end], to add. A series may come in several pieces, each later
	// than the one before. An error of add ends the reading and is returned.
	Series(ctx context.Context, start, end time.Time, add func(series.Series) error) error
}

// stepper is a Reader that may leave out what frames of a certain step don't
// need. The last step ends at end.
type stepper interface {
	Steps(ctx context.Context, start, end time.Time, step time.Duration, add func(series.Series) error) error
}

// Source gives frames. It is safe for concurrent use; reads wait for each
// other.
type Source struct {
	reader  Reader
	scraper *scrape.Scraper // nil unless the daemon scrapes by itself
	log     logrus.FieldLogger
	metrics *metrics
	extent  func(ctx context.Context) (first, last time.Time, err error) // nil where it can't be told

	mu     sync.Mutex
	fold   *series.Fold
	step   time.Duration
	piece  time.Duration // how much is read at once
	warned map[string]bool
}

// Open opens what the configuration names. dir is where own scraping keeps its
// samples. log gets warnings, reg the metrics aftershock_source_…; reg may be
// nil. A server need not answer yet.
func Open(ctx context.Context, cfg Config, dir string, log logrus.FieldLogger, reg prometheus.Registerer) (*Source, error) {
	cfg.SetDefaults()
	if errs := cfg.Validate("sources"); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	switch {
	case cfg.Prometheus != nil:
		p, err := promapi.New(*cfg.Prometheus, log, reg)
		if err != nil {
			return nil, err
		}
		return New(p, log, reg)
	case cfg.Scrape != nil:
		sc, err := scrape.Open(ctx, *cfg.Scrape, dir, log, reg)
		if err != nil {
			return nil, err
		}
		s, err := New(sc, log, reg)
		if err != nil {
			return nil, errors.Join(err, sc.Close())
		}
		s.scraper = sc
		return s, nil
	case cfg.TSDB != nil:
		d, err := tsdbdir.Open(*cfg.TSDB, slogTo(log))
		if err != nil {
			return nil, err
		}
		s, err := New(d, log, reg)
		if err != nil {
			return nil, err
		}
		s.extent = d.Range
		return s, nil
	default:
		f, err := openmetrics.Open(ctx, *cfg.OpenMetrics)
		if err != nil {
			return nil, err
		}
		for _, w := range f.Warnings() {
			log.WithField("file", cfg.OpenMetrics.Path).WithField("doubt", w).Warn("telemetry file may be incomplete")
		}
		s, err := New(f, log, reg)
		if err != nil {
			return nil, err
		}
		s.extent = func(context.Context) (first, last time.Time, err error) {
			first, last = f.Range()
			return first, last, nil
		}
		return s, nil
	}
}

// New makes a source of any reader. If the reader is an io.Closer, Close
// closes it.
func New(r Reader, log logrus.FieldLogger, reg prometheus.Registerer) (*Source, error) {
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	return &Source{reader: r, log: log, metrics: m, piece: 6 * time.Hour, warned: make(map[string]bool)}, nil
}

// Close closes the reader.
func (s *Source) Close() error {
	switch c := s.reader.(type) {
	case io.Closer:
		return c.Close()
	case interface{ Close() }:
		c.Close()
	}
	return nil
}

// Run does what the source has to do all the while, which is scraping, until
// ctx ends.
func (s *Source) Run(ctx context.Context) error {
	if s.scraper != nil {
		return s.scraper.Run(ctx)
	}
	<-ctx.Done()
	return nil
}

// Reload makes a changed configuration hold: targets and intervals of own
// scraping. Another source waits for the next start.
func (s *Source) Reload(cfg Config) error {
	if s.scraper == nil || cfg.Scrape == nil {
		return nil
	}
	return s.scraper.Reload(*cfg.Scrape)
}

// Targets are the targets of own scraping as they stand; nil for other sources.
func (s *Source) Targets() []scrape.TargetStatus {
	if s.scraper == nil {
		return nil
	}
	return s.scraper.Targets()
}

// ErrNoRange says that a source can't tell from when to when it has telemetry:
// a server or an own store, which go on.
var ErrNoRange = errors.New("the source has no known range of time")

// Range is the time of the first and of the last sample, or ErrNoRange.
func (s *Source) Range(ctx context.Context) (first, last time.Time, err error) {
	if s.extent == nil {
		return time.Time{}, time.Time{}, ErrNoRange
	}
	return s.extent(ctx)
}

// Frames gives the frames of (start, end] to yield, in order of time; a frame
// is yield's to keep. Steps begin at start; a last step that end cuts off is
// left out, and so is a step in which nothing was read. An error of yield ends
// the reading and is returned.
//
// When a call begins where the one before ended, only the samples since then
// are read. Else the counters are primed with what lies a little before start
// (series.Lookback), so that the first frame counts what it should.
func (s *Source) Frames(ctx context.Context, start, end time.Time, step time.Duration, yield func(detector.Frame) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := start
	if s.fold == nil || s.step != step || !s.fold.At().Equal(start) {
		fold, err := series.New(series.Config{Start: start, Step: step})
		if err != nil {
			return err
		}
		s.fold, s.step = fold, step
		from = start.Add(-series.Lookback(step))
	}
	for !s.fold.At().Add(step).After(end) {
		to := s.fold.At().Add(max(step, s.piece-s.piece%step))
		if to.After(end) {
			to = end.Add(-end.Sub(s.fold.At()) % step)
		}
		if err := s.read(ctx, from, to, yield); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// read folds the samples of (from, to] and emits the frames up to to.
func (s *Source) read(ctx context.Context, from, to time.Time, yield func(detector.Frame) error) error {
	begun := time.Now()
	samples := 0
	add := func(sr series.Series) error {
		samples += len(sr.Times)
		return s.fold.Add(sr)
	}
	var err error
	if r, ok := s.reader.(stepper); ok {
		err = r.Steps(ctx, from, to, s.step, add)
	} else {
		err = s.reader.Series(ctx, from, to, add)
	}
	s.metrics.samples.Add(float64(samples))
	if err != nil {
		s.metrics.failures.Inc()
		// What was read is in the fold and will be skipped when it comes again.
		return fmt.Errorf("read telemetry of %s to %s: %w", from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339), err)
	}
	s.metrics.seconds.Observe(time.Since(begun).Seconds())
	err = s.fold.Emit(to, func(f detector.Frame) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.metrics.frames.Inc()
		return yield(f)
	})
	s.account(samples)
	return err
}

// account puts the fold's figures into the metrics, warns of what was turned
// away, and settles how much is read at once next time: as much as has a few
// million samples, so that memory stays the same whatever the number of series.
func (s *Source) account(samples int) {
	s.metrics.series.Set(float64(s.fold.Len()))
	s.metrics.indicators.Set(float64(s.fold.Indicators()))
	for reason, n := range s.fold.Dropped() {
		s.metrics.dropped.WithLabelValues(reason).Add(float64(n))
		if !s.warned[reason] {
			s.warned[reason] = true
			s.log.WithField("reason", reason).WithField("series", n).Warn("telemetry series left out")
		}
	}
	switch {
	case samples > 8_000_000 && s.piece > time.Minute:
		s.piece /= 2
	case samples > 0 && samples < 2_000_000 && s.piece < 24*time.Hour:
		s.piece *= 2
	}
}

type metrics struct {
	samples, frames, failures prometheus.Counter
	series, indicators        prometheus.Gauge
	seconds                   prometheus.Histogram
	dropped                   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		samples:    counter("aftershock_source_samples_total", "Samples of telemetry read."),
		frames:     counter("aftershock_source_frames_total", "Frames of increments made."),
		failures:   counter("aftershock_source_read_failures_total", "Reads of telemetry that failed."),
		series:     gauge("aftershock_source_series", "Raw series that are followed."),
		indicators: gauge("aftershock_source_indicators", "Indicators found in the series."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aftershock_source_read_duration_seconds", Help: "Time that one read of telemetry took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_source_series_dropped_total", Help: "Times that a series was left out, by reason.",
		}, []string{"reason"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.samples, m.frames, m.failures, m.series, m.indicators, m.seconds, m.dropped} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the source: %w", err)
		}
	}
	return m, nil
}
