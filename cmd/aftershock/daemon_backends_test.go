package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/flags/flagd"
)

// The whole daemon and the commands with a flag that lives in a file: seen where
// flagd would evaluate it, kept over a crash, and put back to the byte.
func TestDaemonTogglesElsewhere(t *testing.T) {
	const edge = `{"flags": {
  "edge-cache": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on", "note": "kept"}
}}`
	h := newHome(t, "")
	path := h.file("edge.json", edge)
	flagdServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		s, err := flagd.Read(b, "edge-cache", time.Now())
		if err != nil {
			t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"key": "edge-cache", "variant": s.Variant, "value": s.Variants[s.Variant], "reason": "STATIC"})
	}))
	defer flagdServer.Close()
	h.file("flags.json", definitions)
	h.file("aftershock.yml", strings.Replace(config("", "  prometheus: {url: http://"+closedPort(t)+", tries: 1}", "[]"), "flags:\n", `flags:
  backends:
    - {name: edge, kind: flagd-file, flags: ["edge-*"], flagd_file: {path: edge.json}, ofrep: {url: "`+flagdServer.URL+`"}, check: 100ms, refresh: 100ms}
`, 1))
	p := h.start()
	cli := func(args ...string) outcome {
		t.Setenv("AFTERSHOCK_TOKEN", p.token)
		return call(t, "", append([]string{"flags"}, append(args, "--server", p.url)...)...)
	}
	wait(t, 10*time.Second, "the list of flags", func() error {
		if got := cli("list"); got.status != 0 || !strings.Contains(got.out, "LIVES IN") || !strings.Contains(got.out, "edge\n") {
			return os.ErrNotExist
		}
		return nil
	})
	if got := cli("show", "edge-cache"); got.status != 0 || !strings.Contains(got.out, "flagd-file") || !strings.Contains(got.out, "through OpenFeature") || !strings.Contains(got.out, "everyone") {
		t.Errorf("show: %+v", got)
	}
	if got := cli("set", "edge-cache", "off", "--reason", "stale pages", "--dry-run"); got.status != 0 || !strings.Contains(got.out, `+   "defaultVariant": "off"`) {
		t.Errorf("dry run: %+v", got)
	}
	if got := cli("set", "edge-cache", "off", "--reason", "stale pages"); got.status != 0 || !strings.Contains(got.out, "verified") {
		t.Fatalf("set: %+v", got)
	}
	p.kill()
	p = h.start()
	if got := cli("undo", "edge-cache", "--reason", "it didn't help"); got.status != 0 || !strings.Contains(got.out, "verified") {
		t.Errorf("undo after a crash: %+v", got)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != edge {
		t.Errorf("the file after undo: %s %v", b, err)
	}
	if got := cli("history", "edge-cache"); got.status != 0 || !strings.Contains(got.out, string(detector.ToggleUndone)) {
		t.Errorf("history: %+v", got)
	}
	if got := cli("show", "edge-nothing"); got.status == 0 || !strings.Contains(got.errors, "edge-cache") {
		t.Errorf("an unknown flag: %+v", got)
	}
	p.stop()
}

// Where nothing evaluates the flag, the toggle is in force all the same: no failure,
// and said in words.
func TestToggleWithoutProof(t *testing.T) {
	h := newHome(t, "")
	h.file("edge.json", `{"flags": {"edge-cache": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"}}}`)
	h.file("flags.json", definitions)
	h.file("aftershock.yml", strings.Replace(config("", "  prometheus: {url: http://"+closedPort(t)+", tries: 1}", "[]"), "flags:\n", `flags:
  backends:
    - {name: edge, kind: flagd-file, flags: ["edge-*"], flagd_file: {path: edge.json}, check: 100ms, refresh: 100ms}
`, 1))
	p := h.start()
	cli := func(args ...string) outcome {
		t.Setenv("AFTERSHOCK_TOKEN", p.token)
		return call(t, "", append([]string{"flags"}, append(args, "--server", p.url)...)...)
	}
	const said = "It is in force, as the backend says, which was read back. It isn't verified through OpenFeature: no endpoint is configured for edge."
	if got := cli("set", "edge-cache", "off", "--reason", "stale pages"); got.status != exitOK || !strings.Contains(got.out, "on -> off, applied") || !strings.Contains(got.out, said) || got.errors != "" {
		t.Errorf("set: %+v", got)
	}
	got := cli("undo", "edge-cache", "--reason", "it didn't help", "--format", "json")
	var undo detector.Toggle
	if err := json.Unmarshal([]byte(got.out), &undo); err != nil || got.status != exitOK || undo.State != detector.ToggleApplied || got.errors != "" {
		t.Errorf("undo: %+v, %v", got, err)
	}
	if got := p.log.lines("istening"); len(got) != 1 || !strings.Contains(got[0], "token_file") {
		t.Errorf("where it listens is said %d times: %q", len(got), got)
	}
	p.stop()
}
