package web_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/webtest"
)

var judged = regexp.MustCompile(`>(\d+) of (\d+) steps judged, 20 of them while most targets were silent\.<`)

// TestHealth: coverage, receivers, storage and the lag, in words and as JSON.
func TestHealth(t *testing.T) {
	now := time.Now().UTC()
	s := webtest.Start(t, func(o *web.Options) {
		o.Receivers = func() []web.Receiver {
			return []web.Receiver{{Name: "oncall", At: now.Add(-time.Minute)}, {Name: "mail", At: now, Error: "deliver to mail: 535 no <such> user", Since: now.Add(-time.Hour)}, {Name: "spare"}}
		}
	})
	var tick journal.Tick
	hour := now.Truncate(time.Hour)
	for n := range 6 {
		c := detector.Coverage{Hour: hour.Add(-time.Duration(n+1) * time.Hour), Step: 60, Steps: 60}
		if n == 2 {
			c.Steps = 30
		}
		if n == 4 {
			c.Silent = 20
		}
		tick.Coverage = append(tick.Coverage, c)
	}
	tick.Coverage = append(tick.Coverage, detector.Coverage{Hour: hour.Add(-48 * time.Hour), Step: 60, Steps: 60})
	tick.Jobs = []journal.Job{{Kind: "alert", Key: "a"}, {Kind: "alert", Key: "b"}}
	s.Tell(t, tick)
	got := ask(t, "GET", s.URL+"/health", "")
	wellFormed(t, "/health", got.body)
	for _, want := range []string{
		"1 of 3 couldn't be told the last time", "not tried", "failing", "535 no &lt;such&gt; user", "The journal is in SQLite and takes ", "2 waiting, 0 under way, 0 to be tried again, 0 given up, 0 done of late",
		"Telemetry is being read", hour.Add(-3*time.Hour).Format("15:04") + ": 30 of 60 steps judged",
		`y="14.7" width="3.9%" height="29.3"/>`, // of the hour with 20 silent steps
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	m := judged.FindStringSubmatch(got.body)
	if m == nil || m[1] != "330" {
		t.Fatalf("the coverage is told as %v", m)
	}
	// The hour under way counts as far as it could be read.
	if due, _ := strconv.Atoi(m[2]); due < 360 || due > 420 {
		t.Errorf("%d steps were due", due)
	}
	answered := ask(t, "GET", s.URL+"/api/v1/health", "")
	described(t, "GET", "/api/v1/health", answered)
	for _, want := range []string{`"late":false`, `"failing_since"`, `"kind":"SQLite"`, `"waiting":2`, `"silent":20`} {
		if !strings.Contains(answered.body, want) {
			t.Errorf("the API lacks %s: %s", want, answered.body)
		}
	}
	if n := strings.Count(answered.body, `"step_seconds"`); n != 6 {
		t.Errorf("%d hours are told, want 6", n)
	}
}

// TestHealthOfAWatchThatStands is no good news, whatever it said last.
func TestHealthOfAWatchThatStands(t *testing.T) {
	s := webtest.Start(t)
	for ago, late := range map[time.Duration]bool{3 * time.Minute: false, 10 * time.Minute: true} {
		s.Loop.Now.Time = time.Now().Add(-ago)
		page := ask(t, "GET", s.URL+"/health", "").body
		if strings.Contains(page, "Nothing has been judged for "+fmt.Sprint(10)) != late || strings.Contains(page, "Telemetry is being read") == late {
			t.Errorf("%s behind: %s", ago, page)
		}
		if got := ask(t, "GET", s.URL+"/api/v1/health", "").body; strings.Contains(got, `"late":true`) != late {
			t.Errorf("%s behind: %s", ago, got)
		}
	}
	if page := ask(t, "GET", s.URL+"/health", "").body; !strings.Contains(page, "nobody is told anything") {
		t.Error("that there are no receivers isn't said")
	}
}
