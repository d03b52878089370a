package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// fleet plays the service payments with two instances and the service catalog
// with one. Each instance counts requests all the while.
type fleet struct {
	instances []*instancePlay
}

// instancePlay is one process of the fleet: an exporter.
type instancePlay struct {
	service, name string
	server        *httptest.Server

	mu      sync.Mutex
	rng     *rand.Rand
	version string
	started time.Time
	last    time.Time
	scrapes int
	// slow is the share of requests over half a second, retries the retries per
	// call.
	slow, retries float64
	offset        time.Duration // of the timestamps that the exporter gives, 0: none
	buckets       []float64
	retried, all  float64
}

var fleetBounds = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5}

// perSecond is each instance's traffic.
const perSecond = 2000

func newFleet(t testing.TB) *fleet {
	f := &fleet{}
	for i, in := range []struct{ service, name string }{{"payments", "payments-1"}, {"payments", "payments-2"}, {"catalog", "catalog-1"}} {
		p := &instancePlay{service: in.service, name: in.name, rng: rand.New(rand.NewPCG(uint64(i), 42))}
		p.restart("4.1.3", 0.02, 0.05)
		p.server = httptest.NewServer(p)
		t.Cleanup(p.server.Close)
		f.instances = append(f.instances, p)
	}
	return f
}

// restart is a deployment of a build: counters begin anew.
func (p *instancePlay) restart(version string, slow, retries float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.version, p.slow, p.retries = version, slow, retries
	p.started, p.last = time.Now(), time.Now()
	p.buckets, p.retried, p.all = make([]float64, len(fleetBounds)+1), 0, 0
}

// upgrade deploys 4.2.0 to payments, one instance after the other.
func (f *fleet) upgrade(between time.Duration) {
	f.instances[0].restart("4.2.0", 0.12, 0.30)
	time.Sleep(between)
	f.instances[1].restart("4.2.0", 0.12, 0.30)
}

// cure brings payments back to what it was, without a deployment.
func (f *fleet) cure() {
	for _, p := range f.instances[:2] {
		p.mu.Lock()
		p.slow, p.retries = 0.02, 0.05
		p.mu.Unlock()
	}
}

// count lets the time since the last scrape pass.
func (p *instancePlay) count(now time.Time) {
	n := perSecond * now.Sub(p.last).Seconds()
	p.last = now
	shares := []float64{0.40, 0.30, 0.20, 0.10 - p.slow/2, p.slow / 2, p.slow / 3, p.slow / 6}
	for i, s := range shares {
		p.buckets[i] += p.poisson(n * s)
	}
	p.all += math.Round(n)
	p.retried += p.poisson(n * p.retries)
}

// poisson draws by the normal approximation.
func (p *instancePlay) poisson(mean float64) float64 {
	return math.Max(0, math.Round(mean+math.Sqrt(mean)*p.rng.NormFloat64()))
}

func (p *instancePlay) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.count(now)
	p.scrapes++
	stamp := ""
	kind := "text/plain; version=0.0.4"
	if p.offset != 0 {
		stamp = fmt.Sprintf(" %d", now.Add(p.offset).UnixMilli())
	}
	w.Header().Set("Content-Type", kind)
	line := func(format string, args ...any) { fmt.Fprintf(w, format+stamp+"\n", args...) }
	fmt.Fprintln(w, "# TYPE http_server_request_duration_seconds histogram")
	sum := 0.0
	for i, n := range p.buckets {
		sum += n
		le := "+Inf"
		if i < len(fleetBounds) {
			le = fmt.Sprint(fleetBounds[i])
		}
		line(`http_server_request_duration_seconds_bucket{http_route="/pay",le=%q} %g`, le, sum)
	}
	line(`http_server_request_duration_seconds_count{http_route="/pay"} %g`, sum)
	line(`http_server_request_duration_seconds_sum{http_route="/pay"} %g`, sum*0.1)
	fmt.Fprintln(w, "# TYPE upstream_retries_total counter")
	line(`upstream_retries_total{peer="acme-pay"} %g`, p.retried)
	fmt.Fprintln(w, "# TYPE upstream_calls_total counter")
	line(`upstream_calls_total{peer="acme-pay"} %g`, p.all)
	fmt.Fprintln(w, "# TYPE dten_build_info gauge")
	line(`dten_build_info{binary="dten-%s",version=%q} 1`, p.service, p.version)
	fmt.Fprintln(w, "# TYPE process_start_time_seconds gauge")
	line(`process_start_time_seconds %.3f`, float64(p.started.UnixMilli())/1000)
}

// seen is how often the instance was scraped.
func (p *instancePlay) seen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.scrapes
}

// targets is the fleet as a target list of the configuration.
func (f *fleet) targets() string {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	var groups []group
	for _, p := range f.instances {
		groups = append(groups, group{
			[]string{p.server.Listener.Addr().String()},
			map[string]string{"service": p.service, "instance": p.name},
		})
	}
	b, err := json.Marshal(groups) // JSON is YAML
	if err != nil {
		panic(err)
	}
	return string(b)
}

// scraped is the sources section that scrapes the fleet.
func (f *fleet) scraped() string {
	return `  scrape: {interval: 1s, timeout: 900ms, retention: 1d, targets: ` + f.targets() + `}`
}

const fastWatch = "{step: 1s, day: 30s, lag: 1s, baseline: 60s, duration: 1h, warmup: 3s}"

// definitions are the flags of the tests.
const definitions = `{"flags": {
  "payments-backoff": {"state": "ENABLED", "variants": {"legacy": "l", "new": "n", "tuned": "t"}, "defaultVariant": "new"},
  "receipts": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"}
}}`

// config is a daemon's configuration; receivers is YAML of the list.
func config(journal, sources, receivers string) string {
	return `
log: {level: info, format: text}
web: {listen: 127.0.0.1:0}
journal: {url: "` + journal + `"}
sources:
` + sources + `
watch: ` + fastWatch + `
upgrades: {detect: true, settle: 10s}
flags:
  definitions: flags.json
  gates: [{flag: payments-backoff, binary: dten-payments, safe: legacy}]
alerts:
  receivers: ` + receivers + `
`
}

// hook is a webhook receiver that writes down what it was sent, and is slow or
// fails at times.
type hook struct {
	server *httptest.Server

	mu       sync.Mutex
	rng      *rand.Rand
	trouble  float64       // share of the posts that fail or take long
	hang     time.Duration // every answer takes that long
	received []receipt
	posts    int
}

// receipt is one alert as it was received and acknowledged.
type receipt struct {
	key         string // Idempotency-Key
	status      string
	story       string
	fingerprint string
	startsAt    time.Time
	binary      string
	effect      string
}

func newHook(t testing.TB) *hook {
	h := &hook{rng: rand.New(rand.NewPCG(5, 5))}
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.CloseClientConnections)
	return h
}

func (h *hook) receivers() string {
	return `[{name: oncall, webhook: {url: "` + h.server.URL + `", timeout: 8s}}, {name: log, log: {}}]`
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var p struct {
		Alerts []struct {
			Status      string            `json:"status"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
			StartsAt    time.Time         `json:"startsAt"`
			Fingerprint string            `json:"fingerprint"`
		} `json:"alerts"`
	}
	if err != nil || json.Unmarshal(body, &p) != nil || len(p.Alerts) != 1 {
		http.Error(w, "not a webhook's payload", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.posts++
	dice, hang := h.rng.Float64(), h.hang
	if h.rng.Float64() >= h.trouble {
		dice = 1
	}
	h.mu.Unlock()
	select {
	case <-time.After(hang):
	case <-r.Context().Done():
		return
	}
	switch {
	case dice < 0.3:
		http.Error(w, "not now", http.StatusInternalServerError)
		return
	case dice < 0.6: // received, and the answer gets lost
		defer func() { panic(http.ErrAbortHandler) }()
	case dice < 1:
		time.Sleep(700 * time.Millisecond)
	}
	a := p.Alerts[0]
	h.mu.Lock()
	defer h.mu.Unlock()
	h.received = append(h.received, receipt{
		r.Header.Get("Idempotency-Key"), a.Status, a.Labels["story"], a.Fingerprint, a.StartsAt, a.Labels["binary"], a.Annotations["effect"],
	})
}

func (h *hook) receipts() []receipt {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]receipt(nil), h.received...)
}

func (h *hook) attempts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.posts
}

// closedPort is an address that nobody listens on.
func closedPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strings.TrimSpace(l.Addr().String())
}
