package rehearsal

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/detector/hist"
)

func indicator(kind detector.Kind, metric string, labels ...string) *detector.Indicator {
	i := &detector.Indicator{Kind: kind, Metric: metric, Labels: map[string]string{}}
	for k := 0; k < len(labels); k += 2 {
		i.Labels[labels[k]] = labels[k+1]
	}
	return i
}

func TestReading(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	const duration = "http_server_request_duration_seconds"
	place := indicator(detector.Latency, duration, "service", "checkout", "http_route", "/place", "http_request_method", "POST")
	cart := indicator(detector.Latency, duration, "service", "checkout", "http_route", "GET /cart/{id}")
	frame := func(minute int, n float64) detector.Frame {
		h := hist.Histogram{Bounds: []float64{0.1, 0.3}, Counts: []float64{0, n}} // 0.2 s on average
		return detector.Frame{Time: from.Add(time.Duration(minute) * time.Minute), Points: []detector.Point{
			{Indicator: place, Instance: "a", Total: n, Hist: h},
			{Indicator: place, Instance: "b", Total: n, Hist: h},
			{Indicator: cart, Total: n, Hist: h},
			// What counts the same again, other services, and what a caller counts.
			{Indicator: indicator(detector.Error, "http_requests_total", "service", "checkout", "path", "/place"), Total: 9 * n},
			{Indicator: indicator(detector.Latency, "http_client_request_duration_seconds", "service", "checkout", "http_route", "/pay"), Total: n},
			{Indicator: indicator(detector.Latency, duration, "service", "checkout"), Total: n},
			{Indicator: indicator(detector.Latency, duration, "service", "payments", "http_route", "/pay"), Total: n},
		}}
	}
	r := Reading{Service: "checkout", From: from, To: from.Add(4 * time.Minute), Parts: 2}
	for minute := range 6 { // the first and the last are outside
		r.Take(frame(minute, map[bool]float64{true: 60, false: 180}[minute <= 2]))
	}
	got, doubts, err := r.Profile()
	if err != nil {
		t.Fatal(err)
	}
	want := Profile{
		Service: "checkout", Concurrency: 1.2, Course: []float64{0.5, 1.5}, // 6 a second of 0.2 s
		Routes: []Route{{Route: "/place", Path: "/place", Method: "POST", Rate: 4}, {Route: "/cart/{id}", Path: "/cart/{id}", Method: "GET", Rate: 2}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Route{})); diff != "" || len(doubts) > 0 {
		t.Errorf("(-want +got)\n%s%v", diff, doubts)
	}
	several := Reading{From: from, To: from.Add(4 * time.Minute)}
	several.Take(frame(1, 60))
	if _, _, err := several.Profile(); err == nil || !strings.Contains(err.Error(), "--service: checkout, payments") {
		t.Errorf("several services: got %v", err)
	}
	none := Reading{Service: "cart", From: from, To: from.Add(4 * time.Minute)}
	none.Take(frame(1, 60))
	if _, _, err := none.Profile(); err == nil || !strings.Contains(err.Error(), "no requests of cart") {
		t.Errorf("none: got %v", err)
	}
}

func TestCompareWithProduction(t *testing.T) {
	t.Parallel()
	production := func(route string, s detector.State) detector.Verdict {
		return detector.Verdict{State: s, Indicator: *indicator(detector.Latency, "http_server_request_duration_seconds", "service", "checkout", "http_route", route)}
	}
	rehearsed := func(route, method string, s detector.State) detector.Verdict {
		return detector.Verdict{State: s, Missing: "too few", Indicator: *indicator(detector.Latency, "rehearsal_request_duration_seconds", "service", "checkout", "http_route", route, "http_request_method", method)}
	}
	retries := detector.Verdict{State: detector.Regressed, Indicator: *indicator(detector.Retry, "retries_total", "client", "payments", "peer", "acme-pay")}
	got := Compare([]detector.Verdict{
		production("/agreed", detector.Clear), production("/foreseen", detector.Regressed), production("/missed", detector.Regressed),
		production("/unsure", detector.Regressed), production("/elsewhere", detector.Regressed), production("/wrong", detector.Clear),
		production("/open", detector.Undecided), production("/opposite", detector.Improved), production("/nothing", detector.Undecided), retries,
	}, []detector.Verdict{
		rehearsed("/agreed", "GET", detector.Clear), rehearsed("/foreseen", "GET", detector.Clear), rehearsed("/foreseen", "PUT", detector.Regressed),
		rehearsed("/missed", "GET", detector.Clear), rehearsed("/unsure", "GET", detector.Undecided), rehearsed("/wrong", "GET", detector.Regressed),
		rehearsed("/open", "GET", detector.Improved), rehearsed("/opposite", "GET", detector.Regressed), rehearsed("/nothing", "GET", detector.Clear),
		rehearsed("/gone", "GET", detector.Regressed),
	})
	var lines []string
	for _, f := range got {
		lines = append(lines, f.Outcome+" "+f.Indicator.Route()+": "+f.Says)
	}
	want := []string{
		"foreseen /foreseen: the rehearsal shifted the same way",
		"missed /missed: the rehearsal was within the margin",
		"missed /unsure: the rehearsal was undecided: too few",
		"missed /elsewhere: it wasn't rehearsed",
		"missed /opposite: the rehearsal shifted the other way",
		"missed : a rehearsal sees a service from outside, and no retries within",
		"wrong /wrong: the rehearsal said regressed, production is within the margin",
		"open /open: production doesn't tell yet",
		"open /gone: production has no such indicator",
		"agreed /agreed: both are within the margin",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
