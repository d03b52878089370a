// Package feed keeps callers of flags up to date: flagd's gRPC sync and HTTP
// sync for those that evaluate by themselves, and OFREP's event stream for those
// that ask.
//
// It promises that the definitions are written once a revision, however many
// callers take them; that the latest revision wins, so that a caller that reads
// slowly costs no memory, holds nobody up and skips what is out of date; that
// the number of streams is bounded and a refusal says why; and that all streams
// end in order when the daemon stops.
package feed

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
)

// Config is the section flags.sync of the configuration.
type Config struct {
	// MaxStreams is how many streams may be open at once, of all kinds together,
	// 1 to 100,000; 5,000 if 0. A connection over HTTP/2 carries at most
	// StreamsPerConnection of them.
	MaxStreams int `yaml:"max_streams"`
	// Keepalive is how often an event stream on which nothing happens is written
	// to, so that proxies keep it open and a caller that is gone is found out;
	// 1 s to 10 min, 15 s if 0. Streams over HTTP/2 are pinged by the listener.
	Keepalive time.Duration `yaml:"keepalive"`
	// WriteTimeout bounds the writing of one message: a caller that doesn't take
	// it until then is cut off. 100 ms to 5 min, 10 s if 0.
	WriteTimeout time.Duration `yaml:"write_timeout"`
	// StreamDeadline ends each stream after that long, upon which callers connect
	// again, perhaps to another daemon behind the same address; 1 s to 30 days, 0
	// for never.
	StreamDeadline time.Duration `yaml:"stream_deadline"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	if c.MaxStreams == 0 {
		c.MaxStreams = 5000
	}
	if c.Keepalive == 0 {
		c.Keepalive = 15 * time.Second
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 10 * time.Second
	}
}

// Validate lists what is wrong, each error with its YAML path under path.
func (c *Config) Validate(path string) []error {
	var errs []error
	if c.MaxStreams < 1 || c.MaxStreams > 100_000 {
		errs = append(errs, fmt.Errorf("%s.max_streams: %d isn't between 1 and 100000", path, c.MaxStreams))
	}
	for _, d := range []struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"keepalive", c.Keepalive, time.Second, 10 * time.Minute},
		{"write_timeout", c.WriteTimeout, 100 * time.Millisecond, 5 * time.Minute},
		{"stream_deadline", c.StreamDeadline, time.Second, 30 * 24 * time.Hour},
	} {
		if d.name == "stream_deadline" && d.value == 0 {
			continue
		}
		if d.value < d.min || d.value > d.max {
			errs = append(errs, fmt.Errorf("%s.%s: %s isn't between %s and %s", path, d.name, d.value, d.min, d.max))
		}
	}
	return errs
}

// StreamsPerConnection is how many requests one connection over HTTP/2 may have
// open at once, which the listener sees to.
const StreamsPerConnection = 1000

// Source is where the definitions come from.
type Source interface {
	// Edition returns what is served now, never nil.
	Edition() *Edition
	// Admits says whether a request may read flags.
	Admits(r *http.Request) bool
}

// Feed serves the editions of a source. Its methods may be called concurrently.
type Feed struct {
	config  Config
	source  Source
	grpc    *grpc.Server
	metrics metrics

	closing chan struct{} // closed by Close

	mu      sync.Mutex
	streams int
	closed  bool
}

type metrics struct {
	streams *prometheus.GaugeVec
	sent    *prometheus.CounterVec
	refused *prometheus.CounterVec
}

// New returns a feed of the source. reg may be nil.
func New(c Config, source Source, reg prometheus.Registerer) (*Feed, error) {
	c.SetDefaults()
	if errs := c.Validate("flags.sync"); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	f := &Feed{config: c, source: source, closing: make(chan struct{})}
	f.metrics = metrics{
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "aftershock_flag_streams", Help: "Open streams that tell callers of changed flags.",
		}, []string{"protocol"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_flag_stream_messages_total", Help: "Revisions of the flags that were handed to streams.",
		}, []string{"protocol"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_flag_streams_refused_total", Help: "Streams that were refused, by reason.",
		}, []string{"reason"}),
	}
	if reg != nil {
		for _, m := range []prometheus.Collector{f.metrics.streams, f.metrics.sent, f.metrics.refused} {
			if err := reg.Register(m); err != nil {
				return nil, fmt.Errorf("register metrics of the feed of flags: %w", err)
			}
		}
	}
	f.grpc = newServer(f)
	return f, nil
}

// Close ends all streams, telling callers that the daemon stops, and refuses new
// ones. It doesn't wait: who serves the requests does.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.closing)
	}
}

// refusal says why a request isn't served.
type refusal struct {
	reason string // for the metrics
	text   string
}

var (
	unknownCaller = refusal{"key", "reading flags needs a key: present it as Authorization: Bearer KEY or X-API-Key: KEY"}
	stopping      = refusal{"stopping", "the daemon is stopping"}
)

// enter takes one of the places for streams; leave gives it back.
func (f *Feed) enter(protocol string) (leave func(), refused *refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		f.metrics.refused.WithLabelValues(stopping.reason).Inc()
		return nil, &stopping
	}
	if f.streams >= f.config.MaxStreams {
		f.metrics.refused.WithLabelValues("limit").Inc()
		return nil, &refusal{"limit", fmt.Sprintf("%d streams are open, which is what flags.sync.max_streams allows; try again later", f.streams)}
	}
	f.streams++
	f.metrics.streams.WithLabelValues(protocol).Inc()
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.streams--
		f.metrics.streams.WithLabelValues(protocol).Dec()
	}, nil
}

// end is when a stream that begins now has lived long enough; nil for never.
func (f *Feed) end() (at <-chan time.Time, stop func()) {
	if f.config.StreamDeadline == 0 {
		return nil, func() {}
	}
	t := time.NewTimer(f.config.StreamDeadline)
	return t.C, func() { t.Stop() }
}
