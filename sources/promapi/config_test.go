package promapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"aftershock/sources/series"
)

func TestConfigNamesEveryProblem(t *testing.T) {
	tests := []struct {
		name, yaml string
		want       []string
	}{
		{"minimal", "url: http://127.0.0.1:9090", nil},
		{"everything", "url: https://metrics.example/prom\nway: json\ntimeout: 30s\nwindow: 1d\ntries: 2\nmax_series: 10\nmax_samples: 100\nhttp_client: {bearer_token: x}", nil},
		{"empty", "{}", []string{"p.url: is missing"}},
		{"no scheme", "url: 127.0.0.1:9090", []string{"p.url: isn't a URL"}},
		{"other scheme", "url: ftp://host", []string{`p.url: got "ftp://host", want http://HOST:PORT`}},
		{"credentials", "url: http://me:secret@host", []string{"p.url: has credentials in it: move them to http_client.basic_auth"}},
		{"query", "url: http://host/?a=b", []string{"p.url: got"}},
		{"all at once", "url: http://host\nway: telepathy\ntimeout: 1ms\nwindow: 1s\ntries: 99\nmax_series: -1\nmax_samples: -1", []string{
			`p.way: got "telepathy", want one of [remote-read steps json]`, "p.timeout: got 1ms", "p.window: got 1s", "p.tries: got 99", "p.max_series: got -1", "p.max_samples: got -1",
		}},
		{"two credentials", "url: http://host\nhttp_client:\n  follow_redirects: true\n", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var c Config
			if err := yaml.Unmarshal([]byte(test.yaml), &c); err != nil {
				t.Fatal(err)
			}
			c.SetDefaults()
			var got []string
			for _, err := range c.Validate("p") {
				got = append(got, err.Error())
			}
			starts := cmp.Comparer(func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) })
			if diff := cmp.Diff(test.want, got, starts); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if strings.Contains(fmt.Sprint(got), "secret") {
				t.Errorf("the problems tell the password: %v", got)
			}
		})
	}
}

func TestClientSettingsReachTheServer(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" || r.Header.Get("X-Scope-OrgID") != "shop" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", chunkType)
	}))
	defer server.Close()
	text := "url: " + server.URL + "\nway: remote-read\nhttp_client:\n  basic_auth: {username: me, password: secret}\n" +
		"  tls_config: {insecure_skip_verify: true}\n  http_headers: {X-Scope-OrgID: {values: [shop]}}\n"
	var c Config
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	s, err := Open(context.Background(), c, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	c.HTTPClient.BasicAuth.Password = promconfig.Secret("wrong-secret")
	_, err = Open(context.Background(), c, quiet(), nil)
	if err == nil || !strings.Contains(err.Error(), "403 Forbidden (check http_client's credentials)") || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("with a wrong password: got %v, want 403 and not the password", err)
	}
}

func TestServerThatComesLater(t *testing.T) {
	up := false
	s, err := New(Config{URL: "http://metrics.example", Tries: 1}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.client = &http.Client{Transport: fakeServer(func(r *http.Request) (*http.Response, error) {
		switch {
		case !up:
			return answer(503, "text/plain", "starting"), nil
		case strings.Contains(r.URL.Path, "/label/"):
			return answer(200, "application/json", `{"status":"success","data":["http_requests_total","go_goroutines"]}`), nil
		}
		return answer(200, chunkType, frame(t, named("a", xor(t, 1000)))), nil
	})}
	read := func() (n int, err error) {
		err = s.Series(context.Background(), time.UnixMilli(0), time.UnixMilli(5000), func(series.Series) error {
			n++
			return nil
		})
		return n, err
	}
	if _, err := read(); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable: starting") {
		t.Errorf("before: got %v, want the server's 503", err)
	}
	up = true
	if n, err := read(); n != 1 || err != nil {
		t.Errorf("after: got %d series, %v; want 1", n, err)
	}
}
