package notify

import (
	"net/url"
	"strings"
	"testing"

	"aftershock/detector"
)

func TestRunbook(t *testing.T) {
	a := detector.Alert{
		Upgrade: "dten 4.2.0/a&b", Cause: detector.Cause{Kind: detector.CauseBinary, Name: "dten-payments"},
		Root: detector.Verdict{Indicator: detector.Indicator{Kind: detector.Retry, Labels: map[string]string{"service": "pay/../ments?x=1#y"}}},
	}
	for raw, want := range map[string]string{
		"https://r.example/x":                                       "https://r.example/x",
		"https://r.example/{service}/{indicator}":                   "https://r.example/pay%2F..%2Fments%3Fx%3D1%23y/retry",
		"https://r.example/?b={binary}&u={upgrade}&c={cause}#again": "https://r.example/?b=dten-payments&u=dten%204.2.0%2Fa%26b&c=binary#again",
	} {
		if err := CheckRunbook(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		if got := runbook(raw, a); got != want {
			t.Errorf("%s: got %s, want %s", raw, got, want)
		}
	}
	a.Cause = detector.Cause{Kind: detector.CauseUnknown, Name: "x"}
	if got := runbook("https://r.example/{binary}", a); got != "https://r.example/" {
		t.Errorf("no binary is blamed: got %s", got)
	}
	for raw, want := range map[string]string{
		"https://r.example/{team}":      "{team} is none of",
		"https://{service}.example/":    "before its path",
		"https://r.example{service}/":   "before its path",
		"{service}://r.example/":        "before its path",
		"ftp://r.example/{service}":     "scheme",
		"/{service}":                    "scheme",
		"https://r.example/%zz":         "no URL",
		"https://r.example:{service}/x": "no URL",
	} {
		if err := CheckRunbook(raw); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", raw, err, want)
		}
	}
}

// The link beside the command leads to what the command does, planned.
func TestPlan(t *testing.T) {
	c := Composer{ExternalURL: "https://a.example/"}
	for _, x := range []struct{ flag, safe, upgrade, want string }{
		{"payments-backoff", "legacy", "dten-4.2.0", "https://a.example/flags/payments-backoff?upgrade=dten-4.2.0&variant=legacy"},
		{"a/b?c", "x&y=z", "", "https://a.example/flags/a%2Fb%3Fc?variant=x%26y%3Dz"},
		{"f", "", "u", "https://a.example/flags/f"},
	} {
		if got := c.plan(x.flag, x.safe, x.upgrade); got != x.want {
			t.Errorf("%+v: got %s", x, got)
		}
	}
}

func TestPage(t *testing.T) {
	c := Composer{ExternalURL: "https://a.example/x/"}
	const key = "u/../b c/\x00\n%2F?#/1"
	got := c.page(key)
	rest, ok := strings.CutPrefix(got, "https://a.example/x/alerts/")
	back, err := url.PathUnescape(rest)
	if !ok || strings.ContainsAny(rest, "/?# \n") || err != nil || back != key {
		t.Errorf("got %q, which leads to %q (%v)", got, back, err)
	}
	if got := c.page(strings.Repeat("k", 301)); got != "" {
		t.Errorf("a key that makes no usable link: %q", got)
	}
	if got := (&Composer{}).page(key); got != "" {
		t.Errorf("without an external URL: %q", got)
	}
}
