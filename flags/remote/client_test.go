package remote_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aftershock/flags/remote"
)

const secret = "s3cr3t-0cc175b9c0f1b6a8"

func client(t testing.TB, h http.Handler, timeout time.Duration) (*remote.Client, string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte(" "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := remote.NewClient(remote.HTTP{Timeout: timeout, TokenFile: name}, server.URL, "Bearer")
	if err != nil {
		t.Fatal(err)
	}
	return c, server.URL
}

func TestStatuses(t *testing.T) {
	all := []error{remote.ErrUnknown, remote.ErrConflict, remote.ErrReadOnly, remote.ErrUnclear}
	for code, want := range map[int]error{
		204: remote.ErrUnclear, 302: remote.ErrUnclear, 307: remote.ErrReadOnly, 400: remote.ErrReadOnly, 401: remote.ErrReadOnly, 403: remote.ErrReadOnly,
		404: remote.ErrUnknown, 408: remote.ErrUnclear, 409: remote.ErrConflict, 412: remote.ErrConflict, 422: remote.ErrReadOnly, 429: nil,
		500: remote.ErrUnclear, 503: remote.ErrUnclear,
	} {
		c, url := client(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			if code != 204 {
				_, _ = w.Write([]byte(`{"message":"` + secret + `","code":"some_code"}`))
			}
		}), time.Second)
		_, err := c.Do(t.Context(), remote.Request{Method: "PUT", URL: url, Status: []int{200}})
		for _, e := range all {
			if errors.Is(err, e) != errors.Is(want, e) {
				t.Errorf("%d: got %v, want %v", code, err, want)
			}
		}
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%d: the error %v is none or tells a secret", code, err)
		}
	}
}

func TestSilence(t *testing.T) {
	calls := 0
	c, url := client(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.Header().Set("Retry-After", "3600000")
		w.WriteHeader(http.StatusTooManyRequests)
	}), time.Second)
	for range 3 {
		if _, err := c.Do(t.Context(), remote.Request{Method: "GET", URL: url}); err == nil || !strings.Contains(err.Error(), "no request") {
			t.Errorf("got %v", err)
		}
	}
	if calls != 1 {
		t.Errorf("%d requests were made, want 1", calls)
	}
}

func TestBounds(t *testing.T) {
	c, url := client(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), 30*time.Millisecond)
	if _, err := c.Do(t.Context(), remote.Request{Method: "GET", URL: url}); !errors.Is(err, remote.ErrUnclear) || !strings.Contains(err.Error(), "no answer within 30ms") {
		t.Errorf("slow: got %v", err)
	}
	if _, err := c.Do(t.Context(), remote.Request{Method: "GET", URL: "http://127.0.0.1:1/"}); err == nil || !strings.Contains(err.Error(), "leads elsewhere") {
		t.Errorf("another host: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Do(ctx, remote.Request{Method: "GET", URL: url}); err == nil {
		t.Error("a request went on after its end")
	}
	down := httptest.NewServer(nil)
	down.Close()
	c, err := remote.NewClient(remote.HTTP{Timeout: time.Second}, down.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	// Nothing was sent: nothing is unclear.
	if _, err := c.Do(t.Context(), remote.Request{Method: "PUT", URL: down.URL}); err == nil || errors.Is(err, remote.ErrUnclear) {
		t.Errorf("nobody listens: got %v", err)
	}
}

func TestRedirects(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host got %s %v", r.Method, r.Header)
	}))
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/there", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secret {
			t.Error("the token is missing")
		}
		_, _ = w.Write([]byte("here"))
	})
	for _, code := range []int{301, 302, 303, 307, 308} {
		mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/", code) })
		mux.HandleFunc("/near", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there", code) })
		c, url := client(t, mux, time.Second)
		for _, method := range []string{"GET", "POST"} {
			if _, err := c.Do(t.Context(), remote.Request{Method: method, URL: url + "/away"}); err == nil {
				t.Errorf("%s followed %d to another host", method, code)
			}
		}
		if got, err := c.Do(t.Context(), remote.Request{Method: "GET", URL: url + "/near"}); err != nil || string(got.Body) != "here" {
			t.Errorf("%d on the same host: got %s, %v", code, got.Body, err)
		}
		_, err := c.Do(t.Context(), remote.Request{Method: "POST", URL: url + "/near"})
		if kept := code >= 307; (err == nil) != kept {
			t.Errorf("a POST redirected by %d: got %v", code, err)
		}
		mux = http.NewServeMux()
		mux.HandleFunc("/there", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("here")) })
	}
}

func TestToken(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": " \n", "lines": "a\nb", "large": strings.Repeat("x", 100<<10)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := remote.NewClient(remote.HTTP{Timeout: time.Second, TokenFile: path}, "http://127.0.0.1:1", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(t.Context(), remote.Request{Method: "GET", URL: "http://127.0.0.1:1/"}); err == nil || !strings.Contains(err.Error(), "token") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSame(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{`{"a":1,"b":[1,2]}`, ` { "b" : [1, 2], "a" : 1 } `, true},
		{`[1,2]`, `[2,1]`, false},
		{`9007199254740993`, `9007199254740992`, false},
		{`{`, `{`, true},
		{`1`, `1.0`, false},
	} {
		if got := remote.Same([]byte(tt.a), []byte(tt.b)); got != tt.same {
			t.Errorf("Same(%s, %s) = %t", tt.a, tt.b, got)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"b":1,"a":[true,null,"x",1e400]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		once := remote.Canonical(b)
		if again := remote.Canonical(once); string(again) != string(once) {
			t.Errorf("%q became %q, and then %q", b, once, again)
		}
		s := remote.State{Definition: b}
		if n := s.Fingerprint(); n <= 0 || n >= 1<<52 {
			t.Errorf("fingerprint %d is out of range", n)
		}
		_ = remote.Cut(string(b), 10)
	})
}
