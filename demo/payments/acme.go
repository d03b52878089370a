package payments

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aftershock/demo/fleet"
	"aftershock/demo/payments/backoff"
)

// peer is the third party's name in metrics.
const peer = "acme-pay"

// acme is the client of the third party.
type acme struct {
	url    string
	http   *http.Client
	called func() // counts a call in the service graph

	calls, attempts, retries, firstFailures, retried, abandoned, failed prometheus.Counter
}

func newAcme(s *fleet.Service) *acme {
	counter := func(name, help string) prometheus.Counter {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"peer"})
		s.Registry.MustRegister(v)
		return v.WithLabelValues(peer)
	}
	return &acme{
		url: os.Getenv("ACME_PAY_URL"),
		http: &http.Client{Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: 512, IdleConnTimeout: time.Minute, DisableCompression: true,
		}},
		called:        func() { s.Peers.Called(peer) },
		calls:         counter("thirdparty_client_requests_total", "Calls of a third party that ended, whatever number of attempts they took."),
		attempts:      counter("thirdparty_client_attempts_total", "Attempts of those calls."),
		retries:       counter("thirdparty_client_retries_total", "Attempts of those calls after the first."),
		firstFailures: counter("thirdparty_client_first_attempt_failures_total", "Calls whose first attempt the third party refused or answered with an error; an attempt that the caller gave up itself isn't one."),
		retried:       counter("thirdparty_client_retried_calls_total", "Calls with more than one attempt."),
		abandoned:     counter("thirdparty_client_abandoned_attempts_total", "Attempts that the caller gave up because they took too long."),
		failed:        counter("thirdparty_client_failed_calls_total", "Calls whose every attempt failed."),
	}
}

// outcome is how one attempt ended.
type outcome int

const (
	answered  outcome = iota
	refused           // the third party failed
	abandoned         // it took longer than the strategy waits
)

// charge calls the third party until an attempt is answered or the strategy has
// no more, and counts the call when it has ended.
func (a *acme) charge(ctx context.Context, s backoff.Strategy, c Charge) (*Receipt, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write charge: %w", err)
	}
	var first outcome
	var receipt *Receipt
	n := 0
	for n < s.Attempts() {
		if n > 0 && !fleet.Wait(ctx, s.Wait(n, rand.Float64())) {
			err = ctx.Err()
			break
		}
		n++
		var how outcome
		receipt, how, err = a.attempt(ctx, s.Patience(n), body)
		if n == 1 {
			first = how
		}
		if how == abandoned {
			a.abandoned.Inc()
		}
		if how == answered || ctx.Err() != nil {
			break
		}
	}
	a.count(n, first, err)
	if err != nil {
		return nil, fmt.Errorf("charge through %s in %d attempts: %w", peer, n, err)
	}
	receipt.Attempts = n
	return receipt, nil
}

func (a *acme) count(attempts int, first outcome, err error) {
	a.called()
	a.calls.Inc()
	a.attempts.Add(float64(attempts))
	if first == refused {
		a.firstFailures.Inc()
	}
	if attempts > 1 {
		a.retried.Inc()
		a.retries.Add(float64(attempts - 1))
	}
	if err != nil {
		a.failed.Inc()
	}
}

func (a *acme) attempt(ctx context.Context, patience time.Duration, body []byte) (*Receipt, outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/v1/charges", bytes.NewReader(body))
	if err != nil {
		return nil, refused, err
	}
	failed := func(err error) (*Receipt, outcome, error) {
		if ctx.Err() != nil {
			return nil, abandoned, fmt.Errorf("no answer within %s", patience)
		}
		return nil, refused, err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return failed(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refused, fmt.Errorf("status %d", resp.StatusCode)
	}
	var r Receipt
	if err := json.Unmarshal(content, &r); err != nil {
		return nil, refused, fmt.Errorf("parse answer: %w", err)
	}
	return &r, answered, nil
}
