package series

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"aftershock/detector"
)

// epoch is the Start of the folds in these tests; sample times are given in
// seconds after it.
var epoch = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

// floats makes a series of a metric, labels by pairs, from pairs of seconds
// and value.
func floats(metric string, lbls []string, samples ...float64) Series {
	s := Series{Labels: labels.FromStrings(append([]string{model.MetricNameLabel, metric}, lbls...)...)}
	for i := 0; i < len(samples); i += 2 {
		s.Times = append(s.Times, epoch.UnixMilli()+int64(samples[i]*1000))
		s.Values = append(s.Values, samples[i+1])
	}
	return s
}

func l(kv ...string) []string { return kv }

// frames folds series in steps of a minute up to n steps.
func frames(t *testing.T, n int, series ...Series) []detector.Frame {
	t.Helper()
	f, err := New(Config{Start: epoch, Step: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range series {
		if err := f.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	var out []detector.Frame
	err = f.Emit(epoch.Add(time.Duration(n)*time.Minute), func(fr detector.Frame) error {
		out = append(out, fr)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// brief is a point without what a test doesn't look at.
type brief struct {
	Minute     int
	Key        string
	Instance   string
	Version    string
	Total, Bad float64
	Bounds     []float64
	Counts     []float64
}

func briefs(frs []detector.Frame) []brief {
	var out []brief
	for _, fr := range frs {
		for _, p := range fr.Points {
			out = append(out, brief{
				int(fr.Time.Sub(epoch) / time.Minute), p.Indicator.Key(), p.Instance, p.Version,
				p.Total, p.Bad, p.Hist.Bounds, p.Hist.Counts,
			})
		}
	}
	return out
}

var (
	inf   = math.Inf(1)
	stale = math.Float64frombits(value.StaleNaN)
)

const base = "http_server_request_duration_seconds"

func TestClassicHistogram(t *testing.T) {
	a := func(le string) []string { return l("service", "checkout", "instance", "a", "le", le) }
	key := "latency|" + base + "|service=checkout"
	bounds := []float64{0.1, 1, inf}
	for _, tc := range []struct {
		name   string
		series []Series
		want   []brief
	}{
		{"increments belong to the step of the later sample", []Series{
			floats(base+"_bucket", a("0.1"), 0, 10, 30, 11, 60, 13, 61, 14),
			floats(base+"_bucket", a("1"), 0, 20, 30, 22, 60, 25, 61, 26),
			floats(base+"_bucket", a("+Inf"), 0, 21, 30, 23, 60, 27, 61, 29),
			floats(base+"_count", l("service", "checkout", "instance", "a"), 0, 21, 30, 23, 60, 27, 61, 29),
		}, []brief{
			{1, key, "a", "", 6, 0, bounds, []float64{3, 2, 1}},
			{2, key, "a", "", 2, 0, bounds, []float64{1, 0, 1}},
		}},
		{"one bucket falls and all begin anew", []Series{
			floats(base+"_bucket", a("0.1"), 0, 10, 60, 3),
			floats(base+"_bucket", a("1"), 0, 20, 60, 30),
			floats(base+"_bucket", a("+Inf"), 0, 21, 60, 31),
		}, []brief{{1, key, "a", "", 31, 0, bounds, []float64{3, 27, 1}}}},
		{"le in two spellings is one bucket", []Series{
			floats(base+"_bucket", a("0.1"), 0, 10, 60, 11, 120, 12),
			floats(base+"_bucket", a("1"), 0, 20, 60, 22),
			floats(base+"_bucket", a("1.0"), 120, 25),
			floats(base+"_bucket", a("+Inf"), 0, 20, 60, 22, 120, 25),
		}, []brief{
			{1, key, "a", "", 2, 0, bounds, []float64{1, 1, 0}},
			{2, key, "a", "", 3, 0, bounds, []float64{1, 2, 0}},
		}},
		{"a restart with other buckets doesn't mix them", []Series{
			floats(base+"_bucket", a("0.1"), 0, 10, 60, 12),
			floats(base+"_bucket", a("1"), 0, 20, 60, 25),
			floats(base+"_bucket", a("0.5"), 120, 2),
			floats(base+"_bucket", a("+Inf"), 0, 20, 60, 25, 120, 3),
		}, []brief{
			{1, key, "a", "", 5, 0, bounds, []float64{2, 3, 0}},
			{2, key, "a", "", 3, 0, []float64{0.5, inf}, []float64{2, 1}},
		}},
		{"a stale marker and a failed scrape lose nothing", []Series{
			floats(base+"_bucket", a("0.1"), 0, 10, 60, stale, 120, 12),
			floats(base+"_bucket", a("1"), 0, 10, 60, stale, 120, 12),
			floats(base+"_bucket", a("+Inf"), 0, 10, 60, stale, 120, 12),
		}, []brief{{2, key, "a", "", 2, 0, bounds, []float64{2, 0, 0}}}},
		{"what was counted across a long gap is left out", []Series{
			floats(base+"_bucket", a("0.1"), 0, 10, 600, 90, 660, 91),
			floats(base+"_bucket", a("1"), 0, 10, 600, 90, 660, 91),
			floats(base+"_bucket", a("+Inf"), 0, 10, 600, 90, 660, 91),
		}, []brief{{11, key, "a", "", 1, 0, bounds, []float64{1, 0, 0}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, briefs(frames(t, 12, tc.series...))); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFirstValues(t *testing.T) {
	const metric = "acme_requests_total"
	old := floats(metric, l("code", "200", "instance", "a"), 0, 100, 60, 100, 120, 100, 180, 100, 240, 100, 300, 100)
	start := func(inst string, at float64) Series {
		return floats(startName, l("instance", inst), 240, at+float64(epoch.Unix()), 300, at+float64(epoch.Unix()))
	}
	started := floats(metric, l("code", "200", "instance", "b"), 240, 7, 300, 9)
	started.Starts = []int64{epoch.UnixMilli() + 200_000, epoch.UnixMilli() + 200_000}
	for _, tc := range []struct {
		name   string
		series []Series
		want   float64 // what instance b, or the new series, counted in minute 4
	}{
		{"a new instance in a recording counts all", []Series{old, floats(metric, l("code", "200", "instance", "b"), 240, 7, 300, 9)}, 7},
		{"a value beyond what a peer counts is an old process's", []Series{old, floats(metric, l("code", "200", "instance", "b"), 240, 7000, 300, 7009)}, 0},
		{"an old process that is only now read is a base", []Series{old, floats(metric, l("code", "200", "instance", "b"), 240, 7, 300, 9), start("b", -86400)}, 0},
		{"a process that has just begun counts all", []Series{floats(metric, l("code", "200", "instance", "b"), 240, 7, 300, 9), start("b", 230)}, 7},
		{"at the recording's beginning nothing is known", []Series{floats(metric, l("code", "200", "instance", "b"), 240, 7, 300, 9)}, 0},
		{"a start timestamp says that all is new", []Series{started}, 7},
		{"a created series says that all is new", []Series{
			floats(metric, l("code", "200", "instance", "b"), 240, 7, 300, 9),
			floats("acme_requests_created", l("code", "200", "instance", "b"), 240, float64(epoch.Unix())+200, 300, float64(epoch.Unix())+200),
		}, 7},
		{"a first error of a running process counts", []Series{old, floats(metric, l("code", "500", "instance", "a"), 240, 7, 300, 9)}, 7},
		{"a series under new labels goes on from the old one", []Series{
			floats(metric, l("code", "200", "instance", "a"), 0, 5, 60, 5, 120, 5, 180, 6),
			floats(metric, l("code", "200", "instance", "a", "team", "x"), 240, 7, 300, 9),
		}, 0},
		{"a new version under the same instance counts anew", []Series{
			floats(metric, l("code", "200", "instance", "a", "version", "1"), 0, 100, 60, 100, 120, 100, 180, 100),
			floats(metric, l("code", "200", "instance", "a", "version", "2"), 240, 7, 300, 9),
		}, 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := 0.0
			for _, b := range briefs(frames(t, 5, tc.series...)) {
				if b.Minute == 4 {
					got += b.Total
				}
			}
			if got != tc.want {
				t.Errorf("minute 4 counted %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRetries(t *testing.T) {
	p := l("service", "payments", "peer", "acme-pay", "instance", "a")
	got := frames(t, 2,
		floats("thirdparty_client_requests_total", p, 0, 100, 60, 150, 120, 200),
		floats("thirdparty_client_retries_total", p, 0, 10, 60, 13, 120, 14),
		floats("thirdparty_client_first_attempt_failures_total", p, 0, 1, 60, 3, 120, 4),
		floats("thirdparty_client_retried_calls_total", p, 0, 1, 60, 2, 120, 4),
		floats("thirdparty_client_failed_calls_total", p, 0, 2, 60, 2, 120, 3),
		floats("thirdparty_client_requests_total", l("service", "payments", "peer", "other", "instance", "a"), 0, 5, 60, 6, 120, 8),
		floats("thirdparty_client_requests_total", l("service", "gateway", "peer", "other", "instance", "g"), 0, 5, 60, 6, 120, 8),
	)
	type row struct{ Total, Bad, First, Retried, Failed float64 }
	want := map[string][]row{
		"retry|thirdparty_client_retries_total|peer=acme-pay,service=payments": {{50, 3, 2, 1, 0}, {50, 1, 1, 2, 1}},
		"retry|thirdparty_client_retries_total|peer=other,service=payments":    {{1, 0, 0, 0, 0}, {2, 0, 0, 0, 0}},
	}
	rows := map[string][]row{}
	for _, fr := range got {
		for _, p := range fr.Points {
			rows[p.Indicator.Key()] = append(rows[p.Indicator.Key()], row{p.Total, p.Bad, p.FirstFailures, p.Retried, p.Failed})
			if !p.CountsFailed {
				t.Errorf("%s at %s doesn't count failed calls", p.Indicator.Key(), fr.Time)
			}
		}
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("retries (-want +got):\n%s", diff)
	}
}

func TestRetrySpellings(t *testing.T) {
	one := func(metric string, by float64, kv ...string) Series {
		return floats(metric, append(kv, "instance", "i"), 0, 10, 60, 10+by)
	}
	for _, tc := range []struct {
		name       string
		series     []Series
		key        string
		total, bad float64
	}{
		{"envoy", []Series{
			one("envoy_cluster_upstream_rq_retry", 2, "envoy_cluster_name", "x"),
			one("envoy_cluster_upstream_rq_retry_success", 1, "envoy_cluster_name", "x"),
			one("envoy_cluster_upstream_rq_retry_overflow", 7, "envoy_cluster_name", "x"),
			one("envoy_cluster_upstream_rq_total", 9, "envoy_cluster_name", "x"),
		}, "retry|envoy_cluster_upstream_rq_retry|envoy_cluster_name=x", 9, 2},
		{"resilience4j", []Series{
			one("resilience4j_retry_calls_total", 2, "name", "x", "kind", "successful_with_retry"),
			one("resilience4j_retry_calls_total", 3, "name", "x", "kind", "failed_with_retry"),
			one("resilience4j_retry_calls_total", 9, "name", "x", "kind", "successful_without_retry"),
		}, "retry|resilience4j_retry_calls_total|name=x", 14, 5},
		{"client-go", []Series{
			one("rest_client_request_retries_total", 2, "code", "429", "verb", "GET", "host", "h"),
			one("rest_client_requests_total", 9, "code", "200", "method", "GET", "host", "h"),
			one("rest_client_requests_total", 1, "code", "429", "method", "GET", "host", "h"),
		}, "retry|rest_client_request_retries_total|host=h", 10, 2},
		{"grpc", []Series{
			one("grpc_client_call_retries_sum", 4, "grpc_method", "m"),
			one("grpc_client_call_retries_count", 2, "grpc_method", "m"),
			one("grpc_client_call_duration_seconds_count", 9, "grpc_method", "m", "grpc_status", "OK"),
		}, "retry|grpc_client_call_retries_sum|grpc_method=m", 9, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []brief
			for _, b := range briefs(frames(t, 1, tc.series...)) {
				if b.Key[:5] == "retry" {
					got = append(got, b)
				}
			}
			want := []brief{{1, tc.key, "i", "", tc.total, tc.bad, nil, nil}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("points (-want +got):\n%s", diff)
			}
			for _, s := range tc.series {
				if m := s.Labels.Get(model.MetricNameLabel); !Wanted(m) && m != "envoy_cluster_upstream_rq_retry_success" && m != "envoy_cluster_upstream_rq_retry_overflow" {
					t.Errorf("Wanted(%q) = false", m)
				}
			}
		})
	}
}

func TestErrors(t *testing.T) {
	one := func(metric string, by float64, kv ...string) Series {
		return floats(metric, append(kv, "service", "s", "instance", "i"), 0, 10, 60, 10+by)
	}
	got := briefs(frames(t, 1,
		one("http_requests_total", 10, "code", "200"),
		one("http_requests_total", 2, "code", "503"),
		one("http_requests_total", 3, "code", "404"),
		one("grpc_server_handled_total", 5, "grpc_code", "OK"),
		one("grpc_server_handled_total", 2, "grpc_code", "Unavailable"),
		one("grpc_server_handled_total", 1, "grpc_code", "NotFound"),
		one("rpc_server_duration_milliseconds_count", 4, "rpc_grpc_status_code", "0"),
		one("rpc_server_duration_milliseconds_count", 1, "rpc_grpc_status_code", "13"),
		one("jobs_requests_total", 4, "status", "queued"),
	))
	want := []brief{
		{1, "error|grpc_server_handled_total|service=s", "i", "", 8, 2, nil, nil},
		{1, "error|http_requests_total|service=s", "i", "", 15, 2, nil, nil},
		{1, "error|rpc_server_duration_milliseconds_count|service=s", "i", "", 5, 1, nil, nil},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}

func TestBuildsCallsAndUp(t *testing.T) {
	got := frames(t, 3,
		floats("dten_build_info", l("service", "checkout", "instance", "a", "binary", "dten-checkout", "version", "4.1.3"), 0, 1, 60, 1),
		floats("dten_build_info", l("service", "checkout", "instance", "a", "binary", "dten-checkout", "version", "4.2.0", "goversion", "go1.26"), 120, 1, 180, 1),
		floats(startName, l("instance", "a"), 0, 1000, 60, 1000, 120, float64(epoch.Unix())+100, 180, float64(epoch.Unix())+100),
		floats("up", l("instance", "a"), 0, 1, 60, 1, 120, 0, 180, 1),
		floats("up", l("instance", "b"), 0, 1, 60, 1, 120, stale),
		floats(edgeMetric, l("client", "gateway", "server", "checkout", "instance", "x"), 0, 10, 60, 15, 120, 18),
		floats(edgeMetric, l("client", "gateway", "server", "checkout", "instance", "y"), 0, 10, 60, 15),
		floats("http_requests_total", l("code", "200", "instance", "a"), 0, 500, 60, 510, 120, 600, 180, 601),
	)
	type row struct {
		Version, Toolchain string
		Started            time.Time
		Up, Targets        int
		Calls, Total       float64
		PointVersion       string
	}
	var rows []row
	for _, fr := range got {
		r := row{Up: fr.Up, Targets: fr.Targets}
		for _, b := range fr.Builds {
			r.Version, r.Toolchain, r.Started = b.Version, b.Toolchain, b.Started
			if diff := cmp.Diff(map[string]string{"service": "checkout"}, b.Labels); diff != "" || b.Binary != "dten-checkout" || b.Instance != "a" {
				t.Errorf("build %+v: labels (-want +got): %s", b, diff)
			}
		}
		for _, c := range fr.Calls {
			r.Calls += c.Count
		}
		for _, p := range fr.Points {
			r.Total, r.PointVersion = p.Total, p.Version
		}
		rows = append(rows, r)
	}
	was, is := time.Unix(1000, 0).UTC(), epoch.Add(100*time.Second)
	want := []row{
		{"4.1.3", "", was, 2, 2, 10, 10, "4.1.3"},
		// The counter has grown from 510 to 600, but its process is new.
		{"4.2.0", "go1.26", is, 0, 1, 3, 600, "4.2.0"},
		{"4.2.0", "go1.26", is, 1, 1, 0, 1, "4.2.0"},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func TestQuantiles(t *testing.T) {
	got := frames(t, 1,
		floats("rpc_duration_milliseconds", l("service", "s", "instance", "i", "quantile", "0.99"), 0, 100, 60, 250),
		floats("rpc_duration_milliseconds", l("service", "s", "instance", "i", "quantile", "0.5"), 0, 10, 60, math.NaN()),
		floats("rpc_duration_milliseconds_count", l("service", "s", "instance", "i"), 0, 10, 60, 14),
		floats("api_latency_p99_seconds", l("service", "s"), 60, 0.5),
		floats("api_latency_p50_seconds", l("service", "s"), 60, 0.1),
		floats("api_last_duration_seconds", l("service", "s"), 60, 0.1),
	)
	want := []detector.Point{
		{
			Indicator: &detector.Indicator{Kind: detector.Latency, Metric: "api_latency_seconds", Labels: map[string]string{"service": "s"}},
			Quantiles: []detector.Quantile{{Q: 0.5, Value: 0.1}, {Q: 0.99, Value: 0.5}}, FirstFailures: -1, Retried: -1,
		},
		{
			Indicator: &detector.Indicator{Kind: detector.Latency, Metric: "rpc_duration_milliseconds", Labels: map[string]string{"service": "s"}},
			Instance:  "i", Total: 4, Quantiles: []detector.Quantile{{Q: 0.99, Value: 0.25}}, FirstFailures: -1, Retried: -1,
		},
	}
	if diff := cmp.Diff(want, got[0].Points); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}
