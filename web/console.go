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
	"strings"
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
	"indicator": words.Indicator, "series": words.Series, "versions": words.Versions, "upgrade": words.Upgrade, "binaries": words.Binaries, "ofUpgrade": func(u detector.Upgrade) string { return words.Capital(words.OfUpgrade(u)) }, "titled": words.Title, "suspect": words.Suspect, "foreseen": words.Foreseen, "accepted": func(a *detector.Acceptance) string { return words.Accepted(*a) },
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
	"later":       func(s journal.Summary) string { return words.DecidedIn(detector.Verdict{DecidedIn: s.DecidedIn}) },
	"placebos":    words.Placebos,
	"stand":       words.Stand,
	"acted":       words.Acted,
	"back":        words.Back,
	"gain":        words.Gain,
	"capital":     words.Capital,
	"percent":     func(p float64) string { return fmt.Sprintf("%.0f", p*100) },
	"name":        words.Name,
	"line":        words.Line,
	"lines":       lines,
	"segment":     url.PathEscape,
	"compact":     func(b []byte) string { return words.Line(string(b)) },
	"page":        indicatorPath,
	"bytes":       words.Bytes,
	"day":         func(t time.Time) string { return t.Format("Jan 2, 2006") },
	"lastDay":     func(end time.Time) time.Time { return end.Add(-time.Second) },
	"value":       words.Value,
	"number":      words.Number,
	"seconds":     words.Seconds,
	"share":       words.Share,
	"factor":      words.Factor,
	"bucket":      words.Bucket,
	"quantile":    words.Quantile,
	"amount":      words.Count,
	"count":       func(n int) string { return words.Count(float64(n)) },
	"plural":      words.Plural,
	"suspected":   func(c detector.Cause, b []detector.Binary) suspected { return suspected{c, b} },
	"decision":    func(t detector.Toggle, who access.Principal) decision { return decision{t, who} },
	"onExpiry":    onExpiry,
	"field":       planning.field,
	"rest":        func(t time.Time) string { return words.Duration(time.Until(t).Round(time.Minute)) },
	"ago":         func(t time.Time) string { return words.Duration(time.Since(t).Round(time.Second)) },
}).ParseFS(pages, "pages/*.html"))

// lines is a text with its lines kept, each of them as people may see it.
func lines(text string) string {
	all := strings.Split(text, "\n")
	for i := range all {
		indent := len(all[i]) - len(strings.TrimLeft(all[i], " "))
		all[i] = strings.Repeat(" ", min(indent, 20)) + words.Clean(all[i], 500)
	}
	return strings.Join(all, "\n")
}

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
		return s.reader(pattern, h)(w, s.revised(r))
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
	data["Hint"] = s.o.Config.Access.Hint
	data["Here"] = r.URL.RequestURI()
	data["Path"] = r.URL.Path
	data["Revision"] = r.Context().Value(revisionKey{})
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
	maxShifts = 12  // shifts told in full, on an upgrade's page
	maxCharts = 6   // of these with a picture
	maxOthers = 100 // other indicators, on an upgrade's page
	maxPoints = 100 // of a picture on an upgrade's page
)

// card is an upgrade with the tally of its verdicts.
type card struct {
	detector.Upgrade
	Regressed, Accepted, Recovered, Improved, Clear, Undecided int
	// Lost are those that had improved and are back at their old level.
	Lost    int
	Answers []advice
	// Past says what a shift that is over was put down to, and how it stands with the flags
	// that gate it; "" where none was, or something is worse still.
	Past string
}

// Judged says whether anything is known of any indicator: no data is no good news.
func (c card) Judged() bool {
	return c.Regressed+c.Accepted+c.Recovered+c.Improved+c.Lost+c.Clear+c.Undecided > 0
}

func (s *Server) card(ctx context.Context, u detector.Upgrade) (card, []journal.Summary, error) {
	c := card{Upgrade: u}
	all, err := s.o.Journal.Summaries(ctx, u.ID)
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
		case !v.Recovered.IsZero():
			c.Lost++
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
	if err != nil {
		return c, nil, err
	}
	if c.Answers, err = s.advise(ctx, told...); err != nil {
		return c, nil, err
	}
	slices.SortStableFunc(c.Answers, func(a, b advice) int { return cmp.Compare(a.rank(), b.rank()) })
	if len(c.Answers) == 0 && c.Regressed == 0 && c.Recovered+c.Accepted > 0 {
		c.Past = s.past(u)
	}
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
	Chart    template.HTML
	Binaries []detector.Binary
	Marks    []mark
}

// suspected is a cause with the binaries that say its versions.
type suspected struct {
	detector.Cause
	Binaries []detector.Binary
}

// unlikely is below which probability a suspect is folded away, but for the first.
const unlikely = 0.01

// Likely and Unlikely are the suspects in two parts, the likeliest first.
func (s shift) Likely() []detector.Cause { return s.Causes[:s.doubtful()] }

// Unlikely are the suspects that hardly come into question.
func (s shift) Unlikely() []detector.Cause { return s.Causes[s.doubtful():] }

func (s shift) doubtful() int {
	for n, c := range s.Causes {
		if n > 0 && c.Probability < unlikely {
			return n
		}
	}
	return len(s.Causes)
}

// Scale says on which axis the picture is drawn.
func (s shift) Scale() string { return words.Axis(s.Indicator, words.Unit(s.Verdict)) }

// Level is the figure of before, "" where none is known.
func (s shift) Level() string {
	if s.Effect == nil {
		return ""
	}
	return words.Value(s.Effect.What, s.Effect.Before)
}

// Now is the figure of the last point of the course, with its time; "" without one.
func (s shift) Now() string {
	p, ok := latest(s.Course)
	if !ok {
		return ""
	}
	return words.Value(words.Unit(s.Verdict), share(p)) + " at " + words.Clock(p.Time)
}

func (s *Server) upgradePage(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "find")
	if err != nil {
		return err
	}
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
	chores, err := s.o.Journal.Chores(r.Context(), u.ID)
	if err != nil {
		return err
	}
	shifted, others := split(all)
	shifts := make([]shift, 0, maxShifts)
	for n, short := range shifted[:min(len(shifted), maxShifts)] {
		v, err := s.o.Journal.VerdictOn(r.Context(), u.ID, short.Indicator)
		if err != nil {
			return err
		}
		v.Course = thinned(words.Counted(v.Course), maxPoints)
		x := shift{Verdict: v, Binaries: u.Binaries, Marks: marks}
		if n < maxCharts {
			x.Chart = course(u, v, marks)
		}
		shifts = append(shifts, x)
	}
	others = found(append(shifted[len(shifts):], others...), q.Get("find"))
	var onset *detector.Onset
	if len(shifts) > 0 && shifts[0].State == detector.Regressed {
		onset = shifts[0].Onset
	}
	return s.render(w, r, http.StatusOK, "upgrade.html", map[string]any{
		"Rollout": lanes(u, s.o.Loop.Status().Time, onset), "Onset": onset,
		"Title": words.Upgrade(u), "Card": c, "Alerts": told, "MoreAlerts": len(told) == maxAlerts, "Shifts": shifts,
		"Others": others[:min(len(others), maxOthers)], "MoreOthers": max(len(others)-maxOthers, 0), "Find": q.Get("find"), "Judged": len(all) > len(shifts),
		"Gates": s.gates(u), "Refresh": 15, "Chores": detector.CountChores(chores, time.Now()),
	})
}

// found are those whose name, series or verdict has all the words in it.
func found(all []journal.Summary, text string) []journal.Summary {
	wanted := strings.Fields(strings.ToLower(text))
	if len(wanted) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(v journal.Summary) bool {
		name := strings.ToLower(words.Indicator(v.Indicator) + " " + v.Indicator.Key() + " " + string(v.State))
		return slices.ContainsFunc(wanted, func(w string) bool { return !strings.Contains(name, w) })
	})
}

// split parts the verdicts that shifted, the worst first, from the others,
// those that aren't clear first.
func split(all []journal.Summary) (shifted, others []journal.Summary) {
	for _, v := range all {
		if v.State == detector.Regressed || v.State == detector.Improved || !v.Recovered.IsZero() {
			shifted = append(shifted, v)
		} else {
			others = append(others, v)
		}
	}
	rank := func(v journal.Summary) int {
		switch {
		case v.State == detector.Regressed && v.Recovered.IsZero():
			return 0
		case !v.Recovered.IsZero():
			return 1
		}
		return 2
	}
	ratio := func(v journal.Summary) float64 {
		if v.Effect == nil {
			return 0
		}
		return v.Effect.Ratio
	}
	slices.SortStableFunc(shifted, func(a, b journal.Summary) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(ratio(b), ratio(a)))
	})
	slices.SortStableFunc(others, func(a, b journal.Summary) int { return cmp.Compare(b.State, a.State) })
	return shifted, others
}
