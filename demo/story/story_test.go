package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programDir is where the fleet's programs are built, once for all tests.
var programDir string

var buildOnce = sync.OnceValues(func() ([]byte, error) {
	cmd := exec.Command("go", append([]string{"build", "-trimpath", "-ldflags=-w", "-o", programDir + "/"}, packages...)...)
	cmd.Dir = filepath.Join("..", "..")
	return cmd.CombinedOutput()
})

// tell runs the story on the real fleet with the fake daemon, and returns its
// exit status and its result.
func tell(ctx context.Context, t *testing.T, dir string, args ...string) (int, told) {
	t.Helper()
	if out, err := buildOnce(); err != nil {
		t.Fatalf("build the fleet: %v\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	// acme-pay's trouble comes in bursts: a baseline of a few seconds may have none of it,
	// and what follows is then held to less than there ever is.
	args = append([]string{
		"--dir", dir, "--bin", programDir, "--daemon", self, "--json",
		"--baseline", "12s", "--hold", "1s", "--watch", "2s", "--gap", "100ms",
	}, args...)
	code := run(ctx, args, strings.NewReader(""), &stdout, &stderr)
	if code != 0 {
		t.Log(stderr.String())
	}
	var got told
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil && stdout.Len() > 0 {
		t.Fatalf("parse result: %v\n%s", err, stdout.String())
	}
	noProcessLeft(t, dir)
	return code, got
}

// noProcessLeft fails when a process still runs that was started in dir.
func noProcessLeft(t *testing.T, dir string) {
	t.Helper()
	addrs, err := filepath.Glob(filepath.Join(dir, "run", "*.addr"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		content, err := os.ReadFile(a)
		if err != nil {
			t.Fatal(err)
		}
		if ready(t.Context(), string(content)) {
			t.Errorf("%s still serves after the story's end", filepath.Base(a))
		}
	}
}

func TestStoryIsToldToItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, got := tell(t.Context(), t, dir)
	if code != 0 || !got.Seen {
		t.Fatalf("got exit status %d, missing %q, want the story told", code, got.Missing)
	}
	want := []string{
		"4.1.3 runs", "baseline:", "the inspection warns: dten.hybrid.enable is missing (payments.env:1)", "inspected beforehand: 1 blockers", "checkout-1 restarted as 4.2.0", "payments-2 restarted as 4.2.0", "found the upgrade by itself: u1",
		"alert,", "foreseen before the upgrade", "set to legacy", "payments serve legacy alone", "resolved", "recovered:", "tuning suggests", "set to tuned", "payments serve tuned alone", "compromise holds", "reviews of the upgrade and of the week",
	}
	at := 0
	for _, h := range got.Timeline {
		if at < len(want) && strings.Contains(h.What, want[at]) {
			at++
		}
	}
	if at < len(want) {
		t.Errorf("got a timeline without %q: %+v", want[at], got.Timeline)
	}
	for _, f := range []string{"review.html", "review.md", "week.html", "week.md"} {
		if content, err := os.ReadFile(filepath.Join(dir, f)); err != nil || len(content) == 0 {
			t.Errorf("read %s: %d bytes, %v", f, len(content), err)
		}
	}
	for _, f := range got.Figures {
		if f.Calls == 0 || f.FirstFailures > .2 {
			t.Errorf("got figures %+v, want calls with few failures", f)
		}
	}
}

// Where nothing is better than the old constants, on call leaves them on.
func TestStoryWithoutBetterConstants(t *testing.T) {
	t.Setenv(untuned, "1")
	code, got := tell(t.Context(), t, t.TempDir(), "--tune", "0s")
	if code != 0 || !got.Seen {
		t.Fatalf("got exit status %d, missing %q, want the story told", code, got.Missing)
	}
	var all []string
	for _, h := range got.Timeline {
		all = append(all, h.What)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{"tuning suggests nothing", "stays legacy", "compromise holds"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the timeline:\n%s", want, text)
		}
	}
	if strings.Contains(text, "set to tuned") {
		t.Errorf("it was set to tuned:\n%s", text)
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	code, got := tell(t.Context(), t, t.TempDir(), "--control")
	if code != 0 || !got.Control {
		t.Errorf("got exit status %d, missing %q, want 0", code, got.Missing)
	}
}

func TestInterruptEndsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(dir, "run", "load.addr")); err == nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if code, _ := tell(ctx, t, dir); code != 130 {
		t.Errorf("got exit status %d, want 130", code)
	}
}

func TestDaemonThatEndsFailsTheStory(t *testing.T) {
	t.Parallel()
	if _, err := buildOnce(); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--dir", t.TempDir(), "--bin", programDir, "--daemon", "/bin/false"}, strings.NewReader(""), &stdout, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "daemon: it ended by itself") {
		t.Errorf("got exit status %d and %q, want 1 and why", code, stderr.String())
	}
}

func TestWrongBlameIsSeen(t *testing.T) {
	t.Parallel()
	r, err := newReceiver(filepath.Join(t.TempDir(), "webhook.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	d := newDirector(options{}, newProgress(io.Discard))
	d.receiver = r
	for _, n := range []struct{ binary, want string }{{"", "wait for an alert"}, {innocent, "was blamed, which is harmless"}} {
		body := fmt.Sprintf(`{"alerts":[{"status":"firing","fingerprint":"1","labels":{"cause":"binary","binary":%q}}]}`, n.binary)
		resp, err := http.Post(r.url, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := d.awaitAlert(ctx); err == nil || !strings.Contains(err.Error(), n.want) {
			t.Errorf("blaming %q: got %v, want an error with %q", n.binary, err, n.want)
		}
		cancel()
	}
}

func TestLauncherKillsWhatDoesNotEnd(t *testing.T) {
	l := newLauncher(t.TempDir(), func(err error) { t.Errorf("got %v, want no complaint about what was asked to end", err) })
	p, err := l.start("stubborn", nil, "/bin/sh", "-c", `trap "" TERM; sleep 100 & echo up; wait; sleep 100`)
	if err != nil {
		t.Fatal(err)
	}
	for !upIn(t, l, "stubborn") {
		time.Sleep(time.Millisecond)
	}
	l.close(50 * time.Millisecond)
	select {
	case <-p.done:
	default:
		t.Error("got a running process after close")
	}
	// The whole group is gone, its child as well.
	deadline := time.Now().Add(5 * time.Second)
	for !errors.Is(syscall.Kill(-p.cmd.Process.Pid, 0), syscall.ESRCH) {
		if time.Now().After(deadline) {
			t.Fatal("got a living process group after close")
		}
		time.Sleep(time.Millisecond)
	}
}

func upIn(t *testing.T, l *launcher, name string) bool {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(l.logs, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(content, []byte("up"))
}
