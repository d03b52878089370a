package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the journal's own.
type metrics struct {
	writes  *prometheus.HistogramVec
	worked  *prometheus.CounterVec
	adopted prometheus.Counter
	jobs    *prometheus.GaugeVec
	overdue prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		writes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "aftershock_journal_write_seconds",
			Help:    "Duration of the journal's transactions, waiting included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"result"}),
		worked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_jobs_worked_total",
			Help: "Attempts at durable jobs: done, again (failed, to be tried again) or failed (given up).",
		}, []string{"kind", "result"}),
		adopted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftershock_jobs_adopted_total",
			Help: "Durable jobs taken over from a process that died over them.",
		}),
		jobs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "aftershock_jobs",
			Help: "Durable jobs by state; done and failed ones until they are cleaned away.",
		}, []string{"state"}),
		overdue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aftershock_jobs_overdue_seconds",
			Help: "How long the durable job that is due the longest has been waiting to be worked.",
		}),
	}
	for _, result := range []string{"ok", "error"} {
		m.writes.WithLabelValues(result)
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.writes, m.worked, m.adopted, m.jobs, m.overdue} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("register the journal's metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) wrote(d time.Duration, err error) {
	result := "ok"
	if err != nil && !errors.Is(err, ErrConflict) {
		result = "error"
	}
	m.writes.WithLabelValues(result).Observe(d.Seconds())
}
