package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/flags"
)

// undoUnder undoes the last toggle under a key.
func undoUnder(p *process, key string) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, p.url+"/api/v1/flags/payments-backoff/undo", strings.NewReader(`{"reason":"over"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Idempotency-Key", key)
	resp, err := httpClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = problemError{resp.StatusCode, string(b)}
	}
	return err
}

// TestAKeyOverAKill kills the daemon while it undoes a toggle, and asks the next one for
// the same under the same key: one toggle is undone, however far it had come.
func TestAKeyOverAKill(t *testing.T) {
	t.Parallel()
	h := newHome(t, config("", newFleet(t).scraped(), "[]"))
	h.file("flags.json", definitions)
	p := h.start()
	const rounds = 3
	for n := range rounds {
		toggle := map[string]any{"variant": "legacy", "reason": "x", "percent": 10 + n}
		if err := p.do(http.MethodPut, "/api/v1/flags/payments-backoff", toggle, nil); err != nil {
			t.Fatal(err)
		}
	}
	for n := range rounds {
		key, asked := fmt.Sprint("key-", n), make(chan error, 1)
		go func(p *process) { asked <- undoUnder(p, key) }(p)
		after := time.Duration(rand.IntN(15)) * time.Millisecond
		time.Sleep(after)
		p.kill()
		first := <-asked
		p = h.start()
		wait(t, 45*time.Second, "the undo to be answered", func() error { return undoUnder(p, key) })
		v := must[flags.View](p, "/api/v1/flags/payments-backoff")
		t.Logf("killed after %s, answered %v: %d in force", after, first, v.Toggles)
		if v.Toggles != rounds-1-n {
			t.Fatalf("%d toggles in force after %d were undone", v.Toggles, n+1)
		}
	}
	p.stop()
}

// TestCommandsRetryWhatWasCutOff: between a command and its daemon stands something that
// cuts the first answer off. What the command wrote is done once.
func TestCommandsRetryWhatWasCutOff(t *testing.T) {
	s := daemonForClients(t)
	for n := range 2 {
		_, err := s.Board.Set(t.Context(), flags.Request{
			Flag: "payments-backoff", Variant: "legacy", Reason: "x", Actor: "ana", Scope: detector.Scope{Percent: float64(10 + n)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	var cuts atomic.Int64
	between := httputil.NewSingleHostReverseProxy(target)
	between.ModifyResponse = func(r *http.Response) error {
		keys = append(keys, r.Request.Header.Get("Idempotency-Key"))
		if cuts.Add(-1) >= 0 {
			return errors.New("cut off")
		}
		return nil
	}
	between.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	proxy := httptest.NewServer(between)
	defer proxy.Close()
	cuts.Store(1)
	got := call(t, "", "flags", "undo", "payments-backoff", "--reason", "over", "--server", proxy.URL)
	v, err := s.Board.Show("payments-backoff")
	if err != nil || got.status != 0 || !strings.Contains(got.out, "verified") || v.Toggles != 1 {
		t.Errorf("%+v, %d toggles in force, %v", got, v.Toggles, err)
	}
	if len(keys) != 2 || keys[0] == "" || keys[0] != keys[1] {
		t.Errorf("keys of the two requests: %q", keys)
	}
	cuts.Store(9)
	if got := call(t, "", "flags", "undo", "payments-backoff", "--reason", "over", "--server", proxy.URL); got.status != exitUsage {
		t.Errorf("cut off each time: %+v", got)
	}
	if keys[2] == keys[0] || keys[len(keys)-1] != keys[2] {
		t.Error("another write came under the same key, or one under two")
	}
}
