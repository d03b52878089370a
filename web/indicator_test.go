package web_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web/webtest"
)

// pageOf is where a verdict of the story is looked at.
func pageOf(v detector.Verdict) string {
	return "/upgrades/" + url.PathEscape(v.Upgrade) + "/indicators/" + v.Indicator.ID()
}

// TestIndicatorPage: all that is known of an indicator, and its figures as JSON at the same
// path of the API.
func TestIndicatorPage(t *testing.T) {
	s := story(t)
	tick := webtest.Story(time.Now())
	place, retries, quiet, undecided := tick.Verdicts[0], tick.Verdicts[1], tick.Verdicts[4], tick.Verdicts[len(tick.Verdicts)-1]
	for name, c := range map[string]struct {
		verdict     detector.Verdict
		want, lacks []string
	}{
		"latency": {place, []string{
			"tail latency of checkout /place", `class="onset-interval"`, `class="band"`, `class="window"`, "Share of requests that took longer than each bound",
			"0.25–0.5 s", "over 2.5 s", "p99.99", "31%", "×2.26", "×1.71 to ×2.90, at 95%", "regressed from ×1.05 on, improved from ×0.95 down", "The whole interval is over ×1.05",
			"adjusted for load and time of day", "fired at 1 of 96 placebo", "warm-up after restarts", "before the onset", "since the onset", "dten-payments 4.1.3 → 4.2.0",
		}, []string{"since the recovery"}},
		"retries":   {retries, []string{"retries of acme-pay by payments", `class="chart"`, "×43.8"}, []string{"took longer", "Quantiles"}},
		"clear":     {quiet, []string{"tail latency of catalog /page/0", "within the margin", "A course is kept of what shifted"}, []string{"<svg", "What was counted"}},
		"undecided": {undecided, []string{"a margin of 5% needs more requests", "in about", "no figure can be given yet", "none yet"}, []string{"<svg", "Course</h2>"}},
	} {
		got := ask(t, "GET", s.URL+pageOf(c.verdict), "")
		if got.StatusCode != 200 {
			t.Fatalf("%s: %d %s", name, got.StatusCode, got.body)
		}
		wellFormed(t, name, got.body)
		for _, w := range c.want {
			if !strings.Contains(got.body, w) {
				t.Errorf("%s lacks %q", name, w)
			}
		}
		for _, w := range c.lacks {
			if strings.Contains(got.body, w) {
				t.Errorf("%s holds %q", name, w)
			}
		}
		described(t, "GET", "/api/v1"+pageOf(c.verdict), ask(t, "GET", s.URL+"/api/v1"+pageOf(c.verdict), ""))
	}
	for _, path := range []string{"/upgrades/" + webtest.UpgradeID, "/alerts/" + url.PathEscape(webtest.UpgradeID+"/dten-payments")} {
		if got := ask(t, "GET", s.URL+path, ""); !strings.Contains(got.body, `href="`+pageOf(place)+`"`) || !strings.Contains(got.body, `href="`+pageOf(retries)+`"`) {
			t.Errorf("%s doesn't lead to the indicators", path)
		}
	}
	for path, status := range map[string]int{
		"/upgrades/nope/indicators/" + place.Indicator.ID(): 404, "/upgrades/dten-4.1.3/indicators/" + place.Indicator.ID(): 404,
		"/upgrades/dten-4.2.0/indicators/ffffffffffffffff": 404, "/upgrades/dten-4.2.0/indicators/" + url.PathEscape(place.Indicator.Key()): 404,
	} {
		for _, under := range []string{"", "/api/v1"} {
			if got := ask(t, "GET", s.URL+under+path, ""); got.StatusCode != status {
				t.Errorf("%s%s: %d", under, path, got.StatusCode)
			}
		}
	}
}

// TestIndicatorArithmetic holds the sums of a course against those made by hand.
func TestIndicatorArithmetic(t *testing.T) {
	s := webtest.Start(t)
	tick := webtest.Story(time.Now())
	v := tick.Verdicts[0]
	at := func(n int) time.Time { return v.Onset.At.Add(time.Duration(n) * time.Minute) }
	v.Recovered = at(2)
	v.Course = []detector.CoursePoint{
		{Time: at(-1), Bad: 1, Total: 100, Expected: 0.02},
		{Time: at(3), Bad: 2, Total: 100, Expected: 0.02},
		{Time: at(0), Bad: 2, Total: 100, Expected: 0.01},
		{Time: at(1), Bad: 8, Total: 200, Expected: 0.02},
		{Time: at(2), Bad: 4, Total: 200, Expected: 0.02},
	}
	s.Tell(t, journal.Tick{Time: time.Now(), Upgrades: tick.Upgrades, Verdicts: []detector.Verdict{v}})
	var got struct {
		ID      string
		Margin  float64
		Periods []struct {
			Name                 string
			From, To             time.Time
			Bad, Total, Expected float64
		}
	}
	ask(t, "GET", s.URL+"/api/v1"+pageOf(v), "").decode(t, &got)
	if got.ID != v.Indicator.ID() || got.Margin != 0.05 || len(got.Periods) != 3 {
		t.Fatalf("got %+v", got)
	}
	for n, want := range []struct {
		name                 string
		from, to             int
		bad, total, expected float64
	}{{"before the onset", -1, 0, 3, 200, 3}, {"since the onset", 1, 2, 12, 400, 8}, {"since the recovery", 3, 3, 2, 100, 2}} {
		p := got.Periods[n]
		if p.Name != want.name || !p.From.Equal(at(want.from)) || !p.To.Equal(at(want.to)) || p.Bad != want.bad || p.Total != want.total || math.Abs(p.Expected-want.expected) > 1e-9 {
			t.Errorf("period %d: %+v, want %+v", n, p, want)
		}
	}
	if page := ask(t, "GET", s.URL+pageOf(v), "").body; !strings.Contains(page, "3%, expected 2%") {
		t.Error("the page lacks the share since the onset")
	}
	var list struct{ Items []struct{ ID string } }
	ask(t, "GET", s.URL+"/api/v1/upgrades/"+webtest.UpgradeID+"/verdicts", "").decode(t, &list)
	if len(list.Items) != 1 || list.Items[0].ID != v.Indicator.ID() {
		t.Errorf("the list of verdicts: %+v", list)
	}
}

// TestOddDistributions: a distribution is drawn whole or not at all.
func TestOddDistributions(t *testing.T) {
	s := webtest.Start(t)
	for name, c := range map[string]struct {
		d     *detector.Distribution
		drawn bool
	}{
		"none":      {nil, false},
		"one bound": {&detector.Distribution{Bounds: []float64{1}, Before: []float64{1, 0}, After: []float64{1, 0}}, false},
		"from zero": {&detector.Distribution{Bounds: []float64{0, 1}, Before: []float64{1, 0, 0}, After: []float64{1, 0, 0}}, false},
		"too short": {&detector.Distribution{Bounds: []float64{1, 2}, Before: []float64{1, 0, 0}, After: []float64{1, 0}}, false},
		"no tail":   {&detector.Distribution{Bounds: []float64{1, 2}, Before: []float64{1, 0, 0}, After: []float64{1, 0, 0}}, true},
		"all tail":  {&detector.Distribution{Bounds: []float64{1, 2}, Before: []float64{0, 0, 1}, After: []float64{0, 0, 1}}, true},
		"wide":      {&detector.Distribution{Bounds: []float64{1e-9, 1, 1e9}, Before: []float64{0.5, 0.5, 0, 0}, After: []float64{1e-9, 0, 0, 1}}, true},
	} {
		tick := webtest.Story(time.Now())
		v := tick.Verdicts[0]
		v.Distribution, v.Course = c.d, nil
		s.Tell(t, journal.Tick{Time: time.Now(), Upgrades: tick.Upgrades, Verdicts: []detector.Verdict{v}})
		got := ask(t, "GET", s.URL+pageOf(v), "").body
		if strings.Contains(got, "<svg") != c.drawn || strings.Contains(got, "NaN") || strings.Contains(got, "Inf") {
			t.Errorf("%s: drawn %v, or badly", name, !c.drawn)
		}
		if !c.drawn {
			continue
		}
		_, picture, _ := strings.Cut(got, "<svg")
		picture, _, _ = strings.Cut("<svg"+picture, `<p class="key">`)
		d := xml.NewDecoder(strings.NewReader(picture))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v in %s", name, err, picture)
			}
		}
	}
}
