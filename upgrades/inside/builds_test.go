package inside

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// program is a small service that retries, in one module, with its backoff in
// another.
var program = map[string]string{
	"go.mod": `module dten.example/payments

go 1.24

require dten.example/backoff v1.2.0

replace dten.example/backoff => ../backoff
`,
	"../backoff/go.mod": "module dten.example/backoff\n\ngo 1.24\n",
	"../backoff/backoff.go": `package backoff

import "time"

// Wait is how long to wait after an attempt.
//
//go:noinline
func Wait(attempt int) time.Duration {
	return time.Duration(attempt) * 40 * time.Millisecond
}
`,
	"main.go": `package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"time"

	"dten.example/backoff"
)

var (
	MinBackoff  = 10 * time.Millisecond
	MaxAttempts = 3
	Multiplier  = 1.25
	Endpoint    = "https://pay.dten.example/v1"
	schedule    = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}
)

type Strategy interface {
	Next(attempt int) time.Duration
}

type Linear struct{ Base, Cap time.Duration }

func (l *Linear) Next(attempt int) time.Duration {
	d := time.Duration(attempt) * l.Base
	if d > l.Cap {
		d = l.Cap
	}
	return d
}

//go:noinline
func delay(attempt int) time.Duration {
	d := 50 * time.Millisecond * time.Duration(attempt)
	if d > 2*time.Second {
		d = 2 * time.Second
	}
	return d
}

//go:noinline
func grow(d time.Duration) time.Duration {
	return time.Duration(float64(d) * 1.5)
}

//go:noinline
func call(n int) error {
	switch n {
	case 0:
		return errors.New("upstream refused")
	case 1, 7:
		return errors.New("upstream timed out")
	case 2:
		return fmt.Errorf("status %d", 500+n)
	case 3:
		time.Sleep(time.Microsecond)
	case 4:
		return os.ErrDeadlineExceeded
	case 5:
		return os.ErrClosed
	case 6:
		return os.ErrExist
	}
	return nil
}

//go:noinline
func retry(s Strategy, attempts int) (err error) {
	for i := 0; i < attempts; i++ {
		if err = call(i); err == nil {
			return nil
		}
		log.Printf("attempt %d failed: %v", i, err)
		time.Sleep(delay(i) + s.Next(i) + grow(MinBackoff) + backoff.Wait(i))
	}
	return fmt.Errorf("gave up on %s after %d attempts: %w", Endpoint, MaxAttempts, err)
}

//go:noinline
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d)*Multiplier) + time.Duration(rand.Int63n(1000))
}

//go:noinline
func planned(n int) time.Duration {
	return schedule[n%len(schedule)]
}

//go:noinline
func limits() []time.Duration {
	return []time.Duration{5 * time.Second, 6 * time.Second, 7 * time.Second, 9 * time.Second, 11 * time.Second, 13 * time.Second}
}

func each(visit func(time.Duration)) {
	for _, d := range limits() {
		visit(d)
	}
}

func main() {
	timeout := flag.Duration("timeout", 30*time.Second, "how long to wait")
	flag.Parse()
	if os.Getenv("DTEN_VERBOSE") != "" {
		log.SetFlags(log.Lmicroseconds)
	}
	each(func(d time.Duration) { fmt.Println("limit", d) })
	if err := retry(&Linear{Base: *timeout, Cap: time.Minute}, MaxAttempts); err != nil {
		log.Fatal(err)
	}
	fmt.Println(spread(time.Second), planned(len(os.Args)))
}
`,
}

// edit replaces text of one file.
type edit struct{ file, old, new string }

// mode is how a program is built.
type mode struct {
	name  string
	flags []string
	env   []string
}

var (
	stripped   = mode{"stripped", []string{"-ldflags=-s -w"}, []string{"CGO_ENABLED=0"}}
	unstripped = mode{"unstripped", nil, []string{"CGO_ENABLED=0"}}
	pie        = mode{"pie", []string{"-ldflags=-s -w", "-buildmode=pie"}, []string{"CGO_ENABLED=0"}}
	arm64      = mode{"arm64", []string{"-ldflags=-s -w"}, []string{"CGO_ENABLED=0", "GOARCH=arm64"}}
	armPIE     = mode{"arm64-pie", []string{"-ldflags=-s -w", "-buildmode=pie"}, []string{"CGO_ENABLED=0", "GOARCH=arm64"}}
	riscv64    = mode{"riscv64", []string{"-ldflags=-s -w"}, []string{"CGO_ENABLED=0", "GOARCH=riscv64"}}
	external   = mode{"external", []string{"-ldflags=-s -w -linkmode=external"}, []string{"CGO_ENABLED=1"}}
)

// builds keeps what was built, for several tests.
type builds struct {
	mu   sync.Mutex
	dir  string
	made map[string]string
}

var shared = &builds{made: map[string]string{}}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "inside")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared.dir = dir
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// write puts the program into a directory and edits it.
func write(t *testing.T, dir string, edits []edit) {
	t.Helper()
	files := map[string]string{}
	for name, text := range program {
		files[name] = text
	}
	for _, e := range edits {
		if e.old == "" {
			files[e.file] += e.new
			continue
		}
		if strings.Count(files[e.file], e.old) != 1 {
			t.Fatalf("%q stands %d times in %s, want once", e.old, strings.Count(files[e.file], e.old), e.file)
		}
		files[e.file] = strings.Replace(files[e.file], e.old, e.new, 1)
	}
	for name, text := range files {
		path := filepath.Join(dir, "app", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// build compiles the edited program once and gives the binary's path. what
// names the directory, so that the same edits can be built in two.
func build(t *testing.T, what string, m mode, edits ...edit) string {
	t.Helper()
	if m.name == external.name {
		if _, err := exec.LookPath("gcc"); err != nil {
			t.Skip("there is no C compiler here")
		}
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	key := what + "-" + m.name
	if path := shared.made[key]; path != "" {
		return path
	}
	dir := filepath.Join(shared.dir, what)
	write(t, dir, edits)
	out := filepath.Join(shared.dir, "out", key)
	compile(t, filepath.Join(dir, "app"), out, m)
	shared.made[key] = out
	return out
}

func compile(t *testing.T, dir, out string, m mode) {
	t.Helper()
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", out}, m.flags...)
	cmd := exec.CommandContext(t.Context(), "go", append(args, ".")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append([]string{"GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off"}, m.env...)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
}

// take reads a fingerprint or ends the test.
func take(t *testing.T, path string) Fingerprint {
	t.Helper()
	p, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
