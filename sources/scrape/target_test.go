package scrape

import "testing"

func TestShownURLHidesSecrets(t *testing.T) {
	for url, want := range map[string]string{
		"http://h:1/metrics": "http://h:1/metrics",
		"http://h:1/probe?module=http&target=https%3A%2F%2Fx":  "http://h:1/probe?module=http&target=https%3A%2F%2Fx",
		"http://h:1/m?Token=abc&target=x&api%4Bey=def&PASSWD=": "http://h:1/m?token=xxxxx&target=x&apikey=xxxxx&passwd=xxxxx",
	} {
		if got := (endpoint{url: url}).shown(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
