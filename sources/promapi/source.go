// Package promapi reads telemetry from any server with the Prometheus HTTP API:
// Prometheus, VictoriaMetrics, Thanos, Mimir and others. It finds out once which
// is the fastest way that the server knows: its own chunks streamed by remote
// read, the last sample of each step, or raw samples as JSON. Whatever a server
// does, slow, truncated, wrong or hostile answers become one clear error within
// bounded time and memory.
package promapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/common/config"
	"github.com/sirupsen/logrus"

	"aftershock/sources/series"
)

const (
	// namesFor is how long the list of metric names is good.
	namesFor = 30 * time.Second
	// namesStep widens the time that names are asked for, so that reading on
	// doesn't ask again each time.
	namesStep = 6 * time.Hour
	// maxNames bounds the names that are read, maxGroup those of one request.
	maxNames = 20_000
	maxGroup = 500
)

// Source is a server that telemetry is read from. It may be used from several
// goroutines.
type Source struct {
	config   Config
	base     string
	client   *http.Client
	log      logrus.FieldLogger
	requests *prometheus.CounterVec

	mu sync.Mutex
	// way is how to read, "" until the server was asked; probeAt is when to
	// ask again, zero for never.
	way     Way
	probeAt time.Time
	// pacers know how much the server answers at once, for each way.
	pacers map[Way]*pacer
	names  nameList
}

// nameList is the wanted metric names of a span of time.
type nameList struct {
	from, to time.Time
	read     time.Time
	names    []string
}

// New makes a source without asking the server for anything: that happens with
// the first reading, so that a daemon can start before its server. reg may be
// nil.
func New(config Config, log logrus.FieldLogger, reg prometheus.Registerer) (*Source, error) {
	config.SetDefaults()
	if errs := config.Validate("prometheus"); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	client, err := promconfig.NewClientFromConfig(config.HTTPClient, "aftershock")
	if err != nil {
		return nil, fmt.Errorf("make the HTTP client for %s: %w", config.URL, err)
	}
	s := &Source{
		config: config, base: strings.TrimRight(config.URL, "/"), client: client, log: log,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_source_requests_total",
			Help: "Requests to the telemetry server, by what they asked for and how they ended.",
		}, []string{"way", "outcome"}),
		pacers: map[Way]*pacer{},
	}
	for _, way := range ways {
		s.pacers[way] = newPacer(way, time.Duration(config.Window))
	}
	if s.requests, err = register(reg, s.requests); err != nil {
		return nil, err
	}
	return s, nil
}

// register takes over the metric of a source before this one, as after a
// reload.
func register(reg prometheus.Registerer, c *prometheus.CounterVec) (*prometheus.CounterVec, error) {
	if reg == nil {
		return c, nil
	}
	err := reg.Register(c)
	var before prometheus.AlreadyRegisteredError
	if errors.As(err, &before) {
		if c, ok := before.ExistingCollector.(*prometheus.CounterVec); ok {
			return c, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("register the source's metrics: %w", err)
	}
	return c, nil
}

// Open makes a source and asks the server which way of reading it knows.
func Open(ctx context.Context, config Config, log logrus.FieldLogger, reg prometheus.Registerer) (*Source, error) {
	s, err := New(config, log, reg)
	if err != nil {
		return nil, err
	}
	if _, err := s.Way(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Close lets go of idle connections.
func (s *Source) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Series reads the samples of (start, end], millisecond for millisecond as the
// server has them, and hands over one series after another. A series may come
// several times, in pieces of time that ascend. Its slices are good until add
// returns; labels and histograms may be kept. An error of add ends the reading
// and is returned.
func (s *Source) Series(ctx context.Context, start, end time.Time, add func(series.Series) error) error {
	way, err := s.Way(ctx)
	if err != nil {
		return err
	}
	if way == Steps {
		way = JSON
	}
	return s.readWay(ctx, way, span{from: start.UnixMilli() + 1, to: end.UnixMilli()}, add)
}

// Steps is Series for frames of this step, the last of which ends at end: where
// the server can't stream chunks, it may leave out all but the last sample of
// each step, with which frames come out the same at a fraction of the cost.
// Samples of up to two steps before start may come as well.
func (s *Source) Steps(ctx context.Context, start, end time.Time, step time.Duration, add func(series.Series) error) error {
	way, err := s.Way(ctx)
	if err != nil {
		return err
	}
	if way != Steps || step < time.Millisecond || step%time.Millisecond != 0 {
		return s.Series(ctx, start, end, add)
	}
	all := span{to: end.UnixMilli(), step: step.Milliseconds()}
	steps := (all.to - start.UnixMilli() + all.step - 1) / all.step
	all.from = all.to - steps*all.step
	return s.readWay(ctx, way, all, add)
}

// span is what is read: times in milliseconds, both included. With a step, the
// last sample of each step is enough, and the steps end at from+step,
// from+2*step and so on.
type span struct {
	from, to int64
	step     int64
}

// reading reads the series of some metric names in one window, and says how
// many samples there were.
type reading func(ctx context.Context, names []string, w span, add func(series.Series) error) (int, error)

// readWay reads all wanted series of a span in one of the ways.
func (s *Source) readWay(ctx context.Context, way Way, all span, add func(series.Series) error) error {
	if all.to < all.from {
		return nil
	}
	names, err := s.namesOf(ctx, time.UnixMilli(all.from), time.UnixMilli(all.to))
	if err != nil {
		return err
	}
	read := reading(s.readChunks)
	switch way {
	case Steps:
		read = s.readSteps
	case JSON:
		read, all.step = s.readJSON, 0
	default:
		all.step = 0
	}
	for group := range slices.Chunk(names, maxGroup) {
		err := s.windows(ctx, way, all, func(w span) (int, error) { return read(ctx, group, w, add) })
		if err != nil {
			return err
		}
	}
	return nil
}
