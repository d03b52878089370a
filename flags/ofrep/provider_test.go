package ofrep

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
)

// serve answers each request with h and returns a client of the SDK on it.
func serve(t *testing.T, c Config, h http.HandlerFunc) *openfeature.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c.BaseURL = s.URL
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	api := isolated.NewAPI()
	if err := api.SetProviderAndWait(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Shutdown(context.Background()) })
	return api.NewClient()
}

func say(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestRequest(t *testing.T) {
	var path, auth, extra string
	var body map[string]any
	client := serve(t, Config{Token: "s3cret", Headers: http.Header{"X-Tenant": {"a"}}}, func(w http.ResponseWriter, r *http.Request) {
		path, auth, extra = r.URL.EscapedPath(), r.Header.Get("Authorization"), r.Header.Get("X-Tenant")
		_ = json.NewDecoder(r.Body).Decode(&body)
		say(200, `{"key":"a/b c","value":true,"variant":"on","reason":"STATIC"}`)(w, r)
	})
	got, err := client.BooleanValue(t.Context(), "a/b c", false, openfeature.NewEvaluationContext("me", map[string]any{"n": 3, "deep": map[string]any{"x": true}}))
	if err != nil || !got {
		t.Fatalf("BooleanValue: got %v, %v, want true", got, err)
	}
	if want := "/ofrep/v1/evaluate/flags/a%2Fb%20c"; path != want {
		t.Errorf("path: got %q, want %q", path, want)
	}
	if auth != "Bearer s3cret" || extra != "a" {
		t.Errorf("headers: got %q and %q", auth, extra)
	}
	want := map[string]any{"context": map[string]any{"targetingKey": "me", "n": 3.0, "deep": map[string]any{"x": true}}}
	if d := cmp.Diff(want, body); d != "" {
		t.Errorf("body (-want +got):\n%s", d)
	}
}

func TestValues(t *testing.T) {
	const none = "none"
	for _, tt := range []struct {
		name, value string
		eval        func(*openfeature.Client) (any, error)
		want        any
		code        openfeature.ErrorCode
	}{
		{"bool", `true`, boolean, true, ""},
		{"bool of string", `"true"`, boolean, false, openfeature.TypeMismatchCode},
		{"string", `"x"`, str, "x", ""},
		{"string of number", `1`, str, none, openfeature.TypeMismatchCode},
		{"int", `9007199254740993`, integer, int64(9007199254740993), ""},
		{"int written as float", `3.0`, integer, int64(3), ""},
		{"int of fraction", `3.5`, integer, int64(-1), openfeature.TypeMismatchCode},
		{"int beyond float's whole numbers", `1e300`, integer, int64(-1), openfeature.TypeMismatchCode},
		{"float", `0.25`, float, 0.25, ""},
		{"object", `{"base_ms":50,"jitter":true}`, object, map[string]any{"base_ms": 50.0, "jitter": true}, ""},
		{"list", `[1,"a"]`, object, []any{1.0, "a"}, ""},
		{"absent value", ``, str, none, ""},
		{"null value", `null`, str, none, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := `{"key":"f","reason":"TARGETING_MATCH","variant":"v"`
			if tt.value != "" {
				body += `,"value":` + tt.value
			}
			client := serve(t, Config{}, say(200, body+"}"))
			got, err := tt.eval(client)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("value (-want +got):\n%s", d)
			}
			if (err != nil) != (tt.code != "") || err != nil && !strings.Contains(err.Error(), string(tt.code)) {
				t.Errorf("error: got %v, want code %q", err, tt.code)
			}
		})
	}
}

var nobody = openfeature.NewTargetlessEvaluationContext(nil)

func boolean(c *openfeature.Client) (any, error) {
	return c.BooleanValue(context.Background(), "f", false, nobody)
}

func str(c *openfeature.Client) (any, error) {
	return c.StringValue(context.Background(), "f", "none", nobody)
}

func integer(c *openfeature.Client) (any, error) {
	return c.IntValue(context.Background(), "f", -1, nobody)
}

func float(c *openfeature.Client) (any, error) {
	return c.FloatValue(context.Background(), "f", -1, nobody)
}

func object(c *openfeature.Client) (any, error) {
	return c.ObjectValue(context.Background(), "f", nil, nobody)
}

func TestDetails(t *testing.T) {
	client := serve(t, Config{}, say(200, `{"key":"f","value":"x","variant":"legacy","reason":"TARGETING_MATCH",
		"metadata":{"version":"12","n":7,"f":0.5,"ok":true,"list":[1],"null":null}}`))
	got, err := client.StringValueDetails(t.Context(), "f", "", nobody)
	if err != nil {
		t.Fatal(err)
	}
	if got.Variant != "legacy" || got.Reason != openfeature.TargetingMatchReason {
		t.Errorf("got variant %q, reason %q", got.Variant, got.Reason)
	}
	want := openfeature.FlagMetadata{"version": "12", "n": int64(7), "f": 0.5, "ok": true}
	if d := cmp.Diff(want, got.FlagMetadata); d != "" {
		t.Errorf("metadata (-want +got):\n%s", d)
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
		code openfeature.ErrorCode
		text string
	}{
		{"not found", say(404, `{"key":"f","errorCode":"FLAG_NOT_FOUND","errorDetails":"no flag f"}`), openfeature.FlagNotFoundCode, "no flag f"},
		{"parse", say(400, `{"key":"f","errorCode":"PARSE_ERROR"}`), openfeature.ParseErrorCode, "PARSE_ERROR"},
		{"type", say(400, `{"key":"f","errorCode":"TYPE_MISMATCH"}`), openfeature.TypeMismatchCode, ""},
		{"targeting key", say(400, `{"key":"f","errorCode":"TARGETING_KEY_MISSING"}`), openfeature.TargetingKeyMissingCode, ""},
		{"context", say(400, `{"key":"f","errorCode":"INVALID_CONTEXT"}`), openfeature.InvalidContextCode, ""},
		{"general", say(400, `{"key":"f","errorCode":"GENERAL"}`), openfeature.GeneralCode, ""},
		{"unknown code", say(400, `{"key":"f","errorCode":"NEW_ONE"}`), openfeature.GeneralCode, "NEW_ONE"},
		{"error code with 200", say(200, `{"key":"f","errorCode":"PARSE_ERROR"}`), openfeature.ParseErrorCode, ""},
		{"wrong place", say(404, `<html>`), openfeature.GeneralCode, "base URL"},
		{"no JSON", say(200, `<html>`), openfeature.ParseErrorCode, "no OFREP answer"},
		{"other flag", say(200, `{"key":"g","value":"x"}`), openfeature.GeneralCode, `flag "g"`},
		{"unauthorized", say(401, ``), openfeature.GeneralCode, "credentials"},
		{"forbidden", say(403, ``), openfeature.GeneralCode, "credentials"},
		{"server error", say(500, `{"errorDetails":"x"}`), openfeature.GeneralCode, "status 500"},
		{"huge", say(200, `"`+strings.Repeat("x", maxAnswer)+`"`), openfeature.GeneralCode, "more than 1048576 bytes"},
		{"slow", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body); <-r.Context().Done() }, openfeature.GeneralCode, "deadline"},
		{"cut off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, openfeature.GeneralCode, "reach OFREP server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := serve(t, Config{Timeout: 300 * time.Millisecond}, tt.h)
			got, err := client.StringValueDetails(t.Context(), "f", "none", nobody)
			if err == nil {
				t.Fatalf("got no error, want code %s", tt.code)
			}
			if got.Value != "none" || got.ErrorCode != tt.code || !strings.Contains(got.ErrorMessage, tt.text) || got.Reason != openfeature.ErrorReason {
				t.Errorf("got value %q, code %s, reason %s, message %q; want none, %s, ERROR, %q",
					got.Value, got.ErrorCode, got.Reason, got.ErrorMessage, tt.code, tt.text)
			}
		})
	}
}

func TestContextThatIsNoJSON(t *testing.T) {
	client := serve(t, Config{}, say(200, `{"key":"f","value":"x"}`))
	for name, v := range map[string]any{"channel": make(chan int), "huge": strings.Repeat("x", maxContext)} {
		got, err := client.StringValueDetails(t.Context(), "f", "none", openfeature.NewTargetlessEvaluationContext(map[string]any{"v": v}))
		if err == nil || got.ErrorCode != openfeature.InvalidContextCode {
			t.Errorf("%s: got code %q and %v, want INVALID_CONTEXT", name, got.ErrorCode, err)
		}
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	var calls atomic.Int32
	client := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		say(429, ``, "Retry-After", "30")(w, r)
	})
	for range 3 {
		if _, err := client.StringValue(t.Context(), "f", "none", nobody); err == nil {
			t.Fatal("got no error")
		}
	}
	if got := calls.Load(); got != 1 {
		t.Errorf("got %d requests, want 1", got)
	}
}

func TestCache(t *testing.T) {
	var calls atomic.Int32
	var down atomic.Bool
	client := serve(t, Config{CacheTTL: 50 * time.Millisecond, StaleTTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(503)
			return
		}
		say(200, fmt.Sprintf(`{"key":"f","value":"v%d","reason":"STATIC"}`, calls.Add(1)))(w, r)
	})
	get := func(who string) (string, openfeature.Reason) {
		d, err := client.StringValueDetails(t.Context(), "f", "none", openfeature.NewEvaluationContext(who, nil))
		if err != nil {
			t.Fatal(err)
		}
		return d.Value, d.Reason
	}
	for _, tt := range []struct {
		who, value string
		reason     openfeature.Reason
	}{{"a", "v1", "STATIC"}, {"a", "v1", "CACHED"}, {"b", "v2", "STATIC"}} {
		if v, r := get(tt.who); v != tt.value || r != tt.reason {
			t.Errorf("%s: got %s (%s), want %s (%s)", tt.who, v, r, tt.value, tt.reason)
		}
	}
	down.Store(true)
	deadline := time.Now().Add(5 * time.Second)
	for {
		v, r := get("a")
		if v != "v1" {
			t.Fatalf("got %s, want the last known value", v)
		}
		if r == staleReason {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the answer never became stale")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c, now := newCache(), time.Now()
	for i := range 3 * maxCached {
		c.put(fmt.Sprint(i), answer{}, now, time.Hour)
	}
	if n := len(c.entries); n > maxCached {
		t.Errorf("got %d entries, want at most %d", n, maxCached)
	}
	if _, _, ok := c.get(fmt.Sprint(3*maxCached-1), now); !ok {
		t.Error("the newest entry is gone")
	}
}

func TestPollRaisesEvents(t *testing.T) {
	var etag atomic.Value
	etag.Store(`"1"`)
	var down atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(500)
			return
		}
		now := etag.Load().(string)
		w.Header().Set("ETag", now)
		if r.Header.Get("If-None-Match") == now {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		say(200, `{"flags":[]}`)(w, r)
	}))
	defer s.Close()
	p, err := New(Config{BaseURL: s.URL, Poll: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Init(openfeature.EvaluationContext{}); err != nil {
		t.Fatal(err)
	}
	defer p.Shutdown()
	want := func(kind openfeature.EventType) {
		t.Helper()
		select {
		case e := <-p.EventChannel():
			if e.EventType != kind {
				t.Fatalf("got event %s (%s), want %s", e.EventType, e.Message, kind)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no event, want %s", kind)
		}
	}
	down.Store(true)
	want(openfeature.ProviderStale)
	down.Store(false)
	want(openfeature.ProviderReady)
	etag.Store(`"2"`)
	want(openfeature.ProviderConfigChange)
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []Config{{}, {BaseURL: "127.0.0.1:80"}, {BaseURL: "ftp://x"}, {BaseURL: "http://x", Poll: -1}} {
		if _, err := New(c); err == nil {
			t.Errorf("New(%+v): got no error", c)
		}
	}
	_, err := New(Config{BaseURL: "ftp://u:hush@x"})
	if err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v, want an error without the password", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(200, `{"key":"f","value":{"a":[1]},"metadata":{"v":1e400}}`)
	f.Add(404, `{"errorCode":"FLAG_NOT_FOUND"}`)
	f.Add(429, ``)
	f.Fuzz(func(t *testing.T, status int, body string) {
		p, err := New(Config{BaseURL: "http://x"})
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.read("f", status, http.Header{}, []byte(body))
		if err == nil && len(a.value) > 0 && !json.Valid(a.value) {
			t.Errorf("kept a value that is no JSON: %q", a.value)
		}
	})
}
