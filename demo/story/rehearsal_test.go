package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What a rehearsal of the story's upgrade says on a copy of the fleet comes true in
// production: payments 4.2.0 makes the tail of checkout slower, and the copy foretells it.
// Both fleets are the real programs, production with customers' load, the copy with the
// traffic that production's telemetry has.
func TestRehearsalForeseesTheStory(t *testing.T) {
	if os.Getenv("AFTERSHOCK_REHEARSAL") == "" {
		t.Skip("it takes three minutes of a quiet machine: make demo-rehearsal")
	}
	if out, err := buildOnce(); err != nil {
		t.Fatalf("build the fleet: %v\n%s", err, out)
	}
	program := filepath.Join(t.TempDir(), "aftershock")
	build := exec.Command("go", "build", "-o", program, "./cmd/aftershock")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build aftershock: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	production := stagedFleet(ctx, t, program, "")
	begun := time.Now()
	copied := stagedFleet(ctx, t, program, production.daemon)
	rest(ctx, t, 12*time.Second-time.Since(begun))

	r := rehearsed{t: t, program: program, dir: copied.shop.dir}
	r.prepare(production, copied)
	for tries := 1; !r.play(ctx, begun, production, copied); tries++ {
		if tries == 3 {
			t.Skip(tooBusy)
		}
		copied.install(ctx, t, "payments-4.1.3")
	}
	r.compare(ctx, production.install(ctx, t, "payments-4.2.0"))
}

const tooBusy = "this machine is too busy to measure anything but itself"

// stalls measures how busy the machine is: how much of the time somebody who wants to
// run every ten milliseconds is kept from it for over fifty.
type stalls struct {
	begun   time.Time
	stalled atomic.Int64
}

func watchStalls(ctx context.Context) *stalls {
	s := &stalls{begun: time.Now()}
	go func() {
		const every, much = 10 * time.Millisecond, 50 * time.Millisecond
		for last := time.Now(); pause(ctx, every) == nil; {
			now := time.Now()
			if late := now.Sub(last) - every; late > much {
				s.stalled.Add(int64(late))
			}
			last = now
		}
	}()
	return s
}

// many says whether it was too much for latencies to be those of the fleet.
func (s *stalls) many() bool {
	return float64(s.stalled.Load()) > 0.01*float64(time.Since(s.begun))
}

// rest waits while the fleets run.
func rest(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	if err := pause(ctx, max(0, d)); err != nil {
		t.Fatal(err)
	}
}

// staged is a fleet that runs, and the daemon that serves its flags.
type staged struct {
	shop   *shop
	daemon string
}

// stagedFleet starts a fleet on 4.1.3. With a daemon given it is a copy without load, else
// it is production with its own daemon, which keeps its telemetry.
func stagedFleet(ctx context.Context, t *testing.T, program, daemon string) *staged {
	t.Helper()
	o := options{dir: t.TempDir(), bin: programDir, daemon: program, seed: 11, rate: 120}
	if err := o.place(); err != nil {
		t.Fatal(err)
	}
	d := newDirector(o, newProgress(io.Discard))
	receiver, err := newReceiver(filepath.Join(o.dir, "webhook.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { receiver.close() })
	d.receiver = receiver
	d.launcher = newLauncher(filepath.Join(o.dir, "logs"), func(err error) { t.Error(err) })
	t.Cleanup(func() { d.launcher.close(closeTime) })
	d.shop = &shop{dir: o.dir, bin: o.bin, launcher: d.launcher}
	if daemon != "" {
		err = d.shop.openServices(ctx, daemon, o)
	} else if _, err = d.startDaemon(ctx); err == nil {
		daemon = d.api.base
		err = d.shop.open(ctx, daemon, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &staged{shop: d.shop, daemon: daemon}
}

// install puts a build of payments on both hosts and answers when that began and ended.
func (s *staged) install(ctx context.Context, t *testing.T, build string) (window [2]time.Time) {
	t.Helper()
	window[0] = time.Now()
	for _, host := range []string{"payments-1", "payments-2"} {
		if err := s.shop.replace(ctx, host, build); err != nil {
			t.Fatal(err)
		}
	}
	window[1] = time.Now()
	return window
}

// rehearsed is a rehearsal on the copy.
type rehearsed struct {
	t            *testing.T
	program, dir string
	telemetry    string
}

// prepare writes the configuration, the planned upgrade, and a recording of what
// customers ask for.
func (r *rehearsed) prepare(production, copied *staged) {
	r.t.Helper()
	r.telemetry = filepath.Join(production.shop.dir, "data", "tsdb")
	config := daemonConfig(production.shop.dir, "http://127.0.0.1:1")
	config["rehearsal"] = object{"allow": []string{copied.shop.addrs()["checkout-1"]}, "max_rate": 400}
	var entries []object
	rng := rand.New(rand.NewPCG(11, 1))
	for range 4000 {
		cart, _ := json.Marshal(object{"account": fmt.Sprintf("acc-%05d", rng.IntN(20000)), "items": []string{fmt.Sprintf("item-%03d", rng.IntN(1000))}})
		for _, route := range []string{"/checkout", "/cart"} {
			entries = append(entries, object{"request": object{
				"method": "POST", "url": "http://shop.example" + route, "headers": []object{}, "postData": object{"mimeType": "application/json", "text": string(cart)},
			}})
		}
	}
	for name, content := range map[string]object{
		"rehearsal.yml": config, // JSON is YAML
		"planned.json":  record(object{"planned_start": time.Now().Add(time.Hour).UTC()}),
		"customers.har": {"log": object{"entries": entries}},
	} {
		if err := writeJSON(filepath.Join(r.dir, name), content); err != nil {
			r.t.Fatal(err)
		}
	}
}

func record(times object) object {
	times["id"] = "dten-4.2.0"
	times["binaries"] = []object{{"name": guilty, "from": "4.1.3", "to": "4.2.0", "selector": object{"service": "payments"}}}
	return times
}

func (r *rehearsed) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.program, append([]string{"rehearse"}, args...)...)
	cmd.Dir = r.dir
	return cmd
}

// play rehearses with the traffic that production has had, and upgrades the copy between
// the phases. It answers false where the tail of checkout wasn't told to be slower and
// this machine was too busy to tell it.
func (r *rehearsed) play(ctx context.Context, since time.Time, production, copied *staged) bool {
	r.t.Helper()
	cmd := r.command(ctx, "--target", "http://"+copied.shop.addrs()["checkout-1"], "--service", "checkout", "--upgrade", "planned.json", "--config", "rehearsal.yml",
		"--profile", r.telemetry, "--start", since.UTC().Truncate(time.Second).Add(5*time.Second).Format(time.RFC3339), "--end", time.Now().UTC().Format(time.RFC3339),
		"--recording", "customers.har", "--scale", "2.2", "--duration", "40s", "--warmup", "3s", "--format", "json", "--replace")
	in, err := cmd.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stalls := watchStalls(ctx)
	before := filepath.Join(r.dir, "rehearsal", "before.json")
	if err := os.RemoveAll(before); err != nil {
		r.t.Fatal(err)
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		if _, err := os.Stat(before); err == nil {
			break
		}
		select {
		case err := <-ended:
			r.t.Fatalf("rehearse: %v: %s", err, said.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	copied.install(ctx, r.t, "payments-4.2.0")
	io.WriteString(in, "\n")
	var status *exec.ExitError
	if err := <-ended; err != nil && !errors.As(err, &status) {
		r.t.Fatal(err)
	}
	var report struct {
		Before, After []struct {
			Late bool `json:"late"`
		}
		Verdicts []verdict
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Before) != 1 || len(report.After) != 1 {
		r.t.Fatalf("%v: %s\n%s", err, out.String(), said.String())
	}
	r.t.Logf("%s", said.String())
	if slices.ContainsFunc(report.Verdicts, func(v verdict) bool {
		return v.State == "regressed" && v.Indicator.Kind == "latency" && v.Indicator.Labels["http_route"] == "/checkout"
	}) {
		return true
	}
	if !report.Before[0].Late && !report.After[0].Late && !stalls.many() {
		r.t.Fatalf("the rehearsal tells no slower tail of checkout: %s", out.String())
	}
	return false
}

// untilTold is how long production may take to tell.
const untilTold = 2 * time.Minute

// compare sets production against the rehearsal, until production has told.
func (r *rehearsed) compare(ctx context.Context, window [2]time.Time) {
	r.t.Helper()
	begun := record(object{"started_at": window[0].UTC(), "finished_at": window[1].UTC()})
	if err := writeJSON(filepath.Join(r.dir, "begun.json"), begun); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stalls := watchStalls(ctx)
	for {
		rest(ctx, r.t, 10*time.Second)
		cmd := r.command(ctx, "compare", "--rehearsal", "rehearsal", "--upgrade", "begun.json", "--config", "rehearsal.yml", "--telemetry", r.telemetry)
		out, err := cmd.Output()
		var status *exec.ExitError
		if err != nil && !errors.As(err, &status) {
			r.t.Fatal(err)
		}
		told := ""
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "tail latency of checkout /checkout") {
				told, _, _ = strings.Cut(line, " ")
			}
		}
		after := time.Since(window[1])
		switch {
		case told == "foreseen":
			r.t.Logf("production told after %s:\n%s", after.Round(time.Second), out)
			return
		case after > untilTold && stalls.many():
			r.t.Skip(tooBusy)
		case told != "open" && told != "" || after > untilTold:
			r.t.Fatalf("the slower tail of checkout wasn't foreseen after %s: %q\n%s", after.Round(time.Second), told, out)
		}
	}
}
