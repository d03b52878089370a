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
		"What switched", `aria-label="Instances that switched to the new build: dten-checkout 4.1.3 → 4.2.0: 2 instances, `,
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
