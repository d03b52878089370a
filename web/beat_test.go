package web

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// still is a journal that nobody writes into.
type still struct{ Journal }

func (still) Changes() (int64, <-chan struct{}) { return 7, nil }

// TestLiveBeat: a stream on which nothing happens is written to every 15 seconds.
func TestLiveBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{o: Options{Journal: still{}}, live: newStreams()}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		w := httptest.NewRecorder()
		if err := s.tellChanges(w, httptest.NewRequest("GET", "/events/console", nil).WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
		if got := w.Body.String(); strings.Count(got, ":\n\n") != 3 || strings.Count(got, "data: ") != 1 || !strings.HasSuffix(got, ":\n\n") {
			t.Errorf("in 50 s came %q", got)
		}
		s.live.close()
		if err := s.tellChanges(w, httptest.NewRequest("GET", "/events/console", nil)); err == nil {
			t.Error("a stream began after the stop")
		}
	})
}
