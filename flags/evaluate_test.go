package flags

import (
	"fmt"
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

// All of a thousand flags for one context, without the listener.
func BenchmarkEvaluateAll(b *testing.B) {
	var flags []string
	for n := range 1000 {
		flags = append(flags, fmt.Sprintf(`"f%d":{"state":"ENABLED","defaultVariant":"off","variants":{"on":true,"off":false},
			"targeting":{"fractional":[["on",25],["off",75]]}}`, n))
	}
	s, _ := start(b, &memory{}, Config{Definitions: writeFile(b, `{"flags":{`+strings.Join(flags, ",")+`}}`)})
	h := s.Handler()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/ofrep/v1/evaluate/flags", strings.NewReader(`{"context":{"targetingKey":"user-17"}}`))
		h.ServeHTTP(blank{http.Header{}}, r)
	}
}
