package payments

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aftershock/demo/acmepay/weather"
	"aftershock/demo/fleet"
	"aftershock/demo/payments/backoff"
	"aftershock/detector"
	"aftershock/detector/hist"
	"aftershock/flags/tuning"
)

// party answers as acmepay does, without a network.
type party struct{ weather *weather.Weather }

func (p *party) RoundTrip(r *http.Request) (*http.Response, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.Header.Get("Account")))
	sky := p.weather.At(h.Sum32(), time.Now())
	code, took, sigma := http.StatusOK, 80*time.Millisecond, 0.35
	switch chance := rand.Float64(); {
	case sky.Failing && chance < 0.93 || chance < 0.002:
		code, took, sigma = http.StatusServiceUnavailable, 25*time.Millisecond, 0.4
	case sky.Slow:
		took, sigma = 900*time.Millisecond, 0.3
	}
	fleet.Work(r.Context(), took, sigma)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(`{"id":"x"}`))}, nil
}

// counts are what the real client of acme-pay counts, as the fleet's payments.
type counts struct {
	mu    sync.Mutex
	sum   map[string]float64
	times []float64
}

type counter struct {
	prometheus.Counter
	c    *counts
	name string
}

func (c counter) Inc() { c.Add(1) }

func (c counter) Add(x float64) { c.c.mu.Lock(); c.c.sum[c.name] += x; c.c.mu.Unlock() }

func newTestAcme(w *weather.Weather) (*acme, *counts) {
	c := &counts{sum: map[string]float64{}}
	n := func(name string) prometheus.Counter { return counter{c: c, name: name} }
	a := &acme{
		url: "http://acme", http: &http.Client{Transport: &account{&party{w}}}, called: func() {},
		calls: n("calls"), attempts: n("attempts"), retries: n("retries"), firstFailures: n("first"),
		retried: n("retried"), abandoned: n("abandoned"), failed: n("failed"),
	}
	return a, c
}

// account puts the account of the charge where the party finds it.
type account struct{ next http.RoundTripper }

func (a *account) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Account", string(b))
	return a.next.RoundTrip(r)
}

// bounds are those of the fleet's server histogram, s.
var bounds = []float64{
	.005, .01, .02, .03, .04, .05, .065, .08, .1, .125, .15, .175, .2, .225, .25, .3, .35, .4, .45, .5, .6, .7, .85, 1, 1.5, 2.5, 5, 10, math.Inf(1),
}

// serve runs payments' charges at 75 a second under a strategy, and answers the
// frames of its seconds and how long the requests took, ascending.
func serve(a *acme, c *counts, s backoff.Strategy, version string, seconds int) (frames []detector.Frame, took []float64) {
	retry := &detector.Indicator{Kind: detector.Retry, Metric: "thirdparty_client_retries_total", Labels: map[string]string{"service": "payments", "peer": peer}}
	latency := &detector.Indicator{Kind: detector.Latency, Metric: "http_server_request_duration_seconds", Labels: map[string]string{"service": "payments", "http_route": "/charge"}}
	var wg sync.WaitGroup
	last, taken := map[string]float64{}, 0
	for range seconds {
		for range 75 {
			wg.Go(func() {
				begun := time.Now()
				fleet.Work(context.Background(), 20*time.Millisecond, 0.6)
				_, _ = a.charge(context.Background(), s, Charge{Account: "acc-" + strconv.Itoa(rand.IntN(20000))})
				c.mu.Lock()
				c.times = append(c.times, time.Since(begun).Seconds())
				c.mu.Unlock()
			})
			time.Sleep(time.Second / 75)
		}
		c.mu.Lock()
		h := hist.Histogram{Bounds: bounds, Counts: make([]float64, len(bounds))}
		for _, t := range c.times[taken:] {
			h.Counts[sort.SearchFloat64s(bounds, t)]++
		}
		taken = len(c.times)
		n := func(name string) float64 { d := c.sum[name] - last[name]; last[name] = c.sum[name]; return d }
		frames = append(frames, detector.Frame{Time: time.Now(), Step: time.Second, Points: []detector.Point{
			{Indicator: retry, Version: version, Total: n("calls"), Bad: n("retries"), FirstFailures: n("first"), Retried: n("retried"), Failed: n("failed"), CountsFailed: true},
			{Indicator: latency, Version: version, Total: h.Total(), Hist: h},
		}})
		c.mu.Unlock()
	}
	wg.Wait()
	took = c.times
	slices.Sort(took)
	return frames, took
}

func constants(s backoff.Strategy) string {
	e, ok := s.(backoff.Exponential)
	if !ok {
		return `{"strategy":"linear","base_ms":20,"max_attempts":3,"timeout_ms":2000}`
	}
	n := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	ms := func(d time.Duration) string { return n(float64(d) / 1e6) }
	return `{"strategy":"exponential","base_ms":` + ms(e.Base) + `,"cap_ms":` + ms(e.Cap) + `,"factor":` + n(e.Factor) + `,"jitter":` + n(e.Jitter) +
		`,"max_attempts":` + strconv.Itoa(e.MaxAttempts) + `,"slow_ms":` + ms(e.Slow) + `,"timeout_ms":` + ms(e.Timeout) + `}`
}

// TestTuningForetells holds what tuning says of constants that were never served
// against what the real client then counts on the same third party.
func TestTuningForetells(t *testing.T) {
	gentle := backoff.New()
	gentle.Base, gentle.Cap, gentle.Jitter, gentle.MaxAttempts, gentle.Slow = 40*time.Millisecond, 200*time.Millisecond, 0.2, 3, 0
	patient := backoff.New()
	patient.Base, patient.Cap, patient.MaxAttempts, patient.Slow = 300*time.Millisecond, 2*time.Second, 4, 0
	synctest.Test(t, func(t *testing.T) {
		w := weather.New(weather.Config{Seed: 3, Shards: 240, Burst: 700 * time.Millisecond, FailShare: .033, Phase: 2 * time.Second, SlowShare: .013}, time.Now())
		rec := tuning.NewRecorder("payments", peer)
		var flip time.Time
		for _, r := range []struct {
			s       backoff.Strategy
			version string
			seconds int
		}{{backoff.Legacy(), "4.1.3", 100}, {backoff.New(), "4.2.0", 60}} {
			flip = time.Now()
			a, c := newTestAcme(w)
			frames, _ := serve(a, c, r.s, r.version, r.seconds)
			for _, f := range frames {
				rec.Add(f)
			}
		}
		q := tuning.Question{
			Flag: "payments-backoff", Service: "payments", Peer: peer, Since: "4.2.0", Safe: "legacy", New: "new", Seed: 1,
			Variants: []tuning.Variant{
				{Name: "legacy", Value: []byte(constants(backoff.Legacy()))},
				{Name: "new", Value: []byte(constants(backoff.New()))},
				{Name: "gentle", Value: []byte(constants(gentle))},
				{Name: "patient", Value: []byte(constants(patient))},
			},
			Spans: []tuning.Span{{From: flip, Variant: "new"}},
		}
		got, err := tuning.Tune(q, rec)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("suggestion %s: %s; %q", got.Suggestion.Value, got.Why, got.Warnings)
		strategies := map[string]backoff.Strategy{"legacy": backoff.Legacy(), "new": backoff.New(), "gentle": gentle, "patient": patient}
		for _, row := range got.Rows {
			s, known := strategies[row.Name]
			if !known {
				if s, err = parsed(got.Suggestion); err != nil {
					t.Fatal(err)
				}
			}
			a, c := newTestAcme(w)
			_, took := serve(a, c, s, "", 600)
			hold(t, row, c, took)
		}
	})
}

// parsed is a suggestion as payments reads it from the flag.
func parsed(s *tuning.Suggestion) (backoff.Strategy, error) {
	var value any
	if err := json.Unmarshal(s.Value, &value); err != nil {
		return nil, err
	}
	return backoff.Parse(value)
}

// hold holds a row against what the client counted. The bounds are wide, since in
// each of the phases chance has its part: some 40,000 calls, 1,300 in bursts.
func hold(t *testing.T, row tuning.Row, c *counts, took []float64) {
	t.Helper()
	n := c.sum["calls"]
	q := func(x float64) float64 { return took[int(x*float64(len(took)))] }
	for _, x := range []struct {
		name          string
		got           tuning.Estimate
		measured      float64
		ratio, beside float64
	}{
		{"retries per call", row.Retries, c.sum["retries"] / n, 0.2, 0},
		{"failed", row.Failed, c.sum["failed"] / n, 0.2, 0.003},
		{"p50", row.P50, q(0.5), 0.05, 0},
		{"p99", row.P99, q(0.99), 0.5, 0},
		{"p99.9", row.P999, q(0.999), 0.9, 0},
	} {
		off := math.Abs(x.got.Value - x.measured)
		t.Logf("%-9s %-16s foretold %.4f±%.4f, measured %.4f (%+.0f%%)", row.Name, x.name, x.got.Value, x.got.Error, x.measured, 100*(x.got.Value/x.measured-1))
		if off > x.ratio*x.measured+x.beside+3*x.got.Error {
			t.Errorf("%s: foretold %s %.4f±%.4f, measured %.4f", row.Name, x.name, x.got.Value, x.got.Error, x.measured)
		}
	}
}
