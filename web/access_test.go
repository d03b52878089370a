package web_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"aftershock/web"
	"aftershock/web/access"
	"aftershock/web/webtest"
)

// people makes tokens of three roles.
func people(t testing.TB) (path string, tokens map[access.Role]string) {
	t.Helper()
	path, tokens = filepath.Join(t.TempDir(), "tokens.yml"), map[access.Role]string{}
	for name, role := range map[string]access.Role{"vera": access.Viewer, "olga": access.OnCall, "ada": access.Admin} {
		secret, err := access.Add(path, access.Token{Name: name, Role: role, Created: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		tokens[role] = secret
	}
	return path, tokens
}

const toggle = `{"variant":"legacy","reason":"x","dry_run":true,"actor":"somebody else"}`

func TestWhoMayDoWhat(t *testing.T) {
	path, tokens := people(t)
	open := story(t, func(o *web.Options) { o.Config.Access.TokensFile = path })
	closed := story(t, func(o *web.Options) {
		o.Config.Access = access.Config{TokensFile: path, Read: "viewer"}
	})
	outside := story(t, func(o *web.Options) {
		o.Config.Access = access.Config{TokensFile: path, Read: "viewer"}
		o.OpenStatus = true
	})
	nobody, guess := "", "guess"
	for _, tc := range []struct {
		name               string
		s                  *webtest.Server
		method, path, body string
		// the status for nobody, a guess, the daemon's own token, a viewer, on-call, an admin
		want [6]int
	}{
		{"reading", open, "GET", "/api/v1/flags", "", [6]int{200, 200, 200, 200, 200, 200}},
		{"toggling", open, "PUT", "/api/v1/flags/payments-backoff", toggle, [6]int{401, 401, 401, 403, 200, 200}},
		{"closing", open, "POST", "/api/v1/upgrades/nope/close", "", [6]int{401, 401, 401, 403, 404, 404}},
		{"reloading", open, "POST", "/-/reload", "", [6]int{401, 401, 401, 403, 403, 200}},
		{"reading where it takes a viewer", closed, "GET", "/api/v1/flags", "", [6]int{401, 401, 401, 200, 200, 200}},
		{"metrics where it takes a viewer", closed, "GET", "/metrics", "", [6]int{401, 401, 401, 200, 200, 200}},
		{"a page where it takes a viewer", closed, "GET", "/", "", [6]int{401, 401, 401, 200, 200, 200}},
		{"a review where it takes a viewer", closed, "GET", "/upgrades/" + webtest.UpgradeID + "/report", "", [6]int{401, 401, 401, 200, 200, 200}},
		{"health where it takes a viewer", closed, "GET", "/-/healthy", "", [6]int{200, 200, 200, 200, 200, 200}},
		{"the status channel where it takes a viewer", closed, "GET", "/status/" + webtest.UpgradeID, "", [6]int{401, 401, 401, 200, 200, 200}},
		{"the status channel's feed where it takes a viewer", closed, "GET", "/status/" + webtest.UpgradeID + "/feed.atom", "", [6]int{401, 401, 401, 200, 200, 200}},
		{"the status channel's events where it takes a viewer", closed, "GET", "/status/nope/events", "", [6]int{401, 401, 401, 404, 404, 404}},
		{"the status channel that is open", outside, "GET", "/status/" + webtest.UpgradeID + "/feed.json", "", [6]int{200, 200, 200, 200, 200, 200}},
		{"the console beside it", outside, "GET", "/", "", [6]int{401, 401, 401, 200, 200, 200}},
		{"the package beside it", outside, "GET", "/api/v1/upgrades/" + webtest.UpgradeID + "/package", "", [6]int{401, 401, 401, 200, 200, 200}},
		{"its API beside it", outside, "GET", "/api/v1/upgrades/" + webtest.UpgradeID + "/status", "", [6]int{401, 401, 401, 200, 200, 200}},
		{"sending", outside, "POST", "/api/v1/upgrades/" + webtest.UpgradeID + "/status", `{"post":"nope"}`, [6]int{401, 401, 401, 403, 404, 404}},
		{"toggling where reading takes a viewer", closed, "PUT", "/api/v1/flags/payments-backoff", toggle, [6]int{401, 401, 401, 403, 200, 200}},
	} {
		for i, token := range []string{nobody, guess, webtest.Token, tokens[access.Viewer], tokens[access.OnCall], tokens[access.Admin]} {
			var headers []string
			if token != "" {
				headers = []string{"Authorization", "Bearer " + token}
			}
			got := ask(t, tc.method, tc.s.URL+tc.path, tc.body, headers...)
			if got.StatusCode != tc.want[i] {
				t.Errorf("%s by caller %d: %d %s, want %d", tc.name, i, got.StatusCode, got.body, tc.want[i])
			}
			if token != "" && strings.Contains(got.body, token) {
				t.Errorf("%s by caller %d: the token is in the answer", tc.name, i)
			}
			if tc.method == "PUT" && got.StatusCode == 200 && strings.Contains(got.body, "somebody else") {
				t.Errorf("%s by caller %d: somebody with a name acts under another: %s", tc.name, i, got.body)
			}
		}
	}
}

func TestASessionEndsWithItsToken(t *testing.T) {
	path, tokens := people(t)
	s := story(t, func(o *web.Options) { o.Config.Access = access.Config{TokensFile: path, Read: "viewer"} })
	in := func(role access.Role) string {
		r := post(t, s.URL+"/sign-in", url.Values{"token": {tokens[role]}, "next": {"/flags/payments-backoff?variant=legacy"}})
		if len(r.Cookies()) != 1 {
			t.Fatalf("sign in as %s: %d, no cookie", role, r.StatusCode)
		}
		return r.Cookies()[0].Name + "=" + r.Cookies()[0].Value
	}
	viewer, onCall := in(access.Viewer), in(access.OnCall)
	page := s.URL + "/flags/payments-backoff?variant=legacy"
	if got := ask(t, "GET", page, "", "Cookie", viewer); got.StatusCode != 200 || strings.Contains(got.body, "<button>Serve legacy") {
		t.Errorf("a viewer: %d, and offered to toggle: %v", got.StatusCode, strings.Contains(got.body, "<button>Serve legacy"))
	}
	got := ask(t, "GET", page, "", "Cookie", onCall)
	if got.StatusCode != 200 || !strings.Contains(got.body, "<button>Serve legacy") || !strings.Contains(got.body, "olga") || strings.Contains(got.body, "Your name") {
		t.Errorf("somebody on call: %d %s", got.StatusCode, got.body)
	}
	if err := access.Remove(path, "olga"); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, "GET", page, "", "Cookie", onCall); got.StatusCode != 401 || !strings.Contains(got.body, "Sign in") {
		t.Errorf("after the token was removed: %d, want 401 with a way to sign in", got.StatusCode)
	}
}

// With passwords in exporter-toolkit's file, users act under their names, a toggle is
// still proven, and other sites can't use what a browser remembers.
func TestPasswordsOfTheToolkit(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("swordfish"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(file, []byte("basic_auth_users: {olga: "+string(hash)+", vera: "+string(hash)+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := story(t, func(o *web.Options) {
		o.Config.ConfigFile = file
		o.Config.Access.Users = map[string]access.Role{"olga": access.OnCall}
	})
	do := func(user, password string, headers ...string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", s.URL+"/api/v1/flags/payments-backoff", strings.NewReader(`{"variant":"legacy","reason":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b := new(strings.Builder)
		if _, err := io.Copy(b, resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b.String()
	}
	for _, tc := range []struct {
		name, user, password string
		headers              []string
		want                 int
	}{
		{"nobody", "", "", nil, 401},
		{"a wrong password", "olga", "guess", nil, 401},
		{"the daemon's own token", "", "", []string{"Authorization", bearer}, 401},
		{"a viewer", "vera", "swordfish", nil, 403},
		{"another site", "olga", "swordfish", []string{"Sec-Fetch-Site", "cross-site"}, 403},
	} {
		if got, body := do(tc.user, tc.password, tc.headers...); got != tc.want {
			t.Errorf("%s: %d %s, want %d", tc.name, got, body, tc.want)
		}
	}
	got, body := do("olga", "swordfish")
	if got != 200 || !strings.Contains(body, `"state":"verified"`) || !strings.Contains(body, `"actor":"olga"`) {
		t.Errorf("somebody on call: %d %s, want a verified toggle of olga's", got, body)
	}
}
