package flags

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"aftershock/flags/definitions"
)

// metrics are the switchboard's own.
type metrics struct {
	toggles     *prometheus.CounterVec
	evaluations *prometheus.CounterVec
	revision    prometheus.Gauge
	defined     prometheus.Gauge
	rejected    prometheus.Gauge
	waiting     prometheus.Gauge
	frozen      prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		toggles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_flag_toggle_states_total", Help: "States that toggles of feature flags reached.",
		}, []string{"state"}),
		evaluations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftershock_flag_evaluations_total", Help: "Evaluations of feature flags over OFREP, by reason or error code.",
		}, []string{"result"}),
		revision: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aftershock_flag_revision", Help: "Revision of the flag definitions that are served.",
		}),
		defined: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aftershock_flags", Help: "Feature flags that are defined.",
		}),
		rejected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aftershock_flags_rejected", Help: "Feature flags whose definition can't be served.",
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aftershock_flag_toggles_waiting", Help: "Toggles that wait for somebody's approval.",
		}),
		frozen: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aftershock_automation_frozen", Help: "1 while the automation is frozen, or whether it is can't be read.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.toggles, m.evaluations, m.revision, m.defined, m.rejected, m.waiting, m.frozen} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the switchboard: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) served(revision int64, set *definitions.Set) {
	m.revision.Set(float64(revision))
	m.defined.Set(float64(len(set.Keys())))
	m.rejected.Set(float64(len(set.Problems())))
}
