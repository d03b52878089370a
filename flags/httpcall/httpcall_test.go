package httpcall

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"aftershock/flags/remote"
)

func config(server string) Config {
	c := Config{
		Server: server, Pointer: "/flags/0/on", HTTP: remote.HTTP{Timeout: time.Second},
		Variants: map[string]Variant{"on": {Value: "true"}, "off": {Value: "false"}},
		Write: Call{
			Method: http.MethodPost, Path: "/f/{{path .Flag}}?why={{query .Reason}}", Headers: map[string]string{"X-Toggle": "{{.Toggle}}"},
			Body: `{"flag":{{json .Flag}},"value":{{.Value}},"same":{{json .Value}},"variant":{{json .Variant}}}`,
		},
		Read: Call{Path: "/f/{{path .Flag}}"},
	}
	c.SetDefaults()
	return c
}

// What people write can't get out of its place in a request.
func TestEscaping(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPost {
			got = append(got, r.URL.RequestURI()+" "+r.Header.Get("X-Toggle")+" "+string(b))
		}
		_, _ = io.WriteString(w, `{"flags":[{"on":false}]}`)
	}))
	defer server.Close()
	s, err := New(config(server.URL), nil)
	if err != nil {
		t.Fatal(err)
	}
	const nasty = `../a"b?c&d`
	state, err := s.Read(t.Context(), nasty)
	if err != nil || state.Variant != "off" || !state.Everyone {
		t.Fatalf("read: got %+v, %v", state, err)
	}
	to, _, err := s.Pin(state.Definition, "on")
	if err != nil {
		t.Fatal(err)
	}
	c := remote.Change{From: state, To: to, Toggle: "t-1", Comment: "a&b=\"c\"\nd"}
	if err := s.Write(t.Context(), nasty, c); err != nil {
		t.Fatal(err)
	}
	want := `/f/..%2Fa%22b%3Fc&d?why=a%26b%3D%22c%22%0Ad t-1 {"flag":"../a\"b?c\u0026d","value":true,"same":true,"variant":"on"}`
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.Toggle = "t-1\r\nX-Evil: 1"
	if err := s.Write(t.Context(), nasty, c); !errors.Is(err, remote.ErrReadOnly) || len(got) != 1 {
		t.Errorf("a header with a line break: got %v, want ErrReadOnly", err)
	}
	c.DryRun = true
	if err := s.Write(t.Context(), nasty, c); !errors.Is(err, remote.ErrReadOnly) {
		t.Errorf("a dry run: got %v, want ErrReadOnly", err)
	}
}

// A value that nobody declared couldn't be put back.
func TestUndeclaredValue(t *testing.T) {
	state, err := config("http://x").state([]byte(`{"flags":[{"on":"maybe"}]}`), "")
	if err != nil || state.Variant != "" || state.Everyone {
		t.Fatalf("got %+v, %v", state, err)
	}
	s, err := New(config("http://x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Pin(state.Definition, "on"); !errors.Is(err, remote.ErrReadOnly) {
		t.Errorf("got %v, want ErrReadOnly", err)
	}
}

func TestConfig(t *testing.T) {
	good := config("https://flags.example.org")
	if errs := good.Validate("h"); len(errs) > 0 {
		t.Error(errs)
	}
	for name, harm := range map[string]func(*Config){
		"h.server":          func(c *Config) { c.Server = "https://a:b@example.org" },
		"h.variants":        func(c *Config) { delete(c.Variants, "on") },
		"h.variants.on":     func(c *Config) { c.Variants["on"] = Variant{Value: "{", Reads: "1"} },
		"couldn't be told":  func(c *Config) { c.Variants["on"] = Variant{Value: "1", Reads: "false"} },
		"h.pointer":         func(c *Config) { c.Pointer = "a" },
		"h.write.method":    func(c *Config) { c.Write.Method = "BREW" },
		"h.read.path":       func(c *Config) { c.Read.Path = "x" },
		"h.write.status[0]": func(c *Config) { c.Write.Status = []int{500} },
		"Reson":             func(c *Config) { c.Write.Body = "{{.Reson}}" },
		"function \"exec\"": func(c *Config) { c.Write.Path = `/{{exec "rm"}}` },
		"name of a header":  func(c *Config) { c.Read.Headers = map[string]string{"a b": ""} },
		"more than":         func(c *Config) { c.Read.Body = `{{printf "%2000000s" .Flag}}` },
		"h.timeout":         func(c *Config) { c.Timeout = time.Minute },
	} {
		c := config("https://flags.example.org")
		harm(&c)
		if err := errors.Join(c.Validate("h")...); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "a:b@") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFind(t *testing.T) {
	const document = `{"a":{"b/c":[1,{"~":"x"}],"":2},"n":null}`
	for pointer, want := range map[string]string{
		"": document, "/a/b~1c/0": "1", "/a/b~1c/1/~0": `"x"`, "/a/": "2", "/n": "null",
		"/a/b~1c/2": "nothing", "/a/b~1c/01": "nothing", "/a/b~1c/-": "nothing", "/z": "nothing", "/n/a": "nothing", "/a/b~1c/0/x": "nothing",
	} {
		got, err := find([]byte(document), pointer)
		if want == "nothing" {
			if err == nil {
				t.Errorf("%s: got %s, want an error", pointer, got)
			}
		} else if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", pointer, got, err, want)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"flags":[{"on":true}]}`), "/flags/0/on", `"1"`)
	f.Add([]byte(`[[[`), "/0/0", "")
	f.Fuzz(func(t *testing.T, body []byte, pointer, etag string) {
		c := config("http://x")
		c.Pointer = pointer
		s, err := c.state(body, etag)
		if err != nil {
			return
		}
		if s.Revision == "" || !json.Valid(s.Definition) || s.Everyone != (s.Variant != "") {
			t.Errorf("got %s", fmt.Sprint(s))
		}
	})
}
