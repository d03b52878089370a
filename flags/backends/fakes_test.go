package backends_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aftershock/flags/flagd"
)

// token is what the fakes want to be shown, and must not be seen anywhere else.
const token = "tok-8f14e45fceea167a5a36dedd4bea2543"

// fakeKubernetes is an API server with one FeatureFlag resource, made from the
// published API: the OpenFeature operator's CRD for core.openfeature.dev/v1beta1,
// and the Kubernetes API's conventions for GET, JSON patches, resourceVersion,
// dryRun=All and Status. It is no Kubernetes.
type fakeKubernetes struct {
	mu      sync.Mutex
	version int
	flags   map[string]any
}

func newFakeKubernetes() *fakeKubernetes {
	return &fakeKubernetes{version: 100, flags: map[string]any{
		"backoff": map[string]any{
			"state": "ENABLED", "defaultVariant": "new", "variants": map[string]any{"new": map[string]any{"base_ms": 5}, "legacy": map[string]any{"base_ms": 100}},
			"targeting": map[string]any{"if": []any{map[string]any{"==": []any{map[string]any{"var": "region"}, "eu"}}, "legacy"}},
		},
		"a/b~c": map[string]any{"state": "ENABLED", "defaultVariant": "on", "variants": map[string]any{"on": true, "off": false}},
	}}
}

func (k *fakeKubernetes) resource(version int, flags map[string]any) map[string]any {
	return map[string]any{
		"apiVersion": "core.openfeature.dev/v1beta1", "kind": "FeatureFlag",
		"metadata": map[string]any{"name": "fleet", "namespace": "shop", "resourceVersion": strconv.Itoa(version)},
		"spec":     map[string]any{"flagSpec": map[string]any{"flags": flags}},
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// status is an error as Kubernetes answers it.
func status(w http.ResponseWriter, code int, reason string) {
	reply(w, code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": "the " + token})
}

func (k *fakeKubernetes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		status(w, http.StatusUnauthorized, "Unauthorized")
	case r.URL.Path != "/apis/core.openfeature.dev/v1beta1/namespaces/shop/featureflags/fleet":
		status(w, http.StatusNotFound, "NotFound")
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, k.resource(k.version, k.flags))
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/json-patch+json":
		k.patch(w, r)
	default:
		status(w, http.StatusUnsupportedMediaType, "UnsupportedMediaType")
	}
}

func (k *fakeKubernetes) patch(w http.ResponseWriter, r *http.Request) {
	var operations []struct {
		Op, Path string
		Value    any
	}
	if err := json.NewDecoder(r.Body).Decode(&operations); err != nil || r.URL.Query().Get("fieldManager") == "" {
		status(w, http.StatusBadRequest, "BadRequest")
		return
	}
	flags := maps.Clone(k.flags)
	for _, o := range operations {
		key, isFlag := strings.CutPrefix(o.Path, "/spec/flagSpec/flags/")
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		_, there := flags[key]
		switch {
		case o.Op == "replace" && o.Path == "/metadata/resourceVersion" && o.Value == strconv.Itoa(k.version):
		case o.Op == "replace" && o.Path == "/metadata/resourceVersion":
			status(w, http.StatusConflict, "Conflict")
			return
		case o.Op == "replace" && isFlag && there:
			flags[key] = o.Value
		default:
			status(w, http.StatusUnprocessableEntity, "Invalid")
			return
		}
	}
	version := k.version + 1
	if r.URL.Query().Get("dryRun") != "All" {
		k.flags, k.version = flags, version
	}
	reply(w, http.StatusOK, k.resource(version, flags))
}

func (k *fakeKubernetes) evaluate(key string, context map[string]any) (string, json.RawMessage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, err := json.Marshal(map[string]any{"flags": k.flags})
	if err != nil {
		return "", nil
	}
	s, err := flagd.Read(b, key, time.Now())
	if err != nil {
		return "", nil
	}
	v := s.Expect(context, time.Now())
	return v, s.Variants[v]
}

func (k *fakeKubernetes) revert() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flags, k.version = newFakeKubernetes().flags, k.version+1
}

// fakeLaunchDarkly is one flag of LaunchDarkly, made from its published OpenAPI
// description (feature flags: get, list, semantic patch with comment and dryRun).
// It is no LaunchDarkly.
type fakeLaunchDarkly struct {
	mu        sync.Mutex
	on        bool
	off, fall int
	rules     []any
	version   int
	comments  []string
}

func newFakeLaunchDarkly(rules ...any) *fakeLaunchDarkly {
	return &fakeLaunchDarkly{on: true, off: 0, fall: 1, rules: rules, version: 7}
}

var ldValues = []struct{ id, name, value string }{
	{"11111111-aaaa-4000-8000-000000000001", "legacy", `{"base_ms":100}`},
	{"11111111-aaaa-4000-8000-000000000002", "new", `{"base_ms":5}`},
	{"11111111-aaaa-4000-8000-000000000003", "", `{"base_ms":50}`},
}

func (l *fakeLaunchDarkly) flag() map[string]any {
	var variations []any
	for _, v := range ldValues {
		m := map[string]any{"_id": v.id, "value": json.RawMessage(v.value)}
		if v.name != "" {
			m["name"] = v.name
		}
		variations = append(variations, m)
	}
	return map[string]any{
		"key": "backoff", "kind": "multivariate", "variations": variations, "archived": false,
		"environments": map[string]any{"production": map[string]any{
			"on": l.on, "version": l.version, "offVariation": l.off, "fallthrough": map[string]any{"variation": l.fall},
			"rules": l.rules, "targets": []any{}, "contextTargets": []any{}, "prerequisites": []any{},
		}},
	}
}

func (l *fakeLaunchDarkly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fail := func(code int, word string) {
		reply(w, code, map[string]any{"code": word, "message": "Invalid token: " + token})
	}
	switch {
	case r.Header.Get("Authorization") != token || r.Header.Get("LD-API-Version") == "":
		fail(http.StatusUnauthorized, "unauthorized")
	case r.URL.Path == "/api/v2/flags/shop" && r.Method == http.MethodGet:
		reply(w, http.StatusOK, map[string]any{"items": []any{map[string]any{"key": "backoff"}}, "totalCount": 1})
	case r.URL.Path != "/api/v2/flags/shop/backoff":
		fail(http.StatusNotFound, "not_found")
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, l.flag())
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/json; domain-model=launchdarkly.semanticpatch":
		l.patch(w, r, fail)
	default:
		fail(http.StatusMethodNotAllowed, "method_not_allowed")
	}
}

func (l *fakeLaunchDarkly) patch(w http.ResponseWriter, r *http.Request, fail func(int, string)) {
	var in struct {
		EnvironmentKey, Comment string
		Instructions            []struct{ Kind, VariationID string }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.EnvironmentKey != "production" || len(in.Instructions) == 0 {
		fail(http.StatusBadRequest, "invalid_request")
		return
	}
	was := [3]any{l.on, l.off, l.fall}
	for _, i := range in.Instructions {
		at := slices.IndexFunc(ldValues, func(v struct{ id, name, value string }) bool { return v.id == i.VariationID })
		switch i.Kind {
		case "turnFlagOn":
			l.on = true
		case "turnFlagOff":
			l.on = false
		case "updateOffVariation":
			l.off = at
		case "updateFallthroughVariationOrRollout":
			l.fall = at
		default:
			fail(http.StatusBadRequest, "invalid_request")
			return
		}
	}
	l.version++
	body := l.flag()
	if r.URL.Query().Get("dryRun") == "true" {
		l.on, l.off, l.fall, l.version = was[0].(bool), was[1].(int), was[2].(int), l.version-1
	} else {
		l.comments = append(l.comments, in.Comment)
	}
	reply(w, http.StatusOK, body)
}

func (l *fakeLaunchDarkly) evaluate(string, map[string]any) (string, json.RawMessage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.fall
	if !l.on {
		at = l.off
	}
	return ldValues[at].name, json.RawMessage(ldValues[at].value)
}

func (l *fakeLaunchDarkly) revert() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on, l.off, l.fall, l.version = true, 0, 1, l.version+1
}

// fakeService is somebody's own flag service.
type fakeService struct {
	mu      sync.Mutex
	mode    string
	version int
}

func (s *fakeService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tag := fmt.Sprintf(`"%d"`, s.version)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		http.Error(w, "bad token "+token, http.StatusUnauthorized)
	case r.URL.Path != "/toggles/backoff":
		http.Error(w, "no", http.StatusNotFound)
	case r.Method == http.MethodGet:
		w.Header().Set("ETag", tag)
		reply(w, http.StatusOK, map[string]any{"data": []any{map[string]any{"mode": s.mode}}})
	case r.Header.Get("If-Match") != tag:
		http.Error(w, "changed", http.StatusPreconditionFailed)
	default:
		var in struct{ Mode, Why string }
		b, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(b, &in) != nil || in.Why == "" {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		s.mode, s.version = in.Mode, s.version+1
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *fakeService) evaluate(string, map[string]any) (string, json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]string{"L": "legacy", "N": "new"}[s.mode], json.RawMessage(`"` + map[string]string{"L": "legacy", "N": "new"}[s.mode] + `"`)
}

func (s *fakeService) revert() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode, s.version = "N", s.version+1
}

// serveOFREP evaluates what a fake has.
func serveOFREP(t testing.TB, evaluate func(string, map[string]any) (string, json.RawMessage)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ofrep/v1/evaluate/flags/{key}", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Context map[string]any }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		v, value := evaluate(r.PathValue("key"), in.Context)
		reply(w, http.StatusOK, map[string]any{"key": r.PathValue("key"), "variant": v, "value": value, "reason": "STATIC"})
	})
	return mux
}
