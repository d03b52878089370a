package flags

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const rollout = `{"metadata":{"fleet":"bench"},"flags":{"rollout":{"state":"ENABLED","defaultVariant":"off","variants":{"on":true,"off":false},
	"targeting":{"fractional":[["on",25],["off",75]]}}}}`

// blank is an answer that nobody reads.
type blank struct{ header http.Header }

func (b blank) Header() http.Header             { return b.header }
func (blank) Write(p []byte) (int, error)       { return len(p), nil }
func (blank) WriteHeader(int)                   {}
func (blank) WriteString(s string) (int, error) { return len(s), nil }

// An evaluation over OFREP, without the listener.
func BenchmarkEvaluateOne(b *testing.B) {
	s, _ := start(b, &memory{}, Config{Definitions: writeFile(b, rollout)})
	h := s.Handler()
	body := strings.NewReader(`{"context":{"targetingKey":"user-17","region":"eu"}}`)
	r := httptest.NewRequest(http.MethodPost, "/ofrep/v1/evaluate/flags/rollout", nil)
	w := blank{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = body.Seek(0, io.SeekStart)
		r.Body = io.NopCloser(body)
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}
