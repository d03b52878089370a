package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// One reader more than there are places is sent away, before anything is looked up for it.
func TestStreamsAreBounded(t *testing.T) {
	s := &Server{streams: newStreams()}
	for range maxStreams {
		s.streams.places <- struct{}{}
	}
	w := httptest.NewRecorder()
	err := s.statusStream(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/status/u/events", http.NoBody))
	var p problem
	if !errors.As(err, &p) || p.status != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %v %v", err, w.Header())
	}
}
