package web

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/journal"
	"aftershock/web/access"
)

//go:embed pages
var pages embed.FS

// Everything that comes from outside goes through words, which takes control
// characters out and bounds the length; html/template escapes the rest.
var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"indicator": words.Indicator, "series": words.Series, "versions": words.Versions, "suspect": words.Suspect, "accepted": func(a *detector.Acceptance) string { return words.Accepted(*a) },
	"ratio":       func(e *detector.Effect) string { return words.Ratio(*e) },
	"change":      func(e *detector.Effect) string { return words.Change(*e) },
	"onset":       func(o *detector.Onset) string { return words.Onset(*o) },
	"probability": words.Probability,
	"headline":    words.Headline,
	"time":        words.Time,
	"clock":       words.Clock,
	"span":        words.Range,
	"plan":        flagLink,
	"decided":     words.DecidedIn,
	"placebos":    words.Placebos,
	"percent":     func(p float64) string { return fmt.Sprintf("%.0f", p*100) },
	"name":        words.Name,
	"line":        words.Line,
	"segment":     url.PathEscape,
	"compact":     func(b []byte) string { return words.Line(string(b)) },
	"count":       func(n int) string { return words.Count(float64(n)) },
	"pair":        func(t detector.Toggle, signedIn bool) decision { return decision{t, signedIn} },
	"onExpiry":    onExpiry,
	"field":       planning.field,
	"rest":        func(t time.Time) string { return words.Duration(time.Until(t).Round(time.Minute)) },
	"ago":         func(t time.Time) string { return words.Duration(time.Since(t).Round(time.Second)) },
}).ParseFS(pages, "pages/*.html"))

// asset serves a file of the pages' own.
func asset(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
		http.ServeFileFS(w, r, pages, "pages/"+name)
	}
}

// page is handle for people: an error becomes a page, and what changes
// something is taken from this site's own pages alone.
func (s *Server) page(m *http.ServeMux, pattern string, h handler) {
	guard := http.NewCrossOriginProtection()
	m.Handle(pattern, s.measured(pattern, s.unharmed(func(w http.ResponseWriter, r *http.Request) error {
		if err := guard.Check(r); err != nil {
			return problem{http.StatusForbidden, "that came from another site; open the console and do it there"}
		}
		return s.reader(pattern, h)(w, r)
	}, s.errorPage)))
}

func (s *Server) errorPage(w http.ResponseWriter, r *http.Request, err error) {
	status, detail := s.told(r, err)
	_ = s.render(w, r, status, "error.html", map[string]any{"Title": http.StatusText(status), "Detail": words.Clean(detail, 1000)})
}

// render writes a page whole, or not at all.
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, name string, data map[string]any) error {
	who := s.caller(r)
	data["SignedIn"], data["Recognised"], data["Who"] = who.Role.Covers(access.OnCall), who.Role != access.None, who
	data["OwnToken"], data["Reading"] = s.o.Token != "", status == http.StatusUnauthorized && r.Method == http.MethodGet
	data["Here"] = r.URL.RequestURI()
	data["Path"] = r.URL.Path
	data["Version"] = s.o.Version
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(s.stamp(r, b.Bytes()))
	return nil
}

// Bounds of the pages: what a person can take in, and a phone can load.
const (
	maxCards  = 6   // upgrades with their tally, on the overview
	maxListed = 50  // upgrades at all, on the overview
	maxShifts = 30  // shifts told in full, on an upgrade's page
	maxCharts = 6   // of these with a picture
	maxOthers = 150 // other indicators, on an upgrade's page
)

// card is an upgrade with the tally of its verdicts.
type card struct {
	detector.Upgrade
	Regressed, Accepted, Recovered, Improved, Clear, Undecided int
	Answers                                                    []advice
}

// Judged says whether anything is known of any indicator: no data is no good news.
func (c card) Judged() bool {
	return c.Regressed+c.Accepted+c.Recovered+c.Improved+c.Clear+c.Undecided > 0
}

func (s *Server) card(ctx context.Context, u detector.Upgrade) (card, []detector.Verdict, error) {
	c := card{Upgrade: u}
	all, err := s.o.Journal.Verdicts(ctx, u.ID)
	if err != nil {
		return c, nil, err
	}
	for _, v := range all {
		switch {
		case v.Accepted != nil:
			c.Accepted++
		case v.State == detector.Regressed && v.Recovered.IsZero():
			c.Regressed++
		case !v.Recovered.IsZero() && v.Direction != detector.Better:
			c.Recovered++
		case v.State == detector.Improved:
			c.Improved++
		case v.State == detector.Clear:
			c.Clear++
		default:
			c.Undecided++
		}
	}
	firing, _, err := s.o.Journal.Alerts(ctx, journal.AlertQuery{Upgrade: u.ID, State: detector.AlertFiring})
	if err != nil {
		return c, nil, err
	}
	told, err := s.said(ctx, firing)
	for _, a := range told {
		c.Answers = append(c.Answers, s.advise(a))
	}
	slices.SortStableFunc(c.Answers, func(a, b advice) int { return cmp.Compare(a.rank(), b.rank()) })
	return c, all, err
}

func (s *Server) overview(w http.ResponseWriter, r *http.Request) error {
	all, next, err := s.o.Journal.Upgrades(r.Context(), journal.Page{Limit: maxListed})
	if err != nil {
		return err
	}
	var cards []card
	var rest []detector.Upgrade
	for _, u := range all {
		// Those that are watched come in full, and the last one in any case.
		if len(cards) >= maxCards || len(cards) > 0 && !u.ClosedAt.IsZero() {
			rest = append(rest, u)
			continue
		}
		c, _, err := s.card(r.Context(), u)
		if err != nil {
			return err
		}
		cards = append(cards, c)
	}
	// What needs a person comes first.
	slices.SortStableFunc(cards, func(a, b card) int { return cmp.Compare(min(len(b.Answers), 1), min(len(a.Answers), 1)) })
	return s.render(w, r, http.StatusOK, "overview.html", map[string]any{
		"Title": "Overview", "Cards": cards, "Rest": rest, "More": next != "", "Watch": s.o.Loop.Status(), "Refresh": 15,
	})
}

// shift is a verdict with its picture.
type shift struct {
	detector.Verdict
	Chart template.HTML
}

func (s *Server) upgradePage(w http.ResponseWriter, r *http.Request) error {
	u, err := s.o.Journal.Upgrade(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	c, all, err := s.card(r.Context(), u)
	if err != nil {
		return err
	}
	marks, err := s.marks(r.Context(), u)
	if err != nil {
		return err
	}
	told, err := s.alertsOf(r.Context(), u.ID)
	if err != nil {
		return err
	}
	shifted, others := split(all)
	shifts := make([]shift, 0, maxShifts)
	for n, v := range shifted[:min(len(shifted), maxShifts)] {
		x := shift{Verdict: v}
		if n < maxCharts {
			x.Chart = course(u, v, marks)
		}
		shifts = append(shifts, x)
	}
	return s.render(w, r, http.StatusOK, "upgrade.html", map[string]any{
		"Title": u.ID, "Card": c, "Alerts": told, "Shifts": shifts, "MoreShifts": len(shifted) - len(shifts), "Marks": marks,
		"Others": others[:min(len(others), maxOthers)], "MoreOthers": max(len(others)-maxOthers, 0),
		"Gates": s.gates(u), "Refresh": 15,
	})
}

// split parts the verdicts that shifted, the worst first, from the others,
// those that aren't clear first.
func split(all []detector.Verdict) (shifted, others []detector.Verdict) {
	for _, v := range all {
		if v.State == detector.Regressed || v.State == detector.Improved || !v.Recovered.IsZero() {
			shifted = append(shifted, v)
		} else {
			others = append(others, v)
		}
	}
	rank := func(v detector.Verdict) int {
		switch {
		case v.State == detector.Regressed && v.Recovered.IsZero():
			return 0
		case !v.Recovered.IsZero():
			return 1
		}
		return 2
	}
	ratio := func(v detector.Verdict) float64 {
		if v.Effect == nil {
			return 0
		}
		return v.Effect.Ratio
	}
	slices.SortStableFunc(shifted, func(a, b detector.Verdict) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(ratio(b), ratio(a)))
	})
	slices.SortStableFunc(others, func(a, b detector.Verdict) int { return cmp.Compare(b.State, a.State) })
	return shifted, others
}

// healthJobs is how many unfinished jobs are looked at.
const healthJobs = 200

// job is a job without its payload, which is a receiver's business.
type job struct {
	Kind     string           `json:"kind"`
	Key      string           `json:"key"`
	State    journal.JobState `json:"state"`
	Attempts int              `json:"attempts"`
	Error    string           `json:"error,omitempty"`
}

// trouble is 2 for a job that was given up, 1 for one that failed and is tried
// again, else 0.
func (j job) trouble() int {
	switch j.State {
	case journal.JobFailed:
		return 2
	case journal.JobAgain:
		return 1
	}
	return 0
}

// unfinished are the jobs that aren't done, those in trouble first.
func (s *Server) unfinished(ctx context.Context) ([]job, error) {
	all, err := s.o.Journal.Jobs(ctx, healthJobs)
	if err != nil {
		return nil, err
	}
	out := make([]job, 0, len(all))
	for _, j := range all {
		out = append(out, job{j.Kind, j.Key, j.State, j.Attempts, words.Line(j.Error)})
	}
	slices.SortStableFunc(out, func(a, b job) int { return cmp.Compare(b.trouble(), a.trouble()) })
	return out, nil
}

func (s *Server) targets() []Target {
	if s.o.Targets == nil {
		return nil
	}
	all := slices.Clone(s.o.Targets())
	slices.SortStableFunc(all, func(a, b Target) int {
		if a.Up != b.Up {
			if b.Up {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Address, b.Address)
	})
	return all
}

func (s *Server) healthPage(w http.ResponseWriter, r *http.Request) error {
	jobs, err := s.unfinished(r.Context())
	if err != nil {
		return err
	}
	targets, troubled, up := s.targets(), 0, 0
	for _, j := range jobs {
		if j.trouble() > 0 {
			troubled++
		}
	}
	for _, t := range targets {
		if t.Up {
			up++
		}
	}
	return s.render(w, r, http.StatusOK, "health.html", map[string]any{
		"Title": "Health", "Watch": s.o.Loop.Status(), "Ready": s.ready.Load(), "Started": s.started,
		"Targets": targets[:min(len(targets), 200)], "Up": up, "Known": len(targets), "Scrapes": s.o.Targets != nil,
		"Jobs": jobs[:min(len(jobs), 50)], "Troubled": troubled, "Waiting": len(jobs) - troubled, "Refresh": 15,
	})
}
