package unleash_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"

	"aftershock/flags/remote"
	"aftershock/flags/unleash"
	"aftershock/internal/servers"
)

// admin makes a request to Unleash's admin API.
func admin(t testing.TB, server *servers.Server, method, path, body string) []byte {
	t.Helper()
	req, err := http.NewRequest(method, server.URL+"/api/admin/projects/default/features"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", servers.UnleashAdmin)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s: %s %v", method, path, resp.Status, b, err)
	}
	return b
}

const backoff = `{"name":"flexibleRollout","parameters":{"rollout":"50","stickiness":"userId","groupId":"backoff"},
	"constraints":[{"contextName":"region","operator":"IN","values":["eu"]}],"variants":[
	{"name":"new","weight":1000,"weightType":"variable","stickiness":"default","payload":{"type":"json","value":"{\"base_ms\":5}"}},
	{"name":"legacy","weight":0,"weightType":"variable","stickiness":"default","payload":{"type":"json","value":"{\"base_ms\":100}"}}]}`

// The real Unleash 7.5.1 on a real PostgreSQL, started for this test.
func TestRealUnleash(t *testing.T) {
	server := servers.Unleash(t, servers.PostgreSQL(t).Database())
	for _, flag := range []string{"backoff", "plain", "fresh"} {
		admin(t, server, "POST", "", `{"name":"`+flag+`","type":"release"}`)
	}
	admin(t, server, "POST", "/backoff/environments/development/strategies", backoff)
	admin(t, server, "POST", "/backoff/environments/development/on", "")
	admin(t, server, "POST", "/plain/environments/development/strategies", `{"name":"default","parameters":{},"constraints":[]}`)

	c := unleash.Config{URL: server.URL, Environment: "development", HTTP: remote.HTTP{TokenFile: secret(t, servers.UnleashAdmin)}}
	c.Frontend = &unleash.Frontend{HTTP: remote.HTTP{TokenFile: secret(t, servers.UnleashFrontend)}}
	c.SetDefaults()
	s, err := unleash.New(c)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"backoff", "fresh", "plain"}, keys); d != "" {
		t.Errorf("keys (-want +got):\n%s", d)
	}
	client := evaluating(t, *c.Frontend)
	for _, tt := range []struct {
		flag, to, value string
		before          string // what is served before, "" for what only Unleash knows
	}{
		{"backoff", "legacy", `{"base_ms":100}`, ""},
		{"backoff", "off", `false`, ""},
		{"plain", "on", `true`, "off"},
		{"fresh", "on", `true`, "off"},
	} {
		t.Run(tt.flag+" "+tt.to, func(t *testing.T) {
			before, err := s.Read(t.Context(), tt.flag)
			if err != nil {
				t.Fatal(err)
			}
			if before.Variant != tt.before || before.Everyone != (tt.before != "") {
				t.Errorf("before: got %q, everyone %t", before.Variant, before.Everyone)
			}
			raw := admin(t, server, "GET", "/"+tt.flag+"/environments/development", "")
			after := write(t, s, tt.flag, before, tt.to)
			if after.Variant != tt.to || !after.Everyone || string(after.Variants[tt.to]) != tt.value {
				t.Errorf("after: got %q, everyone %t, %s", after.Variant, after.Everyone, after.Variants[tt.to])
			}
			for _, user := range []string{"u1", "u2", "u3"} {
				seen(t, client, tt.flag, user, tt.to, tt.value)
			}
			err = s.Write(t.Context(), tt.flag, remote.Change{From: after, To: before.Definition})
			if err != nil {
				t.Fatal(err)
			}
			undone, err := s.Read(t.Context(), tt.flag)
			if err != nil || !remote.Same(undone.Definition, before.Definition) {
				t.Errorf("undone: got %s, %v; want %s", undone.Definition, err, before.Definition)
			}
			// Even the identities of the strategies are those from before.
			if now := admin(t, server, "GET", "/"+tt.flag+"/environments/development", ""); !remote.Same(now, raw) {
				t.Errorf("undone: got %s, want %s", now, raw)
			}
		})
	}
	t.Run("two operators", func(t *testing.T) {
		before, err := s.Read(t.Context(), "backoff")
		if err != nil {
			t.Fatal(err)
		}
		write(t, s, "backoff", before, "new")
		to, _, err := s.Pin(before.Definition, "legacy")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(t.Context(), "backoff", remote.Change{From: before, To: to}); !isConflict(err) {
			t.Errorf("got %v, want ErrConflict", err)
		}
	})
}

// write serves a variant to everyone, and reads it back.
func write(t testing.TB, s *unleash.Server, flag string, from remote.State, variant string) remote.State {
	t.Helper()
	to, _, err := s.Pin(from.Definition, variant)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), flag, remote.Change{From: from, To: to, Variant: variant}); err != nil {
		t.Fatal(err)
	}
	after, err := s.Read(t.Context(), flag)
	if err != nil {
		t.Fatal(err)
	}
	if !remote.Same(after.Definition, to) {
		t.Errorf("read back: got %s, want %s", after.Definition, to)
	}
	return after
}

func evaluating(t testing.TB, c unleash.Frontend) *openfeature.Client {
	t.Helper()
	p, err := unleash.NewProvider(c)
	if err != nil {
		t.Fatal(err)
	}
	api := isolated.NewAPI()
	if err := api.SetProviderAndWait(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return api.NewClient()
}

// seen waits until a user gets the variant through OpenFeature.
func seen(t testing.TB, client *openfeature.Client, flag, user, variant, value string) {
	t.Helper()
	var got openfeature.InterfaceEvaluationDetails
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var err error
		got, err = client.ObjectValueDetails(context.Background(), flag, nil, openfeature.NewEvaluationContext(user, map[string]any{"region": "us"}))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := json.Marshal(got.Value); err == nil && got.Variant == variant && string(b) == value {
			return
		}
	}
	t.Errorf("%s for %s: got variant %q with %v, want %q with %s", flag, user, got.Variant, got.Value, variant, value)
}
