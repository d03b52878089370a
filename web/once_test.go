package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"aftershock/web"
	"aftershock/web/access"
	"aftershock/web/webtest"
)

// follow gives how a link was answered, and the page of flags with the cookie that came.
func follow(t *testing.T, link, flags string) (status, form int) {
	t.Helper()
	ask := func(url string, cookies []*http.Cookie) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cookies {
			req.AddCookie(c)
		}
		got, err := direct.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		return got
	}
	got := ask(link, nil)
	return got.StatusCode, ask(flags, got.Cookies()).StatusCode
}

// A link signs one browser in, within the hour, where nobody has a token of their own.
func TestSignInOnce(t *testing.T) {
	s := webtest.Start(t, func(o *web.Options) { o.Config.Access.Read = string(access.Viewer) })
	first, flags := s.SignInOnce(time.Now()), s.URL+"/flags"
	link := s.SignInOnce(time.Now())
	if first == "" || link == "" || first == link {
		t.Fatalf("got links %q and %q", first, link)
	}
	for _, tt := range []struct {
		name, link   string
		status, page int
	}{
		{"a guess", s.URL + "/sign-in/guess", 401, 401},
		{"one that another has replaced", first, 401, 401},
		{"the link", link, 303, 200},
		{"once more", link, 401, 401},
	} {
		if status, page := follow(t, tt.link, flags); status != tt.status || page != tt.page {
			t.Errorf("%s: answered %d, and then the flags are %d; want %d and %d", tt.name, status, page, tt.status, tt.page)
		}
	}
	if status, page := follow(t, s.SignInOnce(time.Now().Add(-time.Hour)), flags); status != 401 || page != 401 {
		t.Errorf("too old: answered %d, and then the flags are %d; want 401", status, page)
	}
	for range 12 {
		_, _ = follow(t, s.URL+"/sign-in/guess", flags)
	}
	if status, _ := follow(t, s.SignInOnce(time.Now()), flags); status != 429 {
		t.Errorf("after many guesses a link is answered %d, want 429", status)
	}
	for name, change := range map[string]func(*web.Options){
		"no token of the daemon": func(o *web.Options) { o.Token = "" },
		"users":                  func(o *web.Options) { o.Config.Access.Users = map[string]access.Role{"ana": access.OnCall} },
		"all interfaces":         func(o *web.Options) { o.Config.Listen = "0.0.0.0:0" },
	} {
		if link := webtest.Start(t, change).SignInOnce(time.Now()); link != "" {
			t.Errorf("%s: got %q", name, link)
		}
	}
}

// Whoever holds the daemon's own token may have the link over the API, and nobody else.
func TestSignInLinkOverTheAPI(t *testing.T) {
	const path = "/api/v1/sign-in"
	hint := "It lies in /srv/<demo>/token\n\u202eand nowhere else"
	s := webtest.Start(t, func(o *web.Options) { o.Config.Access.Read, o.Config.Access.Hint = string(access.Viewer), hint })
	page := ask(t, "GET", s.URL+"/flags", "").body
	if !strings.Contains(page, "It lies in /srv/&lt;demo&gt;/token and nowhere else") || strings.Contains(page, "\u202e") || strings.Contains(page, webtest.Token) {
		t.Errorf("the form doesn't say where the token lies: %s", page)
	}
	wrong := post(t, s.URL+"/sign-in", url.Values{"token": {"guess"}})
	if wrong.StatusCode != 401 || !strings.Contains(wrong.body, "It lies in /srv/&lt;demo&gt;/token") {
		t.Errorf("a wrong token: %d %s", wrong.StatusCode, wrong.body)
	}
	if got := ask(t, "POST", s.URL+path, ""); got.StatusCode != 401 || strings.Contains(got.body, "sign-in/") {
		t.Errorf("without a token: %d %s", got.StatusCode, got.body)
	}
	got := ask(t, "POST", s.URL+path, "", "Authorization", bearer)
	described(t, "POST", path, got)
	var made struct{ Link string }
	got.decode(t, &made)
	if status, flags := follow(t, made.Link, s.URL+"/flags"); got.StatusCode != 200 || status != 303 || flags != 200 {
		t.Errorf("%d %s: the link is answered %d, and then the flags are %d", got.StatusCode, got.body, status, flags)
	}
	file, tokens := people(t)
	named := webtest.Start(t, func(o *web.Options) { o.Config.Access.TokensFile, o.Token = file, "" })
	if got := ask(t, "POST", named.URL+path, "", "Authorization", "Bearer "+tokens[access.Admin]); got.StatusCode != 403 || strings.Contains(got.body, "sign-in/") {
		t.Errorf("an admin with a name: %d %s", got.StatusCode, got.body)
	}
	far := webtest.Start(t, func(o *web.Options) { o.Config.Listen = "0.0.0.0:0" })
	if got := ask(t, "POST", far.URL+path, "", "Authorization", bearer); got.StatusCode != 409 {
		t.Errorf("reached from elsewhere: %d %s", got.StatusCode, got.body)
	}
}
