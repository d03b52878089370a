package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tell runs the story on the real fleet with the fake daemon, and returns its
// exit status, its result and its directory.
func tell(t *testing.T, blame string, args ...string) (int, told, string) {
	t.Helper()
	t.Setenv(fakeEnv, blame)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	args = append([]string{
		"--dir", dir, "--bin", fleetPrograms(t), "--daemon", self, "--json",
		"--baseline", "3s", "--hold", "1s", "--watch", "2s", "--gap", "100ms",
	}, args...)
	code := run(t.Context(), args, &stdout, &stderr)
	var got told
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatalf("parse result: %v\n%s\n%s", err, stdout.String(), stderr.String())
	}
	if t.Failed() || code != 0 {
		t.Log(stderr.String())
	}
	noProcessLeft(t, dir)
	return code, got, dir
}

// fleetPrograms builds the fleet once for all tests.
func fleetPrograms(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "aftershock-demo-test-programs")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-w", "-o", dir+"/",
		"./demo/acmepay", "./demo/catalog", "./demo/checkout/...", "./demo/gateway", "./demo/load", "./demo/payments/...")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the fleet: %v\n%s", err, out)
	}
	return dir
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
	// Few seconds of traffic can't tell the variants' tails apart for sure, so
	// that the hold may take its time.
	code, got, dir := tell(t, guilty)
	if code != 0 || !got.Seen {
		t.Fatalf("got exit status %d, missing %q, want the story told", code, got.Missing)
	}
	want := []string{
		"4.1.3 runs", "baseline:", "checkout-1 restarted as 4.2.0", "payments-2 restarted as 4.2.0", "found the upgrade by itself: u1",
		"alert,", "set to legacy", "payments serve legacy alone", "resolved", "recovered:", "set to tuned", "payments serve tuned alone", "compromise holds", "review",
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
	for _, f := range []string{"review.html", "review.md"} {
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

func TestWrongBlameFailsTheStory(t *testing.T) {
	code, got, _ := tell(t, innocent)
	if code != 1 || !strings.Contains(got.Missing, innocent+" was blamed") {
		t.Errorf("got exit status %d, missing %q, want 1 and the wrong blame", code, got.Missing)
	}
}

func TestControl(t *testing.T) {
	code, got, _ := tell(t, guilty, "--control")
	if code != 0 || !got.Control {
		t.Errorf("got exit status %d, missing %q, want 0", code, got.Missing)
	}
}

func TestDaemonThatEndsFailsTheStory(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--dir", t.TempDir(), "--bin", fleetPrograms(t), "--daemon", "/bin/false"}, &stdout, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "daemon: it ended by itself") {
		t.Errorf("got exit status %d and %q, want 1 and why", code, stderr.String())
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
