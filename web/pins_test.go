package web_test

import (
	"context"
	"strings"
	"testing"

	"aftershock/detector"
	"aftershock/web"
	"aftershock/web/webtest"
)

func TestPins(t *testing.T) {
	told := map[string]string{}
	s := webtest.Start(t, func(o *web.Options) {
		o.Escalate = func(_ context.Context, key, text string) error { told[key] = text; return nil }
	})
	pin := `{"publisher":"DTEN Systems","kind":"x509","fingerprint":"AB:CD","issuer":"DTEN CA"}`
	unexpected := `{"publisher":"DTEN Systems","kind":"x509","fingerprint":"EE:FF","issuer":"Other\u001b[31m CA","package":"a.zip","expected":[` + pin + `],"steps":["call the vendor"]}`
	for _, tc := range []struct {
		method, path, body, auth string
		status                   int
	}{
		{"GET", "/api/v1/pins?publisher=DTEN+Systems", "", "", 200},
		{"GET", "/api/v1/pins", "", "", 400},
		{"POST", "/api/v1/pins", pin, "", 401},
		{"POST", "/api/v1/pins", pin, bearer, 201},
		{"POST", "/api/v1/pins", pin, bearer, 201}, // again
		{"POST", "/api/v1/pins", `{"publisher":"x","kind":"x509"}`, bearer, 400},
		{"POST", "/api/v1/pins", `{"publisher":"a\u202eb","kind":"x509","fingerprint":"A"}`, bearer, 400},
		{"POST", "/api/v1/pins/unexpected", unexpected, "", 401},
		{"POST", "/api/v1/pins/unexpected", unexpected, bearer, 202},
		{"POST", "/api/v1/pins/unexpected", `{"publisher":"x"}`, bearer, 400},
	} {
		var headers []string
		if tc.auth != "" {
			headers = []string{"Authorization", tc.auth}
		}
		got := ask(t, tc.method, s.URL+tc.path, tc.body, headers...)
		if got.StatusCode != tc.status {
			t.Errorf("%s %s %s: %d %s", tc.method, tc.path, tc.body, got.StatusCode, got.body)
		}
		described(t, tc.method, tc.path, got)
	}
	var list struct{ Items []detector.Pin }
	ask(t, "GET", s.URL+"/api/v1/pins?publisher=DTEN+Systems", "").decode(t, &list)
	if len(list.Items) != 1 || list.Items[0].Fingerprint != "AB:CD" || list.Items[0].FirstSeen.IsZero() {
		t.Errorf("pins %+v", list.Items)
	}
	text := told["pin/DTEN Systems/EE:FF"]
	if len(told) != 1 || !strings.Contains(text, "EE:FF") || !strings.Contains(text, "Expected: AB:CD of DTEN CA") || !strings.Contains(text, "1. call the vendor") || strings.Contains(text, "\x1b") {
		t.Errorf("told %q", told)
	}
}
