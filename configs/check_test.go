package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the daemon starts without, and finds missing in the night, is told by Check:
// what, where, and what to do, in one line each and without secrets.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("broken.json", `{"flags":`)
	put("good.json", `{"flags":{"there":{"state":"ENABLED","defaultVariant":"on","variants":{"on":true,"off":false}}}}`)
	put("two", "hunter2\nhunter2\n")
	put("token", "hunter2\n")
	put("no.pem", "hunter2")
	put("web.yml", "basic_auth_users:\n  ada: $2y$04$xQ7KxVqIuXfFZq9kY0kZUeJmP4m4QEWqj5k8zj9pYhJ0eQe4rU0yG\n")
	put("bad-web.yml", "basic_auth_users: hunter2\n")
	const sources = "sources: {prometheus: {url: \"http://127.0.0.1:9090\"}}\n"
	backend := func(text string) string { return sources + "flags:\n  backends:\n    - " + text + "\n" }
	unleash := func(more string) string {
		return backend(`{name: u, kind: unleash, flags: [u], unleash: {url: "http://127.0.0.1:1", ` + more + `}}`)
	}
	for name, tc := range map[string]struct {
		text string
		want []string // "" for none
	}{
		"flagd's file is missing":  {backend("{name: a, kind: flagd-file, flags: [a], flagd_file: {path: none.json}}"), []string{"flags.backends[0].flagd_file.path: ", "none.json: no such file", "name the file that flagd reads"}},
		"it is a folder":           {backend("{name: a, kind: flagd-file, flags: [a], flagd_file: {path: .}}"), []string{"isn't a regular file"}},
		"it is no JSON":            {backend("{name: a, kind: flagd-file, flags: [a], flagd_file: {path: broken.json}}"), []string{"flagd_file.path: ", "broken.json: ", "mend it"}},
		"it lacks a flag":          {backend("{name: a, kind: flagd-file, flags: [gone], flagd_file: {path: good.json}}"), []string{`flag "gone" is not declared`, "it has there", "define it there"}},
		"all is there":             {backend(`{name: a, kind: flagd-file, flags: [there, "x-*"], flagd_file: {path: good.json}, ofrep: {url: "http://127.0.0.1:1", token_file: token}}`), nil},
		"a token is missing":       {unleash("token_file: none"), []string{"flags.backends[0].unleash.token_file: ", "none: no such file", "put the token into it"}},
		"a token has two lines":    {unleash("token_file: two"), []string{"token_file: ", "two doesn't hold one line of text"}},
		"a frontend's token":       {unleash("token_file: token, frontend: {token_file: none}"), []string{"flags.backends[0].unleash.frontend.token_file: "}},
		"a CA is missing":          {unleash("http_client: {tls_config: {ca_file: none.pem}}"), []string{"unleash.http_client.tls_config.ca_file: ", "none.pem: no such file"}},
		"a certificate is no PEM":  {unleash("http_client: {tls_config: {cert_file: no.pem, key_file: no.pem}}"), []string{"unleash.http_client: ", "PEM"}},
		"a password is missing":    {unleash("http_client: {basic_auth: {username: a, password_file: none}}"), []string{"unleash.http_client.basic_auth.password_file: "}},
		"a header's file":          {unleash("http_client: {http_headers: {X-Org: {files: [none]}}}"), []string{"unleash.http_client.http_headers.X-Org.files: "}},
		"no cluster":               {backend("{name: k, kind: kubernetes, flags: [k], kubernetes: {namespace: n, resource: r}}"), []string{"flags.backends[0].kubernetes: there is no service account here"}},
		"a user without password":  {sources + "web: {config_file: web.yml, access: {users: {ada: admin, bob: viewer}}}", []string{"web.access.users.bob: has no password", "basic_auth_users of ", "web.yml"}},
		"users with passwords":     {sources + "web: {config_file: web.yml, access: {users: {ada: admin}}}", nil},
		"no web configuration":     {sources + "web: {config_file: none.yml}", []string{"web.config_file: ", "none.yml: no such file"}},
		"a broken web config file": {sources + "web: {config_file: bad-web.yml}", []string{"web.config_file: ", "bad-web.yml"}},
	} {
		file := put("aftershock.yml", tc.text)
		if _, err := Load(file); err != nil {
			t.Errorf("%s: the daemon doesn't start: %v", name, err)
		}
		err := Check(file)
		var e *Error
		if tc.want == nil {
			if err != nil {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		if !errors.As(err, &e) || len(e.Problems) != 1 {
			t.Errorf("%s: got %v, want one problem", name, err)
			continue
		}
		got := e.Problems[0].String()
		for _, want := range tc.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got %q, want %q in it", name, got, want)
			}
		}
		if strings.Contains(got, "\n") || strings.Contains(got, "hunter2") || e.Problems[0].Line == 0 {
			t.Errorf("%s: got %q, want one line with its place and without secrets", name, got)
		}
	}
}
