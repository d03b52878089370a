package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"aftershock/alerts"
	"aftershock/alerts/notify"
	"aftershock/configs"
	"aftershock/internal/servers"
	"aftershock/journal"
)

// courierEnv makes the test program the process that is killed.
const courierEnv = "AFTERSHOCK_COURIER"

// courierErrand is what a courier is told.
type courierErrand struct {
	Config, Data string
	// Drain says to put down nothing more, and to end when nothing is owed.
	Drain bool
}

const (
	killedCouriers = 100
	// Alerts run side by side; each has so many revisions, of which the last ends it.
	besides   = 5
	revisions = 7
)

// parcel is the n-th change of an alert, from 1.
func parcel(n int) (key string, revision int64, over bool) {
	side, round := (n-1)%besides, (n-1)/besides
	revision = int64(round%revisions + 1)
	return fmt.Sprintf("alert-%d-%d", side, round/revisions), revision, revision == revisions
}

const courierYAML = `
sources: {openmetrics: {path: none.om}}
alerts:
  receivers:
    - {name: webhook, webhook: {url: "URL/webhook", timeout: 400ms}}
    - name: mail
      mail:
        smarthost: MAIL
        from: Aftershock <aftershock@example.org>
        to: [ana@example.org]
        tls_config: {ca_file: CA, server_name: localhost}
        timeout: 2s
`

// courier is as much of the daemon as keeps alerts and delivers them: the journal, its
// jobs with the daemon's own handlers, and the sender. It goes on where the journal stands,
// and prints the number of each change that the journal took.
func courier(spec string) int {
	if err := deliverUntilKilled(spec); err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}

func deliverUntilKilled(spec string) error {
	var e courierErrand
	if err := json.Unmarshal([]byte(spec), &e); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cfg, err := configs.Load(e.Config)
	if err != nil {
		return err
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	d := &daemon{log: log, cfg: cfg}
	sender, err := alerts.New(cfg.Alerts, log, nil)
	if err != nil {
		return err
	}
	d.sender.Store(sender)
	if d.journal, err = journal.Open(ctx, journal.Config{}, e.Data, log, nil); err != nil {
		return err
	}
	_, state, err := d.journal.State(ctx)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(state)) // 0 from an empty journal
	fmt.Println("at", n)
	working, stop := context.WithCancel(ctx)
	worked := make(chan error, 1)
	go func() { worked <- d.journal.Work(working, d.handlers(working)) }()
	if e.Drain {
		err = settled(ctx, d)
	} else {
		err = putDown(ctx, d, n)
	}
	stop()
	return errors.Join(err, <-worked, d.close())
}

// putDown puts down one change after the other.
func putDown(ctx context.Context, d *daemon, n int) error {
	for {
		n++
		key, revision, over := parcel(n)
		tick, err := debt(d, key, revision, over, time.Unix(1_800_000_000+int64(n), 0).UTC())
		if err != nil {
			return err
		}
		tick.State = []byte(strconv.Itoa(n))
		if err := d.journal.Commit(ctx, tick); err != nil {
			return err
		}
		fmt.Println("put", n)
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
	}
}

// settled waits until nothing is owed.
func settled(ctx context.Context, d *daemon) error {
	for {
		jobs, err := d.journal.Jobs(ctx, 1000)
		if err != nil || len(jobs) == 0 {
			return err
		}
		if jobs[0].State == journal.JobFailed {
			return fmt.Errorf("%s was given up: %s", jobs[0].Key, jobs[0].Error)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d jobs are left, such as %s, %s: %s", len(jobs), jobs[0].Key, jobs[0].State, jobs[0].Error)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestCourierIsKilled kills the delivery of alerts at a hundred random instants, while its
// receivers fail, hang, ask for patience and lose answers. In the end each has the last
// state of every alert; each has had the states in order; and what came twice came under
// the same key.
func TestCourierIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dice := &luck{rng: rand.New(rand.NewPCG(seed, 1))}
	web, post := newTroubled(t), servers.SMTP(t)
	web.pick = func() int {
		return dice.throw(2, 0.06, 0.1, 0, 0.06, 0, 0.1, 0, 0.06)
	}
	wire := troubledWire(t, post.Addr, func(int) int {
		return dice.throw(2, 0.1, 0.04, 0, 0.15)
	})
	dir := t.TempDir()
	e := courierErrand{Config: filepath.Join(dir, "aftershock.yml"), Data: filepath.Join(dir, "data")}
	text := strings.NewReplacer("URL", web.URL, "MAIL", wire, "CA", post.CAFile).Replace(courierYAML)
	if err := os.WriteFile(e.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	acknowledged, early := 0, 0
	for range killedCouriers {
		c := sendCourier(t, e)
		if rng.IntN(4) > 0 { // else while it starts
			c.await(t, "at")
		}
		time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
		c.kill()
		at, put := c.last("at"), c.last("put")
		switch {
		case len(c.out.lines("error")) > 0:
			t.Fatalf("the courier ended by itself: %s", c.out)
		case at < 0:
			early++
		case at < acknowledged:
			t.Fatalf("the journal knows %d changes, and %d were acknowledged", at, acknowledged)
		}
		acknowledged = max(acknowledged, put)
	}
	dice.end()
	e.Drain = true
	c := sendCourier(t, e)
	<-c.exited
	if c.cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("what is owed wasn't delivered: %s", c.out)
	}
	n := c.last("at")
	if n < acknowledged || early == killedCouriers {
		t.Fatalf("%d changes in the end, %d acknowledged, %d kills before the start", n, acknowledged, early)
	}
	web.mu.Lock()
	all := append(mailed(t, post.Mails()), web.took...)
	web.mu.Unlock()
	doubles, skipped := 0, 0
	for _, receiver := range []string{"webhook", "mail"} {
		d, s := inOrderToTheEnd(t, receiver, n, all)
		doubles, skipped = doubles+d, skipped+s
	}
	if doubles == 0 {
		t.Error("nothing came twice: the kills and troubles weren't what they are meant to be")
	}
	t.Logf("%d kills (%d while starting), %d changes, %d messages, %d of them doubles; %d states overtaken",
		killedCouriers, early, n, len(all), doubles, skipped)
}

// tally is what a message says of all alerts, as of when it is sent.
var tally = regexp.MustCompile(`(nobody marked the one alert|people marked none of the \d+ alerts) that fired here`)

// inOrderToTheEnd holds what a receiver took to the first n changes.
func inOrderToTheEnd(t *testing.T, receiver string, n int, all []taken) (doubles, skipped int) {
	t.Helper()
	last, known := map[string]string{}, map[string]int{} // by story, by message ID
	for i := 1; i <= n; i++ {
		key, revision, over := parcel(i)
		story, state := notify.StoryID(key), "firing"
		if over {
			state = "resolved"
		}
		last[story] = fmt.Sprintf("%s-%d-%s", story, revision, state)
		known[last[story]] = i
	}
	had, bodies := map[string]string{}, map[string]string{}
	for _, m := range all {
		if m.receiver != receiver {
			continue
		}
		story, _, _ := strings.Cut(m.id, "-")
		m.body = tally.ReplaceAllString(m.body, "…")
		body, double := bodies[m.id]
		switch {
		case known[m.id] == 0:
			t.Errorf("%s took %q, which is no state of any alert", receiver, m.id)
		case double && body != m.body:
			t.Errorf("%s took two different messages under %s:\n%s", receiver, m.id, cmp.Diff(body, m.body))
		case known[m.id] < known[had[story]]:
			t.Errorf("%s took %s after %s", receiver, m.id, had[story])
		case double:
			doubles++
		}
		had[story], bodies[m.id] = m.id, m.body
	}
	for story, id := range last {
		if had[story] != id {
			t.Errorf("%s had %q last, want %s", receiver, had[story], id)
		}
	}
	return doubles, len(known) - len(bodies)
}

// luck throws dice for several at once, until it is over.
type luck struct {
	mu   sync.Mutex
	rng  *rand.Rand
	over bool
}

// throw gives the index of one of the odds, by its probability, else the other.
func (l *luck) throw(other int, odds ...float64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.rng.Float64()
	for k, share := range odds {
		if p -= share; p < 0 && !l.over {
			return k
		}
	}
	return other
}

func (l *luck) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// running is a courier under way.
type running struct {
	cmd    *exec.Cmd
	out    *output
	exited chan struct{}
}

func sendCourier(t *testing.T, e courierErrand) *running {
	t.Helper()
	spec, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	c := &running{cmd: exec.Command(os.Args[0]), out: &output{}, exited: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), courierEnv+"="+string(spec))
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.exited)
	}()
	t.Cleanup(c.kill)
	return c
}

func (c *running) kill() {
	_ = c.cmd.Process.Kill()
	<-c.exited
}

func (c *running) await(t *testing.T, word string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); c.last(word) < 0; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s for the courier to say %q; it said: %s", word, c.out)
		}
	}
}

// last is the last number that the courier said after the word, -1 if none. A line that the
// kill cut off isn't there.
func (c *running) last(word string) int {
	n := -1
	for line := range strings.Lines(c.out.String()) {
		if rest, ok := strings.CutPrefix(line, word+" "); ok && strings.HasSuffix(rest, "\n") {
			n, _ = strconv.Atoi(strings.TrimSpace(rest))
		}
	}
	return n
}
