package alerts_test

import (
	"encoding/json"
	"flag"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/sirupsen/logrus"

	"aftershock/alerts"
	"aftershock/alerts/notify"
	"aftershock/alerts/webhook"
	"aftershock/detector"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read the golden file (go test ./alerts -update writes it): %v", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

// story is an alert as the daemon raises it.
func story() detector.Alert {
	latency := detector.Indicator{
		Kind: detector.Latency, Metric: "http_server_request_duration_seconds",
		Labels: map[string]string{"service": "checkout", "http_route": "/place"},
	}
	retries := detector.Indicator{
		Kind: detector.Retry, Metric: "third_party_retries_total",
		Labels: map[string]string{"service": "payments", "peer": "acme-pay"},
	}
	return detector.Alert{
		Key: "dten-4.2.0/binary/dten-payments", Upgrade: "dten-4.2.0", State: detector.AlertFiring,
		Cause: detector.Cause{
			Kind: detector.CauseBinary, Name: "dten-payments", Probability: 0.93,
			Why: []string{
				"the onset interval holds the switch of payments-2 (09:13) and no other change",
				"instances still on 4.1.3 did not move in the same minutes",
			},
			Cleared: []string{"dten-checkout is out: nothing moved as its instances switched from 09:11:00 on"},
		},
		Root: detector.Verdict{
			Upgrade: "dten-4.2.0", Indicator: latency, State: detector.Regressed, Direction: detector.Worse,
			Effect: &detector.Effect{What: "share of requests over 0.5 s", Before: 0.0102, After: 0.0231, Ratio: 2.26, Low: 1.71, High: 2.90},
			Quantiles: []detector.QuantileRange{
				{Q: 0.99, Before: detector.Interval{Lower: 0.25, Upper: 0.5}, After: detector.Interval{Lower: 0.5, Upper: 1}},
				{Q: 0.999, Before: detector.Interval{Lower: 1, Upper: 2.5}, After: detector.Interval{Lower: 2.5, Upper: math.Inf(1)}},
			},
			Onset: &detector.Onset{At: instant("2026-03-06T09:15:00Z"), Earliest: instant("2026-03-06T09:05:00Z"), Latest: instant("2026-03-06T09:25:00Z")},
			Causes: []detector.Cause{
				{Kind: detector.CauseBinary, Name: "dten-payments", Probability: 0.93},
				{Kind: detector.CauseThirdParty, Name: "acme-pay", Probability: 0.04},
				{Kind: detector.CauseLoad, Probability: 0.02},
				{Kind: detector.CauseUnknown, Probability: 0.01},
			},
			Control:     "the same hours of the last 7 days",
			Warnings:    []string{"2 of 60 minutes are missing"},
			FalseAlarms: &detector.FalseAlarms{Fired: 1, Placebos: 96},
		},
		Others: []detector.Verdict{{
			Indicator: retries, State: detector.Regressed,
			Effect: &detector.Effect{What: "retries per call", Before: 0.0208, After: 0.0912, Ratio: 4.38, Low: 3.9, High: 4.92},
		}},
		Binaries: []detector.Binary{{Name: "dten-checkout", From: "4.1.3", To: "4.2.0"}, {
			Name: "dten-payments", From: "4.1.3", To: "4.2.0",
			Inside: &detector.Inside{Summary: "dten-payments 4.1.3 -> 4.2.0: backoff.New 50ms -> 20ms, 2s -> 8s; 1 function changed", Touches: []string{"backoff"}},
		}},
		Flags:     []string{"payments-backoff"},
		Tally:     &detector.Tally{Fired: 9, Marked: 4, False: 1},
		StartsAt:  instant("2026-03-06T09:41:00Z"),
		UpdatedAt: instant("2026-03-06T09:41:00Z"),
		Revision:  1,
	}
}

// updated is the alert after more evidence.
func updated(a detector.Alert) detector.Alert {
	a.Revision = 2
	effect := *a.Root.Effect
	effect.After, effect.Ratio, effect.Low, effect.High = 0.0251, 2.46, 2.01, 3.02
	a.Root.Effect = &effect
	a.Cause.Probability = 0.97
	return a
}

func resolved(a detector.Alert) detector.Alert {
	a.State, a.Revision = detector.AlertResolved, a.Revision+1
	a.EndsAt = instant("2026-03-06T10:30:00Z")
	a.Root.Recovered = instant("2026-03-06T10:22:00Z")
	return a
}

// hostile is an alert whose every string was chosen by an enemy.
func hostile() detector.Alert {
	evil := "<script>alert(1)</script>{{.Secret}}\x00\x1b[31m\r\n\u202Ereversed\u2066'\"`$(reboot)" + strings.Repeat("A", 10_000)
	a := story()
	a.Key, a.Upgrade = evil, evil
	a.Cause.Name, a.Cause.Why = evil, []string{evil, evil, evil, evil, evil, evil}
	a.Root.Indicator = detector.Indicator{Kind: detector.Latency, Metric: evil, Labels: map[string]string{"service": evil, "http_route": evil, evil: evil}}
	a.Root.Effect.What = evil
	a.Root.Control, a.Root.Warnings = evil, []string{evil}
	a.Root.Causes = []detector.Cause{{Kind: evil, Name: evil, Probability: math.NaN()}}
	a.Binaries = []detector.Binary{{Name: evil, From: evil, To: evil, Inside: &detector.Inside{Summary: evil}}}
	a.Cause.Name, a.Cause.Cleared = evil, []string{evil, evil}
	a.Flags = []string{evil, evil}
	for range 1000 {
		a.Others = append(a.Others, a.Root)
	}
	return a
}

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// sender makes a Sender with the config's defaults, which must be valid.
func sender(t *testing.T, c alerts.Config) *alerts.Sender {
	t.Helper()
	c.SetDefaults()
	if errs := c.Validate("alerts"); len(errs) > 0 {
		t.Fatalf("validate: %v", errs)
	}
	s, err := alerts.New(c, quiet(), prometheus.NewPedanticRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func webhookTo(url string) alerts.Config {
	return alerts.Config{Receivers: []alerts.Receiver{{Name: "oncall", Webhook: &webhook.Config{Endpoint: notify.Endpoint{URL: config.Secret(url)}}}}}
}

// request is one request that a hook took.
type request struct {
	method, path string
	header       http.Header
	body         []byte
}

// hook is an HTTP receiver that keeps what it took.
type hook struct {
	*httptest.Server
	mu  sync.Mutex
	got []request
}

func newHook(t *testing.T, answer http.HandlerFunc) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read a request: %v", err)
		}
		h.mu.Lock()
		h.got = append(h.got, request{r.Method, r.URL.RequestURI(), r.Header.Clone(), body})
		h.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) requests() []request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]request(nil), h.got...)
}

// indented makes JSON readable in a golden file.
func indented(t *testing.T, body []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("parse %q: %v", body, err)
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
