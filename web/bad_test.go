package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"aftershock/web/webtest"
)

// TestOversizedBodies: whatever takes a body takes a mebibyte of it at most.
func TestOversizedBodies(t *testing.T) {
	s := story(t)
	cookie := signIn(t, s)
	huge := `{"reason":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, path := range []string{
		"PUT " + backoff, "POST " + backoff + "/undo", "POST " + backoff + "/extend", "POST /api/v1/upgrades", "POST /api/v1/automation/freeze",
		"POST /api/v1/alerts/dten-4.2.0%2Fgeo-api/mark", "POST /api/v1/inbox", "POST /api/v1/toggles/x/approve",
	} {
		method, path, _ := strings.Cut(path, " ")
		for _, key := range [][]string{nil, {"Idempotency-Key", "k"}} {
			got := ask(t, method, s.URL+path, huge, append(key, "Authorization", bearer)...)
			if got.StatusCode != 413 || !strings.Contains(got.body, "1048576") {
				t.Errorf("%s %s: %d %.200s", method, path, got.StatusCode, got.body)
			}
		}
	}
	form := url.Values{"reason": {huge}}
	for path := range formRoutes {
		if got := post(t, s.URL+path, form, "Cookie", cookie); got.StatusCode != 413 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
	if got := post(t, s.URL+"/sign-in", form); got.StatusCode != 413 {
		t.Errorf("sign in: %d", got.StatusCode)
	}
}

// raw sends bytes as they are, and reads the status of what comes back.
func raw(t *testing.T, s *webtest.Server, send func(net.Conn)) (status int, took time.Duration) {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	defer c.Close()
	began := time.Now()
	if err := c.SetDeadline(began.Add(20 * time.Second)); err != nil {
		t.Error(err)
		return 0, 0
	}
	go send(c)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, time.Since(began)
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
	return r.StatusCode, time.Since(began)
}

// TestSlowAndLoudClients: who doesn't finish its header is let go, and who sends too much of
// it is told so; nobody else waits.
func TestSlowAndLoudClients(t *testing.T) {
	s := story(t)
	slow := make(chan [2]time.Duration)
	for range 50 {
		go func() {
			status, took := raw(t, s, func(c net.Conn) {
				for _, b := range []byte("GET / HTTP/1.1\r\nHost: x\r\n") {
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(400 * time.Millisecond)
				}
			})
			slow <- [2]time.Duration{time.Duration(status), took}
		}()
	}
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	if got := ask(t, "GET", s.URL+"/", ""); got.StatusCode != 200 || time.Since(began) > 2*time.Second {
		t.Errorf("beside slow clients: %d after %s", got.StatusCode, time.Since(began))
	}
	for name, header := range map[string]string{
		"many":   strings.Repeat("X-%d: x\r\n", 20_000),
		"long":   "X: " + strings.Repeat("x", 200<<10) + "\r\n",
		"cookie": "Cookie: " + strings.Repeat("aftershock_session=x; ", 10_000) + "\r\n",
	} {
		status, _ := raw(t, s, func(c net.Conn) { fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n"+header+"\r\n") })
		if status != http.StatusRequestHeaderFieldsTooLarge && status != 0 {
			t.Errorf("%s headers: %d", name, status)
		}
	}
	if status, _ := raw(t, s, func(c net.Conn) {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("X: y\r\n", 500)+"\r\n")
	}); status != 200 {
		t.Errorf("some headers: %d", status)
	}
	for range 50 {
		if got := <-slow; got[0] == 200 || got[1] > 10*time.Second {
			t.Errorf("a slow client was answered %d after %s", got[0], got[1])
		}
	}
}
