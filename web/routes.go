package web

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"aftershock/web/access"

	"aftershock/flags/feed"
)

// maxBody bounds what a request may send, in bytes.
const maxBody = 1 << 20

// routes are all paths of the listener.
func (s *Server) routes() http.Handler {
	m := http.NewServeMux()
	s.page(m, "GET /{$}", s.overview)
	s.page(m, "GET /upgrades/{id}", s.upgradePage)
	s.page(m, "GET /upgrades/{id}/report", s.report)
	s.page(m, "GET /upgrades/{id}/indicators/{key}", s.indicatorPage)
	s.page(m, "GET /reports", s.reviewsPage)
	s.page(m, "GET /reports/{week}", s.week)
	s.page(m, "GET /flags", s.flagsPage)
	s.page(m, "GET /flags/{key}", s.flagPage)
	s.page(m, "GET /flags/{key}/tuning", s.tuningPage)
	s.page(m, "POST /flags/{key}", s.toggleForm)
	s.page(m, "POST /flags/{key}/undo", s.undoForm)
	s.page(m, "GET /alerts/{key}", s.alertPage)
	s.page(m, "POST /alerts/{key}/mark", s.markForm)
	s.page(m, "POST /alerts/{key}/acknowledge", s.acknowledgeForm)
	s.page(m, "POST /automation/freeze", s.freezeForm)
	s.page(m, "POST /automation/unfreeze", s.unfreezeForm)
	s.statusRoutes(m)
	s.packageRoutes(m)
	s.toggleRoutes(m)
	s.page(m, "GET /health", s.healthPage)
	s.page(m, "POST /sign-in", s.signIn)
	s.page(m, signInPattern, s.signInOnce)
	s.page(m, "POST /sign-out", s.signOut)
	s.page(m, "/", func(w http.ResponseWriter, r *http.Request) error { return nowhere(m, "/", w, r) })
	m.Handle(livePattern, s.unharmed(s.reader(livePattern, s.tellChanges), s.fail)) // lasts for hours, as the flags' events
	s.assetRoutes(m)

	s.read(m, "GET /api/v1/status", s.status)
	s.handle(m, "GET /api/v1/health", s.health) // never twice the same
	s.read(m, "GET /api/v1/upgrades", s.listUpgrades)
	s.write(m, "POST /api/v1/upgrades", s.recordUpgrade)
	s.read(m, "GET /api/v1/upgrades/{id}", s.showUpgrade)
	s.write(m, "POST /api/v1/upgrades/{id}/close", s.closeUpgrade)
	s.read(m, "GET /api/v1/upgrades/{id}/verdicts", s.listVerdicts)
	s.read(m, "GET /api/v1/upgrades/{id}/indicators/{key}", s.showIndicator)
	s.handle(m, "GET /api/v1/upgrades/{id}/report", s.report)
	s.read(m, "GET /api/v1/reports", s.listReviews)
	s.handle(m, "GET /api/v1/reports/{week}", s.week)
	s.read(m, "GET /api/v1/events", s.listEvents)
	s.read(m, "GET /api/v1/alerts", s.listAlerts)
	s.read(m, "GET /api/v1/alerts/tally", s.tally)
	s.read(m, "GET /api/v1/alerts/{key}", s.showAlert)
	s.write(m, "POST /api/v1/alerts/{key}/mark", s.markAlert)
	s.write(m, "POST /api/v1/alerts/{key}/acknowledge", s.acknowledgeAlert)
	s.read(m, "GET /api/v1/flags", s.listFlags)
	s.read(m, "GET /api/v1/flags/{key}", s.showFlag)
	s.write(m, "PUT /api/v1/flags/{key}", s.setFlag)
	s.write(m, "POST /api/v1/flags/{key}/undo", s.undoFlag)
	s.read(m, "GET /api/v1/flags/{key}/history", s.flagHistory)
	s.write(m, "POST /api/v1/flags/{key}/extend", s.extendFlag)
	s.write(m, "POST /api/v1/flags/{key}/acknowledge", s.acknowledgeFlag)
	s.read(m, "GET /api/v1/automation", s.automation)
	s.write(m, "POST /api/v1/automation/freeze", s.freeze)
	s.handle(m, "POST /api/v1/automation/unfreeze", s.need(access.Admin, s.again(s.unfreeze)))
	s.read(m, "GET /api/v1/audit", s.audit)
	s.handle(m, "GET /api/v1/flags/{key}/tuning", s.tuneFlag)
	s.handle(m, "POST /api/v1/inbox", s.receive)
	s.handle(m, "POST /api/v1/inbox/{sender}", s.receive)
	s.handle(m, "POST /v2/change/enqueue", s.receiveChange)
	s.handle(m, "GET /api/v1/openapi.yaml", openapi)
	s.handle(m, "/api/", func(w http.ResponseWriter, r *http.Request) error { return nowhere(m, "/api/", w, r) })

	ofrep := s.o.Switchboard.Handler()
	m.Handle("/ofrep/v1/", s.measured("/ofrep/v1/", ofrep))
	m.Handle("GET "+feed.EventsPath, ofrep) // lasts for hours, which says nothing of the time to answer
	definitions := http.HandlerFunc(s.o.Switchboard.Feed().ServeDefinitions)
	m.Handle("GET "+feed.DefinitionsPath, s.measured("GET "+feed.DefinitionsPath, definitions))
	metrics := promhttp.HandlerFor(s.o.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	s.handle(m, "GET /metrics", func(w http.ResponseWriter, r *http.Request) error { metrics.ServeHTTP(w, r); return nil })
	m.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "healthy") })
	m.HandleFunc("GET /-/ready", s.readiness)
	s.handle(m, "POST /api/v1/sign-in", s.need(access.Admin, s.makeSignIn))
	s.handle(m, "POST /-/reload", s.need(access.Admin, s.reload))
	return s.shared(secured(m))
}

// assetRoutes are those of the pages' own files.
func (s *Server) assetRoutes(m *http.ServeMux) {
	m.Handle("GET /style.css", s.measured("GET /style.css", asset("style.css")))
	m.Handle("GET /live.js", s.measured("GET /live.js", asset("live.js")))
	m.Handle("GET /icon.svg", s.measured("GET /icon.svg", asset("icon.svg")))
}

// statusRoutes are those of the status channel.
func (s *Server) statusRoutes(m *http.ServeMux) {
	s.page(m, "GET /status/{upgrade}", s.statusPage)
	s.page(m, "POST /status/{upgrade}/{post}", s.sendForm)
	s.page(m, "POST /status/{upgrade}/{post}/discard", s.discardForm)
	s.page(m, "POST /status/{upgrade}/{post}/correct", s.correctForm)
	s.read(m, "GET /status/{upgrade}/feed.atom", s.statusAtom)
	s.read(m, "GET /status/{upgrade}/feed.json", s.statusFeed)
	m.Handle(statusEvents, s.unharmed(s.reader(statusEvents, s.statusStream), s.fail)) // lasts, as flags' events do
	s.read(m, "GET /api/v1/upgrades/{id}/status", s.showStatus)
	s.write(m, "POST /api/v1/upgrades/{id}/status", s.sendStatus)
	s.write(m, "POST /api/v1/upgrades/{id}/status/{post}/discard", s.discardPost)
	s.write(m, "POST /api/v1/upgrades/{id}/status/{post}/correct", s.correctPost)
}

// toggleRoutes are those of single toggles.
func (s *Server) toggleRoutes(m *http.ServeMux) {
	s.page(m, "GET /toggles/{id}", s.togglePage)
	s.page(m, "POST /toggles/{id}/approve", s.approveForm)
	s.page(m, "POST /toggles/{id}/reject", s.rejectForm)
	s.read(m, "GET /api/v1/toggles/waiting", s.listWaiting)
	s.read(m, "GET /api/v1/toggles/{id}", s.showToggle)
	s.write(m, "POST /api/v1/toggles/{id}/approve", s.approveToggle)
	s.write(m, "POST /api/v1/toggles/{id}/reject", s.rejectToggle)
}

// packageRoutes are those of what is known of an upgrade's package.
func (s *Server) packageRoutes(m *http.ServeMux) {
	s.page(m, "GET /upgrades/{id}/package", s.packagePage)
	s.page(m, "POST /upgrades/{id}/chores", s.addChoreForm)
	s.page(m, "POST /upgrades/{id}/chores/{chore}", s.choreForm)
	s.read(m, "GET /api/v1/upgrades/{id}/package", s.showPackage)
	s.write(m, "POST /api/v1/upgrades/{id}/chores", s.addChore)
	s.write(m, "POST /api/v1/upgrades/{id}/chores/{chore}", s.changeChore)
	s.read(m, "GET /api/v1/pins", s.listPins)
	s.write(m, "POST /api/v1/pins", s.pin)
	s.write(m, "POST /api/v1/pins/unexpected", s.unexpectedKey)
}

// shared gives gRPC what is for it, of all that comes over the one listener.
func (s *Server) shared(site http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if feed.IsGRPC(r) {
			s.o.Switchboard.Feed().ServeGRPC(w, r)
			return
		}
		site.ServeHTTP(w, r)
	})
}

// nowhere tells a wrong method from a wrong path: itself is the pattern that
// catches both.
func nowhere(m *http.ServeMux, itself string, w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
		_, pattern := m.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host})
		if pattern != itself && pattern != "" && !strings.HasPrefix(pattern, "/") {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 && !slices.Contains(allowed, r.Method) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return problem{http.StatusMethodNotAllowed, fmt.Sprintf("%.10s isn't for this path: it takes %s", r.Method, strings.Join(allowed, " and "))}
	}
	return problem{http.StatusNotFound, fmt.Sprintf("there is nothing at %.200s", r.URL.Path)}
}

type handler func(w http.ResponseWriter, r *http.Request) error

// handle answers a route of the API; errors become problem documents.
func (s *Server) handle(m *http.ServeMux, pattern string, h handler) {
	m.Handle(pattern, s.measured(pattern, s.unharmed(s.reader(pattern, h), s.fail)))
}

// unharmed bounds the body, and gives errors and panics to fail.
func (s *Server) unharmed(h handler, fail func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			aborted, _ := p.(error)
			if rec, ok := w.(*recorder); ok && rec.status != 0 || errors.Is(aborted, http.ErrAbortHandler) {
				panic(p) // too late for an answer
			}
			fail(w, r, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}()
		if err := h(w, r); err != nil {
			fail(w, r, err)
		}
	})
}

// read is handle for what is asked again and again: it has a tag, by which callers are told
// that nothing has changed.
func (s *Server) read(m *http.ServeMux, pattern string, h handler) {
	s.handle(m, pattern, tagged(h))
}

// write is handle for what changes something: it takes somebody on call, and is done
// once where it comes with a key.
func (s *Server) write(m *http.ServeMux, pattern string, h handler) {
	s.handle(m, pattern, s.need(access.OnCall, s.again(h)))
}

// patient lets an answer take as long as a toggle may.
func patient(w http.ResponseWriter) {
	// Where the connection can't do that, the answer has the usual time.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(toggleTimeout))
}

// query reads the parameters of a request; a name that isn't among the known is
// an error, so that a slip of the pen doesn't widen a question.
func query(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, BadRequest("read the parameters: " + err.Error())
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			there := "none"
			if len(known) > 0 {
				there = strings.Join(known, ", ")
			}
			return nil, BadRequest(fmt.Sprintf("there is no parameter %.40q here, but %s", name, there))
		}
		if len(values) > 1 {
			return nil, BadRequest(fmt.Sprintf("parameter %s was given %d times", name, len(values)))
		}
	}
	return q, nil
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

// measured counts and times what h answers, and keeps a panic of it from
// everybody else.
func (s *Server) measured(route string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			p := recover()
			if err, ok := p.(error); p != nil && !(ok && errors.Is(err, http.ErrAbortHandler)) {
				s.o.Log.WithField("path", r.URL.Path).WithField("panic", fmt.Sprint(p)).Error("a handler panicked")
			}
			if p != nil && rec.status == 0 {
				http.Error(rec, "something went wrong inside", http.StatusInternalServerError)
				p = nil
			}
			s.requests.WithLabelValues(route, strconv.Itoa(max(rec.status, http.StatusOK))).Inc()
			s.seconds.WithLabelValues(route).Observe(time.Since(began).Seconds())
			if p != nil {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
		}()
		h.ServeHTTP(rec, r)
	})
}

// livePattern is the stream that keeps pages up to date.
const livePattern = "GET /events/console"

// Content security policies. The pages need no inline style or script; a review is one
// file that can be mailed, with its style and pictures inside.
const (
	pagePolicy   = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	reviewPolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)

// guards are the headers that every answer carries. They are shared, as making
// them anew for each evaluation of a flag takes longer than the evaluation.
var guards = http.Header{
	"Content-Security-Policy":      {pagePolicy},
	"X-Content-Type-Options":       {"nosniff"},
	"X-Frame-Options":              {"DENY"},
	"Referrer-Policy":              {"same-origin"},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Permissions-Policy":           {"camera=(), geolocation=(), microphone=()"},
	"Cache-Control":                {"no-store"},
}

// secured sets the headers that every answer carries. Handlers may replace one,
// but not change it.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), guards)
		h.ServeHTTP(w, r)
	})
}
