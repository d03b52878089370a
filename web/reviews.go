package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"aftershock/detector"
	"aftershock/journal"
)

// Bounds of the list of reviews.
const (
	listedWeeks   = 8
	listedReviews = 50
)

// WeekSpan is a week that can be reviewed.
type WeekSpan struct {
	// Name is the week by ISO 8601, like 2026-W47.
	Name string    `json:"week"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// weekItem is a week of the list of reviews.
type weekItem struct {
	WeekSpan
	// Upgrades are those that were under watch in the week.
	Upgrades []string `json:"upgrades"`
	// Over is whether the week has ended: what its review says is final then.
	Over   bool   `json:"over"`
	Review string `json:"review"`
}

// reviewItem is an upgrade of the list of reviews.
type reviewItem struct {
	detector.Upgrade
	Review string `json:"review"`
}

// reviews are all that can be read in retrospect, the latest first.
type reviews struct {
	Weeks    []weekItem   `json:"weeks"`
	Upgrades []reviewItem `json:"upgrades"`
	Next     string       `json:"next"`
}

func (s *Server) reviews(ctx context.Context, q url.Values) (out reviews, err error) {
	out = reviews{Weeks: []weekItem{}, Upgrades: []reviewItem{}}
	if q.Get("after") == "" {
		if out.Weeks, err = s.weeks(ctx); err != nil {
			return out, err
		}
	}
	all, next, err := s.o.Journal.Upgrades(ctx, journal.Page{After: q.Get("after"), Limit: listedReviews})
	for _, u := range all {
		out.Upgrades = append(out.Upgrades, reviewItem{u, "/upgrades/" + url.PathEscape(u.ID) + "/report"})
	}
	out.Next = next
	return out, err
}

// weeks are the last weeks in which something was watched, and the present one.
func (s *Server) weeks(ctx context.Context) ([]weekItem, error) {
	out := []weekItem{}
	spans := s.o.Weeks(listedWeeks)
	if len(spans) == 0 {
		return out, nil
	}
	oldest, now := spans[len(spans)-1].From, time.Now()
	all, err := s.o.Journal.UpgradesWithin(ctx, oldest, spans[0].To)
	if err != nil {
		return nil, err
	}
	covered, err := s.o.Journal.Coverage(ctx, oldest, spans[0].To)
	if err != nil {
		return nil, err
	}
	for _, span := range spans {
		w := weekItem{WeekSpan: span, Upgrades: []string{}, Over: !span.To.After(now), Review: "/reports/" + span.Name}
		for _, u := range all {
			if u.StartedAt.Before(span.To) && (u.ClosedAt.IsZero() || u.ClosedAt.After(span.From)) {
				w.Upgrades = append(w.Upgrades, u.ID)
			}
		}
		seen := slices.ContainsFunc(covered, func(c detector.Coverage) bool {
			return c.Steps > 0 && !c.Hour.Before(span.From) && c.Hour.Before(span.To)
		})
		if seen || len(w.Upgrades) > 0 || !w.Over {
			out = append(out, w)
		}
	}
	return out, nil
}

func (s *Server) reviewsPage(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "after")
	if err != nil {
		return err
	}
	all, err := s.reviews(r.Context(), q)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, "reports.html", map[string]any{"Title": "Reports", "Reviews": all, "First": q.Get("after") == ""})
}

func (s *Server) listReviews(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "after")
	if err != nil {
		return err
	}
	all, err := s.reviews(r.Context(), q)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, all)
}
