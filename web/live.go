package web

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Bounds of the streams that keep pages up to date.
const (
	// liveStreams is how many may be open at once.
	liveStreams = 500
	// liveBeat is how often one on which nothing happens is written to, so that proxies
	// keep it open and a browser that is gone is found out.
	liveBeat = 15 * time.Second
	// livePause is the least time between two events of a stream.
	livePause = time.Second
	// liveWrite bounds the writing of one event.
	liveWrite = 10 * time.Second
)

// live are the streams that tell pages of changes.
type live struct {
	mu      sync.Mutex
	open    int
	closing chan struct{}
	closed  bool
}

func newLive() *live { return &live{closing: make(chan struct{})} }

// enter counts a stream; it answers false where there are too many.
func (l *live) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.open >= liveStreams {
		return false
	}
	l.open++
	return true
}

func (l *live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

// close ends all streams.
func (l *live) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.closing)
	}
}

// revision names what is known now, and gives a channel that the next change closes. It
// differs from those of earlier runs.
func (s *Server) revision() (string, <-chan struct{}) {
	seen, next := s.o.Journal.Changes()
	return fmt.Sprintf("%x-%d", s.started.UnixNano(), seen), next
}

// revisionKey is that of the revision which a page was begun at.
type revisionKey struct{}

// revised remembers in the request what is known before anything is read for its page, so
// that a change meanwhile is seen as one.
func (s *Server) revised(r *http.Request) *http.Request {
	revision, _ := s.revision()
	return r.WithContext(context.WithValue(r.Context(), revisionKey{}, revision))
}

// tellChanges is a stream of events, each with the revision that there is: one at once,
// so that a page that was read before sees whether it missed something, and one after
// each change.
func (s *Server) tellChanges(w http.ResponseWriter, r *http.Request) error {
	if !s.live.enter() {
		w.Header().Set("Retry-After", "30")
		return problem{http.StatusServiceUnavailable, "too many pages are being kept up to date; this one goes on without"}
	}
	defer s.live.leave()
	control := http.NewResponseController(w)
	// Over HTTP/1 the time to read the request would end the stream.
	_ = control.SetReadDeadline(time.Time{})
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	put := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(liveWrite))
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	revision, next := s.revision()
	for text := "retry: 2000\n\ndata: " + revision + "\n\n"; put(text); {
		select {
		case <-next:
			select {
			case <-time.After(livePause): // what comes meanwhile is told with it
			case <-s.live.closing:
				return nil
			}
			revision, next = s.revision()
			text = "data: " + revision + "\n\n"
		case <-beat.C:
			text = ":\n\n"
		case <-s.live.closing:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
	return nil
}
