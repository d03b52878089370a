package web_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web/webtest"
)

var filled = regexp.MustCompile(`class="new" d="([^"]*)"`)

// TestRollout: one lane a binary, which fills from the first switch to the last.
func TestRollout(t *testing.T) {
	s := webtest.Start(t)
	tick := webtest.Story(time.Now())
	u := &tick.Upgrades[1]
	u.Binaries[0].Inside = &detector.Inside{Summary: "max_attempts 3 -> 6", Touches: []string{"retry", "backoff"}}
	u.Binaries = append(u.Binaries, detector.Binary{Name: "dten-cart", To: "4.2.0", DeployedAt: u.StartedAt.Add(13 * time.Minute)})
	s.Tell(t, tick)
	got := ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID, "").body
	for _, want := range []string{
		"What switched", `aria-label="Instances on the new build: dten-checkout 4.1.3 → 4.2.0: 2 instances, `,
		"Inside: max_attempts 3 -&gt; 6 · touches retry, backoff", "onset of the worst shift", "the worst shift began",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	// The window of 26 minutes has a pad of a twelfth on both sides: the first switch of
	// payments is at 1/14, 71.4 of 1000, the second at half.
	paths := filled.FindAllStringSubmatch(got, -1)
	if len(paths) != 3 || paths[1][1] != "M1000 22V0.0H500.0V11.0H71.4V22Z" || paths[2][1] != "M1000 22V0.0H500.0V22Z" {
		t.Errorf("lanes are drawn as %v", paths)
	}
	wellFormed(t, "the upgrade", got)
}

// TestRolloutOfMany: thousands of instances and hundreds of binaries stay small.
func TestRolloutOfMany(t *testing.T) {
	s := webtest.Start(t)
	u := detector.Upgrade{ID: "many", StartedAt: time.Now().UTC().Add(-time.Hour)}
	for n := range 100 {
		b := detector.Binary{Name: fmt.Sprintf("binary-%d", n), To: "2"}
		for i := range 1000 {
			b.Instances = append(b.Instances, detector.Deployment{Instance: fmt.Sprintf("i-%d", i), At: u.StartedAt.Add(time.Duration(i*7%1000) * time.Second)})
		}
		u.Binaries = append(u.Binaries, b)
	}
	if err := s.Journal.Commit(t.Context(), journal.Tick{Time: time.Now(), Upgrades: []detector.Upgrade{u}}); err != nil {
		t.Fatal(err)
	}
	got := ask(t, "GET", s.URL+"/upgrades/many", "").body
	if n := len(filled.FindAllString(got, -1)); n != 12 || !strings.Contains(got, "88 of them have no lane") || !strings.Contains(got, "binary-99") || len(got) > 60_000 {
		t.Errorf("%d lanes in %d bytes", n, len(got))
	}
	none := detector.Upgrade{ID: "none", StartedAt: u.StartedAt}
	if err := s.Journal.Commit(t.Context(), journal.Tick{Time: time.Now(), Upgrades: []detector.Upgrade{none}}); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, "GET", s.URL+"/upgrades/none", ""); got.StatusCode != 200 || strings.Contains(got.body, "<svg") || strings.Contains(got.body, "What switched") {
		t.Errorf("without binaries: %d", got.StatusCode)
	}
}

// TestRolloutThatStopped: those that haven't switched are counted and named, and so are
// those that are new and those that vanished.
func TestRolloutThatStopped(t *testing.T) {
	s := webtest.Start(t)
	u := detector.Upgrade{ID: "half", StartedAt: time.Now().UTC().Truncate(time.Minute).Add(-time.Hour)}
	u.FinishedAt = u.StartedAt.Add(20 * time.Minute)
	b := detector.Binary{Name: "dten-payments", From: "4.1.3", To: "4.2.0", Fleet: &detector.Fleet{
		Since: u.FinishedAt, New: 3, Old: 2, Born: 1, Gone: 1,
		OldNames: []string{"p-4", "<p>\u202e5"}, BornNames: []string{"p-9"}, GoneNames: []string{"p-0"},
	}}
	for n := range 3 {
		b.Instances = append(b.Instances, detector.Deployment{Instance: fmt.Sprintf("p-%d", n+1), At: u.StartedAt.Add(time.Duration(n*10) * time.Minute)})
	}
	crowd := detector.Binary{Name: "dten-cart", To: "4.2.0", DeployedAt: u.StartedAt, Fleet: &detector.Fleet{Since: u.StartedAt, New: 1, Old: 1234, OldNames: make([]string, detector.FleetNames)}}
	for n := range crowd.Fleet.OldNames {
		crowd.Fleet.OldNames[n] = fmt.Sprintf("c-%02d", n)
	}
	back := detector.Binary{Name: "dten-ads", To: "4.2.0", Instances: b.Instances[:1], Fleet: &detector.Fleet{Since: u.FinishedAt, Old: 1, OldNames: []string{"p-1"}}}
	u.Binaries = []detector.Binary{b, crowd, back}
	s.Tell(t, journal.Tick{Time: time.Now(), Upgrades: []detector.Upgrade{u}})
	got := ask(t, "GET", s.URL+"/upgrades/half", "").body
	for _, want := range []string{
		`aria-label="Instances on the new build: dten-payments 4.1.3 → 4.2.0: 3 of 5 on the new build, `,
		"<b>3 of 5 on the new build</b> since ", "3 instances switched, ",
		"Not on the new build: p-4, &lt;p&gt;5<", "Vanished: p-0<", "New instances: p-9<",
		"<b>1 of 1,235 on the new build</b>", "c-07 and 1,226 more<", "<b>0 of 1 on the new build</b>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	// Three of five fill 13.2 of 22.
	paths := filled.FindAllStringSubmatch(got, -1)
	if len(paths) != 3 || !strings.HasPrefix(paths[0][1], "M1000 22V8.8H") || !strings.HasPrefix(paths[2][1], "M1000 22V22.0H") {
		t.Errorf("lanes are drawn as %v", paths)
	}
	wellFormed(t, "the upgrade", got)
	api := ask(t, "GET", s.URL+"/api/v1/upgrades/half", "").body
	if !strings.Contains(api, `"old":2`) || !strings.Contains(api, `"gone_names":["p-0"]`) {
		t.Errorf("the API answers %s", api)
	}
}
