package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"sort"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// sample holds the counters of all instances at one instant, by service, name
// and labels.
type sample map[string]float64

// figures are what the services counted in one phase of the story.
type figures struct {
	Phase           string  `json:"phase"`
	Calls           float64 `json:"calls"`
	RetriesPerCall  float64 `json:"retries_per_call"`
	FirstFailures   float64 `json:"first_attempt_failure_share"`
	AttemptsRetried float64 `json:"attempts_per_retried_call"`
	FailedCalls     float64 `json:"failed_call_share"`
	Tails           []tail  `json:"tails"`
}

// tail is the share of a route's requests over the bucket bound that is nearest
// to the baseline's p99.
type tail struct {
	Service string  `json:"service"`
	Route   string  `json:"route"`
	Bound   float64 `json:"bound_seconds"`
	Share   float64 `json:"share"`
}

// watched are the routes whose tails the story tells.
var watched = []struct{ service, route string }{{"payments", "/charge"}, {"checkout", "/checkout"}, {"gateway", "/checkout"}, {"gateway", "/catalog"}}

// read takes a sample of every instance's /metrics.
func read(ctx context.Context, addrs map[string]string) (sample, error) {
	s := sample{}
	for instance, addr := range addrs {
		if err := s.add(ctx, serviceOf(instance), addr); err != nil {
			return nil, fmt.Errorf("read metrics of %s: %w", instance, err)
		}
	}
	return s, nil
}

func (s sample) add(ctx context.Context, service, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return err
	}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			labels := make([]string, 0, 4)
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			sort.Strings(labels)
			key := service + " " + name + " " + strings.Join(labels, " ")
			if c := m.GetCounter(); c != nil {
				s[key] += c.GetValue()
			}
			if h := m.GetHistogram(); h != nil {
				s[key] += float64(h.GetSampleCount())
				for _, b := range h.GetBucket() {
					s[fmt.Sprintf("%s le=%g", key, b.GetUpperBound())] += float64(b.GetCumulativeCount())
				}
			}
		}
	}
	return nil
}

// phase folds what was counted between two samples. bounds holds the routes'
// bounds; those that it lacks are chosen from this phase, which so becomes the
// baseline.
func phase(name string, from, to sample, bounds map[string]float64) figures {
	n := func(key string) float64 { return to[key] - from[key] }
	third := func(what string) float64 { return n("payments thirdparty_client_" + what + "_total peer=acme-pay") }
	calls, retries := third("requests"), third("retries")
	f := figures{
		Phase: name, Calls: calls, RetriesPerCall: ratio(retries, calls), FirstFailures: ratio(third("first_attempt_failures"), calls),
		AttemptsRetried: 1 + ratio(retries, third("retried_calls")), FailedCalls: ratio(third("failed_calls"), calls),
	}
	for _, w := range watched {
		key := w.service + " http_server_request_duration_seconds http_route=" + w.route
		total := n(key)
		if _, ok := bounds[key]; !ok && total > 0 {
			bounds[key] = nearestBound(key, total, n, to)
		}
		bound := bounds[key]
		f.Tails = append(f.Tails, tail{w.service, w.route, bound, ratio(total-n(fmt.Sprintf("%s le=%g", key, bound)), total)})
	}
	return f
}

// nearestBound is the bucket bound over which the share of requests is nearest
// to 1%, by ratio.
func nearestBound(key string, total float64, n func(string) float64, all sample) float64 {
	best, bestOff := 0.0, math.Inf(1)
	for k := range all {
		le, ok := strings.CutPrefix(k, key+" le=")
		if !ok {
			continue
		}
		var bound float64
		if _, err := fmt.Sscanf(le, "%g", &bound); err != nil || math.IsInf(bound, 1) {
			continue
		}
		if share := 1 - n(k)/total; share > 0 {
			if off := math.Abs(math.Log(share / .01)); off < bestOff {
				best, bestOff = bound, off
			}
		}
	}
	return best
}

// served is how often a flag's variant was served since from, over all
// instances, and how often another one was.
func served(from, to sample, flag, variant string) (it, others float64) {
	for k, v := range to {
		if !strings.Contains(k, " feature_flag_evaluations_total key="+flag+" ") {
			continue
		}
		if strings.HasSuffix(k, " variant="+variant) {
			it += v - from[k]
		} else {
			others += v - from[k]
		}
	}
	return it, others
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
