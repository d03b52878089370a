package journal

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/internal/servers"
)

func places(b *testing.B, bench func(b *testing.B, p place)) {
	b.Run("sqlite", func(b *testing.B) { bench(b, place{dir: b.TempDir()}) })
	b.Run("postgresql", func(b *testing.B) { bench(b, place{config: Config{URL: servers.PostgreSQL(b).Database()}}) })
}

// BenchmarkCommit writes 200 verdicts, 50 events and the judge's state.
func BenchmarkCommit(b *testing.B) {
	places(b, func(b *testing.B, p place) {
		j := p.open(b)
		k := Tick{State: make([]byte, 100_000)}
		for n := range 200 {
			v := verdict("u", fmt.Sprint(n), detector.Regressed)
			v.Effect = &detector.Effect{What: "retries per call", Before: 0.1, After: 0.2, Ratio: 2, Low: 1.5, High: 2.5}
			k.Verdicts = append(k.Verdicts, v)
		}
		for n := 0; b.Loop(); n++ {
			k.Time = noon.Add(time.Duration(n) * time.Minute)
			k.Events = k.Events[:0]
			for i := range 50 {
				k.Events = append(k.Events, event("u", fmt.Sprint(i), detector.EventVerdict, k.Time))
			}
			commit(b, j, k)
		}
	})
}

// BenchmarkJobs puts down and works jobs, 100 in a transaction.
func BenchmarkJobs(b *testing.B) {
	places(b, func(b *testing.B, p place) {
		j := p.open(b)
		var left sync.WaitGroup
		work(b, j, map[string]Handler{"a": func(context.Context, Job) error { left.Done(); return nil }})
		n := 0
		for b.Loop() {
			var jobs []Job
			for range 100 {
				n++
				jobs = append(jobs, Job{Kind: "a", Key: fmt.Sprint(n)})
			}
			left.Add(100)
			enqueue(b, j, jobs...)
			left.Wait()
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "jobs/s")
	})
}
