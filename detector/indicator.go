package detector

import (
	"crypto/sha256"
	"encoding/hex"
	"sort"
	"strings"
)

// Kind says what an Indicator measures.
type Kind string

const (
	// Latency is a distribution of durations in seconds.
	Latency Kind = "latency"
	// Retry is retries over calls, per caller and third party.
	Retry Kind = "retry"
	// Error is failed over all requests.
	Error Kind = "error"
)

// Indicator is one thing watched. Its identity is kind, metric and labels,
// without the instance-like labels (instance, pod, container, le, quantile,
// version).
type Indicator struct {
	Kind   Kind              `json:"kind"`
	Metric string            `json:"metric"`
	Labels map[string]string `json:"labels"`
}

// Key is the identity of the indicator as one string, for maps, tables and
// URLs: kind|metric|name=value,... with the labels in order of name, and
// backslash, comma, equals sign and bar escaped by a backslash.
func (i Indicator) Key() string {
	names := make([]string, 0, len(i.Labels))
	for n := range i.Labels {
		names = append(names, n)
	}
	sort.Strings(names)
	var b strings.Builder
	b.WriteString(string(i.Kind))
	b.WriteByte('|')
	b.WriteString(escapeKey(i.Metric))
	b.WriteByte('|')
	for n, name := range names {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(escapeKey(name))
		b.WriteByte('=')
		b.WriteString(escapeKey(i.Labels[name]))
	}
	return b.String()
}

// ID is a short name of the indicator that stays the same, for URLs.
func (i Indicator) ID() string { return KeyID(i.Key()) }

// KeyID is the ID of the indicator with that key: the first 64 bits of the key's SHA-256
// in hex. Two of a hundred thousand indicators share one in 1 of 4 billion upgrades.
func KeyID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

var keyEscaper = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `=`, `\=`, `|`, `\|`)

func escapeKey(s string) string {
	if !strings.ContainsAny(s, `\,=|`) {
		return s
	}
	return keyEscaper.Replace(s)
}

// Service is the service that the indicator belongs to: the first of the
// labels service, service_name, job, app, client that is set, else "".
func (i Indicator) Service() string {
	return first(i.Labels, "service", "service_name", "job", "app", "client")
}

// Route is the endpoint that the indicator is about, or "".
func (i Indicator) Route() string {
	return first(i.Labels, "http_route", "route", "handler", "path", "uri", "rpc_method", "grpc_method", "method", "endpoint")
}

// Peer is the third party or upstream that the indicator's calls go to, or "".
func (i Indicator) Peer() string {
	return first(i.Labels, "peer", "peer_service", "server", "upstream", "server_address", "host", "target", "envoy_cluster_name")
}

// Name is the indicator in words for people: "p99 latency of checkout /place",
// "retries of acme-pay by payments", "errors of gateway /cart".
func (i Indicator) Name() string {
	join := func(parts ...string) string {
		return strings.TrimSpace(strings.Join(parts, " "))
	}
	switch i.Kind {
	case Latency:
		return join("tail latency of", or(i.Service(), i.Metric), i.Route())
	case Retry:
		if i.Peer() != "" {
			return join("retries of", i.Peer(), "by", or(i.Service(), "its callers"))
		}
		return join("retries by", or(i.Service(), i.Metric))
	default:
		return join("errors of", or(i.Service(), i.Metric), i.Route())
	}
}

func first(labels map[string]string, names ...string) string {
	for _, n := range names {
		if v := labels[n]; v != "" {
			return v
		}
	}
	return ""
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
