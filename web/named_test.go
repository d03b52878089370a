package web_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/journal"
	"aftershock/web/webtest"
)

var tags = regexp.MustCompile(`<[^>]*>`)

// TestAnUpgradeThatWasFoundByItself is called by what it is, wherever people read of it, the
// culprit first; its ID, which names what had switched first, stays where machines read it.
func TestAnUpgradeThatWasFoundByItself(t *testing.T) {
	s := webtest.Start(t)
	tick := webtest.Story(time.Now())
	const id = "dten-catalog-4.2.0-20261129T100431Z"
	u := &tick.Upgrades[1]
	u.ID, u.Package, u.Culprit = id, "", "dten-payments"
	u.Binaries = append([]detector.Binary{{Name: "dten-catalog", From: "4.1.3", To: "4.2.0"}}, u.Binaries...)
	name := "3 binaries on " + u.StartedAt.Format("2006-01-02 15:04") + " UTC"
	whole := name + " (dten-payments, dten-catalog, dten-checkout)"
	for i := range tick.Verdicts {
		tick.Verdicts[i].Upgrade = id
	}
	for i := range tick.Events {
		tick.Events[i].Upgrade = id
	}
	for i := range tick.Alerts {
		a := &tick.Alerts[i]
		a.Upgrade, a.Title, a.Key = id, words.Upgrade(*u), strings.Replace(a.Key, webtest.UpgradeID, id, 1)
		a.Root.Upgrade = id
		for n := range a.Others {
			a.Others[n].Upgrade = id
		}
	}
	s.Tell(t, tick)
	alert := url.PathEscape(id + "/dten-payments")
	for path, want := range map[string]string{
		"/": whole, "/upgrades/" + id: whole, "/upgrades/" + id + "/package": "Package of " + whole, "/reports": whole,
		"/upgrades/" + id + "/indicators/" + tick.Verdicts[0].Indicator.ID(): whole,
		"/alerts/" + alert: whole, "/status/" + id: "Upgrade of " + name, "/status/" + id + "/feed.atom": "<title>Upgrade of " + name + "</title>",
	} {
		got := ask(t, "GET", s.URL+path, "").body
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %q", path, want)
		}
		for line := range strings.Lines(tags.ReplaceAllString(got, "\n")) {
			// Commands to copy and the feed's own names are for machines.
			if strings.Contains(line, id) && !strings.Contains(line, "--upgrade "+id) && !strings.Contains(path, "feed") {
				t.Errorf("%s tells of %q", path, strings.TrimSpace(line))
			}
		}
	}
	for path, want := range map[string]string{
		"/api/v1/upgrades/" + id: `"culprit":"dten-payments"`, "/api/v1/alerts/" + alert: `"title":"` + whole + `"`,
		"/api/v1/upgrades/" + id + "/status": `"title":"` + name + `"`, "/api/v1/upgrades/" + id + "/package": `"title":"` + whole + `"`,
		"/status/" + id + "/feed.json": `"title":"Upgrade of ` + name + `"`,
	} {
		if got := ask(t, "GET", s.URL+path, "").body; !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", path, want)
		}
	}
	// People outside aren't told who did it.
	if got := ask(t, "GET", s.URL+"/status/"+id, "").body; strings.Contains(tags.ReplaceAllString(got, ""), "dten-payments") {
		t.Error("the status page names the culprit")
	}
}

// TestAfterTheRecovery: what it was, and what the flag serves, is told as long as the
// upgrade is.
func TestAfterTheRecovery(t *testing.T) {
	s := webtest.Start(t)
	tick := webtest.Story(time.Now())
	tick.Upgrades[1].Culprit = "dten-payments"
	for i := range tick.Verdicts {
		if v := &tick.Verdicts[i]; v.State == detector.Regressed {
			v.State, v.Recovered = detector.Undecided, time.Now().UTC().Add(-time.Minute)
		}
	}
	for i := range tick.Alerts {
		tick.Alerts[i].State, tick.Alerts[i].EndsAt = detector.AlertResolved, time.Now().UTC()
	}
	s.Tell(t, tick)
	for _, path := range []string{"/", "/upgrades/" + webtest.UpgradeID} {
		got := ask(t, "GET", s.URL+path, "").body
		const want = "All that had regressed has recovered. It was put down to dten-payments 4.1.3 → 4.2.0. " +
			"The flag payments-backoff, which gates it, serves the variant “new” at present; its safe variant is “legacy”."
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %q", path, want)
		}
	}
	got := ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID, "").body
	if n := strings.Count(got, `class="now"`); n != 4 {
		t.Errorf("%d of 4 courses mark where they stand", n)
	}
}

var captions = regexp.MustCompile(`(linear axis from 0|logarithmic axis)</span>`)

// TestTheAxisStays: whatever range of a course is in view, it is drawn on the axis of its
// kind of indicator; the last point and the level of before are told with their figures.
func TestTheAxisStays(t *testing.T) {
	for spike, ratio := range map[float64]string{0.012: "narrow", 0.9: "wide"} {
		s := webtest.Start(t)
		tick := webtest.Story(time.Now())
		for i := range tick.Verdicts {
			v := &tick.Verdicts[i]
			for n := range v.Course {
				p := &v.Course[n]
				p.Total, p.Bad, p.Expected, p.Low, p.High = 1000, 10, 0.01, 0.008, 0.012
				if n == len(v.Course)/2 {
					p.Bad = 1000 * spike
				}
			}
			if n := len(v.Course) - 1; n > 0 {
				v.Course[n].Bad = 11
			}
		}
		s.Tell(t, tick)
		for n, want := range []string{"linear axis from 0", "linear axis from 0", "linear axis from 0", "logarithmic axis"} {
			v := tick.Verdicts[n]
			got := ask(t, "GET", s.URL+pageOf(v), "").body
			if c := captions.FindStringSubmatch(got); c == nil || c[1] != want {
				t.Errorf("%s, %s range: the caption is %q, want %q", v.Indicator.Name(), ratio, c, want)
			}
			last := words.Value(v.Effect.What, 0.011)
			at := v.Course[len(v.Course)-1].Time
			for _, want := range []string{
				">last: " + last + " at " + words.Clock(at) + "<", ">before: " + words.Value(v.Effect.What, v.Effect.Before) + "<",
				">" + last + "</text>", `class="level"`,
			} {
				if !strings.Contains(got, want) {
					t.Errorf("%s, %s range: lacks %q", v.Indicator.Name(), ratio, want)
				}
			}
		}
		// The upgrade's page, whose courses are thinned, tells the same figure.
		if got := ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID, "").body; strings.Count(got, ">last: 1.1% at ") != 3 {
			t.Errorf("%s range: the upgrade's page tells %d of 3 shares", ratio, strings.Count(got, ">last: 1.1% at "))
		}
	}
}

// TestNamesOfLanes: a long name is shortened in its middle, for its ends tell it apart, and
// told in full to a pointer; the counts stand on a line of their own.
func TestNamesOfLanes(t *testing.T) {
	s := webtest.Start(t)
	u := detector.Upgrade{ID: "long", StartedAt: time.Now().UTC().Truncate(time.Minute).Add(-time.Hour), Culprit: "payments-of-the-second-region-with-a-long-name-b"}
	for _, end := range []string{"a", "b"} {
		u.Binaries = append(u.Binaries, detector.Binary{
			Name: "payments-of-the-second-region-with-a-long-name-" + end, From: "4.1.3", To: "4.2.0",
			Instances: []detector.Deployment{{Instance: "i", At: u.StartedAt}},
		})
	}
	s.Tell(t, journal.Tick{Time: time.Now(), Upgrades: []detector.Upgrade{u}})
	got := ask(t, "GET", s.URL+"/upgrades/long", "").body
	for _, end := range []string{"a", "b"} {
		want := fmt.Sprintf(`<title>payments-of-the-second-region-with-a-long-name-%s 4.1.3 → 4.2.0</title>payments-of-the-second-…g-name-%[1]s 4.1.3 → 4.2.0</text>`, end)
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if !strings.Contains(got, ">1 instance, "+words.Clock(u.StartedAt)+"</text>") {
		t.Error("the lane doesn't say how many switched, and when")
	}
	if a, b := strings.Index(got, "name-a 4.1.3"), strings.Index(got, "name-b 4.1.3"); b > a {
		t.Error("the culprit's lane isn't the first")
	}
}
