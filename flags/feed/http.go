package feed

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Paths of what is served over plain HTTP.
const (
	EventsPath      = "/ofrep/v1/events"
	DefinitionsPath = "/flagd/v1/flags"
)

// ServeDefinitions is flagd's HTTP sync: the definitions in flagd's JSON, and
// 304 for callers that have them.
func (f *Feed) ServeDefinitions(w http.ResponseWriter, r *http.Request) {
	if !f.source.Admits(r) {
		f.metrics.refused.WithLabelValues(unknownCaller.reason).Inc()
		refuse(w, http.StatusUnauthorized, unknownCaller.text)
		return
	}
	e := f.source.Edition()
	if why := e.refuses(r.Header.Get(selectorKey)); why != "" {
		refuse(w, http.StatusBadRequest, why)
		return
	}
	c, err := e.content()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("ETag", c.etag)
	h.Set("Cache-Control", "no-cache")
	// With an ETag set, ServeContent sees to If-None-Match, HEAD and ranges.
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(c.definitions))
}

// event is what OFREP's event stream tells.
type event struct {
	Type string `json:"type"`
	ETag string `json:"etag,omitempty"`
}

// ServeEvents is OFREP's event stream: it tells callers to ask again. A caller
// that doesn't say what it has seen is told at once, so that no change between
// its last question and the stream is lost. Access is the caller's business, as
// browsers can't send a key here.
func (f *Feed) ServeEvents(w http.ResponseWriter, r *http.Request) {
	leave, refused := f.enter("sse")
	if refused != nil {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, refused.text)
		return
	}
	defer leave()
	w = f.patient(w)
	// The request is read; over HTTP/1 the time for that would end the stream.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	seen, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		seen = -1
	}
	f.tell(w, r, seen)
}

// tell writes events until somebody goes.
func (f *Feed) tell(w http.ResponseWriter, r *http.Request, seen int64) {
	old, stop := f.end()
	defer stop()
	idle := time.NewTicker(f.config.Keepalive)
	defer idle.Stop()
	// A caller that lost the stream tries again after that many milliseconds.
	text := "retry: 1000\n\n"
	for {
		e := f.source.Edition()
		if e.revision != seen {
			told, err := e.event()
			if err != nil {
				return
			}
			text, seen = text+told, e.revision
			f.metrics.sent.WithLabelValues("sse").Inc()
		}
		if text != "" {
			if _, err := w.Write([]byte(text)); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
		text = ""
		select {
		case <-e.superseded:
		case <-idle.C:
			text = ":\n\n"
		case <-f.closing:
			return
		case <-old:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// event is the edition as an event.
func (e *Edition) event() (string, error) {
	c, err := e.content()
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(event{Type: "refetchEvaluation", ETag: c.etag})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("id: %d\nevent: message\ndata: %s\n\n", e.revision, data), nil
}

func refuse(w http.ResponseWriter, status int, text string) {
	b, err := json.Marshal(map[string]string{"errorDetails": text})
	if err != nil {
		b = nil
	}
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="aftershock flags"`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// patient lets an answer take as long as the caller stays, but none of its
// writes longer than the timeout.
func (f *Feed) patient(w http.ResponseWriter) http.ResponseWriter {
	p := &patient{ResponseWriter: w, timeout: f.config.WriteTimeout, control: http.NewResponseController(w)}
	// Where the connection can't do that, the listener's bounds hold.
	_ = p.control.SetWriteDeadline(time.Time{})
	return p
}

type patient struct {
	http.ResponseWriter
	timeout time.Duration
	control *http.ResponseController
}

func (p *patient) Write(b []byte) (int, error) {
	p.bound()
	return p.ResponseWriter.Write(b)
}

// Flush implements http.Flusher, which gRPC wants.
func (p *patient) Flush() {
	p.bound()
	_ = p.control.Flush()
	_ = p.control.SetWriteDeadline(time.Time{})
}

// bound gives the next write its time; an error shows in the write itself.
func (p *patient) bound() { _ = p.control.SetWriteDeadline(time.Now().Add(p.timeout)) }

// Unwrap lets http.ResponseController reach the connection.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }
