package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

// watchEvery is how often the endpoints file is looked at.
const watchEvery = 100 * time.Millisecond

// Peers knows where the instances of the other services listen and calls them
// in turn.
type Peers struct {
	client string
	file   string
	log    *logrus.Entry
	http   *http.Client
	calls  *prometheus.CounterVec
	turn   atomic.Uint64

	mu    sync.RWMutex
	info  os.FileInfo
	addrs map[string][]string
}

func newPeers(client, file string, reg prometheus.Registerer, log *logrus.Entry) (*Peers, error) {
	p := &Peers{
		client: client, file: file, log: log,
		http: &http.Client{Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: 512, IdleConnTimeout: time.Minute, DisableCompression: true,
		}},
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "traces_service_graph_request_total", Help: "Requests from client to server.",
		}, []string{"client", "server"}),
	}
	reg.MustRegister(p.calls)
	if file == "" {
		return p, nil
	}
	return p, p.load()
}

// watch reads the file again whenever it changes, until ctx ends.
func (p *Peers) watch(ctx context.Context) {
	if p.file == "" {
		return
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := p.load(); err != nil {
			p.log.WithError(err).Warn("endpoints can't be read; the last ones stay")
		}
	}
}

func (p *Peers) load() error {
	info, err := os.Stat(p.file)
	if err != nil {
		return err
	}
	p.mu.RLock()
	same := p.info != nil && os.SameFile(info, p.info) && info.ModTime().Equal(p.info.ModTime())
	p.mu.RUnlock()
	if same {
		return nil
	}
	content, err := os.ReadFile(p.file)
	if err != nil {
		return err
	}
	addrs := map[string][]string{}
	if err := json.Unmarshal(content, &addrs); err != nil {
		return fmt.Errorf("parse %s: %w", p.file, err)
	}
	p.mu.Lock()
	p.info, p.addrs = info, addrs
	p.mu.Unlock()
	return nil
}

// Called counts one call of the service graph that was made without Call.
func (p *Peers) Called(server string) {
	p.calls.WithLabelValues(p.client, server).Inc()
}

// Call posts in to the route of one instance of the service and decodes the
// answer into out, which may be nil. An instance that can't be reached is
// passed over. An answer other than 200 is a *StatusError.
func (p *Peers) Call(ctx context.Context, service, route string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("write request to %s: %w", service, err)
	}
	p.mu.RLock()
	addrs := p.addrs[service]
	p.mu.RUnlock()
	p.Called(service)
	if len(addrs) == 0 {
		return &StatusError{http.StatusServiceUnavailable, "no instance of " + service + " is listed"}
	}
	first := p.turn.Add(1)
	for n := range addrs {
		addr := addrs[(first+uint64(n))%uint64(len(addrs))]
		err = p.post(ctx, "http://"+addr+route, body, out)
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			continue
		}
		break
	}
	if err == nil {
		return nil
	}
	var status *StatusError
	if errors.As(err, &status) {
		return err
	}
	return &StatusError{http.StatusBadGateway, fmt.Sprintf("call %s: %v", service, err)}
}

func (p *Peers) post(ctx context.Context, url string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var problem struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(content, &problem) // the status says enough without it
		return &StatusError{resp.StatusCode, problem.Error}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(content, out)
}
