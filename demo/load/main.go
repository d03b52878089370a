// Command load puts the load of many customers on the gateway: an open model
// with Poisson arrivals, whose rate follows a daily wave. Customers don't wait
// for one another, so a slow shop gets more requests at once, not fewer.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"aftershock/demo/fleet"
)

// maxInFlight bounds the requests under way; arrivals beyond it are counted as
// dropped.
const maxInFlight = 4000

// wave is the rate of arrivals over the day.
type wave struct {
	rate      float64 // mean, per second
	amplitude float64 // 0..1
	day       time.Duration
}

func (w wave) at(t time.Time) float64 {
	phase := float64(t.UnixNano()%int64(w.day)) / float64(w.day)
	return w.rate * (1 + w.amplitude*math.Sin(2*math.Pi*phase))
}

// next is the arrival after t, by thinning: a Poisson process at the highest
// rate, of which each arrival stays with the chance that the rate then gives.
func (w wave) next(t time.Time) time.Time {
	top := w.rate * (1 + w.amplitude)
	for {
		t = t.Add(time.Duration(rand.ExpFloat64() / top * float64(time.Second)))
		if rand.Float64()*top < w.at(t) {
			return t
		}
	}
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	var w wave
	fs.Float64Var(&w.rate, "rate", 130, "mean arrivals per second")
	fs.Float64Var(&w.amplitude, "amplitude", .25, "height of the daily wave, 0 to 1")
	fs.DurationVar(&w.day, "day", 30*time.Second, "length of the day")
	endpoints := fs.String("endpoints", "endpoints.json", "`file` that says where the gateways listen")
	listen := fs.String("listen", "127.0.0.1:0", "`address` for /metrics")
	addrFile := fs.String("addr-file", "", "`file` to write the bound address to")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if w.rate <= 0 || w.amplitude < 0 || w.amplitude > 1 || w.day <= 0 {
		fmt.Fprintln(os.Stderr, "load: rate and day must be above 0, amplitude within 0..1")
		return 2
	}
	log := logrus.NewEntry(logrus.New()).WithField("instance", "load")
	err := fleet.RunClient(ctx, fleet.ClientConfig{Name: "load", Listen: *listen, Endpoints: *endpoints, AddrFile: *addrFile}, log,
		func(ctx context.Context, peers *fleet.Peers, reg prometheus.Registerer) {
			newShoppers(w, peers, reg).run(ctx)
		})
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		return 1
	}
	return 0
}

type shoppers struct {
	wave     wave
	peers    *fleet.Peers
	sent     *prometheus.CounterVec
	dropped  prometheus.Counter
	inFlight atomic.Int64
}

func newShoppers(w wave, peers *fleet.Peers, reg prometheus.Registerer) *shoppers {
	s := &shoppers{
		wave: w, peers: peers,
		sent:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "load_sent_total", Help: "Requests sent that were answered, by route and outcome."}, []string{"route", "outcome"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "load_dropped_total", Help: "Arrivals that weren't sent because too many were under way."}),
	}
	reg.MustRegister(s.sent, s.dropped, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "load_in_flight", Help: "Requests under way.",
	}, func() float64 { return float64(s.inFlight.Load()) }))
	return s
}

// run sends until ctx ends and waits for what is under way.
func (s *shoppers) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for t := s.wave.next(time.Now()); ; t = s.wave.next(t) {
		// Late arrivals are sent at once: the model stays open.
		if !fleet.Wait(ctx, time.Until(t)) {
			return
		}
		if s.inFlight.Load() >= maxInFlight {
			s.dropped.Inc()
			continue
		}
		s.inFlight.Add(1)
		wg.Go(func() {
			defer s.inFlight.Add(-1)
			s.shop()
		})
	}
}

// shop sends one request as a customer does: half of them pay.
func (s *shoppers) shop() {
	items := make([]string, 1+rand.IntN(4))
	for n := range items {
		items[n] = fmt.Sprintf("item-%03d", rand.IntN(1000))
	}
	var in any = map[string]any{"account": fmt.Sprintf("acc-%05d", rand.IntN(20000)), "items": items}
	route := "/checkout"
	switch chance := rand.Float64(); {
	case chance < .27:
		route, in = "/catalog", items
	case chance < .42:
		route = "/cart"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	outcome := "ok"
	if err := s.peers.Call(ctx, "gateway", route, in, nil); err != nil {
		outcome = "failed"
	}
	s.sent.WithLabelValues(route, outcome).Inc()
}
