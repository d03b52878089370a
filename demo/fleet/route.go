package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// maxBody bounds what a service reads of a request or of an answer, in bytes.
const maxBody = 64 << 10

// StatusError is an answer other than 200.
type StatusError struct {
	Code    int
	Message string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("status %d: %s", e.Code, e.Message)
}

// Handler answers one request. in is the request's body, decoded; the value is
// sent as JSON. A *StatusError chooses the status, any other error is a 500.
type Handler[In any] func(ctx context.Context, header http.Header, in In) (any, error)

// Handle serves POST on the route and measures it.
func Handle[In any](s *Service, route string, h Handler[In]) {
	seconds := s.metrics.seconds.WithLabelValues(route)
	s.metrics.requests.WithLabelValues(route, "200")
	s.mux.HandleFunc("POST "+route, func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		code, body := answer(w, r, h)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write(body) // the caller went away: nobody to tell
		seconds.Observe(time.Since(begun).Seconds())
		s.metrics.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	})
}

func answer[In any](w http.ResponseWriter, r *http.Request, h Handler[In]) (code int, body []byte) {
	var in In
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
		return http.StatusBadRequest, problem(fmt.Sprintf("read request: %v", err))
	}
	out, err := h(r.Context(), w.Header(), in)
	if err != nil {
		var status *StatusError
		if errors.As(err, &status) {
			return status.Code, problem(status.Message)
		}
		return http.StatusInternalServerError, problem(err.Error())
	}
	if body, err = json.Marshal(out); err != nil {
		return http.StatusInternalServerError, problem(err.Error())
	}
	return http.StatusOK, body
}

func problem(message string) []byte {
	b, err := json.Marshal(map[string]string{"error": message})
	if err != nil {
		return []byte("{}")
	}
	return b
}

type serverMetrics struct {
	seconds  *prometheus.HistogramVec
	requests *prometheus.CounterVec
}

func newServerMetrics(reg prometheus.Registerer) *serverMetrics {
	m := &serverMetrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_server_request_duration_seconds",
			Help: "Time from the request's arrival to its answer.",
			Buckets: []float64{
				.005, .01, .02, .03, .04, .05, .065, .08, .1, .125, .15, .175, .2, .225, .25, .3, .35, .4, .45, .5, .6, .7, .85, 1, 1.5, 2.5, 5, 10,
			},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  160,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"http_route"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_server_requests_total", Help: "Requests answered, by status code.",
		}, []string{"http_route", "code"}),
	}
	reg.MustRegister(m.seconds, m.requests)
	return m
}

func newRegistry(p Program) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "dten_build_info", Help: "The build that runs; always 1.",
		ConstLabels: buildLabels(p),
	})
	build.Set(1)
	reg.MustRegister(build, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	return reg
}
