package inbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

func sample(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func message(sender, body string, headers ...string) Message {
	m := Message{Sender: sender, Header: http.Header{}, Body: []byte(body), Now: noon}
	for i := 0; i < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	return m
}

func newInbox(t testing.TB, c Config) *Inbox {
	t.Helper()
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// line is a report in one line, without its ID.
func line(r Report) string {
	if r.Ignored != "" {
		return "ignored: " + r.Ignored
	}
	u := r.Upgrade
	s := u.StartedAt.Format("15:04:05") + ".."
	if !u.FinishedAt.IsZero() {
		s += u.FinishedAt.Format("15:04:05")
	}
	s += " " + u.Source
	for _, b := range u.Binaries {
		s += fmt.Sprintf("; %s %s>%s", b.Name, b.From, b.To)
	}
	s += "; " + u.Package
	if r.Update {
		s += " (update)"
	}
	return s
}

func lines(all []Report) string {
	out := make([]string, 0, len(all))
	for _, r := range all {
		out = append(out, line(r))
	}
	return strings.Join(out, "\n")
}

func TestSamples(t *testing.T) {
	b := newInbox(t, Config{})
	for _, tt := range []struct {
		sender, file string
		headers      []string
		want         string
	}{
		{
			"argocd", "argocd-succeeded.json", nil,
			"09:00:00..09:04:30 argocd/production; dten-checkout >4.2.0; application checkout at a1b2c3d4e5f60718293a4b5c6d7e8f9012345678 https://argocd.example.org/applications/checkout",
		},
		{
			"argocd", "argocd-running.json", nil,
			"09:00:00.. argocd/production; dten-checkout >4.2.0; application checkout at a1b2c3d4e5f60718293a4b5c6d7e8f9012345678 https://argocd.example.org/applications/checkout",
		},
		{
			"cdevents", "cdevents-service-deployed.json", nil,
			"09:13:05..09:13:05 cdevents/test123; mySubject123 >; service deployed pkg:oci/myapp@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427",
		},
		{
			"cdevents", "cdevents-service-deployed.json",
			[]string{"Ce-Specversion", "1.0", "Ce-Id", "271069a8", "Ce-Source", "/event/source/123", "Ce-Type", "dev.cdevents.service.deployed.0.2.0", "Content-Type", "application/cdevents+json; charset=utf-8"},
			"09:13:05..09:13:05 cdevents/test123; mySubject123 >; service deployed pkg:oci/myapp@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427",
		},
		{
			"cdevents", "cdevents-service-rolledback.json", nil,
			"09:33:05..09:33:05 cdevents/production, rollback; payments >4.1.3; service rolledback pkg:oci/dten-payments@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427?tag=4.1.3",
		},
		{
			"", "cdevents-structured.json",
			[]string{"Content-Type", "application/cloudevents+json"},
			"09:13:00..09:13:00 cdevents/production; payments 4.1.3>4.2.0; service upgraded pkg:golang/example.org/dten-payments@4.2.0",
		},
		{
			"flux", "flux-kustomization.json", nil,
			"09:13:37.. flux; my-app >; store >; Kustomization flux-system/apps at main@sha1:07a684d59d1bc9a58e0c0d07ed480812b2b9a29e",
		},
		{"", "flux-kustomization-error.json", []string{"Gotk-Component", "kustomize-controller"}, "ignored: reason ValidationFailed replaces no binary"},
		{
			"flux", "flux-helmrelease.json", nil,
			"09:13:37..09:13:37 flux/prod-eu; podinfo >6.15.0; HelmRelease default/podinfo at 6.15.0",
		},
		{
			"", "github-deployment_status.json",
			[]string{"X-Github-Event", "deployment_status"},
			"09:20:55..09:20:55 github/production; Hello-World >; deployment 145988746 of Codertocat/Hello-World at master (f95f852bd8fc) https://github.com/Codertocat/Hello-World",
		},
		{
			"github", "github-deployment.json",
			[]string{"X-Github-Event", "deployment"},
			"09:20:53.. github/production; payments v4.1.3>v4.2.0; deployment 145988746 of Codertocat/Hello-World at refs/tags/v4.2.0 (f95f852bd8fc) https://github.com/Codertocat/Hello-World",
		},
		{"github", "github-deployment.json", []string{"X-Github-Event", "push"}, "ignored: push replaces no binary, a deployment or deployment_status does"},
		{"pagerduty", "pagerduty-build.json", nil, "ignored: the summary tells of no deployment, and custom_details have no service with a version"},
		{
			"", "pagerduty-deploy.json", nil,
			"09:15:00..09:15:00 pagerduty/production; dten-payments 4.1.3>4.2.0; Deployed dten-payments 4.2.0 to production https://deploys.example.org/220",
		},
	} {
		t.Run(tt.file, func(t *testing.T) {
			all, err := b.Read(message(tt.sender, string(sample(t, tt.file)), tt.headers...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, lines(all)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What a sender says of one change has one ID, whatever it says and however
// often; another change has another.
func TestOneChangeHasOneID(t *testing.T) {
	b := newInbox(t, Config{})
	github := func(state string, id int) Message {
		body := strings.NewReplacer(`"state": "success"`, `"state": "`+state+`"`, `"id": 145988746`, fmt.Sprintf(`"id": %d`, id)).
			Replace(string(sample(t, "github-deployment_status.json")))
		return message("github", body, "X-GitHub-Event", "deployment_status")
	}
	flux := string(sample(t, "flux-kustomization.json"))
	for _, tt := range []struct {
		name       string
		same       []Message
		other      Message
		wantPrefix string
	}{
		{
			"github",
			[]Message{github("success", 145988746), github("in_progress", 145988746), github("failure", 145988746), message("github", string(sample(t, "github-deployment.json")), "X-GitHub-Event", "deployment")},
			github("success", 145988747), "github-Hello-World-",
		},
		{
			"argocd",
			[]Message{message("argocd", string(sample(t, "argocd-running.json"))), message("argocd", string(sample(t, "argocd-succeeded.json")))},
			message("argocd", strings.Replace(string(sample(t, "argocd-succeeded.json")), "09:00:00", "09:00:01", 1)), "argocd-checkout-",
		},
		{
			"flux",
			[]Message{message("flux", flux), message("flux", strings.Replace(flux, "Progressing", "ReconciliationSucceeded", 1))},
			message("flux", strings.Replace(flux, "07a684d5", "17a684d5", 1)), "flux-apps-",
		},
		{
			"cdevents",
			[]Message{
				message("cdevents", string(sample(t, "cdevents-structured.json"))),
				message("cdevents", "["+string(sample(t, "cdevents-structured.json"))+"]", "Content-Type", "application/cloudevents-batch+json; charset=utf-8"),
			},
			message("cdevents", strings.ReplaceAll(string(sample(t, "cdevents-structured.json")), "A234-1234-1234", "B234")), "cdevents-payments-",
		},
		{
			"pagerduty",
			[]Message{message("pagerduty", string(sample(t, "pagerduty-deploy.json"))), message("pagerduty", string(sample(t, "pagerduty-deploy.json")))},
			message("pagerduty", strings.Replace(string(sample(t, "pagerduty-deploy.json")), "4.2.0 to", "4.2.0 at", 1)), "pagerduty-dten-payments-",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := ""
			for _, m := range append(tt.same, tt.other) {
				all, err := b.Read(m)
				if err != nil || len(all) != 1 || all[0].Ignored != "" {
					t.Fatalf("got %+v, %v", all, err)
				}
				id := all[0].Upgrade.ID
				if !strings.HasPrefix(id, tt.wantPrefix) {
					t.Errorf("got ID %q, want one that begins with %q", id, tt.wantPrefix)
				}
				switch {
				case want == "":
					want = id
				case string(m.Body) == string(tt.other.Body) && id == want:
					t.Errorf("another change has the same ID %q", id)
				case string(m.Body) != string(tt.other.Body) && id != want:
					t.Errorf("got ID %q and %q for one change", want, id)
				}
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	b := newInbox(t, Config{})
	argo := string(sample(t, "argocd-succeeded.json"))
	structured := string(sample(t, "cdevents-structured.json"))
	status := string(sample(t, "github-deployment_status.json"))
	event := []string{"X-GitHub-Event", "deployment_status"}
	for _, tt := range []struct {
		name    string
		m       Message
		problem string
	}{
		{"nobody's", message("", `{"a":1}`), "tell the sender"},
		{"empty", message("argocd", ""), "the body is empty"},
		{"torn", message("argocd", argo[:40]), "isn't JSON from byte"},
		{"a list", message("argocd", "[]"), "the body: want an object, got array"},
		{"wrong kind", message("argocd", `{"app": 5}`), "app: want text, got number"},
		{"no app", message("argocd", `{"phase": "Running"}`), "app is missing"},
		{"no start", message("argocd", `{"app": "x", "phase": "Running"}`), "started_at is missing"},
		{"no time", message("argocd", `{"app": "x", "phase": "Running", "started_at": "yesterday"}`), `started_at: want a time such as 2026-03-06T09:00:00Z, got "yesterday"`},
		{"unknown phase", message("argocd", `{"app": "x", "phase": "Odd", "started_at": "2026-03-06T09:00:00Z"}`), "phase: want Running"},
		{"end before start", message("argocd", strings.Replace(argo, "09:04:30", "08:04:30", 1)), "the end 2026-03-06T08:04:30Z is before the start"},
		{"ahead", message("argocd", strings.ReplaceAll(argo, "2026-03-06T09", "2026-03-06T13")), "lies 1h0m0s ahead of this clock"},
		{"old", message("argocd", strings.ReplaceAll(argo, "2026-03-06", "2026-02-06")), "more than 7 days ago"},
		{"turned name", message("argocd", `{"app": "check\u202eout", "phase": "Running", "started_at": "2026-03-06T09:00:00Z"}`), "app holds a control character"},
		{"long name", message("argocd", `{"app": "`+strings.Repeat("x", 300)+`", "phase": "Running", "started_at": "2026-03-06T09:00:00Z"}`), "app has 300 bytes"},
		{"long version", message("argocd", `{"app": "x", "phase": "Running", "started_at": "2026-03-06T09:00:00Z", "images": ["x:1.`+strings.Repeat("0", 300)+`"]}`), "the version of x is no printable text"},
		{"old CloudEvents", message("cdevents", strings.Replace(structured, `"1.0"`, `"0.3"`, 1)), `specversion: want 1.0, got "0.3"`},
		{"no id", message("cdevents", `{"specversion": "1.0", "source": "x", "type": "dev.cdevents.service.deployed.0.1.0"}`), "id is missing"},
		{"bad header", message("cdevents", `{}`, "Ce-Specversion", "1.0", "Ce-Id", "%zz", "Ce-Source", "x", "Ce-Type", "y"), "header ce-id"},
		{"later CDEvents", message("cdevents", strings.ReplaceAll(structured, "upgraded.0.1.1", "upgraded.1.0.0")), `version "1.0.0" of dev.cdevents.service.upgraded isn't known here`},
		{"bad base64", message("cdevents", `{"specversion": "1.0", "id": "a", "source": "x", "type": "dev.cdevents.service.deployed.0.1.0", "data_base64": "?"}`), "data_base64: isn't base64"},
		{"no data", message("cdevents", `{"specversion": "1.0", "id": "a", "source": "x", "type": "dev.cdevents.service.deployed.0.1.0"}`), "data: the body is empty"},
		{"no subject", message("cdevents", `{"context": {"type": "dev.cdevents.service.deployed.0.1.0"}}`), "subject.id is missing"},
		{"one of a batch", message("cdevents", "["+structured+`, {"specversion": "1.0"}]`, "Content-Type", "application/cloudevents-batch+json"), "event 2 of the batch: id is missing"},
		{"no kind of Flux", message("flux", `{}`), "involvedObject.kind or reason is missing"},
		{"a form", message("github", "payload=x", append(event, "Content-Type", "application/x-www-form-urlencoded")...), "set the webhook's content type to application/json"},
		{"no header", message("github", status), "header X-GitHub-Event is missing"},
		{"unknown state", message("github", strings.Replace(status, `"success"`, `"great"`, 1), event...), `deployment_status.state: "great" isn't known`},
		{"no status", message("github", string(sample(t, "github-deployment.json")), event...), "deployment_status is missing"},
		{"no payload", message("pagerduty", `{"routing_key": "x"}`), "payload is missing"},
		{"no summary", message("pagerduty", `{"payload": {}}`), "payload.summary is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := b.Read(tt.m)
			if err == nil {
				t.Fatalf("taken as %s", lines(all))
			}
			if !strings.Contains(err.Error(), tt.problem) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("got %q, want one line with %q", err, tt.problem)
			}
		})
	}
}

func TestIgnored(t *testing.T) {
	b := newInbox(t, Config{Environments: []string{"prod*"}})
	status := string(sample(t, "github-deployment_status.json"))
	for _, tt := range []struct {
		name string
		m    Message
		why  string
	}{
		{"another environment", message("cdevents", string(sample(t, "cdevents-service-deployed.json"))), `environment "test123" isn't among upgrades.inbox.environments`},
		{"another event", message("cdevents", `{"specversion": "1.0", "id": "a", "source": "x", "type": "com.example.bought"}`), "type com.example.bought is none"},
		{"removed", message("cdevents", strings.ReplaceAll(string(sample(t, "cdevents-structured.json")), "upgraded", "removed")), "service.removed replaces no binary"},
		{"a source of Flux", message("flux", `{"involvedObject": {"kind": "GitRepository"}, "reason": "NewArtifact"}`), "a GitRepository replaces no binary"},
		{"settings alone", message("flux", strings.NewReplacer("Deployment/", "Service/", "StatefulSet/", "Secret/").Replace(string(sample(t, "flux-kustomization.json")))), "no Deployment, StatefulSet or DaemonSet"},
		{"waiting", message("github", strings.Replace(status, `"success"`, `"waiting"`, 1), "X-GitHub-Event", "deployment_status"), "state waiting replaces no binary"},
		{"ping", message("github", `{"zen": "Keep it logically awesome."}`, "X-GitHub-Event", "ping"), "ping replaces no binary"},
		{"an alert", message("pagerduty", `{"event_action": "trigger", "payload": {"summary": "deploy is slow", "source": "x"}}`), "event_action trigger is an alert"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := b.Read(tt.m)
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != 1 || !strings.Contains(all[0].Ignored, tt.why) {
				t.Errorf("got %s, want it ignored since %s", lines(all), tt.why)
			}
		})
	}
	all, err := b.Read(message("argocd", string(sample(t, "argocd-succeeded.json"))))
	if err != nil || all[0].Ignored != "" {
		t.Errorf("production: got %s, %v, want it taken", lines(all), err)
	}
}

func TestNames(t *testing.T) {
	b := newInbox(t, Config{Names: map[string]string{"Hello-World": "dten-payments"}})
	all, err := b.Read(message("github", string(sample(t, "github-deployment_status.json")), "X-GitHub-Event", "deployment_status"))
	if err != nil || len(all) != 1 || all[0].Upgrade.Binaries[0].Name != "dten-payments" {
		t.Errorf("got %s, %v, want the name that the configuration gives", lines(all), err)
	}
}

func TestVersions(t *testing.T) {
	for in, want := range map[string]string{
		"registry:5000/team/dten-checkout:4.2.0": "dten-checkout 4.2.0", "dten-checkout:latest": "dten-checkout ",
		"r/x@sha256:0b31b1c0": "x ", "r/x:v1.2@sha256:0b31": "x v1.2", "pkg:oci/myapp@sha256%3A0b31?tag=4.2.0": "myapp 4.2.0",
		"pkg:golang/mygit.com/myorg/myapp@234fd47e07d1004f0aed9c": "myapp ", "pkg:deb/debian/curl@7.50.3-1?arch=i386#x": "curl 7.50.3-1", "": " ",
	} {
		of, to := purl(in)
		if got := of + " " + to; got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestVouched(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	b := newInbox(t, Config{TokenFile: file("token", "inbox-token-of-20-bytes\n"), GitHubSecretFile: file("github", "It's a Secret to Everybody\n")})
	// The example of GitHub's documentation of signatures.
	const hello = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	own := func(word string) bool { return word == "own" }
	for _, tt := range []struct {
		name   string
		m      Message
		bearer string
		want   error
	}{
		{"signed", message("github", "Hello, World!", "X-Hub-Signature-256", hello), "", nil},
		{"changed", message("github", "Hello, World?", "X-Hub-Signature-256", hello), "", ErrForged},
		{"changed, with a token", message("github", "Hello, World?", "X-Hub-Signature-256", hello), "own", ErrForged},
		{"without digits", message("github", "Hello, World!", "X-Hub-Signature-256", "sha256="), "", ErrForged},
		{"another algorithm", message("github", "Hello, World!", "X-Hub-Signature-256", "sha1=757107ea"), "", ErrForged},
		{"a signature without a secret", message("flux", "Hello, World!", "X-Signature", hello), "", ErrUnknown},
		{"own token", message("argocd", "{}"), "own", nil},
		{"inbox token", message("argocd", "{}"), "inbox-token-of-20-bytes", nil},
		{"wrong token", message("argocd", "{}"), "inbox-token-of-20-byteS", ErrUnknown},
		{"nothing", message("argocd", "{}"), "", ErrUnknown},
		{"routing key", message("pagerduty", `{"routing_key": "inbox-token-of-20-bytes"}`), "", nil},
		{"wrong routing key", message("pagerduty", `{"routing_key": "x"}`), "", ErrUnknown},
		{"routing key elsewhere", message("argocd", `{"routing_key": "inbox-token-of-20-bytes"}`), "", ErrUnknown},
	} {
		if got := b.Vouched(tt.m, tt.bearer, own); got != tt.want { //nolint:errorlint // the very error
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if err := newInbox(t, Config{}).Vouched(message("argocd", "{}"), "", func(string) bool { return false }); err == nil {
		t.Error("an inbox without secrets took what nobody vouches for")
	}
	if _, err := New(Config{TokenFile: file("short", "x")}); err == nil || !strings.Contains(err.Error(), "upgrades.inbox.token_file") {
		t.Errorf("got %v, want the short token refused", err)
	}
}

// Whatever comes, the answer is bounded, printable, and a record could say it.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 10 {
		f.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		sender, _, _ := strings.Cut(filepath.Base(file), "-")
		f.Add(sender, string(sample(f, filepath.Base(file))), "deployment_status", "application/json")
	}
	f.Add("cdevents", "["+string(sample(f, "cdevents-structured.json"))+"]", "", "application/cloudevents-batch+json")
	f.Add("", `{"specversion":"1.0","id":"1","source":"s","type":"dev.cdevents.service.deployed","data":"{}"}`, "", "")
	b := newInbox(f, Config{})
	f.Fuzz(func(t *testing.T, sender, body, event, kind string) {
		m := message(sender, body, "Content-Type", kind)
		if event != "" {
			m.Header.Set("X-GitHub-Event", event)
		}
		all, err := b.Read(m)
		if err != nil {
			if len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Errorf("the problem isn't one short line: %q", err)
			}
			return
		}
		again, err := b.Read(m)
		if diff := cmp.Diff(all, again); diff != "" || err != nil {
			t.Errorf("read twice: %v %s", err, diff)
		}
		for _, r := range all {
			check(t, r)
		}
	})
}

func check(t *testing.T, r Report) {
	t.Helper()
	if r.Ignored != "" {
		if len(r.Ignored) > maxWords || strings.ContainsFunc(r.Ignored, unprintable) {
			t.Errorf("the reason isn't printable: %q", r.Ignored)
		}
		return
	}
	u := r.Upgrade
	texts := []string{u.ID, u.Package, u.Source}
	for _, b := range u.Binaries {
		if b.Name == "" {
			t.Error("a binary without a name")
		}
		texts = append(texts, b.Name, b.From, b.To)
	}
	for _, s := range texts {
		if len(s) > maxText || strings.ContainsFunc(s, unprintable) {
			t.Errorf("holds %q", s)
		}
	}
	if len(u.Binaries) == 0 || u.StartedAt.IsZero() || u.StartedAt.After(noon.Add(ahead)) || strings.ContainsAny(u.ID, `/\`) {
		t.Errorf("is no upgrade: %+v", u)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}
