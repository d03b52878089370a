package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/rehearsal"
)

// world is a rehearsal that nobody ran: so many runs a phase of so many requests, of
// which a share is slow, and bursts that hold up everything for a step now and then. By
// vary runs differ, whatever build they are of: the standard deviation of the logarithm of
// a run's share, and of a quarter of it in how long everything takes.
type world struct {
	runs          int
	requests      float64 // a run
	vary          float64
	before, after float64 // shares
}

// imagined writes one down.
func imagined(t *testing.T, dir string, seed uint64, w world) rehearsal.Store {
	t.Helper()
	store := rehearsal.Store{Dir: dir}
	rng := rand.New(rand.NewPCG(seed, 7))
	begins := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	const steps, step = 120, 5 * time.Second
	for _, phase := range []string{rehearsal.Before, rehearsal.After} {
		for run := 1; run <= w.runs; run++ {
			slow := w.before
			if phase == rehearsal.After {
				slow = w.after
			}
			begins = begins.Add(15 * time.Minute)
			slow *= math.Exp(w.vary * rng.NormFloat64())
			counts := imaginedRun(rng, steps, w.requests/steps, slow, math.Exp(w.vary/4*rng.NormFloat64()))
			m := rehearsal.Measured{
				Phase: phase, Run: run, Started: begins, Step: rehearsal.Seconds(step), Length: rehearsal.Seconds(steps * step), Steps: steps,
				Profile: "imagined", Seed: rehearsal.RunSeed(seed, run),
			}
			meta, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			path := store.Telemetry(phase, run)
			for path, data := range map[string][]byte{path: inOpenMetrics(counts, begins, step), strings.TrimSuffix(path, ".om.gz") + ".json": meta} {
				if err := os.WriteFile(path, data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return store
}

var imaginedBounds = func() (bounds []float64) {
	for x := 0.001; x < 60; x *= 1.25 {
		bounds = append(bounds, x)
	}
	return bounds
}()

// imaginedRun are the counts of each step, by bucket.
func imaginedRun(rng *rand.Rand, steps int, requests, slow, scale float64) [][]int {
	counts := make([][]int, steps)
	for n := range steps {
		counts[n] = make([]int, len(imaginedBounds)+1)
		held := scale
		if rng.IntN(40) == 0 {
			held *= 1.5
		}
		for range int(requests + math.Sqrt(requests)*rng.NormFloat64()) {
			x := 0.020 * math.Exp(0.4*rng.NormFloat64()) * held
			if rng.Float64() < slow {
				x += 0.150
			}
			counts[n][sort.SearchFloat64s(imaginedBounds, x)]++
		}
	}
	return counts
}

func inOpenMetrics(counts [][]int, begins time.Time, step time.Duration) []byte {
	var text bytes.Buffer
	z := gzip.NewWriter(&text)
	b := bufio.NewWriter(z)
	for k := range len(imaginedBounds) + 1 {
		le := "+Inf"
		if k < len(imaginedBounds) {
			le = fmt.Sprint(imaginedBounds[k])
		}
		sum := 0
		for n := range len(counts) + 1 {
			if n > 0 {
				for _, c := range counts[n-1][:k+1] {
					sum += c
				}
			}
			fmt.Fprintf(b, "rehearsal_request_duration_seconds_bucket{service=\"checkout\",http_route=\"/place\",instance=\"rehearsal\",le=%q} %d %d\n",
				le, sum, begins.Add(time.Duration(n)*step).Unix())
		}
	}
	fmt.Fprint(b, "# EOF\n")
	b.Flush()
	z.Close()
	return text.Bytes()
}

// told is the verdict on an imagined rehearsal.
func (w world) told(t *testing.T, seed uint64) detector.State {
	t.Helper()
	r := rehearse{sh: shell{nil, io.Discard, os.Stderr}, margin: 0.25, record: detector.Upgrade{
		ID: "dten-4.2.0", Binaries: []detector.Binary{{Name: "dten-checkout", From: "4.1.3", To: "4.2.0", Selector: map[string]string{"service": "checkout"}}},
	}}
	v, err := r.judged(t.Context(), imagined(t, t.TempDir(), seed, w))
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Verdicts) != 1 {
		t.Fatalf("%d verdicts, want that of /place: %+v", len(v.Verdicts), v.Verdicts)
	}
	return v.Verdicts[0].State
}

// states counts the verdicts on so many imagined rehearsals.
func (w world) states(t *testing.T, n int) map[detector.State]int {
	t.Helper()
	states := map[detector.State]int{}
	for seed := range uint64(n) {
		states[w.told(t, seed)]++
	}
	return states
}

// Of twenty rehearsals of the same build none is called a regression; three times as
// many slow requests nearly always are. With several runs that nothing changed is proven
// for some, never where there are a third more slow requests, and that runs differ is no
// regression.
func TestRehearsalsAreTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		world
		n                      int
		regressed, clear       int // at least
		regressedMost, clearAt int // at most
	}{
		{world{1, 4800, 0, 0.02, 0.02}, 20, 0, 0, 0, 0},
		{world{1, 4800, 0, 0.02, 0.06}, 20, 17, 0, 20, 0},
		{world{3, 4800, 0.1, 0.02, 0.02}, 10, 0, 0, 0, 10},
		{world{3, 4800, 0.1, 0.02, 0.06}, 10, 8, 0, 10, 0},
		{world{8, 19200, 0, 0.02, 0.02}, 8, 0, 3, 0, 8},
		{world{8, 19200, 0, 0.02, 0.026}, 8, 0, 0, 8, 0},
	} {
		got := tt.states(t, tt.n)
		regressed, clear := got[detector.Regressed], got[detector.Clear]
		if regressed < tt.regressed || regressed > tt.regressedMost || clear < tt.clear || clear > tt.clearAt {
			t.Errorf("%+v: of %d rehearsals %v, want %d to %d regressed and %d to %d clear", tt.world, tt.n, got, tt.regressed, tt.regressedMost, tt.clear, tt.clearAt)
		}
	}
}

// The table of docs/rehearsal.md: make bench-rehearsal.
func TestPowerOfRehearsals(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("REHEARSALS"))
	if err != nil {
		t.Skip("measures for an hour: REHEARSALS=20 says how many rehearsals of each kind")
	}
	for _, vary := range []float64{0, 0.1, 0.2} {
		for _, requests := range []float64{4800, 19200, 48000} {
			for _, runs := range []int{1, 2, 3, 5, 8} {
				line := fmt.Sprintf("| %.0f%% | %.0f | %d |", 100*vary, requests, runs)
				for _, after := range []float64{0.02, 0.026, 0.03, 0.04} {
					s := world{runs, requests, vary, 0.02, after}.states(t, n)
					line += fmt.Sprintf(" %d/%d/%d |", s[detector.Clear], s[detector.Regressed], s[detector.Improved])
				}
				fmt.Println(line)
			}
		}
	}
}
