package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// screen is what a person sees in the terminal.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) read() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the screen shows a text.
func (s *screen) await(t *testing.T, want string) {
	t.Helper()
	for limit := time.Now().Add(3 * time.Minute); !strings.Contains(s.read(), want); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("the screen never showed %q:\n%s", want, s.read())
		}
	}
}

// hands are a person at the demo.
type hands struct {
	dir      string
	screen   *screen
	keyboard *io.PipeWriter
	ended    chan int
	out      bytes.Buffer
}

// handsOn begins the demo for a person.
func handsOn(ctx context.Context, t *testing.T) *hands {
	t.Helper()
	if out, err := buildOnce(); err != nil {
		t.Fatalf("build the fleet: %v\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in, keyboard := io.Pipe()
	h := &hands{dir: t.TempDir(), screen: &screen{}, keyboard: keyboard, ended: make(chan int, 1)}
	go func() {
		h.ended <- run(ctx, []string{
			"--dir", h.dir, "--bin", programDir, "--daemon", self, "--json", "--hands-on", "--baseline", "3s", "--hold", "3s", "--gap", "100ms",
		}, in, &h.out, h.screen)
	}()
	return h
}

// set toggles as a person would in another shell.
func (h *hands) set(t *testing.T, variant string) {
	t.Helper()
	a, err := findDaemon(filepath.Join(h.dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.ask(t.Context(), http.MethodPut, "/api/v1/flags/"+backoffFlag, object{"variant": variant, "reason": "mine"}); err != nil {
		t.Fatal(err)
	}
}

// leaves waits for the demo's end, which has to be in order.
func (h *hands) leaves(t *testing.T) (timeline string) {
	t.Helper()
	select {
	case code := <-h.ended:
		if code != 0 {
			t.Errorf("got exit status %d, want 0:\n%s", code, h.screen.read())
		}
	case <-time.After(60 * time.Second):
		t.Fatalf("the demo doesn't end:\n%s", h.screen.read())
	}
	noProcessLeft(t, h.dir)
	var got told
	if err := json.Unmarshal(h.out.Bytes(), &got); err != nil || !got.Seen {
		t.Fatalf("result: %v\n%s", err, h.out.String())
	}
	for _, e := range got.Timeline {
		timeline += e.What + "\n"
	}
	return timeline
}

const pressEnter = "Press Enter or Ctrl-C here when you have finished."

// The demo stays up for the person, says where the token lies and what to try, counts what
// comes of it, and ends in order when they press Enter.
func TestHandsOnStaysUntilEnter(t *testing.T) {
	t.Parallel()
	h := handsOn(t.Context(), t)
	h.screen.await(t, "It's your turn")
	h.screen.await(t, "sign in   http://127.0.0.1/sign-in/once")
	h.screen.await(t, "in the file "+filepath.Join(h.dir, "data", "token"))
	if strings.Contains(h.screen.read(), "secret") {
		t.Error("the token itself is on the screen")
	}
	h.set(t, "legacy")
	h.screen.await(t, pressEnter)
	for _, want := range []string{"flags tune payments-backoff", "flags undo payments-backoff", "/reports/this", "/toggles/t1"} {
		if !strings.Contains(h.screen.read(), want) {
			t.Errorf("what to try next lacks %q", want)
		}
	}
	select {
	case code := <-h.ended:
		t.Fatalf("it ended by itself with %d", code)
	case <-time.After(2 * time.Second):
	}
	h.set(t, "tuned")
	h.screen.await(t, "api set payments-backoff to tuned; what comes of it is counted for 3 s")
	h.screen.await(t, "Tuning: calls lost ")
	if _, err := h.keyboard.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	timeline := h.leaves(t)
	for _, want := range []string{"api set payments-backoff to legacy", "recovered: ", "api set payments-backoff to tuned", "with tuned: ", "foretold; foretold were 2.00% ("} {
		if !strings.Contains(timeline, want) {
			t.Errorf("the timeline lacks %q:\n%s", want, timeline)
		}
	}
}

// Ctrl-C ends it as well, and so does its longest time; a keyboard that isn't there
// doesn't, and what else ends the story fails it.
func TestStaysUntilInterrupted(t *testing.T) {
	f := &fake{variant: "legacy", version: "4.2.0", toggles: []map[string]any{{"id": "t1", "after": "legacy", "state": "recovered", "at": time.Now()}}}
	server := httptest.NewServer(f.routes())
	defer server.Close()
	died := errors.New("checkout-1: it ended by itself")
	for _, tt := range []struct {
		name string
		end  func(interrupt context.CancelFunc, fail context.CancelCauseFunc)
		want error
	}{
		{"Ctrl-C", func(interrupt context.CancelFunc, _ context.CancelCauseFunc) { interrupt() }, nil},
		{"a program that ends", func(_ context.CancelFunc, fail context.CancelCauseFunc) { fail(died) }, died},
	} {
		var shown bytes.Buffer
		d := newDirector(options{dir: t.TempDir(), daemon: "aftershock"}, newProgress(&shown))
		d.api, d.upgrade, d.toggled = &api{base: server.URL, token: "secret", http: server.Client()}, "u1", toggle{ID: "t1"}
		interrupted, interrupt := context.WithCancel(t.Context())
		d.interrupted = interrupted.Err
		ctx, fail := context.WithCancelCause(interrupted)
		stayed := make(chan error, 1)
		go func() {
			_, err := d.stay(ctx)
			stayed <- err
		}()
		select {
		case err := <-stayed:
			t.Errorf("%s: it ended by itself: %v", tt.name, err)
		case <-time.After(3 * pollEvery):
			tt.end(interrupt, fail)
			if err := <-stayed; !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
		}
		if kept := len(d.reviewed) == 4; kept != (tt.want == nil) {
			t.Errorf("%s: it wrote %d reviews", tt.name, len(d.reviewed))
		}
		if !strings.Contains(shown.String(), pressEnter) || strings.Contains(shown.String(), "secret") {
			t.Errorf("%s: it showed %s", tt.name, shown.String())
		}
		interrupt()
		fail(nil)
	}
	d := newDirector(options{dir: t.TempDir()}, newProgress(io.Discard))
	d.api, d.upgrade, d.interrupted = &api{base: server.URL, token: "secret", http: server.Client()}, "u1", func() error { return nil }
	short, cancel := context.WithTimeout(t.Context(), 2*pollEvery)
	defer cancel()
	if _, err := d.stay(short); err != nil || len(d.reviewed) != 4 {
		t.Errorf("at its longest time: %v, %d reviews", err, len(d.reviewed))
	}
}
