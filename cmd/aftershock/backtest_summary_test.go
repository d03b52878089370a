package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
)

// summaries is a recording of the same two services with a summary each instead of a
// histogram, on two instances: p50, p90 and p99 of the last ten minutes, log-normal
// around a level that drifts as AR(1). After the upgrade, whose restart empties the
// windows, payments' p99 is multiplied by shift. An instance without observations in
// its window says NaN. As gauges they have names of their own, say 0 for that, and
// come without a count.
func summaries(seed uint64, shift float64, gauges bool) []byte {
	var b bytes.Buffer
	nothing := math.NaN()
	if gauges {
		nothing = 0
	} else {
		b.WriteString("# TYPE rpc_server_duration_seconds summary\n")
	}
	for i, service := range []string{"catalog", "payments"} {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		level, count := 0.0, [2]float64{}
		recent := [2][]float64{}
		for at := recordBegins; !at.After(recordEnds); at = at.Add(time.Minute) {
			level = 0.97*level + 0.08*math.Sqrt(1-0.97*0.97)*rng.NormFloat64()
			up := 0.0
			if service == "payments" && at.After(recordUpgrade) {
				up = math.Log(shift)
			}
			for n := range recent {
				if at.Equal(recordUpgrade) {
					recent[n], count[n] = nil, 0
				}
				recent[n] = append(recent[n], level+up+0.1*rng.NormFloat64())
				recent[n] = recent[n][max(0, len(recent[n])-10):]
				mean := 0.0
				for _, x := range recent[n] {
					mean += x / float64(len(recent[n]))
				}
				count[n] += math.Round(2000 + 40*rng.NormFloat64())
				labels := fmt.Sprintf(`http_route="/%s",instance="%[1]s-%d",service="%[1]s"`, service, n+1)
				for _, q := range []struct{ q, value float64 }{{0.5, 0.02}, {0.9, 0.08}, {0.99, 0.3}} {
					value := q.value * math.Exp(mean*q.q)
					if rng.IntN(50) == 0 {
						value = nothing
					}
					if gauges {
						fmt.Fprintf(&b, "rpc_server_duration_p%g_seconds{%s} %g %d\n", q.q*100, labels, value, at.Unix())
						continue
					}
					fmt.Fprintf(&b, "rpc_server_duration_seconds{%s,quantile=%q} %g %d\n", labels, fmt.Sprint(q.q), value, at.Unix())
				}
				if gauges {
					continue
				}
				fmt.Fprintf(&b, "rpc_server_duration_seconds_count{%s} %g %d\n", labels, count[n], at.Unix())
				fmt.Fprintf(&b, "rpc_server_duration_seconds_sum{%s} %g %d\n", labels, count[n]*0.04, at.Unix())
			}
		}
	}
	b.WriteString("# EOF\n")
	return b.Bytes()
}

// A clear shift of a p99 is found in a recording, and told as what it is.
func TestBacktestFindsASlowerSummary(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for seed := range uint64(3) {
		what := " (summary)"
		if seed == 2 {
			what = " (gauge)"
		}
		stdout, stderr, status := b.run("backtest", b.file(fmt.Sprintf("slower%d.om", seed), summaries(seed, 1.5, seed == 2)))
		quietly(t, stderr)
		if status != exitRegression {
			t.Errorf("seed %d: status %d, want %d: %s", seed, status, exitRegression, stdout)
		}
		found := false
		for _, e := range events(t, stdout) {
			if e.Event != detector.EventShift {
				continue
			}
			x := e.Effect
			switch {
			case e.Indicator.Service() != "payments" || e.Direction != detector.Worse:
				t.Errorf("seed %d: a shift of %s to the %s that isn't there", seed, e.Indicator.Name(), e.Direction)
				continue
			case !strings.HasSuffix(x.What, what) || x.Low > 1.5 || x.High < 1.35 || x.After > 0.6 || x.After < 0.08:
				t.Errorf("seed %d: %+v", seed, *x)
			case !slices.ContainsFunc(e.Warnings, func(w string) bool { return strings.Contains(w, "weaker claim") }):
				t.Errorf("seed %d: warnings %q", seed, e.Warnings)
			}
			if late := e.Time.Sub(recordUpgrade); !found && late > 90*time.Minute {
				t.Errorf("seed %d: found after %s", seed, late)
			}
			found = true
		}
		if !found {
			t.Errorf("seed %d: nothing was found: %s", seed, stdout)
		}
	}
}

// Nothing is said of summaries that nothing happened to.
func TestBacktestOfQuietSummariesSaysNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for seed := range uint64(4) {
		stdout, stderr, status := b.run("backtest", b.file(fmt.Sprintf("quiet%d.om", seed), summaries(100+seed, 1, seed%2 == 1)))
		quietly(t, stderr)
		all := events(t, stdout)
		if status == exitRegression || len(all[len(all)-1].Verdicts) != 2 {
			t.Errorf("seed %d: status %d, %d verdicts", seed, status, len(all[len(all)-1].Verdicts))
		}
		for _, e := range all {
			if e.Event == detector.EventShift {
				t.Errorf("seed %d: %s of %s: %+v", seed, e.Direction, e.Indicator.Name(), *e.Effect)
			}
		}
	}
}
