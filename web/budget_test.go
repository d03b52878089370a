package web_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web/webtest"
)

// TestBudget: with 2,000 indicators and a hundred shifts, the first page and those that
// alerts lead to take under 100 kB and, at the median of 20, under 100 ms over loopback.
func TestBudget(t *testing.T) {
	s := webtest.Start(t)
	tick := webtest.Story(time.Now())
	shifts, rest := tick.Verdicts[:4], tick.Verdicts[4:]
	for n := range 2000 {
		v := rest[n%len(rest)]
		if n%20 == 0 {
			v = shifts[n/20%len(shifts)]
		}
		v.Indicator = webtest.Indicator(v.Indicator.Kind, "http_server_request_duration_seconds", "service", fmt.Sprintf("service-%d", n), "http_route", "/a/rather/long/route/{id}")
		tick.Verdicts = append(tick.Verdicts, v)
	}
	for n := range 50 {
		tick.Upgrades[1].Binaries = append(tick.Upgrades[1].Binaries, detector.Binary{Name: fmt.Sprintf("dten-more-%d", n), From: "4.1.3", To: "4.2.0", Inside: &detector.Inside{Summary: "a function that has a long name changed, and a constant from 3 to 6", Touches: []string{"retry"}}})
	}
	for n := range 40 {
		a := tick.Alerts[0]
		a.Key = fmt.Sprintf("%s/%d", a.Key, n)
		tick.Alerts = append(tick.Alerts, a)
	}
	s.Tell(t, tick)
	var covered journal.Tick
	for n := range 24 {
		covered.Coverage = append(covered.Coverage, detector.Coverage{Hour: time.Now().UTC().Truncate(time.Hour).Add(-time.Duration(n) * time.Hour), Step: 60, Steps: 60})
	}
	s.Tell(t, covered)
	// Each of them is found.
	for find, want := range map[string]bool{"service-1777": true, "SERVICE-1777+clear": true, "service-1777+regressed": false, "none-such": false} {
		got := ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID+"?find="+find, "").body
		if strings.Contains(got, "of service-1777 /a") != want || strings.Contains(got, "None of them is like that") == want || strings.Contains(got, "service-1778") {
			t.Errorf("%q finds %v", find, !want)
		}
	}
	for _, path := range []string{"/", "/upgrades/" + webtest.UpgradeID, pageOf(tick.Verdicts[0]), "/health", "/reports"} {
		var took []time.Duration
		size := 0
		for range 20 {
			began := time.Now()
			resp, err := http.Get(s.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			took = append(took, time.Since(began))
			if size = len(b); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d %v", path, resp.StatusCode, err)
			}
		}
		slices.Sort(took)
		median := took[len(took)/2]
		t.Logf("%s: %d bytes, %s", path, size, median)
		if size > 100_000 || median > slower*100*time.Millisecond {
			t.Errorf("%s: %d bytes in %s, want at most 100 kB in 100 ms", path, size, median)
		}
	}
}
