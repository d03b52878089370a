package web_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aftershock/web/webtest"
)

// routed finds the routes in the source, so that none is forgotten.
var routed = regexp.MustCompile(`"((?:GET|POST|PUT) )?(/[a-z0-9./{}$-]*)", `)

// routes are the methods and paths of all routes, with something in each place.
func routes(t *testing.T) (out [][2]string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer(
		"{$}", "", "/upgrades/{id}", "/upgrades/"+webtest.UpgradeID, "/alerts/{key}", "/alerts/dten-4.2.0%2Fgeo-api", "{key}", "payments-backoff",
		"{week}", "this", "{id}", "nope", "{sender}", "github", "{code}", "guess",
	)
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, "_test.go") || !strings.Contains(string(source), "m.Handle") && !strings.Contains(string(source), "(m, ") {
			continue
		}
		for _, m := range routed.FindAllStringSubmatch(string(source), -1) {
			method := strings.TrimSpace(m[1])
			if method == "" {
				method = "POST"
			}
			out = append(out, [2]string{method, filled.Replace(m[2])})
		}
	}
	return append(out, [2]string{"GET", "/flagd/v1/flags"}, [2]string{"GET", "/sign-in/guess"})
}

// glance is ask, without the body of a stream, which doesn't end.
func glance(t *testing.T, method, url string, headers ...string) reply {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return reply{resp, ""}
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp, string(b)}
}

// TestEveryAnswerIsGuarded looks at each route as nobody, as somebody signed in and by a token,
// whatever it answers.
func TestEveryAnswerIsGuarded(t *testing.T) {
	s := story(t)
	cookie := signIn(t, s)
	all := routes(t)
	if len(all) < 60 {
		t.Fatalf("%d routes were found: %v", len(all), all)
	}
	seen := map[int]bool{}
	for _, route := range all {
		for _, as := range [][]string{nil, {"Cookie", cookie}, {"Authorization", bearer}} {
			got := glance(t, route[0], s.URL+route[1], as...)
			seen[got.StatusCode] = true
			policy := got.Header.Get("Content-Security-Policy")
			name := strings.Join(route[:], " ")
			for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
				if !strings.Contains(policy, want) {
					t.Errorf("%s: %d, policy %q lacks %s", name, got.StatusCode, policy, want)
				}
			}
			// Reviews are files with their style inside; nothing has scripts inside.
			inline := strings.Contains(policy, "'unsafe-inline'")
			if inline && !strings.Contains(route[1], "report") || strings.Contains(policy, "unsafe-eval") || unsafeScript.MatchString(policy) {
				t.Errorf("%s: %d, policy %q", name, got.StatusCode, policy)
			}
			caching := "no-store"
			switch {
			case strings.HasSuffix(route[1], ".css"), strings.HasSuffix(route[1], ".js"), strings.HasSuffix(route[1], ".svg"):
				caching = "max-age=300"
			case route[1] == "/flagd/v1/flags":
				caching = "no-cache"
			}
			for header, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cache-Control": caching,
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got.Header.Get(header) != want {
					t.Errorf("%s: %d, %s is %q, want %q", name, got.StatusCode, header, got.Header.Get(header), want)
				}
			}
			if strings.Contains(got.body, webtest.Token) {
				t.Errorf("%s tells the token", name)
			}
		}
	}
	for _, status := range []int{200, 202, 303, 400, 401, 403, 404} {
		if !seen[status] {
			t.Errorf("no route answered %d", status)
		}
	}
}

var unsafeScript = regexp.MustCompile(`script-src[^;]*unsafe`)
