package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// launcher starts the story's processes and ends all of them.
type launcher struct {
	logs string
	// died is told of a process that ended without being asked to.
	died func(error)

	starts  chan func()
	stopped chan struct{}

	mu    sync.Mutex
	procs []*process // in the order of their start
}

// process is one child, in a process group of its own.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, once done is closed

	mu    sync.Mutex
	asked bool // it was told to end
}

func newLauncher(logs string, died func(error)) *launcher {
	l := &launcher{logs: logs, died: died, starts: make(chan func()), stopped: make(chan struct{})}
	go func() {
		defer close(l.stopped)
		// Linux sends the parent-death signal when the thread that started the
		// child ends, so one thread starts them all and stays.
		runtime.LockOSThread()
		for start := range l.starts {
			start()
		}
	}()
	return l
}

// start runs the program with its output in the log of that name.
func (l *launcher) start(name string, env []string, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(l.logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	defer log.Close()
	p := &process{name: name, done: make(chan struct{})}
	try := func() error {
		p.cmd = exec.Command(program, args...)
		p.cmd.Env = append(os.Environ(), env...)
		p.cmd.Stdout, p.cmd.Stderr = log, log
		p.cmd.SysProcAttr = ownGroup()
		started := make(chan error, 1)
		l.starts <- func() { started <- p.cmd.Start() }
		return <-started
	}
	err = try()
	// A program that was just written is busy while a process that is being forked
	// elsewhere still holds its file open for writing (golang.org/issue/22315).
	for n := 0; n < busyTries && errors.Is(err, syscall.ETXTBSY); n++ {
		time.Sleep(busyPause)
		err = try()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	l.mu.Lock()
	l.procs = append(l.procs, p)
	l.mu.Unlock()
	go l.reap(p)
	return p, nil
}

// busyTries and busyPause bound the wait for a program that is busy.
const (
	busyTries = 50
	busyPause = 20 * time.Millisecond
)

func (l *launcher) reap(p *process) {
	err := p.cmd.Wait()
	p.mu.Lock()
	asked := p.asked
	p.mu.Unlock()
	p.err = err
	l.mu.Lock()
	l.procs = slices.DeleteFunc(l.procs, func(q *process) bool { return q == p })
	l.mu.Unlock()
	close(p.done)
	if !asked {
		if err == nil {
			err = errors.New("exit status 0")
		}
		l.died(fmt.Errorf("run %s: it ended by itself (%w); see %s.log", p.name, err, p.name))
	}
}

// end asks the process to end and kills it when it doesn't within limit, or
// when ctx ends.
func (p *process) end(ctx context.Context, limit time.Duration) error {
	p.ask(syscall.SIGTERM)
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.done:
		return p.err
	case <-t.C:
	case <-ctx.Done():
	}
	p.kill()
	<-p.done
	return fmt.Errorf("end %s: it had to be killed", p.name)
}

func (p *process) ask(sig syscall.Signal) {
	p.mu.Lock()
	p.asked = true
	p.mu.Unlock()
	_ = p.cmd.Process.Signal(sig) // it may have ended already
}

// close ends every process, the last one started first, and returns when none
// is left.
func (l *launcher) close(limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	l.mu.Lock()
	procs := slices.Clone(l.procs)
	l.mu.Unlock()
	slices.Reverse(procs)
	// All are asked before any is waited for, so that one that hangs doesn't
	// keep the others.
	for _, p := range procs {
		p.ask(syscall.SIGTERM)
	}
	for _, p := range procs {
		select {
		case <-p.done:
		case <-ctx.Done():
			p.kill()
			<-p.done
		}
	}
	close(l.starts)
	<-l.stopped
}

// runOnThread runs a command to its end, started from a thread that stays until
// then, and returns the end of what it wrote.
func runOnThread(cmd *exec.Cmd) ([]byte, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if len(out) > 4000 {
		out = out[len(out)-4000:]
	}
	return out, err
}
