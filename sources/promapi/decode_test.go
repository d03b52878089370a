package promapi

import (
	"testing"

	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// BenchmarkDecode decodes a series of 1,000 chunks of 120 samples.
func BenchmarkDecode(b *testing.B) {
	var chunks []prompb.Chunk
	v := 0.0
	for n := range int64(1000) {
		c := chunkenc.NewXORChunk()
		app, err := c.Appender()
		if err != nil {
			b.Fatal(err)
		}
		first := n * 120 * 30_000
		for k := range int64(120) {
			v += float64((n*7 + k*13) % 29)
			app.Append(0, first+k*30_000, v)
		}
		chunks = append(chunks, prompb.Chunk{Type: prompb.Chunk_XOR, MinTimeMs: first, MaxTimeMs: first + 119*30_000, Data: c.Bytes()})
	}
	one := named("a")
	l, err := toLabels(one.Labels)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		a := &assembly{from: 0, to: 1 << 60}
		a.begin(l)
		if err := a.chunks(chunks); err != nil || len(a.floats.times) != 120_000 {
			b.Fatalf("got %d samples, %v", len(a.floats.times), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/120_000, "ns/sample")
}
