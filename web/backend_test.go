package web_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aftershock/flags"
	"aftershock/flags/backends"
	"aftershock/flags/httpcall"
	"aftershock/flags/policy"
	"aftershock/flags/remote"
	"aftershock/web/webtest"
)

// What is wrong with a backend is told as such: a problem document with a status of
// its own and words, and no secret in it.
func TestBackendProblems(t *testing.T) {
	const secret = "hunter2hunter2"
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	var reads, writes atomic.Int32 // the answers' statuses, 0 for none in time
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := int(writes.Load())
		if r.Method == http.MethodGet {
			status = int(reads.Load())
		}
		if status == 0 {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(map[bool]string{true: `"off"`, false: `{"message":"` + secret + `"}`}[status == http.StatusOK]))
	}))
	defer backend.Close()
	entry := func(name, url string) backends.Entry {
		call := httpcall.Call{Path: "/{{path .Flag}}"}
		return backends.Entry{Name: name, Kind: "http", Flags: []string{name, name + "-approved"}, HTTP: &httpcall.Config{
			Server: url, Read: call, Write: call, HTTP: remote.HTTP{TokenFile: token, Timeout: 100 * time.Millisecond},
			Variants: map[string]httpcall.Variant{"on": {}, "off": {}},
		}}
	}
	down := httptest.NewServer(nil)
	down.Close()
	s := webtest.StartBoard(t, func(c *flags.Config) {
		c.Backends = backends.Config{entry("far", backend.URL), entry("down", down.URL), entry("busy", backend.URL)}
		c.Policy = policy.Config{Flags: map[string]policy.Rule{"far-approved": {Approval: "one"}}}
	})
	for _, tc := range []struct {
		name          string
		reads, writes int32
		flag, body    string
		status        int
		want          string
	}{
		{"down", 200, 200, "down", "", 502, "the backend doesn't answer as it should"},
		{"failing", 500, 200, "far", "", 502, "it answered 500 Internal Server Error"},
		{"slow", 0, 200, "far", "", 504, "no answer within 100ms"},
		{"refusing to read", 401, 200, "far", "", 502, "look at the credentials"},
		{"refusing to write", 200, 403, "far", "", 502, "look at the credentials"},
		{"conflict", 200, 409, "far", "", 409, "changed in between"},
		{"only a part", 200, 200, "far", `,"percent":5`, 422, "can't be limited"},
		{"a value", 200, 200, "far", `,"value":1`, 422, "set a variant without a value"},
		{"needs approval", 200, 200, "far-approved", "", 422, "the policy asks for approval"},
		{"busy", 429, 200, "busy", "", 503, "it asked for no requests for another"},
	} {
		reads.Store(tc.reads)
		writes.Store(tc.writes)
		got := ask(t, "PUT", s.URL+"/api/v1/flags/"+tc.flag, `{"variant":"on","reason":"x","actor":"ada"`+tc.body+`}`, "Authorization", bearer)
		var p struct {
			Type, Title, Detail string
			Status              int
		}
		if err := json.Unmarshal([]byte(got.body), &p); err != nil || got.StatusCode != tc.status || p.Status != tc.status || p.Type == "" || p.Title != http.StatusText(tc.status) {
			t.Errorf("%s: got %d %s (%v), want %d", tc.name, got.StatusCode, got.body, err, tc.status)
		}
		if got.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(p.Detail, tc.want) || strings.Contains(got.body, secret) {
			t.Errorf("%s: got %s, want %q in it and no secret", tc.name, got.body, tc.want)
		}
	}
}
