package watch

import (
	"github.com/prometheus/client_golang/prometheus"

	"aftershock/detector"
)

type metrics struct {
	frames, failures, refused prometheus.Counter
	indicators, watched, time prometheus.Gauge
	look                      prometheus.Histogram
	events                    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		frames: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftershock_watch_frames_total", Help: "Steps of telemetry that were judged.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftershock_watch_failures_total", Help: "Times that a step could not be read or put down.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftershock_watch_refused_total", Help: "Figures and documents that were left out since the journal can't take them.",
		}),
		indicators: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aftershock_watch_indicators", Help: "Indicators known.",
		}),
		watched: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aftershock_watch_upgrades", Help: "Upgrades being watched.",
		}),
		time: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aftershock_watch_last_step_timestamp_seconds", Help: "End of the last step that was judged.",
		}),
		look: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aftershock_watch_step_duration_seconds", Help: "Time taken to judge a step.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14), NativeHistogramBucketFactor: 1.1,
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_watch_events_total", Help: "What was said, by event.",
		}, []string{"event"}),
	}
	for _, event := range []string{detector.EventShift, detector.EventRecovered, detector.EventVerdict, detector.EventSummary} {
		m.events.WithLabelValues(event)
	}
	if reg != nil {
		reg.MustRegister(m.frames, m.failures, m.refused, m.indicators, m.watched, m.time, m.look, m.events)
	}
	return m
}
