package scrape

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// BenchmarkScrape scrapes a target of 10,000 series that stay, without the
// network: 600 classic histograms of 14 series and 1,600 counters.
func BenchmarkScrape(b *testing.B) {
	reg := prometheus.NewRegistry()
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "request_duration_seconds", Help: "x"}, []string{"service", "route"})
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "calls_total", Help: "x"}, []string{"service", "route"})
	reg.MustRegister(h, c)
	for i := range 600 {
		h.WithLabelValues("checkout", "/route/"+strconv.Itoa(i)).Observe(float64(i) / 100)
	}
	for i := range 1600 {
		c.WithLabelValues("checkout", "/route/"+strconv.Itoa(i)).Inc()
	}
	handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true})
	for _, tt := range []struct{ name, accept string }{
		{"protobuf", acceptProto}, {"openmetrics", acceptText}, {"text", "text/plain"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
			r.Header.Set("Accept", tt.accept)
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, r)
			s, _ := open(b, testConfig("h:1"), b.TempDir())
			l := loops(b, s)[0]
			body, contentType := rec.Body.Bytes(), rec.Header().Get("Content-Type")
			i, samples := 0, 0
			scrape := func() {
				i++
				in := l.newIngest(time.Now().Add(time.Duration(i) * time.Second))
				if f, err := l.storeAnswer(b.Context(), in, body, contentType, time.Now()); f != nil || err != nil {
					b.Fatal(f, err)
				}
				samples = in.samples
			}
			scrape()
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				scrape()
			}
			b.ReportMetric(float64(samples), "samples/op")
			b.ReportMetric(float64(samples)*float64(b.N)/b.Elapsed().Seconds(), "samples/s")
		})
	}
}
