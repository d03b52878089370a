package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Credentials are given by reference, and stand neither in what is kept nor in what is
// said, whether or not the login works.
func TestRehearseKeepsSecrets(t *testing.T) {
	t.Parallel()
	const secret = "s3cret/4711"
	var refuse atomic.Bool
	s := newStaging(t, 1, 0)
	login := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch name, password, _ := req.BasicAuth(); {
		case req.URL.Path != "/login":
			if req.Header.Get("Authorization") != "Bearer token-"+secret {
				w.WriteHeader(http.StatusUnauthorized)
			}
		case refuse.Load():
			w.Header().Set("X-Token", "token-"+secret)
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "not with ", secret)
		case name == "" && password == "" && req.Header.Get("X-Key") == secret:
			w.Header().Set("X-Token", "token-"+secret)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(login.Close)
	s.Server.Close()
	s.Server = login
	b := stage(t, s)
	b.file("profile.yml", []byte(`
routes: [{route: /orders, rate: 40, headers: {Authorization: "Bearer {token}"}}]
sessions:
  size: 2
  secrets: {key: {env: REHEARSAL_KEY}}
  login: [{method: POST, path: "/login?trace={key}", headers: {X-Key: "{key}"}, capture: {token: {header: X-Token}}}]
`))
	run := func(env string, args ...string) (string, int) {
		cmd := b.rehearse(s, append([]string{"--profile", b.path("profile.yml"), "--duration", "2s", "--warmup", "0s", "--between", "true", "--repeats", "2", "--pause", "0s"}, args...)...)
		cmd.Env = append(os.Environ(), "REHEARSAL_KEY="+env)
		stdout, stderr, status := play(t, cmd)
		return stdout + stderr, status
	}
	said, status := run(secret, "--format", "json")
	if status != exitUndecided && status != exitOK || !strings.Contains(said, `"logins": 2`) || strings.Contains(said, `"401"`) {
		t.Fatalf("status %d: %s", status, said)
	}
	refuse.Store(true)
	refused, status := run(secret, "--replace")
	if status != exitUsage || !strings.Contains(refused, "POST /login?trace={key}: it was answered 403") {
		t.Errorf("status %d: %s", status, refused)
	}
	login.CloseClientConnections()
	login.Close()
	gone, status := run(secret, "--replace")
	if status != exitUsage || !strings.Contains(gone, "log in session") {
		t.Errorf("status %d: %s", status, gone)
	}
	if missing, status := run("", "--replace"); status != exitUsage || !strings.Contains(missing, "REHEARSAL_KEY of the environment is empty") {
		t.Errorf("status %d: %s", status, missing)
	}
	files, err := filepath.Glob(b.path("rehearsal/*"))
	if err != nil || len(files) != 9 {
		t.Errorf("%v, %v: want 4 runs and the profile", files, err)
	}
	all := said + refused + gone
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if z, err := gzip.NewReader(bytes.NewReader(content)); err == nil {
			content, _ = io.ReadAll(z)
		}
		all += string(content)
	}
	if strings.Contains(all, "s3cret") {
		t.Errorf("the secret stands in %s", all)
	}
}
