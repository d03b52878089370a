package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// closeTime bounds the end of all processes.
const closeTime = 12 * time.Second

// director runs the story's steps in order.
type director struct {
	opt      options
	progress *progress
	timeline *timeline

	// in is what a person types; interrupted says why their Ctrl-C ended the story, nil
	// while it didn't.
	in          io.Reader
	interrupted func() error

	launcher *launcher
	shop     *shop
	receiver *receiver
	api      *api

	upgrade  string // the daemon's id of the upgrade
	bounds   map[string]float64
	mark     sample
	figures  []figures
	rolled   time.Time
	toggled  toggle
	helped   bool // the toggle was seen to help
	tuned    tuning
	held     []comparison
	alerted  notice
	reviewed []string
}

// step is one part of the story. It is over when it was seen, and has failed
// when limit has passed.
type step struct {
	name         string
	about, limit time.Duration
	do           func(context.Context) (outcome string, err error)
}

func newDirector(o options, p *progress) *director {
	return &director{opt: o, progress: p, timeline: &timeline{}, bounds: map[string]float64{}, in: strings.NewReader("")}
}

// tell runs every step; its error says what wasn't seen. No process is left
// when it returns.
func (d *director) tell(ctx context.Context) error {
	d.interrupted = ctx.Err
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	receiver, err := newReceiver(filepath.Join(d.opt.dir, "webhook.jsonl"))
	if err != nil {
		return err
	}
	d.receiver = receiver
	defer receiver.close()
	d.launcher = newLauncher(filepath.Join(d.opt.dir, "logs"), func(err error) { fail(err) })
	defer d.launcher.close(closeTime)
	d.shop = &shop{dir: d.opt.dir, bin: d.opt.bin, launcher: d.launcher}
	d.timeline.begin(time.Now())
	d.progress.tell(fmt.Sprintf("the demo runs in %s (seed %d)", d.opt.dir, d.opt.seed))
	return d.steps(ctx, d.script())
}

func (d *director) steps(ctx context.Context, script []step) error {
	for n, s := range script {
		after := time.Duration(0)
		for _, t := range script[n+1:] {
			after += t.about
		}
		d.progress.begin(fmt.Sprintf("[%d/%d] %s", n+1, len(script), s.name), s.about, after)
		stepCtx, cancel := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("it didn't come within %s", s.limit))
		outcome, err := s.do(stepCtx)
		cancel()
		if err != nil {
			// What ended the story says more than what was cancelled by it.
			if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
				err = fmt.Errorf("%w (%w)", cause, err)
			}
			d.keepEvidence(context.WithoutCancel(ctx))
			d.progress.end("failed")
			d.timeline.add("failed: " + s.name)
			if why := busy(); why != "" {
				d.timeline.add(why)
			}
			return fmt.Errorf("%s: %w", s.name, err)
		}
		d.progress.end(outcome)
	}
	return nil
}

// keepEvidence writes down what the daemon knows and what the services counted
// when a step wasn't seen, as far as they still answer.
func (d *director) keepEvidence(ctx context.Context) {
	if d.api == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	paths := map[string]string{"status": "/api/v1/status", "upgrades": "/api/v1/upgrades", "alerts": "/api/v1/alerts", "events": "/api/v1/events"}
	if d.upgrade != "" {
		paths["verdicts"] = "/api/v1/upgrades/" + url.PathEscape(d.upgrade) + "/verdicts"
	}
	for name, path := range paths {
		content, err := d.api.ask(ctx, http.MethodGet, path, nil)
		if err != nil {
			content = []byte(err.Error())
		}
		if err := replaceFile(filepath.Join(d.opt.dir, "logs", name+".json"), content); err != nil {
			d.progress.tell(err.Error())
		}
	}
	if d.mark == nil {
		return
	}
	if f, err := d.measure(ctx, "at the failure"); err == nil {
		d.timeline.add("at the failure: " + f.words())
	}
}

// packages are where the programs come from.
var packages = []string{"./demo/acmepay", "./demo/catalog", "./demo/checkout/...", "./demo/gateway", "./demo/load", "./demo/payments/..."}

// build makes the fleet's programs, unless they are there.
func (d *director) build(ctx context.Context) (string, error) {
	missing := false
	for _, p := range programs {
		if _, err := os.Stat(filepath.Join(d.opt.bin, p)); err != nil {
			missing = true
		}
	}
	if !missing {
		return "the programs are there", nil
	}
	// The programs go without symbols for debuggers: linking them takes half
	// as long.
	cmd := exec.CommandContext(ctx, "go", append([]string{
		"build", "-trimpath", "-ldflags=-w", "-o", d.opt.bin + string(filepath.Separator),
	}, packages...)...)
	cmd.Dir = d.opt.source
	cmd.SysProcAttr = ownGroup()
	// go removes its temporary files when it is interrupted.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	out, err := runOnThread(cmd)
	if err != nil {
		return "", fmt.Errorf("build the fleet in %s: %w: %s", d.opt.source, err, out)
	}
	return fmt.Sprintf("%d programs", len(programs)), nil
}

// measure takes the figures since the last mark under the phase's name.
func (d *director) measure(ctx context.Context, name string) (figures, error) {
	now, err := read(ctx, d.shop.addrs())
	if err != nil {
		return figures{}, err
	}
	f := phase(name, d.mark, now, d.bounds)
	d.figures = append(d.figures, f)
	return f, nil
}

// setMark begins a phase.
func (d *director) setMark(ctx context.Context) (err error) {
	d.mark, err = read(ctx, d.shop.addrs())
	return err
}

// timeline is what happened when.
type timeline struct {
	mu     sync.Mutex
	start  time.Time
	events []happening
}

type happening struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	What    string    `json:"what"`
}

func (t *timeline) begin(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start = now
}

func (t *timeline) add(what string) { t.addAt(time.Now(), what) }

func (t *timeline) addAt(at time.Time, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, happening{at.UTC(), at.Sub(t.start).Seconds(), what})
}
