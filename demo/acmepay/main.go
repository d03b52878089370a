// Command acmepay is the third party acme-pay: it charges accounts, mostly well.
// Its partial outages and slow phases come from its own weather.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"aftershock/demo/acmepay/weather"
	"aftershock/demo/fleet"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	climate := weather.Config{Shards: 240, Burst: 700 * time.Millisecond, FailShare: .033, Phase: 2 * time.Second, SlowShare: .013}
	fs := flag.NewFlagSet("acmepay", flag.ContinueOnError)
	listen := fs.String("listen", "127.0.0.1:0", "`address` to listen on")
	addrFile := fs.String("addr-file", "", "`file` to write the bound address to")
	fs.Uint64Var(&climate.Seed, "seed", rand.Uint64(), "seed of the weather")
	fs.Float64Var(&climate.FailShare, "fail-share", climate.FailShare, "share of the time that a shard fails")
	fs.Float64Var(&climate.SlowShare, "slow-share", climate.SlowShare, "share of the time that a shard is slow")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if err := serve(ctx, *listen, *addrFile, weather.New(climate, time.Now())); err != nil {
		fmt.Fprintln(os.Stderr, "acmepay:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, listen, addrFile string, w *weather.Weather) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", listen, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/charges", func(rw http.ResponseWriter, r *http.Request) { charge(rw, r, w) })
	mux.HandleFunc("GET /-/ready", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, "ready") })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	if addrFile != "" {
		if err := fleet.WriteFile(addrFile, []byte(ln.Addr().String())); err != nil {
			_ = server.Close()
			return fmt.Errorf("write address: %w", err)
		}
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		_ = server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func charge(rw http.ResponseWriter, r *http.Request, w *weather.Weather) {
	var in struct {
		Account string `json:"account"`
		Cents   int64  `json:"cents"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 4<<10)).Decode(&in); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(in.Account)) // a hash never fails
	sky := w.At(h.Sum32(), time.Now())
	// A failing shard still answers now and then, a sound one fails rarely.
	if chance := rand.Float64(); (sky.Failing && chance < .93) || chance < .002 {
		fleet.Work(r.Context(), 25*time.Millisecond, .4)
		http.Error(rw, `{"error":"shard unavailable"}`, http.StatusServiceUnavailable)
		return
	}
	if sky.Slow {
		fleet.Work(r.Context(), 900*time.Millisecond, .3)
	} else {
		fleet.Work(r.Context(), 80*time.Millisecond, .35)
	}
	rw.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(rw, `{"id":"ch_%s","cents":%d}`, strconv.FormatUint(rand.Uint64(), 36), in.Cents)
}
