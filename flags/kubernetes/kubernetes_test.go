package kubernetes

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aftershock/flags/flagd"
	"aftershock/flags/remote"
)

const answer = `{"apiVersion":"core.openfeature.dev/v1beta1","kind":"FeatureFlag","metadata":{"resourceVersion":"7"},
	"spec":{"flagSpec":{"$evaluators":{"eu":{"==":[{"var":"region"},"eu"]}},"flags":{
	"a/b~c":{"state":"ENABLED","defaultVariant":"off","variants":{"on":true,"off":false},"targeting":{"if":[{"$ref":"eu"},"on"]}}}}}}`

// The patch is what the API's conventions want, and a flag's name can't reach
// beyond its place in the resource.
func TestFakeAPIServerPatch(t *testing.T) {
	got := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			b := make([]byte, r.ContentLength)
			if _, err := r.Body.Read(b); err != nil && err.Error() != "EOF" {
				t.Error(err)
			}
			got = r.URL.RequestURI() + " " + r.Header.Get("Content-Type") + " " + string(b)
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	r, err := New(Config{URL: server.URL, Namespace: "shop", Resource: "fleet", HTTP: remote.HTTP{Timeout: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Read(t.Context(), "a/b~c")
	if err != nil || s.Revision != "7" || s.Variant != "off" || s.Everyone || s.Expect(map[string]any{"region": "eu"}, time.Now()) != "on" {
		t.Fatalf("read: got %+v, %v", s, err)
	}
	to, _, err := r.Pin(s.Definition, "on")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(t.Context(), "a/b~c", remote.Change{From: s, To: to, DryRun: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"/apis/core.openfeature.dev/v1beta1/namespaces/shop/featureflags/fleet?fieldManager=aftershock&dryRun=All application/json-patch+json ",
		`{"op":"replace","path":"/metadata/resourceVersion","value":"7"}`, `"path":"/spec/flagSpec/flags/a~1b~0c"`, `{"if":[true,"on",{"if":[{"$ref":"eu"},"on"]}]}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the patch lacks %s: %s", want, got)
		}
	}
	if _, err := r.Read(t.Context(), "other"); !errors.Is(err, remote.ErrUnknown) || !strings.Contains(err.Error(), "a/b~c") {
		t.Errorf("another flag: got %v, want ErrUnknown", err)
	}
}

// A resource that isn't there says nothing of its flags: they don't count as gone.
func TestNoResource(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	r, err := New(Config{URL: server.URL, Namespace: "shop", Resource: "fleet", HTTP: remote.HTTP{Timeout: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(t.Context(), "a"); err == nil || errors.Is(err, remote.ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

func TestConfig(t *testing.T) {
	c := Config{Namespace: "shop", Resource: "fleet"}
	c.SetDefaults()
	if errs := c.Validate("k"); len(errs) > 0 || c.TokenFile == "" || c.URL != inCluster {
		t.Errorf("in the cluster: got %+v, %v", c, errs)
	}
	c = Config{URL: "ftp://x", Namespace: "../x", HTTP: remote.HTTP{Timeout: time.Hour, TokenFile: filepath.Join(os.TempDir(), "x")}}
	c.SetDefaults()
	if errs := errors.Join(c.Validate("k")...); errs == nil || strings.Count(errs.Error(), "k.") != 4 {
		t.Errorf("got %v, want four problems", errs)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(answer))
	f.Add([]byte(`{"kind":"FeatureFlag","metadata":{"resourceVersion":"1"},"spec":{"flagSpec":[]}}`))
	f.Add([]byte(`{"kind":"Status"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		document, version, err := parse(body)
		if err != nil {
			return
		}
		if version == "" {
			t.Error("no version, and no error")
		}
		keys, err := flagd.Keys(document)
		if err != nil {
			return
		}
		for _, key := range keys {
			s, err := flagd.Read(document, key, time.Now())
			if err != nil {
				continue
			}
			for v := range s.Variants {
				if to, _, err := flagd.Pin(s.Definition, v); err == nil && remote.Same(to, nil) {
					t.Errorf("pinned to nothing: %s", to)
				}
			}
		}
	})
}
