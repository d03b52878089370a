package promapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/sirupsen/logrus"

	"aftershock/sources/series"
)

// fakeServer answers requests within the process, so that time can be faked.
type fakeServer func(*http.Request) (*http.Response, error)

func (f fakeServer) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, kind, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {kind}},
		Body: io.NopCloser(strings.NewReader(body)),
	}
}

const chunkType = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"

// fake makes a source of a fake server that knows one metric name.
func fake(t *testing.T, way Way, read fakeServer) (*Source, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	s, err := New(Config{URL: "http://metrics.example", Way: way}, quiet(), reg)
	if err != nil {
		t.Fatal(err)
	}
	s.way = way // asked already
	s.client = &http.Client{Transport: fakeServer(func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "/label/") {
			return answer(200, "application/json", `{"status":"success","data":["http_requests_total"]}`), nil
		}
		return read(r)
	})}
	return s, reg
}

// frame encodes series as a frame of the stream.
func frame(t testing.TB, many ...*prompb.ChunkedSeries) string {
	t.Helper()
	data, err := (&prompb.ChunkedReadResponse{ChunkedSeries: many}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return frameOf(data)
}

func frameOf(data []byte) string {
	b := binary.AppendUvarint(nil, uint64(len(data)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	return string(append(b, data...))
}

// xor makes a chunk of samples (t, 10t).
func xor(t testing.TB, times ...int64) prompb.Chunk {
	t.Helper()
	c := chunkenc.NewXORChunk()
	app, err := c.Appender()
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range times {
		app.Append(0, at, float64(10*at))
	}
	return prompb.Chunk{MinTimeMs: times[0], MaxTimeMs: times[len(times)-1], Type: prompb.Chunk_XOR, Data: c.Bytes()}
}

func named(instance string, chunks ...prompb.Chunk) *prompb.ChunkedSeries {
	return &prompb.ChunkedSeries{
		Labels: []prompb.Label{{Name: "__name__", Value: "http_requests_total"}, {Name: "instance", Value: instance}},
		Chunks: chunks,
	}
}

func TestBadServersGetOneClearLine(t *testing.T) {
	always := func(status int, kind, body string) fakeServer {
		return func(*http.Request) (*http.Response, error) { return answer(status, kind, body), nil }
	}
	good := frame(t, named("a", xor(t, 1000, 2000)))
	wrongSum := []byte(good)
	wrongSum[3] ^= 1
	outOfOrder := frame(t, named("a", xor(t, 5000, 6000), xor(t, 1000, 2000)))
	backwards := xor(t, 5000, 1000)
	backwards.MinTimeMs, backwards.MaxTimeMs = 1000, 5000
	alien := xor(t, 1000)
	alien.Type = 99
	matrix := func(result string) string {
		return `{"status":"success","data":{"resultType":"matrix","result":` + result + `}}`
	}
	tests := []struct {
		name    string
		way     Way
		server  fakeServer
		want    string
		outcome string
	}{
		{"unreachable", RemoteRead, func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }, "/api/v1/read: connection refused (tried 4 times)", outcomeUnreachable},
		{"slow", RemoteRead, func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }, "no complete answer within 2m", outcomeTimeout},
		{"slow in the middle", JSON, func(r *http.Request) (*http.Response, error) {
			a := answer(200, "application/json", "")
			a.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"status":"success",`), stuck{r.Context()}))
			return a, nil
		}, "no complete answer within 2m", outcomeTimeout},
		{"internal error", RemoteRead, always(500, "text/plain", "block 17\nis gone"), "answers 500 Internal Server Error: block 17 is gone (tried 4 times)", outcomeFailed},
		{"page of a proxy", JSON, always(502, "text/html", "<html>"+strings.Repeat("x", 1<<20)), "answers 502 Bad Gateway (tried 4 times)", outcomeFailed},
		{"credentials", JSON, always(401, "text/plain", "no"), "answers 401 Unauthorized: no (check http_client's credentials)", outcomeRefused},
		{"query refused", JSON, always(400, "application/json", `{"status":"error","error":"parse\u0000 error"}`), "answers 400 Bad Request: parse error", outcomeRefused},
		{"frame cut off", RemoteRead, always(200, chunkType, good[:len(good)-3]), "frame 1: read its ", outcomeBroken},
		{"frame of an absurd size", RemoteRead, always(200, chunkType, string(binary.AppendUvarint(nil, 1<<60))), "claims 1152921504606846976 bytes", outcomeBroken},
		{"wrong checksum", RemoteRead, always(200, chunkType, string(wrongSum)), "frame 1: has the checksum", outcomeBroken},
		{"no protobuf", RemoteRead, always(200, chunkType, frameOf([]byte("hello"))), "frame 1 can't be decoded", outcomeBroken},
		{"chunks out of order", RemoteRead, always(200, chunkType, outOfOrder), `instance="a"}: its chunks are out of order (1000 ms after 5000 ms)`, outcomeBroken},
		{"samples out of order", RemoteRead, always(200, chunkType, frame(t, named("a", backwards))), "samples of a chunk are out of order", outcomeBroken},
		{"series twice", RemoteRead, always(200, chunkType, frame(t, named("a", xor(t, 1000)), named("b", xor(t, 1000)), named("a", xor(t, 2000)))), `came twice`, outcomeBroken},
		{"unknown chunk", RemoteRead, always(200, chunkType, frame(t, named("a", alien))), "a chunk of type 99", outcomeBroken},
		{"empty chunk", RemoteRead, always(200, chunkType, frame(t, named("a", prompb.Chunk{Type: prompb.Chunk_XOR, MaxTimeMs: 5}))), "with 0 bytes isn't one", outcomeBroken},
		{"no chunks any more", RemoteRead, always(200, "application/x-protobuf", ""), "no longer streams chunks", outcomeRefused},
		{"JSON cut off", JSON, always(200, "application/json", matrix("[")[:50]), "the answer is cut off", outcomeBroken},
		{"no JSON", JSON, always(200, "text/html", "<html>welcome</html>"), "the answer isn't what the query API gives", outcomeBroken},
		{"another type", JSON, always(200, "application/json", `{"status":"success","data":{"resultType":"vector","result":[]}}`), `of type "vector", want a matrix`, outcomeBroken},
		{"error with 200", JSON, always(200, "application/json", `{"status":"error","error":"no such thing"}`), `status "error": no such thing`, outcomeBroken},
		{"samples as numbers", JSON, always(200, "application/json", matrix(`[{"metric":{},"values":[[1,2]]}]`)), "a sample's value isn't a string", outcomeBroken},
		{"JSON out of order", JSON, always(200, "application/json", matrix(`[{"metric":{},"values":[[2,"1"],[1,"2"]]}]`)), "samples are out of order", outcomeBroken},
		{"values no list", JSON, always(200, "application/json", matrix(`[{"metric":{},"values":{"a":1}}]`)), "aren't pairs of time and value", outcomeBroken},
		{"far too many labels", JSON, always(200, "application/json", matrix(`[{"metric":{`+strings.Repeat(`"a`, 1)+`":"`+strings.Repeat("x", 1<<15)+`"},"values":[]}]`)), "labels of more than 16384 bytes", outcomeBroken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, reg := fake(t, test.way, test.server)
				err := s.Series(context.Background(), time.UnixMilli(0), time.UnixMilli(10_000), func(series.Series) error { return nil })
				if err == nil {
					t.Fatal("got no error")
				}
				got := err.Error()
				if !strings.HasPrefix(got, "read telemetry from http://metrics.example/api/v1/") || !strings.Contains(got, test.want) {
					t.Errorf("got error\n%s\nwant it to say\n%s", got, test.want)
				}
				if strings.ContainsAny(got, "\n\r\x00") || len(got) > 600 {
					t.Errorf("the error isn't one line of bearable length: %q", got)
				}
				if n, err := testutil.GatherAndCount(reg, "aftershock_source_requests_total"); err != nil || n < 2 {
					t.Errorf("got %d outcomes in the metrics, %v; want names and %s", n, err, test.outcome)
				}
				if n := testutil.ToFloat64(s.requests.WithLabelValues(string(test.way), test.outcome)); n < 1 || n > float64(s.config.Tries) {
					t.Errorf("counted %v requests of outcome %q, want 1 to %d", n, test.outcome, s.config.Tries)
				}
			})
		})
	}
}

// stuck is a body that never ends nor goes on.
type stuck struct{ ctx context.Context }

func (s stuck) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func TestRepeatedRequestDoesNotRepeatSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := frame(t, named("a", xor(t, 1000, 2000))) + frame(t, named("b", xor(t, 1000))) + frame(t, named("c", xor(t, 3000)))
		tries := 0
		s, _ := fake(t, RemoteRead, func(*http.Request) (*http.Response, error) {
			if tries++; tries == 1 {
				return answer(200, chunkType, whole[:len(whole)-10]), nil
			}
			return answer(200, chunkType, whole), nil
		})
		got := collect(t, s, time.UnixMilli(0), time.UnixMilli(10_000))
		want := map[string][]point{
			`{__name__="http_requests_total", instance="a"}`: {{1000, "10000"}, {2000, "20000"}},
			`{__name__="http_requests_total", instance="b"}`: {{1000, "10000"}},
			`{__name__="http_requests_total", instance="c"}`: {{3000, "30000"}},
		}
		if diff := cmp.Diff(want, got); diff != "" || tries != 2 {
			t.Errorf("after %d tries (-want +got):\n%s", tries, diff)
		}
	})
}

func TestSeriesInSeveralFramesIsOne(t *testing.T) {
	body := frame(t, named("a", xor(t, 1000, 2000), xor(t, 3000))) + frame(t, named("a", xor(t, 3000, 4000)), named("b", xor(t, 1000))) + frame(t, named("b", xor(t, 99_000)))
	s, _ := fake(t, RemoteRead, func(*http.Request) (*http.Response, error) { return answer(200, chunkType, body), nil })
	var got []series.Series
	err := s.Series(context.Background(), time.UnixMilli(1500), time.UnixMilli(10_000), func(one series.Series) error {
		got = append(got, keepable(one))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var times [][]int64
	for _, one := range got {
		times = append(times, one.Times)
	}
	// 3000 came twice, 1000 and 99,000 are outside; b has nothing inside.
	if diff := cmp.Diff([][]int64{{2000, 3000, 4000}}, times); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
}

func TestEveryChunkTypeIsRead(t *testing.T) {
	h := &histogram.Histogram{Schema: 1, Count: 3, Sum: 5, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 1}}
	for encoding := chunkenc.EncXOR; encoding <= chunkenc.EncFloatHistogramST; encoding++ {
		t.Run(encoding.String(), func(t *testing.T) {
			c, err := chunkenc.NewEmptyChunk(encoding)
			if err != nil {
				t.Fatal(err)
			}
			app, err := c.Appender()
			if err != nil {
				t.Fatal(err)
			}
			for at := int64(1000); at <= 3000; at += 1000 {
				switch encoding {
				case chunkenc.EncXOR, chunkenc.EncXOR2:
					app.Append(500, at, 7)
				case chunkenc.EncHistogram, chunkenc.EncHistogramST:
					_, _, app, err = app.AppendHistogram(nil, 500, at, h, false)
				default:
					_, _, app, err = app.AppendFloatHistogram(nil, 500, at, h.ToFloat(nil), false)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			data := frame(t, named("a", prompb.Chunk{MinTimeMs: 1000, MaxTimeMs: 3000, Type: prompb.Chunk_Encoding(encoding), Data: c.Bytes()}))
			var got []series.Series
			err = readFrames(strings.NewReader(data), span{from: 0, to: 9000}, func(a *assembly) error {
				return a.finish(func(one series.Series) error {
					got = append(got, keepable(one))
					return nil
				})
			})
			if err != nil || len(got) != 1 {
				t.Fatalf("got %d series, %v; want 1", len(got), err)
			}
			if diff := cmp.Diff([]int64{1000, 2000, 3000}, got[0].Times); diff != "" {
				t.Errorf("times (-want +got):\n%s", diff)
			}
			var starts []int64
			if encoding >= chunkenc.EncXOR2 {
				starts = []int64{500, 500, 500}
			}
			if diff := cmp.Diff(starts, got[0].Starts); diff != "" {
				t.Errorf("starts (-want +got):\n%s", diff)
			}
			for n := range got[0].Times {
				want := "7"
				if encoding != chunkenc.EncXOR && encoding != chunkenc.EncXOR2 {
					want = show(series.Series{Histograms: []*histogram.FloatHistogram{h.ToFloat(nil)}}, 0)
				}
				if v := show(got[0], n); v != want {
					t.Errorf("sample %d: got %s, want %s", n, v, want)
				}
			}
		})
	}
}

// What Thanos, Mimir and an unknown server do about the ways, as far as it can
// be told without them.
func TestTheFastestWayIsFound(t *testing.T) {
	matrix := `{"status":"success","data":{"resultType":"matrix","result":[]}}`
	tests := []struct {
		name string
		// answers by path: status and body
		answers map[string]string
		want    Way
		wantErr string
		logged  string
	}{
		{"no remote read, as Thanos' querier", map[string]string{"/api/v1/query_range": matrix, "/api/v1/query": matrix}, Steps, "", "remote-read: /api/v1/read: the server answers 404 Not Found"},
		{"samples instead of chunks", map[string]string{"/api/v1/read": "sample", "/api/v1/query_range": matrix}, Steps, "", "remote-read: /api/v1/read: the server doesn't stream chunks"},
		{"instant queries alone", map[string]string{"/api/v1/query": matrix}, JSON, "", "steps: /api/v1/query_range: the server answers 404 Not Found"},
		{"no such API", map[string]string{}, "", "it doesn't answer as a Prometheus API does: remote-read: /api/v1/read: the server answers 404", ""},
		{"credentials", map[string]string{"/api/v1/read": "401"}, "", "answers 401 Unauthorized", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch body := test.answers[r.URL.Path]; body {
				case "":
					http.NotFound(w, r)
				case "401":
					w.WriteHeader(http.StatusUnauthorized)
				default:
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, body)
				}
			}))
			defer server.Close()
			var out bytes.Buffer
			log := logrus.New()
			log.SetOutput(&out)
			s, err := Open(context.Background(), Config{URL: server.URL}, log, nil)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("got error %v, want %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := s.Way(context.Background()); got != test.want {
				t.Errorf("got way %q, want %q", got, test.want)
			}
			if !strings.Contains(out.String(), test.logged) {
				t.Errorf("log says %s, want %q in it", out.String(), test.logged)
			}
		})
	}
}

// A server with a limit on the length of a query, as Mimir has, is asked in
// shorter windows.
func TestLongWindowsAreMadeShorter(t *testing.T) {
	lengths := []int64{}
	s, _ := fake(t, RemoteRead, func(r *http.Request) (*http.Response, error) {
		w := asked(t, r)
		if w.to-w.from > (5 * time.Hour).Milliseconds() {
			return answer(422, "application/json", `{"status":"error","error":"the query time range exceeds the limit (query length: 24h0m0s, limit: 5h0m0s)"}`), nil
		}
		lengths = append(lengths, (w.to-w.from)/time.Hour.Milliseconds())
		return answer(200, chunkType, frame(t, named("a", xor(t, w.from)))), nil
	})
	start := time.UnixMilli(0)
	got := collect(t, s, start, start.Add(10*time.Hour))
	if diff := cmp.Diff([]int64{5, 4}, lengths); diff != "" {
		t.Errorf("whole hours of each window (-want +got):\n%s", diff)
	}
	if n := len(got[`{__name__="http_requests_total", instance="a"}`]); n != len(lengths) {
		t.Errorf("got %d samples in %d windows, want one in each", n, len(lengths))
	}
}

func TestBoundsOfTheConfiguration(t *testing.T) {
	var many []*prompb.ChunkedSeries
	for n := range 12 {
		many = append(many, named(fmt.Sprint(n), xor(t, 1000, 2000)))
	}
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.MaxSeries = 10 }, "more than 10 series match: raise max_series"},
		{func(c *Config) { c.MaxSamples = 20 }, "more than 20 samples in one window: raise max_samples"},
	} {
		s, _ := fake(t, RemoteRead, func(*http.Request) (*http.Response, error) { return answer(200, chunkType, frame(t, many...)), nil })
		test.change(&s.config)
		err := s.Series(context.Background(), time.UnixMilli(0), time.UnixMilli(10_000), func(series.Series) error { return nil })
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}
