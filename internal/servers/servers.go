// Package servers starts real servers for tests: Prometheus 2 and 3,
// Alertmanager, VictoriaMetrics, PostgreSQL, Unleash and a mail server. Each listens on a
// free port of the loopback, keeps its files in a directory of its own, is ready when the
// call returns, and is gone when the test ends. A program that isn't installed
// fails the test, and says how to install it: there are no silent skips.
package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// readyWithin is generous: a loaded two-core machine starts slowly.
	readyWithin = 90 * time.Second
	stopWithin  = 20 * time.Second
	// logTail is how much of a server's output is kept, for failures.
	logTail = 16 << 10
	// portTries bounds the starts when another program takes the free port
	// between its choice and the server's bind.
	portTries = 4
)

// ToolsDir is where the tools that are built from pinned modules stand:
// $AFTERSHOCK_TOOLS, else .cache/tools/bin in the module's root.
func ToolsDir() string {
	if dir := os.Getenv("AFTERSHOCK_TOOLS"); dir != "" {
		return dir
	}
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", ".cache", "tools", "bin")
}

// tool finds a program that `make tools` builds.
func tool(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(ToolsDir(), name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("find %s: not in %s: run make tools", name, ToolsDir())
	}
	return path
}

// packaged finds a program that `make tools` installs as a Debian package, by
// the first of its names that stands in the tools directory or the PATH.
func packaged(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path := filepath.Join(ToolsDir(), name); executable(path) {
			return path
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("find %s: neither in %s nor in the PATH: run make tools", names[0], ToolsDir())
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Server is a running server process.
type Server struct {
	// URL is its base, such as http://127.0.0.1:41234, without a slash at the
	// end. It stays the same over Stop and Start.
	URL string
	// Dir holds its data, and goes with the test.
	Dir string

	t       testing.TB
	port    int
	command func(port int) *exec.Cmd
	ready   func() error
	stop    syscall.Signal

	cmd    *exec.Cmd
	exited chan struct{}
	output *tail
}

// launch picks a port, starts the server and waits until it is ready.
func (s *Server) launch(url func(port int) string) {
	s.t.Helper()
	s.t.Cleanup(s.Stop)
	var err error
	for range portTries {
		s.port = freePort(s.t)
		s.URL = url(s.port)
		if err = s.start(); err == nil {
			return
		}
		s.Stop()
	}
	s.t.Fatal(err)
}

// Start starts a server again that Stop or Kill ended: same port, same data.
func (s *Server) Start() {
	s.t.Helper()
	if s.exited != nil {
		s.t.Fatalf("start the server of %s: it is running", s.URL)
	}
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

// Stop ends the server in order, and waits for its end.
func (s *Server) Stop() { s.end(s.stop) }

// Kill ends the server as a crash would, and waits for its end.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(signal syscall.Signal) {
	if s.exited == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	select {
	case <-s.exited:
	case <-time.After(stopWithin):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	s.exited = nil
}

func (s *Server) start() error {
	s.output = &tail{}
	s.cmd = s.command(s.port)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if s.cmd.SysProcAttr == nil {
		s.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	dieWithParent(s.cmd.SysProcAttr)
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.cmd.Path, err)
	}
	exited := make(chan struct{})
	s.exited = exited
	cmd := s.cmd
	go func() {
		_ = cmd.Wait() // the way it ended shows in its output
		close(exited)
	}()
	return s.await()
}

// await polls until the server is ready, has ended, or takes too long.
func (s *Server) await() error {
	deadline := time.After(readyWithin)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-s.exited:
			return fmt.Errorf("start %s: it ended at once (%s), saying:\n%s", s.cmd.Path, s.cmd.ProcessState, s.output)
		case <-deadline:
			return fmt.Errorf("start %s: not ready after %s, saying:\n%s", s.cmd.Path, readyWithin, s.output)
		case <-poll.C:
			if s.ready() == nil {
				return nil
			}
		}
	}
}

// answers is a readiness check: the path answers 200.
func (s *Server) answers(path string) func() error {
	client := &http.Client{Timeout: 2 * time.Second}
	return func() error {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL+path, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	}
}

// program is a command without a time limit: Stop ends it, in order.
func program(path string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), path, args...)
}

func loopback(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }

func freePort(t testing.TB) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// write puts a file into a server's directory.
func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tail keeps the end of a process's output.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (o *tail) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, p...)
	if over := len(o.buf) - logTail; over > 0 {
		o.buf = bytes.Clone(o.buf[over:])
	}
	return len(p), nil
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf)
}
