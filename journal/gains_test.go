package journal

import (
	"fmt"
	"testing"
	"time"

	"aftershock/detector"
)

// testGains: what open upgrades improved, and the one that is named, put down to the
// binaries that were asked for.
func testGains(t *testing.T, p place) {
	j := p.open(t)
	improved := func(upgrade, service, binary string, high float64) detector.Verdict {
		v := verdict(upgrade, service, detector.Improved)
		v.Direction = detector.Better
		v.Effect = &detector.Effect{What: "retries per call", Before: 2, After: 1, Ratio: high / 2, Low: high / 4, High: high}
		v.Causes = []detector.Cause{{Kind: detector.CauseBinary, Name: binary, Probability: 0.9}, {Kind: detector.CauseUnknown, Probability: 0.1}}
		v.Course = []detector.CoursePoint{{Time: noon, Bad: 1, Total: 2}}
		return v
	}
	worse, lost, party, unknown := verdict("open", "worse", detector.Regressed), improved("open", "lost", "pay", 0.5), improved("open", "party", "pay", 0.5), improved("open", "unknown", "pay", 0.5)
	worse.Causes = lost.Causes
	lost.State, lost.Recovered = detector.Clear, noon
	party.Causes[0].Kind = detector.CauseThirdParty
	unknown.Causes = nil
	commit(t, j, Tick{
		Time:     noon,
		Upgrades: []detector.Upgrade{{ID: "open", StartedAt: noon}, {ID: "closed", StartedAt: noon.Add(-time.Hour), ClosedAt: noon}},
		Verdicts: []detector.Verdict{
			worse, lost, party, unknown, improved("open", "a", "pay", 0.8), improved("open", "b", "pay", 0.4), improved("open", "other", "web", 0.1), improved("closed", "c", "pay", 0.6),
		},
	})
	ask := func(upgrade string, binaries ...string) (services []string) {
		t.Helper()
		for _, g := range must[[]detector.Gain](t)(j.Gains(t.Context(), upgrade, binaries)) {
			services = append(services, g.Upgrade+"/"+g.Indicator.Service())
		}
		return services
	}
	equal(t, "of the open one", ask("", "pay"), []string{"open/b", "open/a"})
	equal(t, "of the named one, too", ask("closed", "pay"), []string{"open/b", "closed/c", "open/a"})
	equal(t, "of two binaries", ask("", "web", "pay"), []string{"open/other", "open/b", "open/a"})
	equal(t, "of no binary", ask(""), []string(nil))
	got := must[[]detector.Gain](t)(j.Gains(t.Context(), "", []string{"web"}))
	want := improved("open", "other", "web", 0.1)
	equal(t, "a gain", got, []detector.Gain{{Upgrade: "open", Indicator: want.Indicator, Effect: want.Effect, Binary: "web", Probability: 0.9, Since: noon}})

	many := Tick{Time: noon.Add(time.Minute)}
	for n := range 2 * detector.MaxGains {
		many.Verdicts = append(many.Verdicts, improved("open", fmt.Sprint("many", n), "pay", 0.9))
	}
	commit(t, j, many)
	if all := ask("", "pay"); len(all) != detector.MaxGains || all[0] != "open/b" {
		t.Errorf("got %q, want the surest %d", all, detector.MaxGains)
	}
}
