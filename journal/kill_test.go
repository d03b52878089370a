package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/internal/servers"
)

// childEnv makes the test program the child that is killed, and killsEnv
// multiplies how often it is.
const (
	childEnv = "AFTERSHOCK_JOURNAL_CHILD"
	killsEnv = "AFTERSHOCK_JOURNAL_KILLS"
)

// errand is what the child is told.
type errand struct {
	URL, Dir string
	// Received is the file that stands for the receiver: a line a delivery.
	Received string
	// Drain says to only work what is there, then to end.
	Drain bool
}

// child writes steps and works jobs until it's killed. It prints each step's
// number after it was acknowledged.
func child(spec string) int {
	err := func() error {
		var e errand
		if err := json.Unmarshal([]byte(spec), &e); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		log := logrus.New()
		log.SetLevel(logrus.ErrorLevel)
		j, err := Open(ctx, Config{URL: e.URL}, e.Dir, log, nil)
		if err != nil {
			return err
		}
		worked := make(chan error, 1)
		go func() { worked <- j.Work(ctx, map[string]Handler{"deliver": deliver(e.Received)}) }()
		if e.Drain {
			err = drain(ctx, j)
		} else {
			err = steps(ctx, j)
		}
		if err != nil {
			return err
		}
		cancel()
		if err := <-worked; err != nil {
			return err
		}
		return j.Close()
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func deliver(name string) Handler {
	return func(_ context.Context, job Job) error {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString(job.Key + "\n")
		return errJoin(err, f.Close())
	}
}

func errJoin(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func drain(ctx context.Context, j *Journal) error {
	for {
		open, err := j.Jobs(ctx, 1)
		if err != nil || len(open) == 0 {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// steps goes on where the journal stands, doing the last step again first, as
// a watch does that doesn't know whether it was done.
func steps(ctx context.Context, j *Journal) error {
	_, state, err := j.State(ctx)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(state)) // 0 from an empty journal
	fmt.Printf("resume %d\n", n)
	for n = max(n, 1); ; n++ {
		if err := j.Commit(ctx, step(n)); err != nil {
			return err
		}
		at := noon.Add(time.Duration(n) * time.Second)
		planned := toggle(fmt.Sprintf("t%d", n), detector.TogglePlanned, at)
		if err := j.AuditToggle(ctx, planned); err != nil {
			return err
		}
		revision, _, err := j.Definitions(ctx)
		if err != nil {
			return err
		}
		if revision < int64(n) {
			applied := toggle(planned.ID, detector.ToggleApplied, at)
			if _, err := j.PutDefinitions(ctx, revision, fmt.Appendf(nil, `{"n":%d}`, n), applied, Job{Kind: "deliver", Key: planned.ID}); err != nil {
				return err
			}
		}
		fmt.Printf("done %d\n", n)
	}
}

// step is the n-th step: an upgrade every ten, one of everything else.
func step(n int) Tick {
	upgrade := fmt.Sprintf("u%d", n/10)
	at := noon.Add(time.Duration(n) * time.Second)
	service := fmt.Sprintf("s%d", n)
	return Tick{
		Time: at, State: []byte(strconv.Itoa(n)),
		Upgrades: []detector.Upgrade{{ID: upgrade, StartedAt: noon}},
		Verdicts: []detector.Verdict{verdict(upgrade, service, detector.Regressed)},
		Events:   []detector.Event{event(upgrade, service, detector.EventShift, at), {Time: at, Event: detector.EventSummary, Upgrade: upgrade}},
		Alerts:   []detector.Alert{{Key: fmt.Sprintf("a%d", n), Upgrade: upgrade, State: detector.AlertFiring, StartsAt: at, Revision: 1}},
		Jobs:     []Job{{Kind: "deliver", Key: fmt.Sprintf("a%d", n)}},
	}
}

// times gives the number of kills: n, or as many times that as killsEnv says.
func times(t *testing.T, n int) int {
	t.Helper()
	if s := os.Getenv(killsEnv); s != "" {
		more, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("read %s: %v", killsEnv, err)
		}
		return n * more
	}
	return n
}

func TestSQLiteSurvivesKills(t *testing.T) {
	t.Parallel()
	survive(t, errand{Dir: t.TempDir()}, times(t, 50))
}

func TestPostgreSQLSurvivesKills(t *testing.T) {
	t.Parallel()
	survive(t, errand{URL: servers.PostgreSQL(t).Database(), Dir: t.TempDir()}, times(t, 30))
}

// survive kills the child at random instants, the first ones while it migrates,
// and holds what is there in the end against what was acknowledged.
func survive(t *testing.T, e errand, kills int) {
	t.Helper()
	e.Received = filepath.Join(t.TempDir(), "received")
	done := 0
	start := 100 * time.Millisecond // of a child until its first step, measured
	for n := range kills {
		// One kill in three falls into the start, the others among the steps.
		kill := func(*output) { time.Sleep(time.Duration(rand.Int64N(int64(start)))) }
		if n%3 > 0 {
			kill = func(out *output) {
				begun := time.Now()
				out.await(1)
				start = time.Since(begun)
				out.await(1 + rand.IntN(10))
				time.Sleep(time.Duration(rand.Int64N(int64(start/4) + 1)))
			}
		}
		out := run(t, e, kill)
		resumed, acked := -1, 0
		for line := range strings.Lines(out) {
			switch {
			case !strings.HasSuffix(line, "\n"): // killed while printing
			case strings.HasPrefix(line, "resume "):
				_, _ = fmt.Sscanf(line, "resume %d", &resumed)
			default:
				_, _ = fmt.Sscanf(line, "done %d", &acked)
			}
		}
		if resumed >= 0 && resumed < done {
			t.Fatalf("step %d was acknowledged, and the journal goes on from %d", done, resumed)
		}
		done = max(done, acked)
		if done > 0 && n%2 == 0 {
			check(t, e, done) // before the child can do the last step again
		}
	}
	if done < kills/3 {
		t.Errorf("got %d steps between %d kills: hardly anything was tested", done, kills)
	}
	e.Drain = true
	run(t, e, nil)
	n, audited := check(t, e, done)
	checkReceived(t, e, n, audited)
}

// run starts the child and kills it when kill returns; without kill the child
// may end.
func run(t *testing.T, e errand, kill func(*output)) string {
	t.Helper()
	spec, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+string(spec))
	out, problems := &output{lines: make(chan struct{}, 1000)}, strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, &problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var killer sync.WaitGroup
	if kill != nil {
		killer.Go(func() {
			kill(out)
			_ = cmd.Process.Kill()
		})
	}
	err = cmd.Wait()
	close(out.lines) // kill waits no longer for a child that died
	killer.Wait()
	if problems.Len() > 0 || kill == nil && err != nil {
		t.Fatalf("child: %v: %s", err, problems.String())
	}
	return out.String()
}

// output keeps what is written, and counts it.
type output struct {
	strings.Builder
	lines chan struct{}
}

// Write is called by cmd alone, once for each line of the child, about.
func (o *output) Write(p []byte) (int, error) {
	select {
	case o.lines <- struct{}{}:
	default:
	}
	return o.Builder.Write(p)
}

// await waits for n lines more, or the child's end.
func (o *output) await(n int) {
	for range n {
		<-o.lines
	}
}

// check holds what is there against what was acknowledged, and the tables
// against each other: what one step writes is there wholly or not at all.
func check(t *testing.T, e errand, done int) (n, audited int) {
	t.Helper()
	j, err := Open(t.Context(), Config{URL: e.URL}, e.Dir, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	_, state, err := j.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n, _ = strconv.Atoi(string(state))
	if n < done {
		t.Fatalf("step %d was acknowledged, and the journal ends with %d", done, n)
	}
	audited = rows(t, j, "definitions") // n, or n-1 when the kill fell in between
	if audited < done || audited > n {
		t.Errorf("got %d revisions, want %d to %d", audited, done, n)
	}
	for table, want := range map[string]int{
		"upgrades": n/10 + 1, "verdicts": n, "events": 2 * n, "alerts": n, "judge": 1, "flips": audited, "river_job": n + audited,
	} {
		if got := rows(t, j, table); got != want {
			t.Errorf("got %d rows in %s, want %d", got, table, want)
		}
	}
	if planned := rows(t, j, "toggles") - audited; planned != audited && planned != audited+1 {
		t.Errorf("got %d planned toggles and %d applied", planned, audited)
	}
	if t.Failed() {
		t.FailNow()
	}
	return n, audited
}

// checkReceived looks for the effect of every job, under its own key.
func checkReceived(t *testing.T, e errand, n, audited int) {
	t.Helper()
	received, err := os.ReadFile(e.Received)
	if err != nil {
		t.Fatal(err)
	}
	got, doubles := map[string]int{}, 0
	for key := range strings.FieldsSeq(string(received)) {
		if got[key]++; got[key] > 1 {
			doubles++
		}
	}
	for i := 1; i <= n; i++ {
		if got[fmt.Sprintf("a%d", i)] == 0 {
			t.Errorf("alert a%d never arrived", i)
		}
		if i <= audited && got[fmt.Sprintf("t%d", i)] == 0 {
			t.Errorf("toggle t%d never arrived", i)
		}
	}
	if len(got) != n+audited {
		t.Errorf("got %d keys, want %d", len(got), n+audited)
	}
	t.Logf("%d steps, %d deliveries, %d of them again", n, len(got)+doubles, doubles)
}
