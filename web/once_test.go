package web_test

import (
	"net/http"
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
