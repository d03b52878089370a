package notify

import (
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		in   string
		want time.Duration
	}{
		{"", 0},
		{"17", 17 * time.Second},
		{"0", 0},
		{"-5", 0},
		{"99999999999999999999", 0},
		{"86400", time.Hour},
		{"Fri, 06 Mar 2026 09:00:30 GMT", 30 * time.Second},
		{"Fri, 06 Mar 2026 08:00:00 GMT", 0},
		{"Fri, 06 Mar 2037 08:00:00 GMT", time.Hour},
		{"soon", 0},
	} {
		if got := retryAfter(tc.in, now); got != tc.want {
			t.Errorf("%q: got %s, want %s", tc.in, got, tc.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Fri, 06 Mar 2026 09:00:30 GMT")
	now := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if got := retryAfter(s, now); got < 0 || got > maxRetryAfter {
			t.Errorf("%q: got %s, want 0 to %s", s, got, maxRetryAfter)
		}
	})
}

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"https://user:secret@hooks.example:8443/T0/B0/xyz?token=1": "https://hooks.example:8443",
		"http://%zz":   "an invalid URL",
		"/only/a/path": "an invalid URL",
	} {
		if got := Host(in); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
