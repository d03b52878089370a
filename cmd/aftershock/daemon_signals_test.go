package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"aftershock/detector"
)

// watching waits until steps with this many indicators are being judged.
func (p *process) watching(indicators int) statusAnswer {
	p.t.Helper()
	var s statusAnswer
	wait(p.t, 30*time.Second, fmt.Sprintf("steps with %d indicators", indicators), func() error {
		if err := p.get("/api/v1/status", &s); err != nil {
			return err
		}
		if s.Watch.Indicators < indicators || s.Watch.Time.IsZero() {
			return fmt.Errorf("status: %+v", s)
		}
		return nil
	})
	return s
}

func TestDaemonStopsInOrderAndGoesOn(t *testing.T) {
	t.Parallel()
	f, h := newFleet(t), newHook(t)
	home := newHome(t, config("", f.scraped(), h.receivers()))
	home.file("flags.json", definitions)
	p := home.start()
	p.watching(4)
	before := must[statusAnswer](p, "/api/v1/status").Watch.Time
	p.stop()
	if len(p.log.lines("stopped in order")) != 1 || len(p.log.lines("level=error"))+len(p.log.lines("level=warning")) != 0 {
		t.Errorf("an orderly run logged:\n%s", p.log)
	}
	p = home.start()
	var first statusAnswer
	wait(t, 10*time.Second, "the first status", func() error {
		if err := p.get("/api/v1/status", &first); err != nil {
			return err
		}
		if first.Watch.Time.IsZero() {
			return errors.New("no step yet")
		}
		return nil
	})
	if first.Watch.Time.Before(before.Add(-3*time.Second)) || first.Watch.Indicators != 4 {
		t.Errorf("after the restart: %+v, want the state of %s or later", first, before)
	}
	if len(p.log.lines("going on from the saved state")) != 1 {
		t.Errorf("the restart doesn't say that it goes on:\n%s", p.log)
	}
	p.stop()
}

// A receiver that hangs doesn't hold up the end, and its alert isn't lost.
func TestDaemonStopsWhileAReceiverHangs(t *testing.T) {
	t.Parallel()
	f, h := newFleet(t), newHook(t)
	h.hang = 30 * time.Second
	home := newHome(t, config("", f.scraped(), strings.ReplaceAll(h.receivers(), "8s", "40s")))
	home.file("flags.json", definitions)
	p := home.start()
	time.Sleep(26 * time.Second)
	f.upgrade(time.Second)
	wait(t, 40*time.Second, "a delivery", func() error {
		if h.attempts() == 0 {
			return errors.New("none")
		}
		return nil
	})
	began := time.Now()
	p.stop() // within 10 s
	t.Logf("stopped after %s", time.Since(began).Round(time.Millisecond))
	h.mu.Lock()
	h.hang = 0
	h.mu.Unlock()
	p = home.start()
	wait(t, 20*time.Second, "the delivery after the restart", func() error {
		if len(h.receipts()) == 0 {
			return errors.New("none")
		}
		return nil
	})
	p.stop()
}

// What the API acknowledged of upgrades survives a crash right after, also
// while there is no telemetry.
func TestDaemonKeepsWhatItWasToldOf(t *testing.T) {
	t.Parallel()
	h := newHome(t, config("", "  prometheus: {url: http://"+closedPort(t)+", tries: 1}", "[]"))
	h.file("flags.json", definitions)
	closed := func(p *process, id string) func() error {
		return func() error {
			var u detector.Upgrade
			if err := p.get("/api/v1/upgrades/"+id, &u); err != nil || !u.ClosedAt.IsZero() {
				return err
			}
			return errors.New("it isn't closed")
		}
	}
	known := func(p *process, id string) func() error {
		return func() error { return p.get("/api/v1/upgrades/"+id, nil) }
	}
	for n := range 4 {
		id := fmt.Sprint("manual-", n)
		p := h.start()
		err := p.do(http.MethodPost, "/api/v1/upgrades", detector.Upgrade{
			ID: id, StartedAt: time.Now().UTC(), Binaries: []detector.Binary{{Name: "dten-catalog", Selector: map[string]string{"service": "catalog"}}},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(n) * 20 * time.Millisecond)
		p.kill()
		p = h.start()
		wait(t, 15*time.Second, "the upgrade that was recorded", known(p, id))
		if err := p.do(http.MethodPost, "/api/v1/upgrades/"+id+"/close", nil, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(n) * 20 * time.Millisecond)
		p.kill()
		p = h.start()
		wait(t, 15*time.Second, "the upgrade to be closed", closed(p, id))
		p.stop()
	}
}

func TestDaemonReloads(t *testing.T) {
	t.Parallel()
	f, first, second := newFleet(t), newHook(t), newHook(t)
	one := &fleet{instances: f.instances[:2]}
	home := newHome(t, config("", one.scraped(), first.receivers()))
	home.file("flags.json", definitions)
	p := home.start()
	p.watching(2)
	if got := f.instances[2].seen(); got != 0 {
		t.Fatalf("catalog was scraped %d times before it was a target", got)
	}

	good := config("", f.scraped(), second.receivers())
	bad := strings.Replace(good, "step: 1s", "step: soon, stepp: 2s", 1)
	bad = strings.Replace(bad, "level: info", "level: loud", 1)
	home.file("aftershock.yml", bad)
	var refused problemError
	if err := p.do(http.MethodPost, "/-/reload", nil, nil); !errors.As(err, &refused) || refused.status != http.StatusBadRequest {
		t.Fatalf("reload of a wrong configuration: got %v, want 400", err)
	}
	p.signal(syscall.SIGHUP)
	wait(t, 5*time.Second, "a word on SIGHUP", func() error {
		if len(p.log.lines("the configuration was not reloaded; nothing was changed")) != 1 {
			return errors.New("none")
		}
		return nil
	})
	said := p.log.lines("nothing was changed")[0]
	for _, path := range []string{"log.level: ", "watch.step: ", "watch.stepp: unknown key"} {
		if !strings.Contains(refused.detail, path) {
			t.Errorf("the answer doesn't name %s: %s", path, refused.detail)
		}
		if !strings.Contains(said, path) {
			t.Errorf("the log doesn't name %s: %s", path, said)
		}
	}
	// Definitions that can't be read are found before anything else is changed.
	home.file("aftershock.yml", good)
	home.file("flags.json", `{"flags": `)
	if err := p.do(http.MethodPost, "/-/reload", nil, nil); !errors.As(err, &refused) || !strings.Contains(refused.detail, "flags.json") {
		t.Errorf("reload with broken definitions: got %v, want a word on flags.json", err)
	}
	time.Sleep(2500 * time.Millisecond)
	if got := f.instances[2].seen(); got != 0 {
		t.Errorf("catalog was scraped %d times after refused reloads", got)
	}

	home.file("flags.json", strings.Replace(definitions, `"receipts"`, `"greeting": {"state": "ENABLED", "variants": {"a": 1}, "defaultVariant": "a"}, "receipts"`, 1))
	home.file("aftershock.yml", strings.Replace(good, "duration: 1h", "duration: 2h", 1))
	p.signal(syscall.SIGHUP)
	p.watching(4)
	if err := p.get("/api/v1/flags/greeting", nil); err != nil {
		t.Errorf("the new flag: %v", err)
	}
	if got := p.log.lines("hold from the next start on"); len(got) != 1 || !strings.Contains(got[0], `"[watch]"`) {
		t.Errorf("the log doesn't say that watch waits for the next start: %q", got)
	}
	time.Sleep(14 * time.Second)
	f.upgrade(time.Second)
	wait(t, 40*time.Second, "the alert at the new receiver", func() error {
		if len(second.receipts()) == 0 {
			return errors.New("none")
		}
		return nil
	})
	if got := first.attempts(); got != 0 {
		t.Errorf("the old receiver was sent %d alerts", got)
	}
	if got := p.metric(`aftershock_alert_deliveries_total{outcome="ok",receiver="oncall"}`); got < 1 {
		t.Errorf("deliveries counted after a reload: %g, want at least 1", got)
	}
	if err := p.do(http.MethodPost, "/-/reload", nil, nil); err != nil {
		t.Errorf("reload of the same again: %v", err)
	}
	p.stop()
}

// Something under way may hold up the end; who signals twice doesn't want to
// wait for it.
func TestDaemonSecondSignalEndsItAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	home := newHome(t, config("", f.scraped(), "[]"))
	home.file("flags.json", definitions)
	p := home.start()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A request whose body never comes is waited for; the server asks for the body once
	// the request is under way.
	if _, err := fmt.Fprint(conn, "POST /ofrep/v1/evaluate/flags HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the request isn't under way: %q, %v", line, err)
	}
	p.signal(syscall.SIGTERM)
	ended := func() bool {
		select {
		case <-p.exited:
			return true
		case <-time.After(200 * time.Millisecond):
			return false
		}
	}
	signals := 1
	for began := time.Now(); !ended() && time.Since(began) < 4*time.Second; signals++ {
		p.signal(syscall.SIGTERM)
	}
	if got := p.status(time.Second); got != -1 || signals < 2 {
		t.Errorf("after %d signals: got exit status %d, want the end by a signal; it said:\n%s", signals, got, p.log)
	}
}
