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
	"os/exec"
	"path/filepath"
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
}

func newStaging(t *testing.T, seed uint64, slow int) *staging {
	s := &staging{}
	s.slow.Store(uint64(slow))
	var n atomic.Uint64
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.requests.Add(1)
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
			if v.Before.Late || v.After.Late {
				if found {
					t.Errorf("claimed a regression where this machine was late: %+v", v.Verdicts)
				}
				return
			}
			if found != tt.want || (status == exitRegression) != tt.want {
				t.Errorf("found %t with status %d, want %t\n%s", found, status, tt.want, stderr)
			}
			if v.Before.Partial != "" || v.Before.Sent < 2500 {
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
		if !v.Before.Late && !v.After.Late {
			return v, status, stderr
		}
		t.Logf("this machine was late by %v s and %v s", v.Before.LateP99, v.After.LateP99)
	}
	return v, status, stderr
}
