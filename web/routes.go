package web

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"aftershock/flags"
	"aftershock/journal"
)

// maxBody bounds what a request may send, in bytes.
const maxBody = 1 << 20

// routes are all paths of the listener.
func (s *Server) routes() http.Handler {
	m := http.NewServeMux()
	s.page(m, "GET /{$}", s.overview)
	s.page(m, "GET /upgrades/{id}", s.upgradePage)
	s.page(m, "GET /flags", s.flagsPage)
	s.page(m, "POST /flags/{key}", s.toggleForm)
	s.page(m, "POST /sign-in", s.signIn)
	s.page(m, "GET /upgrades/{id}/report", s.report)
	m.HandleFunc("GET /style.css", style)

	s.handle(m, "GET /api/v1/status", s.status)
	s.handle(m, "GET /api/v1/upgrades", s.listUpgrades)
	s.write(m, "POST /api/v1/upgrades", s.recordUpgrade)
	s.handle(m, "GET /api/v1/upgrades/{id}", s.showUpgrade)
	s.write(m, "POST /api/v1/upgrades/{id}/close", s.closeUpgrade)
	s.handle(m, "GET /api/v1/upgrades/{id}/verdicts", s.listVerdicts)
	s.handle(m, "GET /api/v1/upgrades/{id}/report", s.report)
	s.handle(m, "GET /api/v1/events", s.listEvents)
	s.handle(m, "GET /api/v1/alerts", s.listAlerts)
	s.handle(m, "GET /api/v1/flags", s.listFlags)
	s.handle(m, "GET /api/v1/flags/{key}", s.showFlag)
	s.write(m, "PUT /api/v1/flags/{key}", s.setFlag)
	s.write(m, "POST /api/v1/flags/{key}/undo", s.undoFlag)
	s.handle(m, "GET /api/v1/flags/{key}/history", s.flagHistory)
	s.handle(m, "/api/", func(w http.ResponseWriter, r *http.Request) error {
		return problem{http.StatusNotFound, "there is no " + r.Method + " " + r.URL.Path}
	})

	m.Handle("/ofrep/v1/", s.measured("/ofrep/v1/", s.o.Switchboard.Handler()))
	m.Handle("GET /metrics", promhttp.HandlerFor(s.o.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	m.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "healthy") })
	m.HandleFunc("GET /-/ready", s.readiness)
	s.write(m, "POST /-/reload", s.reload)
	return secured(m)
}

type handler func(w http.ResponseWriter, r *http.Request) error

// problem is an error that its reader may see, in the form of RFC 9457.
type problem struct {
	status int
	detail string
}

func (p problem) Error() string { return p.detail }

// handle answers a route of the API; errors become problem documents.
func (s *Server) handle(m *http.ServeMux, pattern string, h handler) {
	m.Handle(pattern, s.measured(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})))
}

// write is handle for what changes something: it wants the token.
func (s *Server) write(m *http.ServeMux, pattern string, h handler) {
	s.handle(m, pattern, func(w http.ResponseWriter, r *http.Request) error {
		got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || !s.isToken(got) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="aftershock"`)
			return problem{http.StatusUnauthorized, "writing needs the token: set AFTERSHOCK_TOKEN to what DATA/token of the daemon holds"}
		}
		return h(w, r)
	})
}

func (s *Server) isToken(got string) bool {
	return s.o.Token != "" && subtle.ConstantTimeCompare([]byte(got), []byte(s.o.Token)) == 1
}

// statusOf is the HTTP status for an error and what its reader may know.
func statusOf(err error) (int, string) {
	var p problem
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p.status, p.detail
	case errors.As(err, &tooBig):
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is over %d bytes", tooBig.Limit)
	case errors.Is(err, journal.ErrNotFound), errors.Is(err, flags.ErrUnknown):
		return http.StatusNotFound, err.Error()
	case errors.Is(err, flags.ErrInvalid), errors.Is(err, flags.ErrUnchanged), errors.Is(err, journal.ErrInvalid):
		return http.StatusBadRequest, err.Error()
	case errors.Is(err, flags.ErrConflict), errors.Is(err, journal.ErrConflict):
		return http.StatusConflict, err.Error()
	case errors.Is(err, flags.ErrNotReady):
		return http.StatusServiceUnavailable, err.Error()
	case errors.Is(err, flags.ErrNotVerified):
		return http.StatusBadGateway, err.Error()
	}
	return http.StatusInternalServerError, "something went wrong inside; the daemon's log says what"
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, detail := statusOf(err)
	if status == http.StatusInternalServerError && r.Context().Err() == nil {
		s.o.Log.WithError(err).WithField("path", r.URL.Path).Error("a request failed")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail,
	})
}

func answer(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
	return nil
}

// decode reads a JSON body strictly.
func decode(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			return err
		}
		return problem{http.StatusBadRequest, "read the body: " + err.Error()}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return problem{http.StatusBadRequest, "read the body: there is something after the JSON"}
	}
	return nil
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (s *Server) measured(route string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				s.o.Log.WithField("path", r.URL.Path).WithField("panic", fmt.Sprint(p)).Error("a handler panicked")
				if rec.status == 0 {
					http.Error(rec, "something went wrong inside", http.StatusInternalServerError)
				}
			}
			s.requests.WithLabelValues(route, strconv.Itoa(max(rec.status, http.StatusOK))).Inc()
			s.seconds.WithLabelValues(route).Observe(time.Since(began).Seconds())
		}()
		h.ServeHTTP(rec, r)
	})
}

// secured sets the headers that every answer carries.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "same-origin")
		h.ServeHTTP(w, r)
	})
}

// BadRequest is an error that tells the caller what was wrong with a request.
func BadRequest(detail string) error { return problem{http.StatusBadRequest, detail} }
