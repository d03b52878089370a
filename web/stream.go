package web

import (
	"net/http"
	"sync"
	"time"
)

// Bounds of event streams, of each sort.
const (
	maxStreams  = 500
	streamIdle  = 15 * time.Second // between signs of life
	streamWrite = 10 * time.Second // for a reader to take a message
)

// streams are the event streams of a sort that are open.
type streams struct {
	places chan struct{}
	ending chan struct{} // closed by close, which ends all of them
	close  func()
}

func newStreams() streams {
	ending := make(chan struct{})
	return streams{make(chan struct{}, maxStreams), ending, sync.OnceFunc(func() { close(ending) })}
}

// enter takes a place, and sends a reader away in these words where there is none, or
// where all of them end.
func (s *streams) enter(w http.ResponseWriter, full string) error {
	select {
	case <-s.ending:
	default:
		select {
		case s.places <- struct{}{}:
			return nil
		default:
		}
	}
	w.Header().Set("Retry-After", "30")
	return problem{http.StatusServiceUnavailable, full}
}

func (s *streams) leave() { <-s.places }

// begin makes a stream of an answer.
func begin(w http.ResponseWriter) {
	// The request is read; over HTTP/1 the time for that would end the stream.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
}

// pushed writes a message at once, and says whether the reader took it in time.
func pushed(w http.ResponseWriter, text string) bool {
	c := http.NewResponseController(w)
	// Where the connection can't do that, the listener's bounds hold.
	_ = c.SetWriteDeadline(time.Now().Add(streamWrite))
	if _, err := w.Write([]byte(text)); err != nil {
		return false
	}
	return c.Flush() == nil
}
