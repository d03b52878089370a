package inbox

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// The template that users copy from the documentation gives what is read here.
// Argo CD renders it with text/template and the functions of sprig, of which it
// uses toJson.
func TestTemplateOfTheDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../docs/inbox.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(doc), "## Argo CD\n")
	if ok {
		_, text, ok = strings.Cut(text, "```yaml\n")
	}
	text, _, closed := strings.Cut(text, "```")
	if !ok || !closed {
		t.Fatal("docs/inbox.md has no template for Argo CD")
	}
	var settings struct {
		Data map[string]string `yaml:"data"`
	}
	if err := yaml.Unmarshal([]byte(text), &settings); err != nil {
		t.Fatal(err)
	}
	var hook struct {
		Webhook map[string]struct{ Method, Path, Body string } `yaml:"webhook"`
	}
	if err := yaml.Unmarshal([]byte(settings.Data["template.aftershock"]), &hook); err != nil {
		t.Fatal(err)
	}
	h := hook.Webhook["aftershock"]
	if h.Method != "POST" || h.Path != "/api/v1/inbox/argocd" {
		t.Errorf("got %s %s", h.Method, h.Path)
	}
	render, err := template.New("").Funcs(template.FuncMap{"toJson": func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	}}).Parse(h.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, sync, phase, finished, want string }{
		{"begun", `{"revision": "HEAD"}`, "Running", `null`, "09:00:00.. argocd/production; dten-checkout >4.2.0; application checkout at a1b2c3d https://argocd.example.org/applications/checkout"},
		{"over", `{"revision": "HEAD"}`, "Succeeded", `"2026-03-06T09:04:30Z"`, "09:00:00..09:04:30 argocd/production; dten-checkout >4.2.0; application checkout at a1b2c3d https://argocd.example.org/applications/checkout"},
		{"taken back", `{"revision": "a1b2c3d", "source": {"repoURL": "https://git.example.org/shop"}}`, "Succeeded", `"2026-03-06T09:04:30Z"`, "09:00:00..09:04:30 argocd/production, rollback; dten-checkout >4.2.0; application checkout at a1b2c3d https://argocd.example.org/applications/checkout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// As much of an Application (argoproj.io/v1alpha1) as the template reads.
			var app map[string]any
			if err := json.Unmarshal([]byte(`{"metadata": {"name": "checkout", "namespace": "argocd"}, "status": {
				"operationState": {"phase": "`+tt.phase+`", "startedAt": "2026-03-06T09:00:00Z", "finishedAt": `+tt.finished+`,
					"operation": {"sync": `+tt.sync+`}, "syncResult": {"revision": "a1b2c3d"}},
				"summary": {"images": ["registry.example.org:5000/shop/dten-checkout:4.2.0"]}}}`), &app); err != nil {
				t.Fatal(err)
			}
			var body strings.Builder
			if err := render.Execute(&body, map[string]any{"app": app, "context": map[string]string{"argocdUrl": "https://argocd.example.org"}}); err != nil {
				t.Fatal(err)
			}
			all, err := newInbox(t, Config{}).Read(message("argocd", body.String()))
			if err != nil {
				t.Fatalf("%v in\n%s", err, body.String())
			}
			if diff := cmp.Diff(tt.want, lines(all)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
