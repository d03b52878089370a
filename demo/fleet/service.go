// Package fleet is what every service of the demo is built on: it listens,
// answers /metrics, /-/healthy and /-/ready, measures its routes, calls its
// peers, evaluates feature flags and drains on SIGTERM, as a production service
// does.
package fleet

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
)

// drainTime bounds how long a service that was told to stop finishes the
// requests that it has begun.
const drainTime = 10 * time.Second

// Program says what a binary is.
type Program struct {
	// Service is the service that it runs ("payments"), Binary the name that
	// it was shipped under ("dten-payments"), Version its release.
	Service, Binary, Version string
}

// Service is one running instance.
type Service struct {
	Program
	// Instance names this process among those of its service.
	Instance string
	Log      *logrus.Entry
	Registry *prometheus.Registry
	Peers    *Peers
	Features *Features

	mux      *http.ServeMux
	metrics  *serverMetrics
	draining atomic.Bool
}

type options struct {
	instance, listen, endpoints, addrFile string
}

// Main runs the program until SIGTERM or SIGINT and exits. setup adds the
// routes.
func Main(p Program, setup func(*Service) error) {
	os.Exit(run(context.Background(), p, os.Args[1:], os.Stderr, setup))
}

func run(ctx context.Context, p Program, args []string, stderr io.Writer, setup func(*Service) error) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	fs := flag.NewFlagSet(p.Binary, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.instance, "instance", p.Service, "`name` of this instance")
	fs.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` to listen on")
	fs.StringVar(&o.endpoints, "endpoints", "", "`file` that says where the peers listen, read again when it changes")
	fs.StringVar(&o.addrFile, "addr-file", "", "`file` to write the bound address to")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	log := logrus.New()
	log.SetOutput(stderr)
	log.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true, TimestampFormat: "15:04:05.000"})
	entry := log.WithFields(logrus.Fields{"instance": o.instance, "version": p.Version})
	if err := serve(ctx, p, o, entry, setup); err != nil {
		entry.WithError(err).Error("service failed")
		return 1
	}
	return 0
}

func serve(ctx context.Context, p Program, o options, log *logrus.Entry, setup func(*Service) error) error {
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", o.listen, err)
	}
	defer ln.Close()
	s := &Service{Program: p, Instance: o.instance, Log: log, Registry: newRegistry(p), mux: http.NewServeMux()}
	s.metrics = newServerMetrics(s.Registry)
	s.Peers, err = newPeers(p.Service, o.endpoints, s.Registry, log)
	if err != nil {
		return err
	}
	api := isolated.NewAPI()
	defer func() {
		end, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = api.Shutdown(end) // nothing is lost when the provider doesn't end in time
	}()
	provider, err := newProvider(os.Getenv("AFTERSHOCK_OFREP"))
	if err != nil {
		return err
	}
	if err := api.SetProviderAndWait(ctx, newCache(provider, cacheTTL)); err != nil {
		// Flags fall back to what is safe; the cache asks again.
		log.WithError(err).Warn("flag provider isn't ready")
	}
	s.Features = newFeatures(api.NewClient(), openfeature.NewEvaluationContext(o.instance, map[string]any{
		"service": p.Service, "instance": o.instance, "binary": p.Binary, "version": p.Version,
	}), s.Registry)
	s.addOwnRoutes()
	if err := setup(s); err != nil {
		return fmt.Errorf("set up %s: %w", p.Service, err)
	}
	return s.serve(ctx, ln, o.addrFile)
}

func (s *Service) addOwnRoutes() {
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	s.mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "healthy") })
	s.mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if s.draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
}

func (s *Service) serve(ctx context.Context, ln net.Listener, addrFile string) error {
	server := &http.Server{Handler: s.mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	watch, stopWatch := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.Peers.watch(watch)
	}()
	defer func() { stopWatch(); <-watched }()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	if addrFile != "" {
		if err := WriteFile(addrFile, []byte(ln.Addr().String())); err != nil {
			return fmt.Errorf("write address: %w", err)
		}
	}
	s.Log.WithField("address", ln.Addr().String()).Info("serving")
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.Log.Info("draining")
	end, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		_ = server.Close()
		return fmt.Errorf("finish requests within %s: %w", drainTime, err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	s.Log.Info("stopped")
	return nil
}

// WriteFile puts content into a file in one step.
func WriteFile(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(content); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
