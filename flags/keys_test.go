package flags

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aftershock/flags/feed"
)

const keyA, keyB = "first-key-0123456789", "second-key-0123456789"

func keyFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// call asks the switchboard and gives the status and the answer.
func call(t *testing.T, method, url string, headers ...string) (int, string) {
	t.Helper()
	body := ""
	if method == http.MethodPost {
		body = `{"context":{}}`
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") == "text/event-stream" {
		return res.StatusCode, ""
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestKeys(t *testing.T) {
	file := keyFile(t, keyA+"\n\n"+keyB+"\n")
	s, url := start(t, &memory{}, Config{Definitions: writeFile(t, fleet), ClientKeyFile: file})
	one, all, events := url+"/ofrep/v1/evaluate/flags/other", url+"/ofrep/v1/evaluate/flags", url+feed.EventsPath
	for _, tt := range []struct {
		name, method, url string
		headers           []string
		status            int
	}{
		{"none", "POST", one, nil, 401},
		{"none, all flags", "POST", all, nil, 401},
		{"none, events", "GET", events, nil, 401},
		{"wrong", "POST", one, []string{"Authorization", "Bearer " + keyA + "x"}, 401},
		{"part", "POST", one, []string{"X-API-Key", keyA[:10]}, 401},
		{"empty", "POST", one, []string{"Authorization", "Bearer "}, 401},
		{"bearer", "POST", one, []string{"Authorization", "bearer " + keyA}, 200},
		{"second", "POST", all, []string{"Authorization", "Bearer " + keyB}, 200},
		{"header", "POST", one, []string{"X-API-Key", keyB}, 200},
		{"alone", "POST", one, []string{"Authorization", keyA}, 200},
		{"events", "GET", events, []string{"X-API-Key", keyA}, 200},
		{"wrong ticket", "GET", events + "?ticket=00", nil, 401},
		{"the key as ticket", "GET", events + "?ticket=" + keyA, nil, 401},
	} {
		status, body := call(t, tt.method, tt.url, tt.headers...)
		if status != tt.status || strings.Contains(body, keyA) || strings.Contains(body, keyB) {
			t.Errorf("%s: got %d %s, want %d", tt.name, status, body, tt.status)
		}
	}
	var bulk struct {
		EventStreams []struct {
			Type     string
			Endpoint struct{ RequestURI string }
		}
	}
	_, body := call(t, "POST", all, "X-API-Key", keyA)
	if err := json.Unmarshal([]byte(body), &bulk); err != nil || len(bulk.EventStreams) != 1 || bulk.EventStreams[0].Type != "sse" {
		t.Fatalf("event streams of %s: %v", body, err)
	}
	stream := bulk.EventStreams[0].Endpoint.RequestURI
	if status, _ := call(t, "GET", url+stream); status != 200 || !strings.Contains(stream, "?ticket=") {
		t.Errorf("the event stream at %s: %d", stream, status)
	}
	if status, _ := call(t, "POST", strings.Replace(url+stream, feed.EventsPath, "/ofrep/v1/evaluate/flags", 1)); status != 401 {
		t.Errorf("the ticket opens more than the event stream: %d", status)
	}
	// The switchboard proves its toggles through the same door.
	if _, err := s.Set(t.Context(), request("other", "on")); err != nil {
		t.Error(err)
	}
	// A reload reads the keys again; a wrong file leaves the old ones.
	for _, reload := range [][2]string{{"short\n", keyA}, {keyB + "\n", keyB}} {
		text, works := reload[0], reload[1]
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := s.Load(t.Context())
		if (err == nil) != (works == keyB) || err != nil && strings.Contains(err.Error(), "short") {
			t.Errorf("reload: %v", err)
		}
		if status, _ := call(t, "POST", one, "X-API-Key", works); status != 200 {
			t.Errorf("after the reload of %q: %d", text, status)
		}
	}
}

func TestReadKeysRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "holds 0 keys",
		"\n \n":                           "holds 0 keys",
		"tooshort":                        "line 1",
		keyA + "\nhas a blank in it":      "line 2",
		strings.Repeat("k\u00fc", 20):     "line 1",
		strings.Repeat(keyA+"\n", 101):    "holds 101 keys",
		strings.Repeat("k", maxKeyFile+1): "more than the",
	} {
		if _, err := readKeys(keyFile(t, text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "blank") {
			t.Errorf("%.30q: got %v, want %q", text, err, want)
		}
	}
	if errs := (&Config{ClientKeyFile: "/nowhere"}).CheckFiles("flags"); len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), "flags.client_key_file: ") {
		t.Errorf("got %v", errs)
	}
}

// What is synced is the set with all that belongs to it, without the flags that
// would make an evaluator refuse it.
func TestSynced(t *testing.T) {
	text := `{"$schema":"x","metadata":{"flagSetId":"mine","version":"9"},"$evaluators":{"eu":{"==":[{"var":"region"},"eu"]}},"flags":{
		"a":{"state":"ENABLED","defaultVariant":"on","variants":{"on":true,"off":false},"targeting":{"if":[{"$ref":"eu"},"on","off"]},"metadata":{"team":"x"}},
		"broken":{"state":"MAYBE","variants":{"on":true}}}}`
	s, _ := start(t, &memory{}, Config{Definitions: writeFile(t, text)})
	var got, want any
	b, err := s.serving.Load().synced()
	if err != nil {
		t.Fatal(err)
	}
	set := `{"$schema":"x","metadata":{"flagSetId":"mine","version":"1"},"$evaluators":{"eu":{"==":[{"var":"region"},"eu"]}},"flags":{
		"a":{"state":"ENABLED","defaultVariant":"on","variants":{"on":true,"off":false},"targeting":{"if":[{"$ref":"eu"},"on","off"]},"metadata":{"team":"x"}}}}`
	for text, into := range map[string]*any{string(b): &got, set: &want} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	first := s.Edition()
	if _, err := s.Set(t.Context(), request("a", "off")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-first.Superseded():
	default:
		t.Error("the first edition wasn't superseded")
	}
	if b, err = s.serving.Load().synced(); err != nil || !strings.Contains(string(b), `"version":"2"`) {
		t.Errorf("after the toggle: %s, %v", b, err)
	}
}
