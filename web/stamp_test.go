package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"aftershock/web"
	"aftershock/web/access"
	"aftershock/web/webtest"
)

var toggleForm = url.Values{"variant": {"legacy"}, "reason": {"p99 is up"}, "revision": {"1"}, "actor": {"ana"}}

// with is a form with a stamp.
func with(form url.Values, stamp string) url.Values {
	out := url.Values{"stamp": {stamp}}
	for k, v := range form {
		out[k] = v
	}
	return out
}

// formRoutes are the writes of pages, and forms that they take.
var formRoutes = map[string]url.Values{
	"/flags/payments-backoff":                  toggleForm,
	"/flags/payments-backoff/undo":             {"reason": {"x"}},
	"/toggles/nope/approve":                    {"actor": {"bob"}},
	"/toggles/nope/reject":                     {"actor": {"bob"}},
	"/alerts/dten-4.2.0%2Fgeo-api/mark":        {"mark": {"false"}},
	"/alerts/dten-4.2.0%2Fgeo-api/acknowledge": {"reason": {"x"}},
	"/automation/freeze":                       {"reason": {"x"}},
	"/automation/unfreeze":                     {"reason": {"x"}},
	"/sign-out":                                {},
}

// TestForgedForms sends every form with a session that is good, and not from a page that was
// shown to it: without the stamp, with one that is guessed, and with that of another session.
func TestForgedForms(t *testing.T) {
	s := story(t)
	cookie, other := signIn(t, s), signIn(t, s)
	mine := stampOn(ask(t, "GET", s.URL+"/flags", "", "Cookie", cookie).body)
	theirs := stampOn(ask(t, "GET", s.URL+"/flags", "", "Cookie", other).body)
	if len(mine) != 64 || len(theirs) != 64 || mine == theirs {
		t.Fatalf("stamps of two sessions: %q, %q", mine, theirs)
	}
	if got := stampOn(ask(t, "GET", s.URL+"/flags", "").body); got != "" {
		t.Errorf("nobody's stamp: %q", got)
	}
	for path, form := range formRoutes {
		for name, stamp := range map[string]string{"none": "", "guessed": strings.Repeat("0", 64), "cut": mine[:63], "another session's": theirs} {
			if got := postAs(t, s.URL+path, with(form, stamp), "Cookie", cookie); got.StatusCode != 403 {
				t.Errorf("%s with the stamp %s: %d, want 403", path, name, got.StatusCode)
			}
		}
		for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
			if got := postAs(t, s.URL+path, with(form, mine), append(headers, "Cookie", cookie)...); got.StatusCode != 403 {
				t.Errorf("%s from another site (%v): %d, want 403", path, headers, got.StatusCode)
			}
		}
	}
	if frozen, err := s.Board.Frozen(t.Context()); s.Board.Revision() != 1 || err != nil || frozen.Frozen {
		t.Errorf("something was done: revision %d, frozen %+v, %v", s.Board.Revision(), frozen, err)
	}
	// A token that the caller names is no browser's doing.
	if got := postAs(t, s.URL+"/flags/payments-backoff", toggleForm, "Authorization", bearer); got.StatusCode != 303 {
		t.Errorf("by a token: %d %s", got.StatusCode, got.body)
	}
	if got := postAs(t, s.URL+"/sign-out", with(nil, mine), "Cookie", cookie); got.StatusCode != 303 {
		t.Errorf("sign out: %d", got.StatusCode)
	}
	// A session that is over, with the stamp that it had.
	for path, form := range formRoutes {
		want := 401
		if path == "/sign-out" {
			want = 303
		}
		if got := postAs(t, s.URL+path, with(form, mine), "Cookie", cookie); got.StatusCode != want {
			t.Errorf("%s after signing out: %d, want %d", path, got.StatusCode, want)
		}
	}
	if got := ask(t, "PUT", s.URL+backoff, quarter, "Cookie", other, "Sec-Fetch-Site", "cross-site"); got.StatusCode != 403 {
		t.Errorf("the API with a session from another site: %d", got.StatusCode)
	}
}

// TestEveryFormIsStamped: no page has a form that would be refused.
func TestEveryFormIsStamped(t *testing.T) {
	s := story(t)
	cookie := signIn(t, s)
	toggles(t, s, 1)
	forms := 0
	for _, path := range []string{
		"/", "/flags", "/flags/payments-backoff?variant=legacy", "/upgrades/" + webtest.UpgradeID, "/alerts/dten-4.2.0%2Fgeo-api", "/health", "/nowhere",
	} {
		page := ask(t, "GET", s.URL+path, "", "Cookie", cookie).body
		n := strings.Count(page, `method="post"`)
		if stamped := strings.Count(page, `name="stamp"`); stamped != n || n == 0 {
			t.Errorf("%s: %d of %d forms are stamped", path, stamped, n)
		}
		forms += n
	}
	if forms < 10 {
		t.Errorf("%d forms were looked at", forms)
	}
}

// TestStampsOfUsers: a password that the browser sends by itself does no more from elsewhere
// than a session.
func TestStampsOfUsers(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("swordfish"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "basic_auth_users: {olga: %[1]s, oleg: %[1]s}\n", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	s := story(t, func(o *web.Options) {
		o.Config.ConfigFile = file
		o.Config.Access.Users = map[string]access.Role{"olga": access.OnCall, "oleg": access.OnCall}
	})
	as := func(user string) string {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(user, "swordfish")
		return r.Header.Get("Authorization")
	}
	stamp := func(user string) string {
		return stampOn(ask(t, "GET", s.URL+"/flags", "", "Authorization", as(user)).body)
	}
	for name, tc := range map[string]struct {
		stamp   string
		headers []string
		want    int
	}{
		"no stamp":         {"", nil, 403},
		"another user's":   {stamp("oleg"), nil, 403},
		"another site":     {stamp("olga"), []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another origin":   {stamp("olga"), []string{"Origin", "https://evil.example"}, 403},
		"a page of theirs": {stamp("olga"), []string{"Sec-Fetch-Site", "same-origin"}, 303},
	} {
		got := postAs(t, s.URL+"/flags/payments-backoff", with(toggleForm, tc.stamp), append(tc.headers, "Authorization", as("olga"))...)
		if got.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", name, got.StatusCode, tc.want)
		}
	}
}
