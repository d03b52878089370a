package web

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// livePause is the least time between two events of a stream that keeps pages up to date.
const livePause = time.Second

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
	if err := s.live.enter(w, "too many pages are being kept up to date; this one goes on without"); err != nil {
		return err
	}
	defer s.live.leave()
	begin(w)
	beat := time.NewTicker(streamIdle)
	defer beat.Stop()
	revision, next := s.revision()
	for text := "retry: 2000\n\ndata: " + revision + "\n\n"; pushed(w, text); {
		select {
		case <-next:
			select {
			case <-time.After(livePause): // what comes meanwhile is told with it
			case <-s.live.ending:
				return nil
			}
			revision, next = s.revision()
			text = "data: " + revision + "\n\n"
		case <-beat.C:
			text = ":\n\n"
		case <-s.live.ending:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
	return nil
}
