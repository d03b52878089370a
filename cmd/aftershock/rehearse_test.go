package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/rehearsal"
)

// staging is a copy with a build of a small service: it answers after some 20 ms, a
// share of requests after 150 ms more.
type staging struct {
	*httptest.Server
	slow     atomic.Uint64 // requests in 10,000
	requests atomic.Int64
	broken   atomic.Pointer[string] // a file that is there once it is
}

func newStaging(t *testing.T, seed uint64, slow int) *staging {
	s := &staging{}
	s.slow.Store(uint64(slow))
	var n atomic.Uint64
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.requests.Add(1)
		if path := s.broken.Load(); path != nil {
			if _, err := os.Stat(*path); err == nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
		}
		rng := rand.New(rand.NewPCG(seed, n.Add(1)))
		wait := 0.020 * math.Exp(0.4*rng.NormFloat64())
		if rng.Uint64N(10_000) < s.slow.Load() {
			wait += 0.150
		}
		time.Sleep(time.Duration(wait * float64(time.Second)))
		fmt.Fprint(w, "ok")
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *staging) host() string { return strings.TrimPrefix(s.URL, "http://") }

const stagedProfile = `
service: checkout
routes:
  - {route: /place, method: GET, rate: 230}
  - {route: "/orders/{id}", method: GET, rate: 20, values: {id: ["1", "2", "3"]}}
`

const stagedUpgrade = `{"id": "dten-4.2.0", "planned_start": "2026-03-06T09:00:00Z",
 "binaries": [{"name": "dten-checkout", "from": "4.1.3", "to": "4.2.0", "selector": {"service": "checkout"}}]}`

// stage is a bench with a configuration that allows the copy.
func stage(t *testing.T, s *staging) bench {
	b := bench{t, t.TempDir()}
	b.file("profile.yml", []byte(stagedProfile))
	b.file("upgrade.json", []byte(stagedUpgrade))
	b.file("config.yml", []byte(backtestConfig+"rehearsal: {allow: [\""+s.host()+"\"], max_rate: 300}\n"))
	return b
}

// rehearse is the command with what all rehearsals of a bench have in common.
func (b bench) rehearse(s *staging, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.t.Context(), binary(b.t), append([]string{
		"rehearse", "--target", s.URL, "--upgrade", filepath.Join(b.dir, "upgrade.json"), "--config", filepath.Join(b.dir, "config.yml"),
		"--out", filepath.Join(b.dir, "rehearsal"), "--duration", "12s", "--warmup", "500ms", "--margin", "0.25",
	}, args...)...)
	return cmd
}

func (b bench) path(name string) string { return filepath.Join(b.dir, name) }

func play(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// A build with five times as many slow requests is found, and nothing is where the
// same build is installed again. What a machine that is busy otherwise can't measure is
// claimed of neither.
func TestRehearseFindsTheTail(t *testing.T) {
	for _, tt := range []struct {
		seed uint64
		slow int // after the upgrade; 200 before
		want bool
	}{{1, 1000, true}, {2, 1000, true}, {1, 200, false}, {2, 200, false}} {
		t.Run(fmt.Sprintf("seed %d, %d slow", tt.seed, tt.slow), func(t *testing.T) {
			t.Parallel()
			v, status, stderr := twoBuilds(t, tt.seed, tt.slow)
			for _, x := range v.Verdicts {
				t.Logf("%s: %s %+v %s %v", x.Indicator.Name(), x.State, x.Effect, x.Missing, x.Causes)
			}
			found := slices.ContainsFunc(v.Verdicts, func(v detector.Verdict) bool {
				return v.State == detector.Regressed && v.Indicator.Route() == "/place" && v.Indicator.Kind == detector.Latency
			})
			if v.Before[0].Late || v.After[0].Late {
				if found {
					t.Errorf("claimed a regression where this machine was late: %+v", v.Verdicts)
				}
				return
			}
			if found != tt.want || (status == exitRegression) != tt.want {
				t.Errorf("found %t with status %d, want %t\n%s", found, status, tt.want, stderr)
			}
			for _, x := range v.Verdicts {
				// The share of slow requests rises from 2% to 10%.
				if x.State == detector.Regressed && x.Indicator.Kind == detector.Latency && (x.Effect.Ratio < 2 || x.Effect.Low > 5) {
					t.Errorf("%s: the effect is %+v, want one of some 5", x.Indicator.Name(), x.Effect)
				}
			}
			if v.Before[0].Partial != "" || v.Before[0].Sent < 2500 {
				t.Errorf("before: %+v", v.Before)
			}
		})
	}
}

// twoBuilds rehearses an upgrade from a build of which 200 of 10,000 requests are slow
// to another. Where other work on the machine made it send late, which the rehearsal
// says, it is done again.
func twoBuilds(t *testing.T, seed uint64, slow int) (v verdict, status int, stderr string) {
	for range 4 {
		s := newStaging(t, seed, 200)
		b := stage(t, s)
		cmd := b.rehearse(s, "--profile", b.path("profile.yml"), "--seed", fmt.Sprint(seed), "--format", "json")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for !(rehearsal.Store{Dir: b.path("rehearsal")}).Has(rehearsal.Before) && t.Context().Err() == nil {
				time.Sleep(20 * time.Millisecond)
			}
			s.slow.Store(uint64(slow))
			io.WriteString(in, "\n")
		}()
		var stdout string
		stdout, stderr, status = play(t, cmd)
		<-done
		v = verdict{}
		if err := json.Unmarshal([]byte(stdout), &v); err != nil {
			t.Fatalf("%v: %s\n%s", err, stdout, stderr)
		}
		if !v.Before[0].Late && !v.After[0].Late {
			return v, status, stderr
		}
		t.Logf("this machine was late by %v s and %v s", v.Before[0].LateP99, v.After[0].LateP99)
	}
	return v, status, stderr
}

// The phases may be separate calls, hours apart; the profile and the schedule of the
// second are those of the first. What regressed is told by the exit status, later again,
// and beside production.
func TestRehearseInSeparateCalls(t *testing.T) {
	t.Parallel()
	s := newStaging(t, 1, 200)
	b := stage(t, s)
	short := func(args ...string) *exec.Cmd {
		return b.rehearse(s, append([]string{"--duration", "3s", "--warmup", "0s", "--scale", "0.2"}, args...)...)
	}
	if _, stderr, status := play(t, short("--phase", "after")); status != exitUsage || !strings.Contains(stderr, "before.json") {
		t.Errorf("after without before: status %d, %s", status, stderr)
	}
	_, stderr, status := play(t, short("--phase", "before", "--profile", b.path("profile.yml"), "--pacing", "uniform"))
	if status != exitOK || !strings.Contains(stderr, "go on with --phase after") {
		t.Fatalf("status %d, %s", status, stderr)
	}
	if got := s.requests.Load(); got != 150 {
		t.Errorf("%d requests, want 3 s of 50", got)
	}
	if _, stderr, status := play(t, short("--phase", "before", "--profile", b.path("profile.yml"))); status != exitUsage || !strings.Contains(stderr, "--replace") {
		t.Errorf("before twice: status %d, %s", status, stderr)
	}
	b.file("other.yml", []byte("routes: [{route: /else, rate: 1}]"))
	if _, stderr, status := play(t, short("--phase", "after", "--profile", b.path("other.yml"))); status != exitUsage || !strings.Contains(stderr, "isn't that of the phase before") {
		t.Errorf("after with other traffic: status %d, %s", status, stderr)
	}
	stdout, stderr, status := play(t, short("--phase", "after", "--seed", "99", "--warmup", "20s", "--duration", "1m"))
	if status != exitUndecided || !strings.Contains(stdout, "too few requests") {
		t.Errorf("status %d, %s %s", status, stdout, stderr)
	}
	if got := s.requests.Load(); got != 300 {
		t.Errorf("%d requests, want twice 150", got)
	}
	for _, args := range [][]string{{"verdicts"}, {"compare", "--telemetry", b.file("telemetry.om", openMetrics(recording(400_000, 2)))}} {
		b.file("begun.json", []byte(upgradeRecord))
		cmd := exec.Command(binary(t), append(append([]string{"rehearse"}, args...), "--rehearsal", b.path("rehearsal"), "--upgrade", b.path("begun.json"), "--config", b.path("config.yml"))...)
		stdout, stderr, status := play(t, cmd)
		want := map[string]int{"verdicts": exitUndecided, "compare": exitRegression}[args[0]]
		if status != want {
			t.Errorf("%s: status %d, want %d: %s", args[0], status, want, stderr)
		}
		if args[0] == "compare" && (!strings.Contains(stdout, "missed") || !strings.Contains(stdout, "Of production's 1 shifts the rehearsal had foreseen 0")) {
			t.Errorf("compare: %s", stdout)
		}
	}
}

// Ctrl-C ends a phase in order: what was measured is kept and marked, and the status is
// that of an interrupted program.
func TestRehearseKeepsWhatCtrlCLeaves(t *testing.T) {
	t.Parallel()
	s := newStaging(t, 1, 200)
	b := stage(t, s)
	cmd := b.rehearse(s, "--profile", b.path("profile.yml"), "--duration", "1m", "--warmup", "0s")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for s.requests.Load() < 700 {
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != exitInterrupted {
		t.Errorf("status %d, want %d", got, exitInterrupted)
	}
	runs, err := rehearsal.Store{Dir: b.path("rehearsal")}.Load(rehearsal.Before)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	if m := runs[0]; m.Partial != "interrupted" || m.Steps == 0 || m.Sent < 600 {
		t.Errorf("kept %+v", runs[0])
	}
	if !strings.Contains(errs.String(), "partial (interrupted)") || !strings.HasSuffix(errs.String(), "aftershock rehearse: interrupted\n") {
		t.Errorf("said %s", errs.String())
	}
	left, err := filepath.Glob(b.path("rehearsal/.*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// Targets that nobody allowed get nothing, whatever else is said.
func TestRehearseRefuses(t *testing.T) {
	t.Parallel()
	s := newStaging(t, 1, 0)
	b := stage(t, s)
	b.file("nothing.yml", []byte(backtestConfig))
	for _, tt := range []struct {
		name string
		args []string
		in   string
		want string
	}{
		{"not allowed", []string{"--config", b.path("nothing.yml")}, "", "not allowed"},
		{"not confirmed", []string{"--config", b.path("nothing.yml"), "--allow", s.host()}, "", "isn't confirmed"},
		{"confirmed otherwise", []string{"--config", b.path("nothing.yml"), "--allow", s.host(), "--confirm", "127.0.0.1"}, "", "isn't confirmed"},
		{"typed otherwise", []string{"--config", b.path("nothing.yml"), "--allow", s.host()}, "yes\n", "isn't confirmed"},
		{"another is confirmed", []string{"--config", b.path("nothing.yml"), "--allow", "127.0.0.1:1", "--confirm", "127.0.0.1:1"}, "", "not allowed"},
		{"user in the URL", []string{"--target", "http://" + s.host() + "@192.0.2.1/"}, "", "user in it"},
		{"over the cap", []string{"--max-rate", "100"}, "", "the cap is 100"},
		{"over the ceiling", []string{"--max-rate", "10001"}, "", "max_rate"},
		{"too long", []string{"--duration", "61m"}, "", "the cap is 1h"},
		{"no such telemetry", []string{"--profile", b.path("none.om")}, "", "none.om"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := b.rehearse(s, append([]string{"--profile", b.path("profile.yml")}, tt.args...)...)
			cmd.Stdin = strings.NewReader(tt.in)
			_, stderr, status := play(t, cmd)
			if status != exitUsage || !strings.Contains(stderr, tt.want) {
				t.Errorf("status %d, %s, want %q", status, stderr, tt.want)
			}
		})
	}
	if n := s.requests.Load(); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// The profile comes out of telemetry, the paths out of a log, and where the copy
// differs from production is told before anything is sent.
func TestRehearseFromTelemetry(t *testing.T) {
	t.Parallel()
	s := newStaging(t, 1, 0)
	b := stage(t, s)
	b.file("access.log", []byte(`10.0.0.1 - - [06/Mar/2026:09:00:01 +0000] "GET /payments?id=7&token=x HTTP/1.1" 200 0 "-" "-"`))
	b.file("production.yml", []byte("databases: [{engine: postgresql, tables: [{name: orders, rows: 1000000}]}]"))
	b.file("copy.yml", []byte("databases: [{engine: postgresql, tables: [{name: orders, rows: 10000}]}]"))
	telemetry := b.file("telemetry.om", openMetrics(recording(600, 1)))
	cmd := b.rehearse(s, "--profile", telemetry, "--service", "payments", "--recording", b.path("access.log"), "--save-profile", b.path("saved.yml"),
		"--production", b.path("production.yml"), "--copy", b.path("copy.yml"), "--phase", "before", "--duration", "2s", "--warmup", "0s",
		"--allow", s.host(), "--confirm", s.host())
	_, stderr, status := play(t, cmd)
	if status != exitOK {
		t.Fatalf("status %d, %s", status, stderr)
	}
	for _, want := range []string{"1/100 of the rows of orders", "Of 1 recorded requests 1 are of these routes", "production had"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q isn't said in %s", want, stderr)
		}
	}
	saved, err := os.ReadFile(b.path("saved.yml"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := rehearsal.ParseProfile(saved)
	if err != nil || p.Service != "payments" || len(p.Routes) != 1 || math.Abs(p.Rate()-10) > 0.2 {
		t.Errorf("saved %s, %v: want some 10 requests a second to /payments", saved, err)
	}
}

// A copy that fails outright once it is upgraded is a regression, though the phase is
// ended early.
func TestRehearseTellsOfACopyThatFails(t *testing.T) {
	t.Parallel()
	s := newStaging(t, 1, 200)
	b := stage(t, s)
	broken := b.path("broken")
	s.broken.Store(&broken)
	cmd := b.rehearse(s, "--profile", b.path("profile.yml"), "--scale", "0.2", "--duration", "20s", "--between", "echo upgrading; touch "+broken)
	stdout, stderr, status := play(t, cmd)
	if status != exitRegression || !regexp.MustCompile(`(?m)^errors of checkout /place +regressed `).MatchString(stdout) {
		t.Errorf("status %d, %s", status, stdout)
	}
	for _, want := range []string{"upgrading\n", "100% of the requests of the last 10 s failed"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q isn't said in %s", want, stderr)
		}
	}
}
