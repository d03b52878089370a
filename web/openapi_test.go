package web_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"aftershock/flags/feed"
	"aftershock/flags/policy"
	"aftershock/web/webtest"
)

// node is a part of openapi.yaml.
type node = map[string]any

var description = sync.OnceValue(func() node {
	var doc node
	b, err := os.ReadFile("openapi.yaml")
	if err == nil {
		err = yaml.Unmarshal(b, &doc)
	}
	if err != nil {
		panic(err)
	}
	return doc
})

// resolved is what n refers to, or n.
func resolved(n node) node {
	for {
		ref, _ := n["$ref"].(string)
		if ref == "" {
			return n
		}
		at := description()
		for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			at, _ = at[part].(node)
		}
		n = at
	}
}

// operation is what the file says of a request.
func operation(method, path string) node {
	path, _, _ = strings.Cut(path, "?")
	var found node
	best := -1
	paths, _ := description()["paths"].(node)
	for pattern, methods := range paths {
		parts, given := strings.Split(pattern, "/"), strings.Split(path, "/")
		exact := 0
		if len(parts) != len(given) {
			continue
		}
		for n, p := range parts {
			if p == given[n] {
				exact++
			} else if !strings.HasPrefix(p, "{") {
				exact = -len(parts)
			}
		}
		if op, ok := methods.(node)[strings.ToLower(method)].(node); ok && exact > best {
			found, best = op, exact
		}
	}
	return found
}

// described holds a JSON answer against what openapi.yaml says of it.
func described(t testing.TB, method, path string, got reply) {
	t.Helper()
	responses, _ := operation(method, path)["responses"].(node)
	response, ok := responses[strconv.Itoa(got.StatusCode)].(node)
	if !ok {
		response, ok = responses["default"].(node)
	}
	if !ok {
		return // what isn't to be expected of it: a wrong method, a refused token
	}
	kind, _, _ := strings.Cut(got.Header.Get("Content-Type"), ";")
	content, _ := resolved(response)["content"].(node)
	media, ok := content[kind].(node)
	if !ok {
		t.Errorf("%s %s: %d is answered as %q, which isn't described", method, path, got.StatusCode, kind)
		return
	}
	schema, ok := media["schema"].(node)
	if !ok || !strings.HasSuffix(kind, "json") {
		return
	}
	var v any
	got.decode(t, &v)
	for _, wrong := range fits(schema, v, "answer") {
		t.Errorf("%s %s: %d: %s", method, path, got.StatusCode, wrong)
	}
}

var kinds = map[string]func(any) bool{
	"object":  func(v any) bool { _, ok := v.(map[string]any); return ok },
	"array":   func(v any) bool { _, ok := v.([]any); return ok },
	"string":  func(v any) bool { _, ok := v.(string); return ok },
	"boolean": func(v any) bool { _, ok := v.(bool); return ok },
	"number":  func(v any) bool { _, ok := v.(float64); return ok },
	"integer": func(v any) bool { f, ok := v.(float64); return ok && f == float64(int64(f)) },
}

// fits says where a value isn't as a schema has it: as much of JSON Schema as the file
// uses of answers.
func fits(schema node, v any, at string) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	if _, ok := schema["$ref"]; ok {
		wrong = append(wrong, fits(resolved(schema), v, at)...)
	}
	if kind, _ := schema["type"].(string); kind != "" && !kinds[kind](v) {
		say("%v is no %s", v, kind)
		return wrong
	}
	if all, ok := schema["enum"].([]any); ok && !slices.ContainsFunc(all, func(one any) bool { return fmt.Sprint(one) == fmt.Sprint(v) }) {
		say("%v is none of %v", v, all)
	}
	if one, ok := schema["const"]; ok && !reflect.DeepEqual(one, v) {
		say("%v isn't %v", v, one)
	}
	if text, ok := v.(string); ok && schema["format"] == "date-time" {
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			say("%v", err)
		}
	}
	for _, of := range []string{"anyOf", "oneOf"} {
		all, ok := schema[of].([]any)
		if ok && !slices.ContainsFunc(all, func(one any) bool { return len(fits(one.(node), v, at)) == 0 }) {
			say("is like none of %s: %v", of, fits(all[0].(node), v, at))
		}
	}
	items, _ := v.([]any)
	if each, ok := schema["items"].(node); ok {
		for n, item := range items {
			wrong = append(wrong, fits(each, item, fmt.Sprintf("%s[%d]", at, n))...)
		}
	}
	if members, ok := v.(map[string]any); ok {
		wrong = append(wrong, membersFit(schema, members, at)...)
	}
	return wrong
}

func membersFit(schema node, members map[string]any, at string) (wrong []string) {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := members[name.(string)]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s: lacks %v", at, name))
		}
	}
	properties, _ := schema["properties"].(node)
	others, strict := schema["additionalProperties"]
	for name, member := range members {
		if of, ok := properties[name].(node); ok {
			wrong = append(wrong, fits(of, member, at+"."+name)...)
		} else if of, ok := others.(node); ok {
			wrong = append(wrong, fits(of, member, at+"."+name)...)
		} else if strict && others == false {
			wrong = append(wrong, fmt.Sprintf("%s: has %s, which isn't described", at, name))
		}
	}
	return wrong
}

// TestNoBareObjects wants a schema with names of every answer about flags.
func TestNoBareObjects(t *testing.T) {
	paths, _ := description()["paths"].(node)
	seen := 0
	for path, methods := range paths {
		if !strings.HasPrefix(path, "/api/v1/flags") && !strings.HasPrefix(path, "/api/v1/toggles") && !strings.HasPrefix(path, "/api/v1/a") || path == "/api/v1/alerts" {
			continue
		}
		for method := range methods.(node) {
			responses, _ := operation(strings.ToUpper(method), path)["responses"].(node)
			for status, r := range responses {
				content, _ := resolved(r.(node))["content"].(node)
				media, _ := content["application/json"].(node)
				schema, ok := media["schema"].(node)
				if !ok || status == "default" {
					continue
				}
				seen++
				if s := resolved(schema); s["properties"] == nil && s["anyOf"] == nil {
					t.Errorf("%s %s: the answer %s is a bare object", method, path, status)
				} else if s["anyOf"] == nil && s["additionalProperties"] != false {
					t.Errorf("%s %s: the answer %s may hold anything besides", method, path, status)
				}
			}
		}
	}
	if seen < 15 {
		t.Errorf("%d answers were looked at", seen)
	}
}

// TestAnswersAreAsDescribed asks for what TestAPI and TestPolicyAPI don't.
func TestAnswersAreAsDescribed(t *testing.T) {
	s := webtest.StartFlags(t, policy.Config{Flags: map[string]policy.Rule{"payments-backoff": {Approval: "two"}}})
	flag, banner := "/api/v1/flags/payments-backoff", "/api/v1/flags/checkout-banner"
	for _, tc := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/api/v1/automation", "", 200},
		{"PUT", flag, `{"variant":"legacy","reason":"x","actor":"ana"}`, 202},
		{"PUT", flag, `{"variant":"legacy","reason":"x","actor":"ana","emergency":"all is down","expires_in":60,"on_expiry":"undo","incident":"INC-7"}`, 200},
		{"PUT", banner, `{"variant":"on","reason":"x","value":true,"actor":"ana","instances":["a"]}`, 400},
		{"PUT", flag, `{"variant":"tuned","reason":"x","actor":"ana","value":{"attempts":4,"spread":true},"dry_run":true}`, 200},
		{"GET", flag, "", 200},
		{"GET", "/api/v1/flags", "", 200},
		{"GET", "/api/v1/toggles/waiting", "", 200},
		{"GET", flag + "/history", "", 200},
		{"POST", flag + "/undo", `{"reason":"x","toggle":"nope"}`, 404},
		{"POST", flag + "/undo", `{"reason":"x","actor":"ana"}`, 200},
		{"GET", flag + "/tuning?candidates=%5B%7B%22base_ms%22%3A1%7D%5D", "", 200},
		{"GET", "/api/v1/audit", "", 200},
	} {
		got := ask(t, tc.method, s.URL+tc.path, tc.body, "Authorization", bearer)
		if got.StatusCode != tc.status {
			t.Errorf("%s %s %s: %d %s", tc.method, tc.path, tc.body, got.StatusCode, got.body)
		}
		described(t, tc.method, tc.path, got)
		if strings.Contains(tc.body, "dry_run") {
			var v any
			if err := json.Unmarshal([]byte(got.body), &v); err != nil {
				t.Fatal(err)
			}
			for _, wrong := range fits(node{"$ref": "#/components/schemas/Plan"}, v, "the plan") {
				t.Error(wrong)
			}
		}
	}
	// The check itself sees what isn't described, what lacks, and what is of another kind.
	made := reply{&http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}}, `{"frozen":"yes","since":1}`}
	var v any
	made.decode(t, &v)
	if wrong := fits(node{"$ref": "#/components/schemas/Freeze"}, v, "it"); len(wrong) != 2 {
		t.Errorf("of a wrong answer is said %v", wrong)
	}
}

// TestOpenAPI holds the description against the routes, both ways.
func TestOpenAPI(t *testing.T) {
	source, err := os.ReadFile("routes.go")
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	for _, m := range regexp.MustCompile(`"(GET|POST|PUT|DELETE|PATCH) (/api/v1/[^"]*)"`).FindAllSubmatch(source, -1) {
		routes = append(routes, string(m[1])+" "+string(m[2]))
	}
	routes = append(routes, "POST /ofrep/v1/evaluate/flags", "POST /ofrep/v1/evaluate/flags/{key}", "GET "+feed.EventsPath, "GET "+feed.DefinitionsPath)
	b, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, methods := range doc.Paths {
		for method := range methods {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(described)
	if diff := cmp.Diff(routes, described); diff != "" || len(routes) < 10 {
		t.Errorf("routes and openapi.yaml differ (-routes +described):\n%s", diff)
	}
	for _, ref := range regexp.MustCompile(`#/components/(\w+)/(\w+)`).FindAllSubmatch(b, -1) {
		if !bytes.Contains(b, append([]byte("\n    "), append(ref[2], ':')...)) {
			t.Errorf("%s is nowhere defined", ref[0])
		}
	}
}
