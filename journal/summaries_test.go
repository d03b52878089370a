package journal

import (
	"testing"

	"aftershock/detector"
)

// testSummaries: all but the course, whatever names look like one.
func testSummaries(t *testing.T, p place) {
	j := p.open(t)
	plain, strange, long := verdict("u", "a", detector.Clear), verdict("u", `b,"course":[1]`, detector.Regressed), verdict("u", "c", detector.Regressed)
	strange.Indicator.Labels["course"] = `,"course":[`
	strange.Warnings = []string{`,"course":[`}
	strange.Effect, strange.Direction = &detector.Effect{What: "x", Before: 1, After: 2, Ratio: 2, Low: 1, High: 3}, detector.Worse
	plain.Missing, plain.DecidedIn = "time", 60
	long.Recovered, long.Accepted = noon, &detector.Acceptance{Flag: "f", Ratio: 2, At: noon}
	long.Course = []detector.CoursePoint{{Time: noon, Bad: 1, Total: 2, Expected: 0.5, Low: 0.4, High: 0.6}, {Time: noon.Add(1), Bad: 1, Total: 3}}
	all := []detector.Verdict{plain, strange, long}
	commit(t, j, Tick{Time: noon, Verdicts: all})
	got := must[[]Summary](t)(j.Summaries(t.Context(), "u"))
	byService := map[string]Summary{}
	for _, s := range got {
		byService[s.Indicator.Service()] = s
	}
	for _, v := range all {
		equal(t, "summary", byService[v.Indicator.Service()], Summary{
			Upgrade: v.Upgrade, Indicator: v.Indicator, State: v.State, Direction: v.Direction, Effect: v.Effect,
			Missing: v.Missing, DecidedIn: v.DecidedIn, Accepted: v.Accepted, Recovered: v.Recovered,
		})
		equal(t, "the verdict itself", must[detector.Verdict](t)(j.VerdictOn(t.Context(), "u", v.Indicator)), v)
	}
	if len(got) != 3 {
		t.Errorf("%d summaries", len(got))
	}
}
