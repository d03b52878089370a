package web_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aftershock/upgrades/inbox"
	"aftershock/web"
	"aftershock/web/webtest"
)

const hookSecret = "a-secret-of-the-webhook"

// withInbox gives the server an inbox with a token and a secret of its own.
func withInbox(t testing.TB) func(*web.Options) {
	t.Helper()
	c := inbox.Config{TokenFile: filepath.Join(t.TempDir(), "token"), GitHubSecretFile: filepath.Join(t.TempDir(), "secret")}
	for file, text := range map[string]string{c.TokenFile: "inbox-token-of-20-bytes", c.GitHubSecretFile: hookSecret} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := inbox.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return func(o *web.Options) { o.Inbox = b }
}

func argo(at time.Time) string {
	return `{"app":"dten-cart","phase":"Running","started_at":"` + at.UTC().Format(time.RFC3339) + `"}`
}

func change(routingKey, summary string) string {
	return `{"routing_key":"` + routingKey + `","payload":{"summary":"` + summary + `","source":"dten-cart"}}`
}

func TestInbox(t *testing.T) {
	s := webtest.Start(t, withInbox(t))
	status := `{"deployment":{"id":7,"ref":"v4.2.0","environment":"production"},"repository":{"name":"dten-cart"},
		"deployment_status":{"state":"in_progress","created_at":"` + time.Now().UTC().Format(time.RFC3339) + `"}}`
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(status))
	signed := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	const own = "Bearer inbox-token-of-20-bytes"
	for _, tc := range []struct {
		name, path, body string
		headers          []string
		status           int
		want             string
		told             int
	}{
		{"argocd", "/api/v1/inbox/argocd", argo(time.Now()), []string{"Authorization", own}, 202, `"upgrade":"argocd-dten-cart-`, 1},
		{"the daemon's token", "/api/v1/inbox/argocd", argo(time.Now()), []string{"Authorization", bearer}, 202, `"upgrade":"argocd-dten-cart-`, 1},
		{"without a sender", "/api/v1/inbox", argo(time.Now()), []string{"Authorization", own}, 202, `"upgrade":"argocd-dten-cart-`, 1},
		{"signed", "/api/v1/inbox/github", status, []string{"X-GitHub-Event", "deployment_status", "X-Hub-Signature-256", signed}, 202, `"upgrade":"github-dten-cart-`, 1},
		{"signed otherwise", "/api/v1/inbox/github", status + " ", []string{"X-GitHub-Event", "deployment_status", "X-Hub-Signature-256", signed}, 401, "signature was refused", 0},
		{"not signed", "/api/v1/inbox/github", status, []string{"X-GitHub-Event", "deployment_status"}, 401, "needs the token", 0},
		{"ignored", "/api/v1/inbox/github", `{}`, []string{"X-GitHub-Event", "push", "Authorization", own}, 202, `"ignored":"push replaces no binary`, 0},
		{"no token", "/api/v1/inbox/argocd", argo(time.Now()), nil, 401, "Authorization: Bearer TOKEN", 0},
		{"malformed", "/api/v1/inbox/argocd", `{"app":`, []string{"Authorization", own}, 400, "isn't JSON from byte", 0},
		{"too late", "/api/v1/inbox/argocd", argo(time.Now().AddDate(0, -1, 0)), []string{"Authorization", own}, 400, "more than 7 days ago", 0},
		{"unknown sender", "/api/v1/inbox/spinnaker", `{}`, []string{"Authorization", own}, 404, "argocd, cdevents, flux, github, pagerduty", 0},
		{"a parameter", "/api/v1/inbox/argocd?token=x", `{}`, []string{"Authorization", own}, 400, "there is no parameter", 0},
		{"too big", "/api/v1/inbox/argocd", strings.Repeat(" ", 1<<20+1), []string{"Authorization", own}, 413, "1048576", 0},
		{"PagerDuty", "/v2/change/enqueue", change("inbox-token-of-20-bytes", "Deployed cart"), nil, 202, `"status":"success"`, 1},
		{"PagerDuty, ignored", "/v2/change/enqueue", change("inbox-token-of-20-bytes", "Merged"), nil, 202, "Change event ignored: the summary tells of no deployment", 0},
		{"PagerDuty, wrong key", "/v2/change/enqueue", change("x", "Deployed cart"), nil, 401, "needs the token", 0},
		{"wrong method", "/api/v1/inbox/argocd", "", nil, 405, "POST", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := len(s.Loop.Reported())
			method := http.MethodPost
			if tc.status == http.StatusMethodNotAllowed {
				method = http.MethodGet
			}
			r := ask(t, method, s.URL+tc.path, tc.body, tc.headers...)
			if r.StatusCode != tc.status || !strings.Contains(r.body, tc.want) {
				t.Errorf("got %d %s, want %d with %q", r.StatusCode, r.body, tc.status, tc.want)
			}
			if got := len(s.Loop.Reported()) - before; got != tc.told {
				t.Errorf("%d upgrades were told, want %d", got, tc.told)
			}
		})
	}
	// The inbox's token is good for nothing else.
	if r := ask(t, "POST", s.URL+"/-/reload", "", "Authorization", own); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("reload with the inbox's token: got %d %s, want 401", r.StatusCode, r.body)
	}
}

// Nothing is acknowledged that isn't kept.
func TestInboxThatCannotKeep(t *testing.T) {
	s := webtest.Start(t)
	for _, why := range []error{errors.New("disk full"), web.ErrBusy} {
		s.Loop.Refuse = why
		r := ask(t, "POST", s.URL+"/api/v1/inbox/argocd", argo(time.Now()), "Authorization", bearer)
		if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || strings.Contains(r.body, "disk full") {
			t.Errorf("%v: got %d %s, want 503 with Retry-After and without the reason", why, r.StatusCode, r.body)
		}
	}
}

func TestInboxIsRationed(t *testing.T) {
	s := webtest.Start(t)
	for range 1000 {
		r := ask(t, "POST", s.URL+"/api/v1/inbox/github", "{}", "Authorization", bearer, "X-GitHub-Event", "ping")
		if r.StatusCode == http.StatusTooManyRequests {
			if r.Header.Get("Retry-After") == "" {
				t.Error("without Retry-After")
			}
			return
		}
	}
	t.Error("a thousand messages were taken at once")
}
