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
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/rehearsal"
)

// imagined writes down a rehearsal that nobody ran: rate requests a second for ten
// minutes a phase, of which a share is slow, and bursts that hold up everything for a
// step now and then.
func imagined(t *testing.T, dir string, seed uint64, rate, before, after float64) rehearsal.Store {
	t.Helper()
	store := rehearsal.Store{Dir: dir}
	rng := rand.New(rand.NewPCG(seed, 7))
	begins := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	const steps, step = 120, 5 * time.Second
	for _, phase := range []string{rehearsal.Before, rehearsal.After} {
		slow := before
		if phase == rehearsal.After {
			slow = after
			begins = begins.Add(time.Hour)
		}
		var bounds []float64
		for x := 0.001; x < 60; x *= 1.25 {
			bounds = append(bounds, x)
		}
		counts := make([][]int, steps)
		for n := range steps {
			counts[n] = make([]int, len(bounds)+1)
			held := 1.0
			if rng.IntN(40) == 0 {
				held = 1.5
			}
			for range int(rate*step.Seconds() + math.Sqrt(rate*step.Seconds())*rng.NormFloat64()) {
				x := 0.020 * math.Exp(0.4*rng.NormFloat64()) * held
				if rng.Float64() < slow {
					x += 0.150
				}
				k := 0
				for k < len(bounds) && x > bounds[k] {
					k++
				}
				counts[n][k]++
			}
		}
		var text bytes.Buffer
		z := gzip.NewWriter(&text)
		b := bufio.NewWriter(z)
		for k := range len(bounds) + 1 {
			le := "+Inf"
			if k < len(bounds) {
				le = fmt.Sprint(bounds[k])
			}
			sum := 0
			for n := range steps + 1 {
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
		m := rehearsal.Measured{Phase: phase, Started: begins, Step: rehearsal.Seconds(step), Length: rehearsal.Seconds(steps * step), Steps: steps, Profile: "imagined"}
		meta, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		for path, data := range map[string][]byte{store.Telemetry(phase): text.Bytes(), dir + "/" + phase + ".json": meta} {
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return store
}

// Of twenty rehearsals of the same build none is called a regression; three times as
// many slow requests nearly always are.
func TestRehearsalsAreTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		after       float64
		least, most int // regressions of 20
	}{{0.02, 0, 0}, {0.06, 17, 20}} {
		regressed := 0
		for seed := range uint64(20) {
			r := rehearse{sh: shell{nil, io.Discard, os.Stderr}, margin: 0.25, record: detector.Upgrade{
				ID: "dten-4.2.0", Binaries: []detector.Binary{{Name: "dten-checkout", From: "4.1.3", To: "4.2.0", Selector: map[string]string{"service": "checkout"}}},
			}}
			v, err := r.judged(t.Context(), imagined(t, t.TempDir(), seed, 8, 0.02, tt.after))
			if err != nil {
				t.Fatal(err)
			}
			if len(v.Verdicts) != 1 {
				t.Fatalf("%d verdicts, want that of /place: %+v", len(v.Verdicts), v.Verdicts)
			}
			if v.Verdicts[0].State == detector.Regressed {
				regressed++
			}
		}
		if regressed < tt.least || regressed > tt.most {
			t.Errorf("of 20 rehearsals with %.0f%% slow requests after 2%%, %d regressed, want %d to %d", 100*tt.after, regressed, tt.least, tt.most)
		}
	}
}
