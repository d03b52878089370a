package scrape

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the scraper's own.
type metrics struct {
	reg           prometheus.Registerer
	targets       *prometheus.GaugeVec
	scrapes       *prometheus.CounterVec
	duration      prometheus.Histogram
	samples       prometheus.Counter
	dropped       *prometheus.CounterVec
	missed        prometheus.Counter
	fileErrors    prometheus.Counter
	storageUp     prometheus.Gauge
	storageErrors prometheus.Counter
	registered    []prometheus.Collector
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		reg: reg,
		targets: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "aftershock_scrape_targets", Help: "Targets that are scraped, by the state of their last scrape (up, down, new).",
		}, []string{"state"}),
		scrapes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_scrapes_total", Help: "Scrapes by outcome.",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aftershock_scrape_duration_seconds", Help: "Time from the request of a scrape to its samples being stored.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}, NativeHistogramBucketFactor: 1.1,
			NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}),
		samples: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftershock_scrape_samples_total", Help: "Scraped samples that were stored.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_scrape_samples_dropped_total", Help: "Scraped samples that were not stored, by reason.",
		}, []string{"reason"}),
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftershock_scrapes_missed_total", Help: "Scrapes that were left out because the one before took too long.",
		}),
		fileErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftershock_scrape_file_errors_total", Help: "Times that a file of targets could no longer be read.",
		}),
		storageUp: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aftershock_scrape_storage_up", Help: "1 while scraped samples are stored, 0 while the disk is full or broken.",
		}),
		storageErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftershock_scrape_storage_errors_total", Help: "Failed writes of scraped samples, and failed attempts to write again.",
		}),
	}
	for _, o := range outcomes {
		m.scrapes.WithLabelValues(string(o))
	}
	for _, r := range []string{dropOutOfOrder, dropDuplicate, dropOutOfBounds} {
		m.dropped.WithLabelValues(r)
	}
	m.storageUp.Set(1)
	for _, c := range []prometheus.Collector{
		m.targets, m.scrapes, m.duration, m.samples, m.dropped, m.missed, m.fileErrors, m.storageUp, m.storageErrors,
	} {
		if err := m.register(c); err != nil {
			m.unregister()
			return nil, err
		}
	}
	return m, nil
}

// series registers the gauge of the store's series in memory.
func (m *metrics) series(s *store) {
	// A failed registration costs this gauge only.
	_ = m.register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "aftershock_scrape_series", Help: "Series held in memory.",
	}, func() float64 { return float64(s.headSeries()) }))
}

func (m *metrics) register(c prometheus.Collector) error {
	if m.reg == nil {
		return nil
	}
	if err := m.reg.Register(c); err != nil {
		return fmt.Errorf("register the metrics of scraping: %w", err)
	}
	m.registered = append(m.registered, c)
	return nil
}

func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.reg.Unregister(c)
	}
	m.registered = nil
}
