package fleet

import (
	"context"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/prometheus/client_golang/prometheus"
)

// Features evaluates feature flags through OpenFeature and counts which
// variants were served.
type Features struct {
	client *openfeature.Client
	about  openfeature.EvaluationContext
}

func newFeatures(client *openfeature.Client, about openfeature.EvaluationContext, reg prometheus.Registerer) *Features {
	h := &exposure{served: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "feature_flag_evaluations_total", Help: "Evaluations of feature flags, by the variant that was served.",
	}, []string{"key", "variant"})}
	reg.MustRegister(h.served)
	client.AddHooks(h)
	return &Features{client: client, about: about}
}

// Bool is the flag's value, or fallback where it can't be had.
func (f *Features) Bool(ctx context.Context, key string, fallback bool) bool {
	return f.client.Boolean(ctx, key, fallback, f.about)
}

// Object is the flag's value and variant, or fallback and "" where it can't be
// had.
func (f *Features) Object(ctx context.Context, key string, fallback any) (value any, variant string) {
	d, err := f.client.ObjectValueDetails(ctx, key, fallback, f.about)
	if err != nil {
		return fallback, ""
	}
	return d.Value, d.Variant
}

// exposure is a hook that counts what was served.
type exposure struct {
	openfeature.UnimplementedHook
	served *prometheus.CounterVec
}

func (h *exposure) After(_ context.Context, about openfeature.HookContext, d openfeature.InterfaceEvaluationDetails, _ openfeature.HookHints) error {
	h.served.WithLabelValues(about.FlagKey(), d.Variant).Inc()
	return nil
}

func (h *exposure) Error(_ context.Context, about openfeature.HookContext, _ error, _ openfeature.HookHints) {
	h.served.WithLabelValues(about.FlagKey(), "fallback").Inc()
}
