package openmetrics

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"aftershock/sources/series"
)

// reference reads a text with Prometheus's own parser, into samples in order of
// series and time, each once.
func reference(text []byte) ([]sample, error) {
	var out []sample
	err := parse(text, func(ls labels.Labels, ts *int64, v float64) {
		if ts != nil && series.Wanted(ls.Get(model.MetricNameLabel)) {
			out = append(out, sample{ls.WithoutEmpty().String(), *ts, v})
		}
	})
	if err != nil {
		return nil, err
	}
	return ordered(out), nil
}

// ordered sorts samples by series and time, and drops what is repeated.
func ordered(all []sample) []sample {
	bits := func(v float64) uint64 { return math.Float64bits(v) }
	slices.SortFunc(all, func(a, b sample) int {
		return cmp.Or(cmp.Compare(a.Series, b.Series), cmp.Compare(a.T, b.T), cmp.Compare(bits(a.V), bits(b.V)))
	})
	return slices.CompactFunc(all, func(a, b sample) bool {
		return a.Series == b.Series && a.T == b.T && bits(a.V) == bits(b.V)
	})
}

// orders are the ways in which the lines of a recording may lie: series by
// series as databases dump them, point by point as OpenMetrics asks, or one
// scrape after the other. Each says which of two lines comes first.
var orders = map[string]func(a, b place) int{
	"series":  func(a, b place) int { return cmp.Or(a.metric-b.metric, a.series-b.series, a.at-b.at) },
	"points":  func(a, b place) int { return cmp.Or(a.metric-b.metric, a.at-b.at, a.series-b.series) },
	"scrapes": func(a, b place) int { return cmp.Or(a.at-b.at, a.metric-b.metric, a.series-b.series) },
}

// place is where a line belongs.
type place struct{ metric, series, at int }

// lay writes a recording of so many histograms in an order. seen says whether a
// histogram was scraped at a time.
func lay(order func(a, b place) int, histograms, scrapes int, seen func(histogram, scrape int) bool) []byte {
	bounds := []string{"0.1", "0.25", "0.5", "1.0", "+Inf"}
	var all []place
	for h := range histograms {
		for s := range bounds {
			for at := range scrapes {
				if seen(h, at) {
					all = append(all, place{h, s, at})
				}
			}
		}
	}
	slices.SortStableFunc(all, order)
	var b bytes.Buffer
	b.WriteString("# TYPE http_server_request_duration_seconds histogram\n")
	for _, p := range all {
		fmt.Fprintf(&b, "http_server_request_duration_seconds_bucket{service=\"checkout\",http_route=\"/r/%d\",instance=\"checkout-%d\",le=%q} %d %d\n",
			p.metric/3, p.metric%3, bounds[p.series], p.at*(p.series+3), 1772550060+60*p.at)
	}
	b.WriteString("# EOF\n")
	return b.Bytes()
}

func always(int, int) bool { return true }

// TestAgainstPrometheus reads recordings with gaps of one instance, late
// beginnings and early ends in every order as Prometheus reads them.
func TestAgainstPrometheus(t *testing.T) {
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 1))
				missed := make([]bool, 6*40)
				for i := range missed {
					missed[i] = rng.Float64() < 0.05
				}
				from, to := rng.IntN(20), 20+rng.IntN(20)
				text := lay(order, 6, 40, func(h, at int) bool {
					return !missed[h/3*40+at] && (h != 4 || at >= from) && (h != 2 || at <= to)
				})
				want, err := reference(text)
				if err != nil {
					t.Fatal(err)
				}
				got, err := all(t, text)
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(want, ordered(got)); diff != "" {
					t.Fatalf("seed %d: samples (-prometheus +got):\n%s", seed, diff)
				}
			}
		})
	}
}

// TestShuffled reads lines in no order at all, some of them twice.
func TestShuffled(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		lines := bytes.SplitAfter(lay(orders["series"], 4, 30, always), []byte("\n"))
		lines = lines[1 : len(lines)-2] // without the metadata and the end
		lines = append(lines, lines[:50]...)
		want, err := reference(append(bytes.Join(lines, nil), "# EOF\n"...))
		if err != nil {
			t.Fatal(err)
		}
		rng.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		got, err := all(t, bytes.Join(lines, nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, ordered(got)); diff != "" {
			t.Fatalf("samples (-prometheus +got):\n%s", diff)
		}
	}
}

// TestClocks holds that series which were scraped together share their times,
// in every order and across a missed scrape.
func TestClocks(t *testing.T) {
	for name, order := range orders {
		text := lay(order, 6, 40, func(h, at int) bool { return h%3 != 1 || at != 17 })
		f, err := read(context.Background(), bytes.NewReader(text), Config{})
		if err != nil {
			t.Fatal(err)
		}
		clocks := make(map[*clock]bool)
		for _, c := range f.columns {
			clocks[c.clock] = true
		}
		// Each of the six histograms may need its own, but not each of their
		// thirty series.
		if len(clocks) > 6 {
			t.Errorf("%s: %d clocks for 6 histograms", name, len(clocks))
		}
	}
}

// FuzzAgainstPrometheus reads what both parsers accept to the same samples.
func FuzzAgainstPrometheus(f *testing.F) {
	for _, order := range orders {
		f.Add(lay(order, 2, 3, func(h, at int) bool { return h == 0 || at != 1 }))
	}
	f.Add([]byte("a_requests_total{path=\"a\\\\b\\\"c\\n}\",x=\"1\"} 1 1000000000.5 # {trace_id=\"}\"} 1 2\n# EOF\n"))
	f.Add([]byte("{\"a.b_requests_total\",\"x.y\"=\"1\"} -Inf 1000000000\na_requests_total 17.25 3\n# EOF\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1 && (text[0] == 0x1f || text[0] == 0x28) {
			return // compressed
		}
		want, err := reference(text)
		if err != nil {
			return
		}
		got, err := all(t, text)
		if err != nil {
			return
		}
		got = ordered(got)
		for _, s := range slices.Concat(got, want) {
			// Prometheus cuts fractions of a millisecond off, and takes every
			// time for seconds.
			if s.T%1000 != 0 || s.T >= maxSeconds || s.T <= -maxSeconds {
				return
			}
		}
		same := gocmp.Comparer(func(a, b float64) bool {
			return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
		})
		if diff := gocmp.Diff(want, got, same); diff != "" {
			t.Fatalf("samples (-prometheus +got):\n%s", diff)
		}
	})
}

// BenchmarkRead reads 300,000 samples in every order, and as Prometheus's parser
// reads them.
func BenchmarkRead(b *testing.B) {
	const histograms, scrapes = 60, 1000
	for _, name := range []string{"series", "points", "scrapes", "zstd", "prometheus"} {
		b.Run(name, func(b *testing.B) {
			order := orders[name]
			if order == nil {
				order = orders["series"]
			}
			text := lay(order, histograms, scrapes, always)
			b.SetBytes(int64(len(text)))
			if name == "zstd" {
				text = zst(b, text)
			}
			b.ReportAllocs()
			for b.Loop() {
				n, err := 0, error(nil)
				if name == "prometheus" {
					n, err = countReference(text)
				} else {
					var f *File
					if f, err = read(context.Background(), bytes.NewReader(text), Config{}); err == nil {
						n = f.Samples()
					}
				}
				if err != nil || n != histograms*5*scrapes {
					b.Fatalf("%d samples, %v", n, err)
				}
			}
		})
	}
}

// countReference is the least that one would do with Prometheus's parser: look
// up the series by its labels' hash and keep the sample.
func countReference(text []byte) (n int, err error) {
	type column struct {
		times  []int64
		values []float64
	}
	columns := make(map[uint64]*column)
	err = parse(text, func(ls labels.Labels, ts *int64, v float64) {
		c := columns[ls.Hash()]
		if c == nil {
			c = &column{}
			columns[ls.Hash()] = c
		}
		c.times, c.values = append(c.times, *ts), append(c.values, v)
		n++
	})
	return n, err
}

// parse reads the samples of a text with Prometheus's own parser.
func parse(text []byte, each func(ls labels.Labels, ts *int64, v float64)) error {
	p := textparse.NewOpenMetricsParser(text, labels.NewSymbolTable())
	for {
		e, err := p.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e != textparse.EntrySeries {
			continue
		}
		_, ts, v := p.Series()
		var ls labels.Labels
		p.Labels(&ls)
		each(ls, ts, v)
	}
}
