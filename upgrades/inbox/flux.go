package inbox

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"aftershock/detector"
)

// fluxEvent is what the providers generic and generic-hmac of Flux'
// notification-controller post: github.com/fluxcd/pkg, apis/event/v1beta1.
type fluxEvent struct {
	InvolvedObject struct {
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"involvedObject"`
	Severity  string            `json:"severity"`
	Timestamp string            `json:"timestamp"`
	Message   string            `json:"message"`
	Reason    string            `json:"reason"`
	Metadata  map[string]string `json:"metadata"`
}

// meta is the value under the key, which older controllers give with the group
// of their API before it.
func (e fluxEvent) meta(keys ...string) string {
	for _, key := range keys {
		if v := e.Metadata[key]; v != "" {
			return v
		}
		for k, v := range e.Metadata {
			if v != "" && strings.HasSuffix(k, ".toolkit.fluxcd.io/"+key) {
				return v
			}
		}
	}
	return ""
}

func readFlux(m Message) ([]told, error) {
	var e fluxEvent
	if err := decode(m.Body, &e); err != nil {
		return nil, err
	}
	object := e.InvolvedObject
	if object.Kind == "" || e.Reason == "" {
		return nil, errors.New("involvedObject.kind or reason is missing: want an event of Flux' notification-controller")
	}
	if object.Kind != "Kustomization" && object.Kind != "HelmRelease" {
		return ignored("a %.60s replaces no binary, a Kustomization or HelmRelease does", object.Kind), nil
	}
	of, err := name("involvedObject.name", object.Name)
	if err != nil {
		return nil, err
	}
	at, err := moment("timestamp", e.Timestamp)
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		return nil, errors.New("timestamp is missing")
	}
	revision := e.meta("revision", "originRevision")
	t := told{
		key:         []string{object.Kind, object.Namespace, of, revision},
		title:       of,
		environment: e.meta("environment", "env", "cluster"),
		words:       object.Kind + " " + object.Namespace + "/" + of + " at " + cmp.Or(revision, "an unknown revision"),
		link:        e.meta("url"),
		binaries:    []detector.Binary{{Name: cmp.Or(printable(e.meta("service"), maxText), of), To: version(e.meta("version", "app-version"))}},
	}
	if object.Kind == "HelmRelease" {
		return helmRelease(e, t, at)
	}
	switch {
	case e.Reason == "ReconciliationSucceeded":
		// It is said at every interval; by itself it replaces nothing.
		t.update, t.finished = true, at
	case e.Reason == "HealthCheckFailed":
		t.update, t.failed, t.finished = true, true, at
	case e.Reason == "Progressing" && e.Severity != "error":
		workloads := changed(e.Message)
		if len(workloads) == 0 {
			return ignored("no Deployment, StatefulSet or DaemonSet is among what was changed"), nil
		}
		if len(workloads) == 1 {
			workloads[0].To = t.binaries[0].To
		}
		t.binaries, t.started = workloads, at
	default:
		return ignored("reason %.60s replaces no binary", e.Reason), nil
	}
	return []told{t}, nil
}

// helmRelease reads the events of helm-controller, which come once Helm is done.
func helmRelease(e fluxEvent, t told, at time.Time) ([]told, error) {
	switch e.Reason {
	case "InstallSucceeded", "UpgradeSucceeded":
	case "RollbackSucceeded":
		t.rollback = true
	case "InstallFailed", "UpgradeFailed":
		t.failed = true
	case "RollbackFailed":
		t.rollback, t.failed = true, true
	default:
		return ignored("reason %.60s replaces no binary", e.Reason), nil
	}
	// What is rolled back has the revision of what failed.
	t.key = append(t.key, e.Reason)
	t.finished = at
	return []told{t}, nil
}

// changed gives the workloads of a change set: a line each, such as
// "Deployment/shop/checkout configured".
func changed(message string) []detector.Binary {
	var out []detector.Binary
	for line := range strings.Lines(message) {
		object, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		parts := strings.Split(object, "/")
		if what != "configured" && what != "created" || len(parts) < 2 {
			continue
		}
		switch kind := strings.ToLower(parts[0]); kind {
		case "deployment", "statefulset", "daemonset":
			if of, err := name("message", parts[len(parts)-1]); err == nil && len(out) < maxBinaries {
				out = append(out, detector.Binary{Name: of})
			}
		}
	}
	return out
}
