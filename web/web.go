// Package web is the daemon's one listener: the console, the JSON API, flag
// evaluation over OFREP, flagd's sync, metrics and health.
//
// It reads from the journal alone, so that what was announced can always be
// shown again. Nothing writes without the token.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"aftershock/alerts/alertmanager"
	"aftershock/detector"
	"aftershock/flags"
	"aftershock/flags/feed"
	"aftershock/journal"
	"aftershock/upgrades/inbox"
	"aftershock/watch"
	"aftershock/web/access"
	"aftershock/web/channel"
)

// Config is the section web of the configuration.
type Config struct {
	// Listen is the address, host:port; port 0 lets the kernel pick.
	Listen string `yaml:"listen"`
	// ExternalURL is how people reach the console, for links in alerts.
	ExternalURL string `yaml:"external_url"`
	// ConfigFile is a web configuration of exporter-toolkit (TLS, basic auth).
	ConfigFile string `yaml:"config_file"`
	// Access says who may do what.
	Access access.Config `yaml:"access"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8787"
	}
}

// Validate names every setting that can't be used, by its path.
func (c *Config) Validate(path string) []error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("%s.listen: %q is no host:port", path, c.Listen))
	}
	if c.ExternalURL != "" {
		if u, err := url.Parse(c.ExternalURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("%s.external_url: want an http or https URL", path))
		}
	}
	if len(c.Access.Users) > 0 && c.ConfigFile == "" {
		errs = append(errs, fmt.Errorf("%s.access.users: their passwords are missing: name them in basic_auth_users of %s.config_file", path, path))
	}
	return append(errs, c.Access.Validate(path+".access")...)
}

// Journal is what the pages and the API read, and where they put down what people say
// of alerts.
type Journal interface {
	Upgrades(ctx context.Context, p journal.Page) ([]detector.Upgrade, string, error)
	Upgrade(ctx context.Context, id string) (detector.Upgrade, error)
	UpgradesWithin(ctx context.Context, from, to time.Time) ([]detector.Upgrade, error)
	Coverage(ctx context.Context, from, to time.Time) ([]detector.Coverage, error)
	Verdicts(ctx context.Context, upgrade string) ([]detector.Verdict, error)
	Summaries(ctx context.Context, upgrade string) ([]journal.Summary, error)
	VerdictOn(ctx context.Context, upgrade string, i detector.Indicator) (detector.Verdict, error)
	Verdict(ctx context.Context, upgrade, id string) (detector.Verdict, error)
	Events(ctx context.Context, q journal.EventQuery) ([]journal.StoredEvent, int64, error)
	Alerts(ctx context.Context, q journal.AlertQuery) ([]detector.Alert, string, error)
	Alert(ctx context.Context, key string) (detector.Alert, error)
	PutMark(ctx context.Context, m detector.Mark) error
	PutAcknowledgement(ctx context.Context, k detector.Acknowledgement) error
	Marks(ctx context.Context, alert string) ([]detector.Mark, error)
	Acknowledgements(ctx context.Context, alert string) ([]detector.Acknowledgement, error)
	Said(ctx context.Context, alerts ...string) (map[string]detector.Said, error)
	Tally(ctx context.Context) (detector.Tally, error)
	Toggles(ctx context.Context, flag string, limit int) ([]detector.Toggle, error)
	ToggleHistory(ctx context.Context, id string) ([]detector.Toggle, error)
	Audit(ctx context.Context, q journal.AuditQuery) ([]detector.Toggle, int64, error)
	Freezes(ctx context.Context, limit int) ([]detector.Freeze, error)
	Jobs(ctx context.Context, limit int) ([]journal.JobStatus, error)
	Changes() (seen int64, next <-chan struct{})
	Storage(ctx context.Context) (journal.Storage, error)
	ClaimAnswer(ctx context.Context, a journal.Answer) (there journal.Answer, claimed bool, err error)
	PutAnswer(ctx context.Context, a journal.Answer) error
	DropAnswer(ctx context.Context, a journal.Answer) error
	Posts(ctx context.Context, upgrade string, after int64) ([]journal.StoredPost, error)
	Chores(ctx context.Context, upgrade string) ([]detector.LedgerEntry, error)
	ChangeChore(ctx context.Context, upgrade, id string, change func(e detector.LedgerEntry, known bool) (detector.LedgerEntry, bool, error)) (detector.LedgerEntry, error)
	Pinned(ctx context.Context, publisher string) ([]detector.Pin, error)
	Pin(ctx context.Context, p detector.Pin) error
	Ping(ctx context.Context) error
}

// Loop is the watch, as far as people look at it and talk to it.
type Loop interface {
	Status() watch.Status
	Record(u detector.Upgrade)
	CloseUpgrade(id string)
	// Report puts down what deployment tools told; once it answered nil nothing
	// of it is lost.
	Report(ctx context.Context, all []inbox.Report) error
}

// ErrBusy is what Loop.Report answers while too much waits to be taken in.
var ErrBusy = errors.New("too many reports wait to be taken in")

// Week writes the review of a week by its name (2026-W47, last, this or latest); format is html,
// md, json or pdf.
type Week func(ctx context.Context, week, format string, w http.ResponseWriter) error

// Review writes the review of one upgrade; format is html, md or json.
type Review func(ctx context.Context, upgrade, format string, w http.ResponseWriter) error

// Target is one address that the daemon scrapes, as the health page shows it.
type Target struct {
	Address string            `json:"address"`
	Labels  map[string]string `json:"labels,omitempty"`
	Up      bool              `json:"up"`
	// Scraped is the end of the last attempt, zero before the first.
	Scraped time.Time `json:"scraped_at,omitzero"`
	// Error is why the last attempt failed, "" where it didn't.
	Error string `json:"error,omitempty"`
}

// Options are the parts that the server shows.
type Options struct {
	Config      Config
	Version     string
	Journal     Journal
	Loop        Loop
	Switchboard *flags.Switchboard
	// Judging is what verdicts are reached by, which pages explain them with.
	Judging watch.Config
	Review  Review
	Week    Week
	// Weeks are the last n weeks in the time zone of reviews, the present one first.
	Weeks func(n int) []WeekSpan
	// Channel is what people outside are told; OpenStatus lets anyone read that, whoever
	// may read the rest.
	Channel    *channel.Channel
	OpenStatus bool
	// Parse reads an upgrade record.
	Parse func(data []byte) (detector.Upgrade, error)
	// Inbox reads what deployment tools tell.
	Inbox *inbox.Inbox
	// Reload reads the configuration again.
	Reload func() error
	// Silences are those of Alertmanagers that cover the alerts, by alert key; nil where
	// nothing is known of any.
	Silences func(ctx context.Context, alerts []detector.Alert) map[string][]alertmanager.Silence
	// Tell is an alert as receivers are told it; nil where nobody is told.
	Tell func(ctx context.Context, a detector.Alert) string
	// Receivers are those of alerts; nil where nothing is known of any.
	Receivers func() []Receiver
	// Targets lists what the daemon scrapes; nil where it doesn't scrape itself.
	Targets  func() []Target
	Token    string
	Registry *prometheus.Registry
	Log      logrus.FieldLogger
	// Slog is the same log for what speaks slog.
	// Escalate tells people that a package was signed by a key that nobody expected.
	Escalate func(ctx context.Context, key, text string) error
	Slog     *slog.Logger
}

// Server serves all of it.
type Server struct {
	o        Options
	listener net.Listener
	// inner is a listener on loopback for the daemon's own evaluation of flags, where the
	// other one asks for TLS or passwords; nil elsewhere.
	inner    net.Listener
	ready    atomic.Bool
	started  time.Time
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	sessions sessions
	once     once
	live     streams
	keyed    keyed
	streams  streams
	tuned    tuned
	// tokens are those of people, nil where the daemon's own does everything.
	tokens   *access.Tokens
	received *prometheus.CounterVec
	// inbox rations what its senders may tell, together.
	inbox *rate.Limiter
}

// New binds the listener; Serve starts to answer.
func New(o Options) (*Server, error) {
	s := &Server{o: o, started: time.Now(), live: newStreams(), streams: newStreams(), sessions: newSessions(), inbox: rate.NewLimiter(inboxRate, inboxBurst)}
	s.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "aftershock_http_requests_total", Help: "Requests answered, by route and status.",
	}, []string{"route", "code"})
	s.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "aftershock_http_request_duration_seconds", Help: "Time to answer, by route.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), NativeHistogramBucketFactor: 1.1,
	}, []string{"route"})
	s.received = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "aftershock_inbox_events_total", Help: "Events that deployment tools told, by what became of them.",
	}, []string{"outcome"})
	if path := o.Config.Access.TokensFile; path != "" {
		tokens, err := access.Open(path)
		if err != nil {
			return nil, fmt.Errorf("web.access.tokens_file: %w; aftershock access add makes one", err)
		}
		s.tokens = tokens
	}
	if s.tokens != nil || len(o.Config.Access.Users) > 0 {
		s.o.Token = "" // people have their own
	}
	l, err := net.Listen("tcp", o.Config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on web.listen %s: %w; is another daemon running, or the port taken?", o.Config.Listen, err)
	}
	if err := errors.Join(o.Registry.Register(s.requests), o.Registry.Register(s.seconds), o.Registry.Register(s.received)); err != nil {
		return nil, fmt.Errorf("register the metrics of the web server: %w", errors.Join(err, l.Close()))
	}
	s.listener = l
	if o.Config.ConfigFile != "" {
		if s.inner, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("listen on loopback for the daemon's own evaluation of flags: %w", errors.Join(err, l.Close()))
		}
	}
	return s, nil
}

// OwnURL is where the daemon itself evaluates flags over OFREP: at its listener, or, where
// web.config_file asks for TLS or passwords there, at another on loopback that serves
// nothing else.
func (s *Server) OwnURL() string {
	l := s.listener
	if s.inner != nil {
		l = s.inner
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return "http://" + l.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// serveInner serves the daemon's own evaluation until the answered function is called.
func (s *Server) serveInner(base context.Context) (stop func()) {
	if s.inner == nil {
		return func() {}
	}
	m := http.NewServeMux()
	m.Handle("/ofrep/v1/", s.o.Switchboard.Handler())
	server := &http.Server{
		Handler: m, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: writeTimeout,
		BaseContext: func(net.Listener) context.Context { return base },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(s.inner); !errors.Is(err, http.ErrServerClosed) {
			s.o.Log.WithError(err).Error("the daemon's own evaluation of flags ended: toggles can't be verified")
		}
	}()
	return func() {
		if err := server.Close(); err != nil {
			s.o.Log.WithError(err).Warn("close the listener of the daemon's own evaluation of flags")
		}
		<-done
	}
}

// Addr is the address that was bound.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// SetReady says whether /-/ready answers that the daemon can do its work.
func (s *Server) SetReady(ready bool) { s.ready.Store(ready) }

// Bounds of serving.
const (
	// grace is how long requests under way may take to finish at the end.
	grace = 5 * time.Second
	// writeTimeout bounds an answer; toggleTimeout one that waits for a toggle
	// to be verified, which flags.Config allows five minutes for.
	writeTimeout  = 2 * time.Minute
	toggleTimeout = 6 * time.Minute
	// pingAfter is how long a connection over HTTP/2 may be silent before it is
	// pinged, pingTimeout how long the answer may take, and stuck how long a
	// connection may take no byte.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
	stuck       = 30 * time.Second
)

// Serve answers requests until ctx ends, then lets those under way finish for
// at most five seconds.
func (s *Server) Serve(ctx context.Context) error {
	// Requests outlive ctx, by the grace that they are given.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	// gRPC comes over HTTP/2, without TLS where the listener has none.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:   s.routes(),
		Protocols: &protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: feed.StreamsPerConnection,
			SendPingTimeout:      pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: stuck,
		},
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(s.o.Slog.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(s.o.Switchboard.Feed().Close)
	server.RegisterOnShutdown(s.live.close)
	server.RegisterOnShutdown(s.streams.close)
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		late, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		stopped <- server.Shutdown(late)
	})
	defer stop()
	defer s.serveInner(base)()
	err := toolkit.Serve(s.listener, server, &toolkit.FlagConfig{WebConfigFile: &s.o.Config.ConfigFile}, slog.New(lowered{s.o.Slog.Handler()}))
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		if err := <-stopped; err != nil {
			cancel()
			return fmt.Errorf("stop the web server: requests were cut off: %w", errors.Join(err, server.Close()))
		}
		return nil
	}
	return fmt.Errorf("serve on %s: %w", s.Addr(), err)
}
