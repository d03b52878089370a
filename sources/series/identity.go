package series

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// instanceNames are the labels that name a process, best first.
var instanceNames = []string{
	"exported_instance", "instance", "service_instance_id", "pod", "pod_name", "kubernetes_pod_name", "k8s_pod_name",
	"container_id", "hostname", "host_name", "node",
}

// versionNames are the labels that name the build of the process that emits a
// series, best first.
var versionNames = []string{"version", "service_version", "app_version", "app_kubernetes_io_version", "image_tag", "image_id", "image"}

// instanceLike are all labels that are no part of an indicator's identity.
var instanceLike = set(instanceNames, versionNames, []string{
	model.MetricNameLabel, "le", "quantile", "container", "container_name", "k8s_container_name", "kubernetes_pod_uid",
	"uid", "pod_uid", "k8s_pod_uid", "pod_ip", "host_ip", "host_id", "node_name", "k8s_node_name", "nodename", "pid", "process_pid",
	"revision", "commit", "git_commit", "sha", "build", "pod_template_hash", "controller_revision_hash",
	"service_istio_io_canonical_revision", "source_canonical_revision", "destination_canonical_revision",
	"prometheus", "prometheus_replica", "__replica__", "replica", "otel_scope_version",
})

// buildNames are the labels of build information that say what was built, not
// who runs it.
var buildNames = set([]string{
	"binary", "program", "goversion", "go_version", "branch", "goos", "goarch", "tags", "builddate", "build_date", "build_time",
	"date", "checksum", "path", "git_version", "git_tree_state", "compiler", "platform", "toolchain", "major", "minor",
	"telemetry_sdk_name", "telemetry_sdk_version", "telemetry_sdk_language", "process_runtime_version", "process_runtime_name",
	"process_runtime_description", "process_command_args", "process_executable_path", "process_executable_name", "process_owner",
	"os_description", "os_type", "os_version", "host_arch", "revision", "commit", "vcs_revision",
})

func set(lists ...[]string) map[string]bool {
	m := make(map[string]bool)
	for _, l := range lists {
		for _, s := range l {
			m[s] = true
		}
	}
	return m
}

func first(ls labels.Labels, names []string) string {
	for _, n := range names {
		if v := ls.Get(n); v != "" {
			return v
		}
	}
	return ""
}

// identity is the part of a series' labels that an indicator keeps.
func identity(ls labels.Labels, drop func(string) bool) map[string]string {
	m := make(map[string]string, ls.Len())
	ls.Range(func(l labels.Label) {
		if !instanceLike[l.Name] && (drop == nil || !drop(l.Name)) {
			m[l.Name] = l.Value
		}
	})
	return m
}

// familyKey is the identity of the raw series that one process counts together:
// all labels but the metric's name, le and quantile.
func familyKey(base string, ls labels.Labels) string {
	var b strings.Builder
	b.WriteString(base)
	ls.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel && l.Name != "le" && l.Name != "quantile" {
			b.WriteByte(0xff)
			b.WriteString(l.Name)
			b.WriteByte(0xfe)
			b.WriteString(l.Value)
		}
	})
	return b.String()
}

// statusNames are the labels that tell how a request ended.
var statusNames = []string{
	"http_response_status_code", "http_status_code", "status_code", "response_code", "code", "status", "envoy_response_code",
	"grpc_code", "rpc_grpc_status_code", "grpc_status", "grpc_response_status", "rpc_response_status_code", "outcome", "result",
}

// status reads the labels that tell how the requests of a series ended. known
// is false if there is no such label or its value isn't understood.
func status(ls labels.Labels) (bad, known bool) {
	grpc := strings.Contains(ls.Get(model.MetricNameLabel), "grpc")
	for _, n := range statusNames {
		v := ls.Get(n)
		if v == "" {
			continue
		}
		b, k := statusValue(v, grpc || strings.Contains(n, "grpc") || strings.HasPrefix(n, "rpc"))
		bad, known = bad || b, known || k
	}
	return bad, known
}

func isStatusName(n string) bool { return slices.Contains(statusNames, n) }

// grpcCodes are the status codes of gRPC by number. Those that OpenTelemetry's
// conventions count as the server's fault are bad.
var grpcCodes = []struct {
	name string
	bad  bool
}{
	{"ok", false},
	{"canceled", false},
	{"unknown", true},
	{"invalidargument", false},
	{"deadlineexceeded", true},
	{"notfound", false},
	{"alreadyexists", false},
	{"permissiondenied", false},
	{"resourceexhausted", false},
	{"failedprecondition", false},
	{"aborted", false},
	{"outofrange", false},
	{"unimplemented", true},
	{"internal", true},
	{"unavailable", true},
	{"dataloss", true},
	{"unauthenticated", false},
}

func statusValue(v string, grpc bool) (bad, known bool) {
	if n, err := strconv.Atoi(v); err == nil {
		switch {
		case n >= 100 && n <= 599:
			return n >= 500, true
		case n >= 0 && n < len(grpcCodes) && (grpc || n == 0):
			return grpcCodes[n].bad, true
		}
		return false, false
	}
	w := strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(v))
	if len(w) == 3 && w[0] >= '1' && w[0] <= '5' && w[1:] == "xx" {
		return w[0] == '5', true
	}
	switch w {
	case "success", "successful", "succeeded", "ok", "clienterror", "redirection", "informational":
		return false, true
	case "error", "failure", "failed", "fail", "servererror", "timeout", "timedout":
		return true, true
	case "cancelled":
		w = "canceled"
	}
	for _, c := range grpcCodes {
		if c.name == w {
			return c.bad, true
		}
	}
	return false, false
}
