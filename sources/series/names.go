package series

import (
	"strconv"
	"strings"
)

// role says what a raw series is for the fold.
type role int

const (
	ignored   role = iota
	bucket         // cumulative bucket of a classic histogram
	count          // observations of a histogram or summary
	whole          // native histogram, summary quantile or quantile gauge under its own name
	counter        // a counter that may serve retries, calls or errors
	created        // start time of a counter or histogram, as a series
	buildInfo      // which build runs
	startTime      // start of a process
	upness         // whether a target answered
	edgeCount      // who calls whom
)

// name is a metric name taken apart.
type name struct {
	role role
	// base is the metric without the suffixes _bucket, _count and _created and
	// without a token for a quantile.
	base string
	// scale turns the metric's unit into seconds; 0 if it is no duration.
	scale float64
	// quantile is the quantile that the name itself tells (…_p99_…), else -1.
	quantile float64
}

const (
	edgeMetric = "traces_service_graph_request_total"
	startName  = "process_start_time_seconds"
)

// Wanted says whether a metric of this name can serve the fold, so that
// readers fetch nothing else. It errs towards yes: what a series really is,
// its labels and samples say.
func Wanted(metric string) bool {
	return parseName(metric).role != ignored
}

// runtimes are prefixes of metrics about a language's runtime or about
// scraping itself: durations, but of nothing that a service's caller feels.
var runtimes = []string{"go_", "process_", "jvm_", "python_", "nodejs_", "promhttp_", "scrape_", "tokio_", "ruby_"}

func parseName(metric string) name {
	n := name{base: metric, quantile: -1}
	switch metric {
	case startName:
		n.role = startTime
		return n
	case "up":
		n.role = upness
		return n
	case edgeMetric:
		n.role = edgeCount
		return n
	case "target_info", "go_info":
		n.role = buildInfo
		return n
	}
	if strings.HasSuffix(metric, "_build_info") || metric == "build_info" {
		n.role = buildInfo
		return n
	}
	for _, p := range runtimes {
		if strings.HasPrefix(metric, p) {
			return n
		}
	}
	switch {
	case strings.HasSuffix(metric, "_created"):
		n.base = strings.TrimSuffix(metric, "_created")
		if Wanted(n.base) || Wanted(n.base+"_total") {
			n.role = created
		}
	case strings.HasSuffix(metric, "_bucket"):
		n.base = strings.TrimSuffix(metric, "_bucket")
		if n.scale = durationScale(n.base); n.scale != 0 {
			n.role = bucket
		}
	case isRetryName(metric) || isCallsName(metric):
		n.role = counter
	case strings.HasSuffix(metric, "_count"):
		n.base = strings.TrimSuffix(metric, "_count")
		if n.scale = durationScale(n.base); n.scale != 0 {
			n.role = count
		}
	case strings.HasSuffix(metric, "_total"), strings.HasSuffix(metric, "_sum"):
		// Neither a retry nor a calls counter.
	default:
		n.base, n.quantile = cutQuantile(metric)
		if n.scale = durationScale(n.base); n.scale != 0 {
			n.role = whole
		}
	}
	return n
}

// durationScale is the factor that turns the unit in a metric's name into
// seconds, or 0 if the name isn't that of a duration of work. Without a unit in
// the name a duration is in seconds, as Prometheus and OpenTelemetry ask.
func durationScale(base string) float64 {
	scale, duration := 0.0, false
	for t := range strings.SplitSeq(base, "_") {
		switch t {
		case "seconds", "second":
			scale = 1
		case "milliseconds", "millis", "ms", "msec":
			scale = 1e-3
		case "microseconds", "micros", "us", "usec":
			scale = 1e-6
		case "nanoseconds", "nanos", "ns", "nsec":
			scale = 1e-9
		case "duration", "latency", "latencies", "elapsed":
			duration = true
		case "bytes", "size", "timestamp", "uptime", "age", "interval", "ratio", "percent", "gc", "ttl", "expiry":
			return 0
		}
	}
	switch {
	case scale != 0:
		return scale
	case duration, strings.HasSuffix(base, "response_time"), strings.HasSuffix(base, "request_time"):
		return 1
	}
	return 0
}

// cutQuantile takes a token like p50, p99 or p999 out of a metric's name and
// gives the quantile, or -1 if there is none.
func cutQuantile(metric string) (string, float64) {
	tokens := strings.Split(metric, "_")
	for n, t := range tokens {
		if len(t) < 3 || len(t) > 5 || t[0] != 'p' {
			continue
		}
		digits := t[1:]
		if _, err := strconv.ParseUint(digits, 10, 32); err != nil || digits[0] == '0' {
			continue
		}
		q, err := strconv.ParseFloat("0."+digits, 64)
		if err != nil {
			continue
		}
		rest := append(append([]string{}, tokens[:n]...), tokens[n+1:]...)
		return strings.Join(rest, "_"), q
	}
	return metric, -1
}

// callsSuffixes are endings of counters of requests and calls.
var callsSuffixes = []string{
	"requests_total", "request_total", "calls_total", "call_total", "rq_total",
	"handled_total", "responses_total", "response_total", "operations_total", "rpcs_total",
	"requests_count", "calls_count",
}

func isCallsName(metric string) bool {
	for _, s := range callsSuffixes {
		if rest, ok := strings.CutSuffix(metric, s); ok && (rest == "" || rest[len(rest)-1] == '_') {
			return true
		}
	}
	// envoy_cluster_upstream_rq and others without _total.
	return strings.HasSuffix(metric, "_upstream_rq") ||
		strings.HasSuffix(metric, "_server_requests") || strings.HasSuffix(metric, "_client_requests")
}

// retryPart says which of the numbers about retries a metric holds.
type retryPart int

const (
	noRetry       retryPart = iota
	retries                 // retries themselves
	calls                   // calls that might be retried
	firstFailures           // calls whose first attempt failed
	retriedCalls            // calls with at least one retry
	failedCalls             // calls whose every attempt failed
)

func isRetryName(metric string) bool {
	_, p := retryName(metric)
	return p != noRetry
}

// apart are tokens of counters about retries that count something else:
// Envoy's upstream_rq_retry_success, _overflow, _limit_exceeded and
// _backoff_… are subsets or refusals of its upstream_rq_retry.
var apart = map[string]bool{
	"success": true, "successful": true, "overflow": true, "limit": true, "exceeded": true, "backoff": true,
	"budget": true, "bucket": true, "created": true, "exhausted": true, "queue": true,
	"seconds": true, "milliseconds": true, "duration": true, "delay": true, "wait": true, "max": true, "after": true,
}

// retryName splits the name of a counter about retries into the prefix that it
// shares with its calls, and what it counts.
func retryName(metric string) (prefix string, part retryPart) {
	if p, ok := strings.CutSuffix(metric, "_first_attempt_failures_total"); ok {
		return p, firstFailures
	}
	for _, suffix := range []string{"_failed_calls_total", "_failed_requests_total"} {
		if p, ok := strings.CutSuffix(metric, suffix); ok {
			return p, failedCalls
		}
	}
	tokens := strings.Split(metric, "_")
	at := -1
	for n, t := range tokens {
		switch t {
		case "retry", "retries", "retried":
			if at < 0 {
				at = n
			}
		default:
			if apart[t] {
				return "", noRetry
			}
		}
	}
	if at < 1 {
		return "", noRetry
	}
	prefix = strings.Join(tokens[:at], "_")
	switch tail := strings.Join(tokens[at:], "_"); tail {
	case "retried_calls_total", "retried_requests_total", "retried_call_total", "retried_request_total", "retries_count":
		// The OpenTelemetry histogram grpc.client.call.retries observes only
		// calls that had a retry: its count is the calls, its sum the retries.
		return prefix, retriedCalls
	case "retries_total", "retry_total", "retried_total", "retries", "retry", "retries_sum",
		"retry_attempts_total", "retry_count_total", "retry_calls_total":
		return prefix, retries
	}
	return "", noRetry
}

// callsOf lists the names that the calls of a retry counter may have, best
// first.
func callsOf(prefix, metric string) []string {
	if strings.HasSuffix(metric, "_retry_calls_total") {
		return []string{metric}
	}
	return []string{
		prefix + "_requests_total", prefix + "_calls_total", prefix + "_request_total", prefix + "_call_total",
		prefix + "s_total", prefix + "_total", prefix + "_rq_total",
		prefix + "_request_duration_seconds_count", prefix + "_call_duration_seconds_count", prefix + "_duration_seconds_count",
		prefix + "_requests_count", prefix + "_calls_count",
	}
}
