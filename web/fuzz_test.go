package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"aftershock/web/webtest"
)

// fuzzed are routes of the API and of pages; ~ is what is made up.
var fuzzed = []string{
	"GET /api/v1/upgrades", "GET /api/v1/upgrades/~", "GET /api/v1/upgrades/~/verdicts", "GET /api/v1/upgrades/dten-4.2.0/report",
	"GET /api/v1/events", "GET /api/v1/alerts", "GET /api/v1/alerts/~", "GET /api/v1/flags/~", "GET /api/v1/flags/~/history",
	"GET /api/v1/flags/payments-backoff/tuning", "GET /api/v1/audit", "GET /api/v1/~", "GET /~", "GET /flags/payments-backoff", "GET /flags/~",
	"GET /upgrades/~", "GET /alerts/~", "GET /toggles/~", "GET /sign-in/~",
	"POST /api/v1/upgrades", "POST /api/v1/upgrades/~/close", "POST /api/v1/alerts/~/mark", "POST /api/v1/alerts/dten-4.2.0%2Fgeo-api/mark",
	"POST /api/v1/alerts/dten-4.2.0%2Fgeo-api/acknowledge", "PUT /api/v1/flags/payments-backoff", "PUT /api/v1/flags/~",
	"POST /api/v1/flags/payments-backoff/undo", "POST /api/v1/flags/payments-backoff/extend", "POST /api/v1/flags/payments-backoff/acknowledge",
	"POST /api/v1/toggles/~/approve", "POST /api/v1/toggles/~/reject", "POST /api/v1/automation/freeze", "POST /api/v1/inbox", "POST /api/v1/inbox/~",
	"POST /v2/change/enqueue", "POST /sign-in", "POST /sign-out", "POST /flags/payments-backoff", "POST /flags/~/undo", "POST /ofrep/v1/evaluate/flags/~",
}

// FuzzRequests asks for anything, as nobody and as somebody on call: the daemon answers that
// it is wrong, or what was asked for, and neither fails inside nor tells a secret.
func FuzzRequests(f *testing.F) {
	for n := range fuzzed {
		f.Add(uint8(n), "payments-backoff", "limit=1&after=x", `{"variant":"legacy","reason":"x","percent":12.5}`, "k", true)
		f.Add(uint8(n), "a/../b?c#\x00", "format=json&%zz=;", `{"reason":"\u0000","expires_in":1e308,"mark":"false","actor":7}`, "\"", true)
	}
	f.Add(uint8(0), "", "limit=1&after=MTAwIHg", "", "", true)
	f.Add(uint8(4), "", "after=9223372036854775807&limit=0", "", "", true)
	f.Add(uint8(5), "", "state=firing&after=%00", "", "", false)
	f.Add(uint8(13), "", "variant=%f0%28&upgrade=a", "", "", false)
	f.Add(uint8(32), "", "", `{"app":"x","phase":"Running","started_at":"2026-03-06T09:00:00Z"}`, "", true)
	f.Add(uint8(24), "", "dry_run=1", `{"variant":"tuned","value":{"attempts":1e999},"reason":"x"}`, "", true)
	f.Add(uint8(19), "", "", "binaries: [{name: &a x, selector: *a}]", "", true)
	f.Add(uint8(37), "", "variant=legacy&reason=x&revision=1", "variant=legacy&reason=%ff&revision=99999999999999999999", "", false)
	s := story(f)
	f.Fuzz(func(t *testing.T, route uint8, name, query, body, key string, signed bool) {
		method, path, _ := strings.Cut(fuzzed[int(route)%len(fuzzed)], " ")
		target, err := url.Parse(s.URL + strings.ReplaceAll(path, "~", url.PathEscape(name)))
		if err != nil {
			t.Skip() // a client can't send it either
		}
		target.RawQuery = strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' || r == '#' {
				return -1
			}
			return r
		}, query)
		headers := []string{"Content-Type", "application/json"}
		if strings.HasPrefix(path, "/flags") || strings.HasPrefix(path, "/sign") {
			headers[1] = "application/x-www-form-urlencoded"
		}
		if signed {
			headers = append(headers, "Authorization", bearer)
		}
		if plain(key) {
			headers = append(headers, "Idempotency-Key", key, "If-None-Match", key)
		}
		got := ask(t, method, target.String(), body, headers...)
		if got.StatusCode >= 500 && got.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("%s %s: %d %s", method, target, got.StatusCode, got.body)
		}
		if strings.Contains(got.body, webtest.Token) || strings.Contains(got.body, "payload-of-a-job") {
			t.Errorf("%s %s tells a secret: %s", method, target, got.body)
		}
		if strings.Contains(got.Header.Get("Content-Type"), "json") && (!json.Valid([]byte(got.body)) || !utf8.ValidString(got.body)) {
			t.Errorf("%s %s: no JSON: %q", method, target, got.body)
		}
		if got.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s: %d without a policy", method, target, got.StatusCode)
		}
	})
}

// plain says whether a header can hold the text.
func plain(text string) bool {
	return text != "" && !slices.ContainsFunc([]byte(text), func(b byte) bool { return b < ' ' || b > '~' })
}
