package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/common/config"
	"github.com/sirupsen/logrus"

	"aftershock/alerts"
	"aftershock/alerts/alertmanager"
	"aftershock/alerts/notify"
	"aftershock/alerts/webhook"
	"aftershock/detector"
	"aftershock/journal"
	"aftershock/watch"
)

// quietTown is a daemon's way out of alerts: a webhook and an Alertmanager that says of
// silences what it is told to.
type quietTown struct {
	*daemon
	t *testing.T

	mu       sync.Mutex
	silences string
	heard    []string // receiver and status
	last     string   // what was heard last
}

func newQuietTown(t *testing.T) *quietTown {
	q := &quietTown{t: t, silences: "[]"}
	log := logrus.New()
	log.SetOutput(io.Discard)
	m := http.NewServeMux()
	hear := func(receiver string) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			status := "firing"
			if strings.Contains(string(body), "Resolved: ") {
				status = "resolved"
			}
			q.mu.Lock()
			defer q.mu.Unlock()
			q.heard, q.last = append(q.heard, receiver+" "+status), string(body)
		}
	}
	m.HandleFunc("POST /hook", hear("hook"))
	m.HandleFunc("POST /api/v2/alerts", hear("am"))
	m.HandleFunc("GET /api/v2/alerts", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[]") })
	m.HandleFunc("GET /api/v2/silences", func(w http.ResponseWriter, _ *http.Request) {
		q.mu.Lock()
		defer q.mu.Unlock()
		fmt.Fprint(w, q.silences)
	})
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	j, err := journal.Open(t.Context(), journal.Config{}, t.TempDir(), log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	c := alerts.Config{Receivers: []alerts.Receiver{
		{Name: "hook", Webhook: &webhook.Config{Endpoint: notify.Endpoint{URL: promconfig.Secret(server.URL + "/hook")}}},
		{Name: "am", Alertmanager: &alertmanager.Config{URLs: []string{server.URL}}},
	}}
	c.SetDefaults()
	sender, err := alerts.New(c, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sender.Close)
	q.daemon = &daemon{log: log, journal: j}
	q.sender.Store(sender)
	return q
}

// deliver brings the alert to both receivers, and gives who heard what and what the
// delivery to the webhook ended with.
func (q *quietTown) deliver(a detector.Alert) (heard string, err error) {
	q.t.Helper()
	if err := q.journal.Commit(q.t.Context(), journal.Tick{Alerts: []detector.Alert{a}}); err != nil {
		q.t.Fatal(err)
	}
	for _, receiver := range []string{"am", "hook"} {
		payload, broken := json.Marshal(watch.Delivery{Receiver: receiver, Alert: a})
		if broken != nil {
			q.t.Fatal(broken)
		}
		err = q.daemon.deliver(q.t.Context(), journal.Job{Payload: payload})
		if err != nil && receiver == "am" {
			q.t.Fatal(err)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	heard = strings.Join(q.heard, ", ")
	q.heard = nil
	return heard, err
}

func quietStory(revision int64, binary string, services ...string) detector.Alert {
	a := detector.Alert{
		Key: "u/pay/1", Upgrade: "u", State: detector.AlertFiring, Revision: revision, StartsAt: time.Now(),
		Cause: detector.Cause{Kind: detector.CauseBinary, Name: binary, Probability: 0.99},
	}
	for n, s := range services {
		v := detector.Verdict{Indicator: detector.Indicator{Kind: detector.Latency, Metric: "m", Labels: map[string]string{"service": s}}}
		if n == 0 {
			a.Root = v
		} else {
			a.Others = append(a.Others, v)
		}
	}
	return a
}

const both = "am firing, hook firing"

func TestAnAcknowledgedAlertStaysQuiet(t *testing.T) {
	q := newQuietTown(t)
	first := quietStory(1, "pay", "pay")
	over := quietStory(6, "pay", "pay")
	over.State = detector.AlertResolved
	if heard, err := q.deliver(first); heard != both || err != nil {
		t.Fatalf("before: %q, %v", heard, err)
	}
	if err := q.journal.PutAcknowledgement(t.Context(), detector.Acknowledge(first, "ann", "on it", time.Now())); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		alert detector.Alert
		want  string
	}{
		{"its figures moved", quietStory(2, "pay", "pay"), "am firing"},
		{"a service joined", quietStory(3, "pay", "pay", "cart"), both},
		{"the service left", quietStory(4, "pay", "pay"), "am firing"},
		{"another binary is blamed", quietStory(5, "cart", "pay"), both},
		{"it is over", over, "am resolved, hook resolved"},
	} {
		if heard, err := q.deliver(c.alert); heard != c.want || err != nil {
			t.Errorf("%s: %q (%v), want %q", c.what, heard, err, c.want)
		}
	}
}

func TestASilencedAlertStaysQuietUntilTheSilenceIsOver(t *testing.T) {
	q := newQuietTown(t)
	set := func(silences string) {
		q.mu.Lock()
		q.silences = silences
		q.mu.Unlock()
		time.Sleep(2100 * time.Millisecond) // what was read before is forgotten
	}
	set(`[{"id":"s1","createdBy":"ana","comment":"a migration","endsAt":"2126-01-01T00:00:00Z","status":{"state":"active"},
		"matchers":[{"name":"service","value":"pay","isRegex":false,"isEqual":true}]}]`)
	a := quietStory(1, "pay", "pay")
	heard, err := q.deliver(a)
	if heard != "am firing" || err == nil || !strings.Contains(err.Error(), "looked at again in 30s") {
		t.Errorf("silenced: %q (%v), want nothing at the webhook, and another look later", heard, err)
	}
	if got := q.daemon.silences(t.Context(), []detector.Alert{a}); len(got["u/pay/1"]) != 1 || got["u/pay/1"][0].By != "ana" {
		t.Errorf("shown: %v, want ana's silence", got)
	}
	over := quietStory(2, "pay", "pay")
	over.State = detector.AlertResolved
	if heard, err := q.deliver(over); heard != "am resolved, hook resolved" || err != nil {
		t.Errorf("over: %q (%v), want it told", heard, err)
	}
	again := quietStory(3, "pay", "pay")
	set(`[]`)
	if heard, err := q.deliver(again); heard != both || err != nil {
		t.Errorf("after the silence: %q (%v), want it told", heard, err)
	}
	set(`nonsense`)
	if heard, err := q.deliver(quietStory(4, "pay", "pay")); heard != both || err != nil {
		t.Errorf("an Alertmanager that makes no sense: %q (%v), want it told", heard, err)
	}
	if err := q.journal.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.quiet(t.Context(), watch.Delivery{Receiver: "hook", Alert: a}); err == nil || errors.Is(err, journal.ErrNotFound) {
		t.Errorf("without a journal: %v, want its error, so that the delivery is tried again", err)
	}
}

// People are told how often alerts were false here, in deliveries and heartbeats alike.
func TestAlertsTellHowOftenTheyWereFalse(t *testing.T) {
	q := newQuietTown(t)
	a := quietStory(1, "pay", "pay")
	says := func(what, want string) {
		t.Helper()
		q.mu.Lock()
		defer q.mu.Unlock()
		if !strings.Contains(q.last, want) {
			t.Errorf("%s lacks %q: %s", what, want, q.last)
		}
	}
	if _, err := q.deliver(a); err != nil {
		t.Fatal(err)
	}
	says("the first delivery", "nobody marked the one alert that fired here")
	if err := q.journal.PutMark(t.Context(), detector.Mark{Alert: a.Key, False: true, Actor: "ann", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := q.resend(t.Context()); err != nil {
		t.Fatal(err)
	}
	const marked = "people marked 1 of 1 alerts as false (100%), of 1 that fired here"
	says("the heartbeat", marked)
	if got := q.tellsOf(t.Context(), a); !strings.Contains(got, marked) {
		t.Errorf("the page lacks %q: %s", marked, got)
	}
}
