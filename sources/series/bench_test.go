package series

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"aftershock/detector"
)

// wide makes classic histograms with ten buckets each, one sample a minute.
func wide(histograms, minutes int) []Series {
	les := []string{"0.01", "0.05", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "+Inf"}
	var out []Series
	for h := range histograms {
		for n, le := range les {
			s := Series{Labels: labels.FromStrings(model.MetricNameLabel, base+"_bucket", "service", "s",
				"http_route", fmt.Sprint("/r/", h/10), "instance", fmt.Sprint("i", h%10), "le", le)}
			for i := range minutes {
				s.Times = append(s.Times, epoch.Add(time.Duration(i)*time.Minute).UnixMilli())
				s.Values = append(s.Values, float64(i*(n+3)))
			}
			out = append(out, s)
		}
	}
	return out
}

// BenchmarkFold folds 300,000 samples at once, as of a file.
func BenchmarkFold(b *testing.B) {
	all := wide(100, 300)
	b.ReportAllocs()
	for b.Loop() {
		f, err := New(Config{Start: epoch, Step: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range all {
			if err := f.Add(s); err != nil {
				b.Fatal(err)
			}
		}
		n := 0
		err = f.Emit(epoch.Add(300*time.Minute), func(fr detector.Frame) error {
			n += len(fr.Points)
			return nil
		})
		if err != nil || n != 100*299 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(300_000*b.N)/b.Elapsed().Seconds(), "samples/s")
}

// BenchmarkStep moves a fold of 10,000 series on by one step, as a daemon does
// every minute.
func BenchmarkStep(b *testing.B) {
	f, err := New(Config{Start: epoch, Step: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	all := wide(1000, 1)
	at := epoch
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range all {
			s.Times[0] += 60_000
			s.Values[0] += 7
			if err := f.Add(s); err != nil {
				b.Fatal(err)
			}
		}
		at = at.Add(time.Minute)
		if err := f.Emit(at, func(detector.Frame) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
