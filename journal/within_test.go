package journal

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
)

// What was watched at any time of a span, and what began in it.
func testWithin(t *testing.T, p place) {
	j := p.open(t)
	at := func(h int) time.Time { return noon.Add(time.Duration(h) * time.Hour) }
	up := func(id string, from, to int) detector.Upgrade {
		u := detector.Upgrade{ID: id, StartedAt: at(from)}
		if to > 0 {
			u.ClosedAt = at(to)
		}
		return u
	}
	commit(t, j, Tick{
		Time:     noon,
		Upgrades: []detector.Upgrade{up("over", 1, 10), up("open", 2, 0), up("into", 3, 11), up("inside", 12, 13), up("later", 20, 0), up("wide", 0, 30), {ID: "planned", Plan: detector.Plan{PlannedStart: at(12)}}},
		Alerts: []detector.Alert{
			{Key: "before", State: detector.AlertFiring, StartsAt: at(9)},
			{Key: "b", State: detector.AlertResolved, StartsAt: at(10)},
			{Key: "a", State: detector.AlertFiring, StartsAt: at(10)},
			{Key: "end", State: detector.AlertFiring, StartsAt: at(20)},
		},
	})
	var got []string
	for _, u := range must[[]detector.Upgrade](t)(j.UpgradesWithin(t.Context(), at(10), at(20))) {
		got = append(got, u.ID)
	}
	equal(t, "upgrades", got, []string{"wide", "open", "into", "inside"})
	got = nil
	for _, u := range must[[]detector.Upgrade](t)(j.UpgradesKept(t.Context(), at(12))) {
		got = append(got, u.ID)
	}
	equal(t, "upgrades kept", got, []string{"later", "inside", "planned", "open", "wide"})
	all, _, err := j.Upgrades(t.Context(), Page{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	for _, u := range all {
		got = append(got, u.ID)
	}
	equal(t, "the last, by when they began or are to", got, []string{"later", "planned", "inside"})
	got = nil
	for _, a := range must[[]detector.Alert](t)(j.AlertsWithin(t.Context(), at(10), at(20))) {
		got = append(got, a.Key)
	}
	equal(t, "alerts", got, []string{"a", "b"})
}

// An hour is replaced while it grows, and a step that is repeated takes none away.
func testCoverage(t *testing.T, p place) {
	j := p.open(t)
	hour := func(n, steps int) detector.Coverage {
		return detector.Coverage{Hour: noon.Add(time.Duration(n) * time.Hour), Step: 60, Steps: steps, Silent: 1}
	}
	commit(t, j, Tick{Time: noon, Coverage: []detector.Coverage{hour(0, 59)}})
	commit(t, j, Tick{Time: noon, Coverage: []detector.Coverage{hour(0, 60), hour(1, 3), hour(2, 1)}})
	commit(t, j, Tick{Time: noon, Coverage: []detector.Coverage{hour(1, 2)}})
	got, err := j.Coverage(t.Context(), noon, noon.Add(2*time.Hour))
	if d := cmp.Diff([]detector.Coverage{hour(0, 60), hour(1, 3)}, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	if err := j.Commit(t.Context(), Tick{Time: noon, Coverage: []detector.Coverage{{Hour: noon, Step: math.NaN()}}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v for no number, want ErrInvalid", err)
	}
}
