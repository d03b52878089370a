package web

import (
	"context"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// indicator is what is known of one indicator after one upgrade, with the arithmetic
// behind its verdict.
type indicator struct {
	ID string `json:"id"`
	detector.Verdict
	// Margin and Confidence are those that verdicts are reached by at present.
	Margin     float64 `json:"margin"`
	Confidence float64 `json:"confidence"`
	// Periods are the course in parts: before the shift, since, and since it was over.
	Periods []period `json:"periods"`
	// Flips are the changes of flags that the course is drawn with.
	Flips []mark `json:"flips"`

	upgrade detector.Upgrade
}

// period sums up a part of a course.
type period struct {
	Name string    `json:"name"`
	From time.Time `json:"from"` // end of the first block
	To   time.Time `json:"to"`   // end of the last one
	// Bad and Total are what was counted, Expected is the bad that the baseline
	// expects; where a quantile is followed, they are as in the course.
	Bad      float64 `json:"bad"`
	Total    float64 `json:"total"`
	Expected float64 `json:"expected"`
}

// Share is the part of bad ones, NaN without traffic.
func (p period) Share() float64 { return over(p.Bad, p.Total) }

// ExpectedShare is the part that the baseline expects.
func (p period) ExpectedShare() float64 { return over(p.Expected, p.Total) }

func over(part, of float64) float64 {
	if !(of > 0) {
		return math.NaN()
	}
	return part / of
}

// periods sums up the course before the onset, or else the upgrade, since then, and
// since the recovery or, of what had improved, the loss.
func periods(u detector.Upgrade, v detector.Verdict) []period {
	edge, after := u.StartedAt, "since the upgrade began"
	before := "before the upgrade"
	if v.Onset != nil {
		edge, before, after = v.Onset.At, "before the onset", "since the onset"
	}
	names := []string{before, after, "since the recovery"}
	if v.Lost() {
		names[2] = "since it was lost again"
	}
	parts := make([]period, len(names))
	for _, p := range v.Course {
		n := 0
		switch {
		case !v.Recovered.IsZero() && p.Time.After(v.Recovered):
			n = 2
		case p.Time.After(edge):
			n = 1
		}
		part := &parts[n]
		if part.Name == "" {
			part.Name, part.From, part.To = names[n], p.Time, p.Time
		}
		if p.Time.Before(part.From) {
			part.From = p.Time
		}
		if p.Time.After(part.To) {
			part.To = p.Time
		}
		part.Bad += p.Bad
		part.Total += p.Total
		part.Expected += p.Expected * p.Total
	}
	out := []period{}
	for _, part := range parts {
		if part.Name != "" {
			out = append(out, part)
		}
	}
	return out
}

// Worst and Best are the ratios beyond which an interval speaks of a shift.
func (i indicator) Worst() float64 { return 1 + i.Margin }

// Best is the ratio below which an indicator has improved.
func (i indicator) Best() float64 { return 1 / (1 + i.Margin) }

// Reading holds the interval against the margin, in words.
func (i indicator) Reading() string {
	e := i.Effect
	low, high := words.Factor(i.Best()), words.Factor(i.Worst())
	switch {
	case e.Low > i.Worst():
		return "The whole interval is over " + high + ": worse by more than the margin."
	case e.High < i.Best():
		return "The whole interval is under " + low + ": better by more than the margin."
	case e.Low >= i.Best() && e.High <= i.Worst():
		return "The whole interval lies from " + low + " to " + high + ": within the margin."
	}
	return "The interval reaches over an edge of the margin, " + low + " to " + high + ": the figure alone doesn't tell."
}

// indicatorPath is the page of an indicator after an upgrade.
func indicatorPath(upgrade string, i detector.Indicator) template.URL {
	return template.URL("/upgrades/" + url.PathEscape(upgrade) + "/indicators/" + i.ID()) //nolint:gosec // escaped part by part
}

func (s *Server) indicator(ctx context.Context, upgrade, id string) (i indicator, err error) {
	u, err := s.o.Journal.Upgrade(ctx, upgrade)
	if err != nil {
		return i, err
	}
	v, err := s.o.Journal.Verdict(ctx, u.ID, id)
	if err != nil {
		return i, err
	}
	marks, err := s.marks(ctx, u)
	if marks == nil {
		marks = []mark{}
	}
	return indicator{
		ID: id, Verdict: v, Margin: s.o.Judging.Margin, Confidence: s.o.Judging.Confidence,
		Periods: periods(u, v), Flips: marks, upgrade: u,
	}, err
}

func (s *Server) indicatorPage(w http.ResponseWriter, r *http.Request) error {
	i, err := s.indicator(r.Context(), r.PathValue("id"), r.PathValue("key"))
	if err != nil {
		return err
	}
	drawn := i.Verdict
	drawn.Course = words.Counted(drawn.Course)
	return s.render(w, r, http.StatusOK, "indicator.html", map[string]any{
		"Title": words.Indicator(i.Indicator), "Indicator": i, "Upgrade": i.upgrade,
		"Shift":        shift{Verdict: drawn, Chart: course(i.upgrade, drawn, i.Flips), Binaries: i.upgrade.Binaries, Marks: i.Flips},
		"Distribution": distribution(i.Verdict), "Refresh": 15,
	})
}

func (s *Server) showIndicator(w http.ResponseWriter, r *http.Request) error {
	i, err := s.indicator(r.Context(), r.PathValue("id"), r.PathValue("key"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, i)
}
