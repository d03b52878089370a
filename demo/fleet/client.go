package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
)

// ClientConfig is what a program needs that calls the fleet without being a
// service of it.
type ClientConfig struct {
	Name, Listen, Endpoints, AddrFile string
}

// RunClient runs a program that calls the fleet, with its metrics served, until
// ctx ends and use returns.
func RunClient(ctx context.Context, c ClientConfig, log *logrus.Entry, use func(context.Context, *Peers, prometheus.Registerer)) error {
	reg := prometheus.NewRegistry()
	peers, err := newPeers(c.Name, c.Endpoints, reg, log)
	if err != nil {
		return fmt.Errorf("read endpoints: %w", err)
	}
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ready") })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	inner, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		peers.watch(inner)
	}()
	defer func() {
		cancel()
		<-watched
	}()
	if c.AddrFile != "" {
		if err := WriteFile(c.AddrFile, []byte(ln.Addr().String())); err != nil {
			return errors.Join(fmt.Errorf("write address: %w", err), server.Close())
		}
	}
	use(inner, peers, reg)
	err = server.Close()
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}
