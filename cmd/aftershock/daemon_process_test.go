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

	"aftershock/internal/servers"
)

// built is the program under test, built once.
var built = sync.OnceValues(func() (string, error) {
	// In the module's cache, which git doesn't see, so that nobody has to clean up.
	path := filepath.Join(servers.ToolsDir(), "..", "..", "test", "aftershock")
	fresh := fmt.Sprintf("%s-%d", path, os.Getpid())
	if out, err := exec.Command("go", "build", "-o", fresh, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the daemon: %w: %s", err, out)
	}
	return path, os.Rename(fresh, path)
})

func binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// home is a daemon's directory with its configuration.
type home struct {
	t      testing.TB
	dir    string
	config string // path of the configuration file
	data   string
	wrap   func(*exec.Cmd) // changes how the daemon is started, may be nil
}

func newHome(t testing.TB, config string) *home {
	t.Helper()
	dir := t.TempDir()
	h := &home{t: t, dir: dir, config: filepath.Join(dir, "aftershock.yml"), data: filepath.Join(dir, "data")}
	h.file("aftershock.yml", config)
	return h
}

// file writes a file of the home, whole at once, and gives its path.
func (h *home) file(name, content string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// process is a running daemon.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	exited chan struct{}
	log    *output
	url    string
	token  string
}

// output is all that a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// lines are the lines that hold all of the words.
func (o *output) lines(words ...string) (out []string) {
next:
	for line := range strings.Lines(o.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		out = append(out, strings.TrimSpace(line))
	}
	return out
}

// spawn starts the daemon and doesn't wait for anything.
func (h *home) spawn() *process {
	h.t.Helper()
	_ = os.Remove(filepath.Join(h.data, "listen"))
	p := &process{t: h.t, exited: make(chan struct{}), log: &output{}}
	p.cmd = exec.Command(binary(h.t), "run", "--config", h.config, "--data", h.data)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if h.wrap != nil {
		h.wrap(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	h.t.Cleanup(func() {
		p.kill()
		if h.t.Failed() {
			text := p.log.String()
			h.t.Logf("the daemon said:\n%s", text[max(0, len(text)-6000):])
		}
	})
	return p
}

// start starts the daemon and waits until it listens.
func (h *home) start() *process {
	h.t.Helper()
	p := h.spawn()
	wait(h.t, 30*time.Second, "the daemon to listen", func() error {
		select {
		case <-p.exited:
			h.t.Fatalf("the daemon ended at once: %s", p.log)
		default:
		}
		return p.find(h.data)
	})
	return p
}

// find reads where the daemon listens, and asks it whether it is ready.
func (p *process) find(data string) error {
	addr, err := os.ReadFile(filepath.Join(data, "listen"))
	if err != nil {
		return err
	}
	token, err := os.ReadFile(filepath.Join(data, "token"))
	if err != nil {
		return err
	}
	p.url, p.token = "http://"+strings.TrimSpace(string(addr)), strings.TrimSpace(string(token))
	return p.get("/-/ready", nil)
}

func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %v: %v", s, err)
	}
}

// kill ends the daemon as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// status waits for the end and gives the exit status.
func (p *process) status(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(within):
		p.t.Fatalf("the daemon still runs after %s; it said:\n%s", within, p.log)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop ends the daemon in order.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if got := p.status(10 * time.Second); got != 0 {
		p.t.Errorf("exit status after SIGTERM: got %d, want 0; it said:\n%s", got, p.log)
	}
}

var httpClient = &http.Client{Timeout: 15 * time.Second}

// problemError is an answer that is no success.
type problemError struct {
	status int
	detail string
}

func (e problemError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.detail) }

// do sends a request with the token; out may be nil, or a string for the text itself.
func (p *process) do(method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, p.url+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := httpClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return problemError{resp.StatusCode, string(b)}
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *string:
		*out = string(b)
		return nil
	}
	return json.Unmarshal(b, out)
}

func (p *process) get(path string, out any) error { return p.do(http.MethodGet, path, nil, out) }

// must is get that has to succeed.
func must[T any](p *process, path string) T {
	p.t.Helper()
	var out T
	if err := p.get(path, &out); err != nil {
		p.t.Fatalf("GET %s: %v", path, err)
	}
	return out
}

// statusOf is the part of /api/v1/status that tests look at.
type statusAnswer struct {
	Ready bool `json:"ready"`
	Watch struct {
		Time       time.Time `json:"time"`
		Indicators int       `json:"indicators"`
		Blind      string    `json:"blind"`
	} `json:"watch"`
}

// metric is the value of the daemon's own metric of this very name and labels,
// as they stand in the exposition.
func (p *process) metric(series string) float64 {
	p.t.Helper()
	resp, err := httpClient.Get(p.url + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v := 0.0
			if _, err := fmt.Sscan(rest, &v); err != nil {
				p.t.Fatalf("metric %s: %v", series, err)
			}
			return v
		}
	}
	p.t.Fatalf("the daemon has no metric %s", series)
	return 0
}

// wait polls until f succeeds.
func wait(t testing.TB, within time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %v", within, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
