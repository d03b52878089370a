package promapi

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"aftershock/sources/series"
)

// asked decodes a remote-read request.
func asked(t *testing.T, r *http.Request) span {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if body, err = snappy.Decode(nil, body); err != nil {
		t.Fatal(err)
	}
	var request prompb.ReadRequest
	if err := request.Unmarshal(body); err != nil {
		t.Fatal(err)
	}
	return span{from: request.Queries[0].StartTimestampMs, to: request.Queries[0].EndTimestampMs}
}

// valid checks what every series must be that is handed over.
func valid(t *testing.T, w span) func(*assembly) error {
	return func(a *assembly) error {
		return a.finish(func(one series.Series) error {
			if len(one.Times) == 0 || (len(one.Values) == len(one.Times)) == (len(one.Histograms) == len(one.Times)) {
				t.Errorf("%d times, %d values, %d histograms", len(one.Times), len(one.Values), len(one.Histograms))
			}
			if one.Starts != nil && len(one.Starts) != len(one.Times) {
				t.Errorf("%d times, %d starts", len(one.Times), len(one.Starts))
			}
			for n, at := range one.Times {
				if at < w.from || at > w.to || n > 0 && at <= one.Times[n-1] {
					t.Errorf("time %d is out of range or order", at)
				}
			}
			return nil
		})
	}
}

func FuzzFrames(f *testing.F) {
	good := frame(f, named("a", xor(f, 1000, 2000)), named("b", xor(f, 3000)))
	f.Add([]byte(good))
	f.Add([]byte(good[:len(good)-1]))
	f.Add([]byte(good + good))
	f.Fuzz(func(t *testing.T, data []byte) {
		w := span{from: 0, to: 10_000}
		// Both as it is and in a frame with the right checksum, behind which
		// the decoders are.
		_ = readFrames(bytes.NewReader(data), w, valid(t, w))
		_ = readFrames(strings.NewReader(frameOf(data)), w, valid(t, w))
	})
}

func FuzzChunks(f *testing.F) {
	h := &histogram.Histogram{Schema: 1, Count: 3, Sum: 5, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 1}}
	for encoding := chunkenc.EncXOR; encoding <= chunkenc.EncFloatHistogramST; encoding++ {
		c, _ := chunkenc.NewEmptyChunk(encoding)
		app, _ := c.Appender()
		for at := int64(1000); at <= 3000; at += 1000 {
			switch encoding {
			case chunkenc.EncXOR, chunkenc.EncXOR2:
				app.Append(500, at, float64(at))
			case chunkenc.EncHistogram, chunkenc.EncHistogramST:
				_, _, app, _ = app.AppendHistogram(nil, 500, at, h, false)
			default:
				_, _, app, _ = app.AppendFloatHistogram(nil, 500, at, h.ToFloat(nil), false)
			}
		}
		f.Add(uint8(encoding), c.Bytes())
	}
	f.Fuzz(func(t *testing.T, encoding uint8, data []byte) {
		w := span{from: 0, to: 10_000}
		a := &assembly{from: w.from, to: w.to}
		one := named("a", prompb.Chunk{Type: prompb.Chunk_Encoding(encoding % 8), MaxTimeMs: 5000, Data: data})
		l, err := toLabels(one.Labels)
		if err != nil {
			t.Fatal(err)
		}
		a.begin(l)
		if err := a.chunks(one.Chunks); err == nil {
			_ = valid(t, w)(a)
		}
	})
}

func FuzzMatrix(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"a"},"values":[[1.5,"2"],[2,"NaN"]]}]},"warnings":["w"]}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{"count":"3","sum":"4","buckets":[[0,"1","2","3"]]}]]}]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{"count":"3","sum":"4","buckets":[[3,"-0.1","0.1","3"],[0,"0.3","7","2"]]}]]}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		w := span{from: 0, to: 10_000}
		a := &assembly{from: w.from, to: w.to}
		_, _ = readMatrix(bytes.NewReader(data), func(one *matrixSeries) error {
			if err := one.into(a); err != nil {
				return err
			}
			return valid(t, w)(a)
		})
	})
}
