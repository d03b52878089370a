package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/alerts"
	"aftershock/alerts/notify"
	"aftershock/configs"
	"aftershock/detector"
	"aftershock/internal/servers"
	"aftershock/journal"
	"aftershock/watch"
)

// receiversYAML has one receiver of each kind that takes alerts from elsewhere, at an
// HTTP server and at a mail server.
const receiversYAML = `
sources: {openmetrics: {path: none.om}}
alerts:
  receivers:
    - {name: alertmanager, alertmanager: {urls: ["URL/alertmanager"], timeout: 400ms}}
    - {name: slack, slack: {url: "URL/slack", timeout: 400ms}}
    - {name: mattermost, mattermost: {url_file: mattermost.url, timeout: 400ms}}
    - {name: pagerduty, pagerduty: {url: "URL/pagerduty", routing_key: k, timeout: 400ms}}
    - {name: opsgenie, opsgenie: {url: "URL/opsgenie", api_key_file: opsgenie.key, timeout: 400ms}}
    - {name: teams, teams: {url: "URL/teams", timeout: 400ms}}
    - {name: webhook, webhook: {url: "URL/webhook", secret_file: opsgenie.key, timeout: 400ms}}
    - name: mail
      mail:
        smarthost: MAIL
        from: Aftershock <aftershock@example.org>
        to: [ana@example.org]
        tls_config: {ca_file: CA, server_name: localhost}
        timeout: 3s
    - {name: dead, webhook: {url: "http://127.0.0.1:9", timeout: 400ms}}
`

// receiversConfig writes the configuration with what it names, and reads it.
func receiversConfig(t *testing.T, url, mail, ca string) (file string, cfg configs.Config) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "aftershock.yml")
	for path, content := range map[string]string{
		file:                                 strings.NewReplacer("URL", url, "MAIL", mail, "CA", ca).Replace(receiversYAML),
		filepath.Join(dir, "mattermost.url"): url + "/mattermost\n",
		filepath.Join(dir, "opsgenie.key"):   "secret\n",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, cfg
}

// taken is a message that a receiver took.
type taken struct{ receiver, id, body string }

// troubled is an HTTP server with something wrong with most of what it answers. Each
// receiver goes through all troubles in turn, unless pick chooses one for each request.
type troubled struct {
	*httptest.Server
	pick  func() int
	mu    sync.Mutex
	calls map[string]int
	took  []taken
}

func newTroubled(t *testing.T) *troubled {
	s := &troubled{calls: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *troubled) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	receiver, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s.mu.Lock()
	n := s.calls[receiver]
	s.calls[receiver]++
	if s.pick != nil {
		n = s.pick()
	}
	s.mu.Unlock()
	take := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.took = append(s.took, taken{receiver, r.Header.Get("Idempotency-Key"), string(body)})
	}
	reset := func() {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}
	switch n % 10 {
	case 0:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
	case 3:
		reset()
	case 5: // takes it, but nobody hears of that
		take()
		reset()
	case 7: // takes it, but says so too late
		take()
		<-r.Context().Done()
	case 8: // slow, but in time
		time.Sleep(200 * time.Millisecond)
		take()
	default:
		take()
	}
}

// troubledWire stands before a mail server. trouble says of each of its connections what
// becomes of it: 0 it is dropped, 1 held, 3 lets no answer through once the mail is on its
// way, anything else is fine.
func troubledWire(t *testing.T, to string, trouble func(n int) int) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go relay(conn, to, trouble(n))
		}
	}()
	return l.Addr().String()
}

func relay(conn net.Conn, to string, trouble int) {
	defer conn.Close()
	if trouble == 0 {
		return
	}
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	if trouble == 1 {
		_, _ = io.Copy(io.Discard, conn) // until the client has had enough
		return
	}
	var sent atomic.Int64
	go func() {
		for b := make([]byte, 4096); ; {
			n, err := server.Read(b)
			if err != nil || trouble == 3 && sent.Load() > 3000 {
				return
			}
			if _, err := conn.Write(b[:n]); err != nil {
				return
			}
		}
	}()
	for b := make([]byte, 4096); ; {
		n, err := conn.Read(b)
		if err != nil {
			return
		}
		sent.Add(int64(n))
		if _, err := server.Write(b[:n]); err != nil {
			return
		}
	}
}

// TestTroubledReceivers puts alerts down in the journal and delivers them to receivers
// that time out, answer 429 and 500, reset, answer slowly or not at all. Every alert's
// last state arrives, in order, and what comes twice is the same message.
func TestTroubledReceivers(t *testing.T) {
	t.Parallel()
	web, post := newTroubled(t), servers.SMTP(t)
	_, cfg := receiversConfig(t, web.URL, troubledWire(t, post.Addr, func(n int) int { return n % 5 }), post.CAFile)
	d := deliverer(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() { worked <- d.journal.Work(ctx, map[string]journal.Handler{watch.JobAlert: d.deliver}) }()
	defer func() {
		cancel()
		if err := <-worked; err != nil {
			t.Error(err)
		}
	}()

	keys := []string{"one", "two", "three"}
	for revision := int64(1); revision <= 3; revision++ {
		for _, key := range keys {
			owe(t, d, key, revision, revision == 3)
		}
		time.Sleep(300 * time.Millisecond) // so that deliveries are under way when the next comes
	}
	wait(t, 90*time.Second, "all but the dead receiver to have everything", func() error {
		jobs, err := d.journal.Jobs(ctx, 1000)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if j.State == journal.JobFailed || !strings.HasSuffix(j.Key, "|dead") {
				return fmt.Errorf("%s is %s: %s", j.Key, j.State, j.Error)
			}
		}
		return nil
	})

	got := mailed(t, post.Mails())
	web.mu.Lock()
	got = append(got, web.took...)
	web.mu.Unlock()
	doubles := 0
	for _, r := range cfg.Alerts.Receivers {
		for _, key := range keys {
			if r.Name != "dead" {
				doubles += inOrder(t, r.Name, key, got)
			}
		}
	}
	if doubles == 0 {
		t.Error("nothing came twice: the troubles weren't what they are meant to be")
	}
}

// deliverer is as much of a daemon as delivering takes.
func deliverer(t *testing.T, cfg configs.Config) *daemon {
	log := logrus.New()
	log.SetOutput(io.Discard)
	d := &daemon{log: log}
	sender, err := alerts.New(cfg.Alerts, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sender.Close)
	d.sender.Store(sender)
	if d.journal, err = journal.Open(t.Context(), journal.Config{}, t.TempDir(), log, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.journal.Close() })
	return d
}

// owe puts an alert down with its deliveries, as the watch does it.
func owe(t *testing.T, d *daemon, key string, revision int64, over bool) {
	t.Helper()
	tick, err := debt(d, key, revision, over, time.Now().UTC())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.journal.Commit(t.Context(), tick); err != nil {
		t.Fatal(err)
	}
}

// debt is a step that brings an alert and its deliveries.
func debt(d *daemon, key string, revision int64, over bool, at time.Time) (journal.Tick, error) {
	a := detector.Alert{
		Key: key, Upgrade: "u", State: detector.AlertFiring, Revision: revision, StartsAt: at, UpdatedAt: at,
		Cause: detector.Cause{Kind: detector.CauseUnknown, Probability: 1},
		Root:  detector.Verdict{Upgrade: "u", Indicator: detector.Indicator{Kind: detector.Latency, Metric: "m", Labels: map[string]string{"service": key}}},
	}
	if over {
		a.State, a.EndsAt = detector.AlertResolved, at
	}
	tick := journal.Tick{Time: at, Alerts: []detector.Alert{a}}
	for _, r := range d.sender.Load().Receivers() {
		payload, err := json.Marshal(watch.Delivery{Receiver: r, Alert: a})
		if err != nil {
			return tick, err
		}
		tick.Jobs = append(tick.Jobs, journal.Job{Kind: watch.JobAlert, Key: fmt.Sprintf("%s|%d|%s", key, revision, r), Payload: payload})
	}
	return tick, nil
}

// mailed are mails as what was taken: by their Message-ID.
func mailed(t *testing.T, mails []servers.Mail) (all []taken) {
	t.Helper()
	for _, m := range mails {
		msg, err := mail.ReadMessage(strings.NewReader(string(m.Text)))
		if err != nil {
			t.Fatal(err)
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(msg.Header.Get("Message-Id"), "<"), "@")
		all = append(all, taken{"mail", id, msg.Header.Get("Subject")})
	}
	return all
}

var messageID = regexp.MustCompile(`^([0-9a-f]{16})-(\d)-(firing|resolved)`)

// inOrder holds what a receiver took of one alert to its order and its end, and counts
// the doubles, which must be alike.
func inOrder(t *testing.T, receiver, key string, all []taken) (doubles int) {
	t.Helper()
	story := notify.StoryID(key)
	bodies := map[string]string{}
	var order []string
	for _, one := range all {
		if one.receiver != receiver || !strings.Contains(one.id+one.body, story) {
			continue
		}
		if receiver == "alertmanager" { // which tells alerts by their labels, and ends them
			order = append(order, "0")
			continue
		}
		parts := messageID.FindStringSubmatch(one.id)
		if parts == nil || parts[1] != story {
			t.Errorf("%s, %s: got the message ID %q", receiver, key, one.id)
			continue
		}
		order = append(order, parts[2])
		if body, known := bodies[one.id]; known {
			doubles++
			if body != one.body {
				t.Errorf("%s, %s: %s came as two different messages:\n%s\n%s", receiver, key, one.id, body, one.body)
			}
		}
		bodies[one.id] = one.body
	}
	if !slices.IsSorted(order) || len(order) == 0 || receiver != "alertmanager" && order[len(order)-1] != "3" {
		t.Errorf("%s, %s: got revisions %s, want them in order and the last one", receiver, key, order)
	}
	return doubles
}

// TestAlertsTest sends samples to each receiver of a configuration.
func TestAlertsTest(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var bodies []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, string(b))
	}))
	defer web.Close()
	post := servers.SMTP(t)
	file, cfg := receiversConfig(t, web.URL, post.Addr, post.CAFile)
	for _, r := range cfg.Alerts.Receivers {
		if r.Name == "dead" || r.Name == "mail" {
			continue
		}
		for _, end := range []bool{false, true} {
			args := []string{"alerts", "test", r.Name, "--config", file}
			want := r.Name + " took a sample; --resolve sends its end.\n"
			if end {
				args, want = append(args, "--resolve"), r.Name+" took the end of the sample.\n"
			}
			bodies = nil
			if got := call(t, "", args...); got.status != exitOK || got.out != want || got.errors != "" {
				t.Errorf("%v: %+v, want %q", args, got, want)
			}
			mark, made := "[TEST]", "nothing has happened"
			switch {
			case r.Name == "opsgenie" && end: // closes with the first line alone
				made = "Resolved"
			case r.Name == "mattermost":
				mark = `\\[TEST\\]`
			}
			if len(bodies) == 0 || !strings.Contains(bodies[0], mark) || !strings.Contains(bodies[0], made) {
				t.Errorf("%v: got %q, want it marked by %s and %q", args, bodies, mark, made)
			}
		}
	}
	if got := call(t, "", "alerts", "test", "mail", "--config", file); got.status != exitOK {
		t.Errorf("mail: %+v", got)
	}
	if mails := post.Mails(); len(mails) != 1 || !strings.Contains(string(mails[0].Text), "nothing has happened") {
		t.Errorf("got mails %+v, want one that is marked", mails)
	}
	if got := call(t, "", "alerts", "test", "dead", "--config", file); got.status != exitUsage || strings.Count(got.errors, "\n") != 1 || !strings.Contains(got.errors, "connection refused") {
		t.Errorf("dead: %+v, want that it refused", got)
	}
	if got := call(t, "", "alerts", "test", "nobody", "--config", file); got.status != exitUsage || !strings.Contains(got.errors, `none with the name "nobody", but alertmanager, slack`) {
		t.Errorf("nobody: %+v, want the names that there are", got)
	}
}

// TestRetryAfter: who asks to be left alone is, and that counts as no failure.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1800")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer web.Close()
	post := servers.SMTP(t)
	_, cfg := receiversConfig(t, web.URL, post.Addr, post.CAFile)
	d := deliverer(t, cfg)
	payload, err := json.Marshal(watch.Delivery{Receiver: "slack", Alert: detector.Alert{Key: "k", State: detector.AlertFiring, Revision: 1}})
	if err != nil {
		t.Fatal(err)
	}
	err = d.deliver(t.Context(), journal.Job{Payload: payload})
	if want := journal.Later(30 * time.Minute); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
