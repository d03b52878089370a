package alerts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/sirupsen/logrus"

	"aftershock/alerts"
	"aftershock/alerts/logs"
	"aftershock/alerts/notify"
	"aftershock/alerts/webhook"
	"aftershock/detector"
)

func TestWebhookPayload(t *testing.T) {
	h := newHook(t, nil)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := webhookTo(h.URL)
	c.ExternalURL, c.RunbookURL = "https://aftershock.example", "https://runbooks.example/upgrades/{service}"
	c.Safe = map[string]string{"payments-backoff": "legacy"}
	c.Receivers[0].Webhook.SecretFile = secret
	s := sender(t, c)
	for _, tc := range []struct {
		name  string
		alert detector.Alert
	}{{"firing", story()}, {"resolved", resolved(story())}} {
		if err := s.Deliver(t.Context(), "oncall", tc.alert); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		got := h.requests()
		last := got[len(got)-1]
		golden(t, "webhook_"+tc.name+".json", indented(t, last.body))
		var p struct {
			CommonAnnotations map[string]string `json:"commonAnnotations"`
		}
		if err := json.Unmarshal(last.body, &p); err != nil {
			t.Fatal(err)
		}
		golden(t, "text_"+tc.name+".txt", p.CommonAnnotations["description"]+"\n")
		var unix int64
		signature := last.header.Get("Aftershock-Signature")
		if _, err := fmt.Sscanf(signature, "t=%d,", &unix); err != nil {
			t.Fatalf("%s: signature %q: %v", tc.name, signature, err)
		}
		if want := webhook.Sign([]byte("s3cret"), time.Unix(unix, 0), last.body); signature != want {
			t.Errorf("%s: got signature %q, want %q", tc.name, signature, want)
		}
		if webhook.Sign([]byte("other"), time.Unix(unix, 0), last.body) == signature {
			t.Errorf("%s: the signature doesn't depend on the secret", tc.name)
		}
	}
	got := h.requests()
	if a, b := got[0].header.Get("Idempotency-Key"), got[1].header.Get("Idempotency-Key"); a == "" || a == b {
		t.Errorf("got idempotency keys %q and %q, want two that differ", a, b)
	}
}

func TestLogReceiver(t *testing.T) {
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetFormatter(&logrus.TextFormatter{DisableColors: true, DisableTimestamp: true})
	c := alerts.Config{
		Receivers: []alerts.Receiver{{Name: "log", Log: &logs.Config{}}},
		Safe:      map[string]string{"payments-backoff": "legacy"},
	}
	c.SetDefaults()
	s, err := alerts.New(c, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []detector.Alert{story(), resolved(story())} {
		if err := s.Deliver(t.Context(), "log", a); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "log.txt", out.String())
	out.Reset()
	if err := s.Deliver(t.Context(), "log", hostile()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 || strings.ContainsAny(out.String(), "\x00\x1b\r") || out.Len() > 8<<10 {
		t.Errorf("got %d lines, %d bytes, want one short clean line: %q", n, out.Len(), out.String())
	}
}

func TestHostileAlert(t *testing.T) {
	h := newHook(t, nil)
	c := webhookTo(h.URL)
	c.ExternalURL = "https://aftershock.example"
	s := sender(t, c)
	if err := s.Deliver(t.Context(), "oncall", hostile()); err != nil {
		t.Fatal(err)
	}
	body := h.requests()[0].body
	if len(body) > 64<<10 {
		t.Errorf("got %d bytes, want at most 64 KiB", len(body))
	}
	if bytes.Contains(body, []byte("<script>")) {
		t.Error("the JSON holds unescaped HTML")
	}
	var p struct {
		Alerts []struct {
			Labels, Annotations map[string]string
		}
	}
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^[a-zA-Z_]+$`)
	for n, v := range p.Alerts[0].Labels {
		if !name.MatchString(n) {
			t.Errorf("label name %q isn't of [a-zA-Z_]", n)
		}
		if utf8.RuneCountInString(v) > 80 {
			t.Errorf("label %s has %d characters, want at most 80", n, utf8.RuneCountInString(v))
		}
	}
	for n, v := range p.Alerts[0].Annotations {
		bad := func(r rune) bool { return r != '\n' && unicode.IsControl(r) || unicode.In(r, unicode.Cf) }
		if strings.IndexFunc(v, bad) >= 0 {
			t.Errorf("annotation %s holds control or format characters: %q", n, v)
		}
	}
	headline := p.Alerts[0].Annotations["summary"]
	if n := utf8.RuneCountInString(headline); n >= 120 || strings.Contains(headline, "\n") {
		t.Errorf("the headline has %d characters: %q", n, headline)
	}
	if cmd := p.Alerts[0].Annotations["toggle"]; !strings.HasPrefix(cmd, "aftershock flags set '<script>") {
		t.Errorf("the flag isn't quoted in %q", cmd)
	}
}

func TestFailingWebhooks(t *testing.T) {
	block := make(chan struct{})
	t.Cleanup(func() { close(block) })
	reset := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for n := 0; n < len(header); n += 2 {
				w.Header().Set(header[n], header[n+1])
			}
			w.WriteHeader(code)
			_, _ = fmt.Fprint(w, "no\nway \x1b[31m", strings.Repeat("x", 1<<20))
		}
	}
	for _, tc := range []struct {
		name      string
		answer    http.HandlerFunc
		permanent bool
		after     time.Duration
		outcome   string
		says      string
	}{
		{"ok", nil, false, 0, "ok", ""},
		{"answers without end", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, false, 0, "ok", ""},
		{"never answers", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-block:
			case <-r.Context().Done():
			}
		}, false, 0, "retry", "no answer within 300ms"},
		{"drips its answer", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, false, 0, "ok", ""},
		{"429", status(429, "Retry-After", "17"), false, 17 * time.Second, "retry", "answered 429 Too Many Requests: no way"},
		{"429 for a year", status(429, "Retry-After", "31536000"), false, time.Hour, "retry", "429"},
		{"500", status(500), false, 0, "retry", "answered 500"},
		{"501", status(501), true, 0, "permanent", "answered 501"},
		{"400", status(400), true, 0, "permanent", "answered 400"},
		{"404", status(404), true, 0, "permanent", "answered 404"},
		{"resets", reset, false, 0, "retry", "reset by peer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHook(t, tc.answer)
			c := webhookTo(h.URL + "/hook?token=topsecret")
			c.Receivers[0].Webhook.Timeout = 300 * time.Millisecond
			c.SetDefaults()
			reg := prometheus.NewPedanticRegistry()
			s, err := alerts.New(c, quiet(), reg)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			err = s.Deliver(t.Context(), "oncall", story())
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s, want it bounded by the time limit", took)
			}
			if got := outcomes(t, reg); got != tc.outcome {
				t.Errorf("counted %q, want %q", got, tc.outcome)
			}
			if tc.says == "" {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			var failed *alerts.Error
			if !errors.As(err, &failed) {
				t.Fatalf("got %v, want an *alerts.Error", err)
			}
			if failed.Permanent() != tc.permanent || failed.RetryAfter() != tc.after {
				t.Errorf("got permanent %v, after %s, want %v, %s", failed.Permanent(), failed.RetryAfter(), tc.permanent, tc.after)
			}
			text := err.Error()
			if !strings.Contains(text, tc.says) || strings.Contains(text, "topsecret") || strings.ContainsAny(text, "\n\x1b") || len(text) > 500 {
				t.Errorf("got %q, want one short line with %q and without the secret", text, tc.says)
			}
		})
	}
}

// outcomes are the outcomes counted, each once.
func outcomes(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint the metrics: %v %v", problems, err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		if f.GetName() != "aftershock_alert_deliveries_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for range int(m.GetCounter().GetValue()) {
				for _, l := range m.GetLabel() {
					if l.GetName() == "outcome" {
						got = append(got, l.GetValue())
					}
				}
			}
		}
	}
	return strings.Join(got, " ")
}

func TestOrderPerKey(t *testing.T) {
	h := newHook(t, nil)
	s := sender(t, webhookTo(h.URL))
	const revisions = 40
	var wg sync.WaitGroup
	for n := range revisions {
		a := story()
		a.Revision = int64(n + 1)
		if n == revisions-1 {
			a.State = detector.AlertResolved
		}
		wg.Go(func() {
			if err := s.Deliver(t.Context(), "oncall", a); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	last, status := 0, ""
	for _, r := range h.requests() {
		var n int
		if _, err := fmt.Sscanf(strings.SplitN(r.header.Get("Idempotency-Key"), "-", 2)[1], "%d-%s", &n, &status); err != nil {
			t.Fatal(err)
		}
		if n < last {
			t.Errorf("revision %d came after %d", n, last)
		}
		last = n
	}
	if last != revisions || status != notify.StatusResolved {
		t.Errorf("the last was revision %d (%s), want %d (resolved)", last, status, revisions)
	}
}

func TestDeliverRefuses(t *testing.T) {
	h := newHook(t, nil)
	s := sender(t, webhookTo(h.URL))
	var failed *alerts.Error
	if err := s.Deliver(t.Context(), "nobody", story()); !errors.As(err, &failed) || !failed.Permanent() {
		t.Errorf("unknown receiver: got %v, want a permanent error", err)
	}
	for _, state := range []detector.AlertState{detector.AlertPending, detector.AlertInactive} {
		quiet := story()
		quiet.State = state
		if err := s.Deliver(t.Context(), "oncall", quiet); err != nil || len(h.requests()) != 0 {
			t.Errorf("%s: got %v and %d requests, want nothing", state, err, len(h.requests()))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Deliver(ctx, "oncall", story()); !errors.As(err, &failed) || failed.Permanent() {
		t.Errorf("cancelled: got %v, want an error that may pass", err)
	}
	if diff := cmp.Diff([]string{"oncall"}, s.Receivers()); diff != "" {
		t.Error(diff)
	}
}
