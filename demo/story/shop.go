package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// startTime bounds the start of a process, drainTime its end: generous,
	// since the machine may have other things to do.
	startTime = 45 * time.Second
	drainTime = 15 * time.Second
	// notice is how long callers get to see that an instance is no longer
	// listed; they look ten times a second.
	noticeTime = 300 * time.Millisecond
)

// instance is one process of the shop.
type shopInstance struct {
	name, service string
	build         string // the program that it runs, "payments-4.1.3"
	addr          string
	proc          *process
}

// shop is the fleet with the third party and the load.
type shop struct {
	dir, bin string
	launcher *launcher
	env      []string

	mu        sync.Mutex
	instances []*shopInstance
	loadAddr  string
}

// first are the builds that the fleet starts with, callees before callers.
var first = []struct{ service, build string }{
	{"catalog", "catalog"}, {"payments", "payments-4.1.3"}, {"checkout", "checkout-4.1.3"}, {"gateway", "gateway"},
}

// small makes every program run as on a host with one core: that many processes
// on few cores then hardly stand in one another's way.
var small = []string{"GOMAXPROCS=1", "GOGC=400"}

// programs are all that the story needs.
var programs = []string{
	"acmepay", "catalog", "checkout-4.1.3", "checkout-4.2.0", "gateway", "load", "payments-4.1.3", "payments-4.1.4", "payments-4.2.0",
}

// open starts the third party, two instances of each service, and the load.
func (s *shop) open(ctx context.Context, daemon string, o options) error {
	if err := s.openServices(ctx, daemon, o); err != nil {
		return err
	}
	var err error
	_, s.loadAddr, err = s.run(ctx, "load", "load", small, "-endpoints", s.endpoints(), "-day", day, "-rate", strconv.FormatFloat(o.rate, 'g', -1, 64))
	return err
}

// openServices starts the third party and two instances of each service.
func (s *shop) openServices(ctx context.Context, daemon string, o options) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*startTime, errors.New("the time for it ran out"))
	defer cancel()
	// What 4.1.3 is set to; nobody has told it of what 4.2.0 needs.
	if err := replaceFile(s.settings(), []byte("DTEN_POLL_INTERVAL=30s\n")); err != nil {
		return err
	}
	if err := s.list(); err != nil {
		return err
	}
	_, acme, err := s.run(ctx, "acme-pay", "acmepay", small, "-seed", strconv.FormatUint(o.seed, 10))
	if err != nil {
		return err
	}

	s.env = append(slices.Clone(small), "AFTERSHOCK_OFREP="+daemon, "ACME_PAY_URL=http://"+acme)
	for _, f := range first {
		for n := 1; n <= 2; n++ {
			i := &shopInstance{name: fmt.Sprintf("%s-%d", f.service, n), service: f.service, build: f.build}
			if err := s.boot(ctx, i); err != nil {
				return err
			}
			s.mu.Lock()
			s.instances = append(s.instances, i)
			s.mu.Unlock()
		}
	}
	return s.list()
}

// settings are what payments is set to on its hosts.
func (s *shop) settings() string { return filepath.Join(s.dir, "etc", "payments.env") }

func (s *shop) endpoints() string { return filepath.Join(s.dir, "endpoints.json") }

// boot installs the instance's build on its host and starts it, on the address
// that it had before if there was one.
func (s *shop) boot(ctx context.Context, i *shopInstance) error {
	host := filepath.Join(s.dir, "hosts", i.name)
	if err := os.MkdirAll(host, 0o755); err != nil {
		return fmt.Errorf("make host: %w", err)
	}
	program := filepath.Join(host, "dten-"+i.service)
	if err := install(filepath.Join(s.bin, i.build), program); err != nil {
		return fmt.Errorf("install %s on %s: %w", i.build, i.name, err)
	}
	args := []string{"-instance", i.name, "-endpoints", s.endpoints()}
	if i.addr != "" {
		args = append(args, "-listen", i.addr)
	}
	env := s.env
	if i.service == "payments" {
		own, err := os.ReadFile(s.settings())
		if err != nil {
			return fmt.Errorf("read the settings of payments: %w", err)
		}
		env = append(slices.Clone(env), strings.Fields(string(own))...)
	}
	proc, addr, err := s.run(ctx, i.name, program, env, args...)
	i.proc, i.addr = proc, addr
	return err
}

// install puts a copy of the program in place in one step, as a package manager
// does: the old file lives on under the process that runs it.
func install(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return err
	}
	if err := dst.Close(); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// run starts a program and waits until it serves; program may be a name among
// the built ones.
func (s *shop) run(ctx context.Context, name, program string, env []string, args ...string) (*process, string, error) {
	if !filepath.IsAbs(program) {
		program = filepath.Join(s.bin, program)
	}
	file := filepath.Join(s.dir, "run", name+".addr")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, "", fmt.Errorf("forget old address: %w", err)
	}
	proc, err := s.launcher.start(name, env, program, append(args, "-addr-file", file)...)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("the time for it ran out"))
	defer cancel()
	addr, err := "", error(nil)
	err = await(ctx, func() (bool, string, error) {
		content, err := os.ReadFile(file)
		if err != nil || len(content) == 0 {
			return false, "wait for " + name + " to listen", nil
		}
		addr = string(content)
		return ready(ctx, addr), "wait for " + name + " to be ready", nil
	})
	return proc, addr, err
}

func ready(ctx context.Context, addr string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/-/ready", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10)) // so that the connection can be used again
	return resp.StatusCode == http.StatusOK
}

// list writes the registry for the callers and the targets for the daemon.
func (s *shop) list(without ...*shopInstance) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	endpoints := map[string][]string{}
	targets := []object{}
	for _, i := range s.instances {
		if !slices.Contains(without, i) {
			endpoints[i.service] = append(endpoints[i.service], i.addr)
		}
		// An instance that restarts stays a target: a monitor isn't told of it.
		targets = append(targets, object{"targets": []string{i.addr}, "labels": object{"service": i.service, "instance": i.name}})
	}
	return errors.Join(writeJSON(s.endpoints(), endpoints), writeJSON(filepath.Join(s.dir, "targets.json"), targets))
}

// replace drains one instance and starts it again as another build.
func (s *shop) replace(ctx context.Context, name, build string) error {
	s.mu.Lock()
	at := slices.IndexFunc(s.instances, func(i *shopInstance) bool { return i.name == name })
	s.mu.Unlock()
	if at < 0 {
		return fmt.Errorf("replace %s: there is no such instance", name)
	}
	i := s.instances[at]
	if err := s.list(i); err != nil {
		return err
	}
	if err := pause(ctx, noticeTime); err != nil {
		return err
	}
	if err := i.proc.end(ctx, drainTime); err != nil {
		return fmt.Errorf("drain %s: %w", name, err)
	}
	i.build = build
	if err := s.boot(ctx, i); err != nil {
		return err
	}
	return s.list()
}

// addrs are where the services' metrics are, by instance.
func (s *shop) addrs() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[string]string{}
	for _, i := range s.instances {
		m[i.name] = i.addr
	}
	return m
}

// pause waits for d, or fails when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// service is the service of an instance, "payments" of "payments-1".
func serviceOf(instance string) string {
	at := strings.LastIndexByte(instance, '-')
	return instance[:max(at, 0)]
}
