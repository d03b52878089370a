package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"sync"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/flags"
	"aftershock/journal"
)

//go:embed pages
var pages embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"indicator": words.Indicator, "ratio": func(e *detector.Effect) string { return words.Ratio(*e) },
	"change":      func(e *detector.Effect) string { return words.Change(*e) },
	"versions":    words.Versions,
	"suspect":     words.Suspect,
	"probability": words.Probability,
	"headline":    words.Headline,
	"time":        words.Time,
	"onset":       func(o *detector.Onset) string { return words.Onset(*o) },
	"decided":     words.DecidedIn,
	"placebos":    words.Placebos,
	"percent":     func(p float64) string { return fmt.Sprintf("%.0f", p*100) },
}).ParseFS(pages, "pages/*.html"))

func style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeFileFS(w, r, pages, "pages/style.css")
}

// page is handle for people: an error becomes a page.
func (s *Server) page(m *http.ServeMux, pattern string, h handler) {
	guard := http.NewCrossOriginProtection()
	m.Handle(pattern, guard.Handler(s.measured(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		err := h(w, r)
		if err == nil {
			return
		}
		status, detail := statusOf(err)
		if status == http.StatusInternalServerError && r.Context().Err() == nil {
			s.o.Log.WithError(err).WithField("path", r.URL.Path).Error("a page failed")
		}
		_ = s.render(w, r, status, "error.html", map[string]any{"Title": http.StatusText(status), "Detail": detail})
	}))))
}

// render writes a page whole, or not at all.
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, name string, data map[string]any) error {
	data["SignedIn"] = s.signedIn(r)
	data["Path"] = r.URL.Path
	data["Version"] = s.o.Version
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}

// card is an upgrade with the tally of its verdicts.
type card struct {
	detector.Upgrade
	Regressed, Recovered, Improved, Clear, Undecided int
	Firing                                           []detector.Alert
}

func (s *Server) card(ctx context.Context, u detector.Upgrade) (card, []detector.Verdict, error) {
	c := card{Upgrade: u}
	all, err := s.o.Journal.Verdicts(ctx, u.ID)
	if err != nil {
		return c, nil, err
	}
	for _, v := range all {
		switch v.State {
		case detector.Regressed:
			c.Regressed++
		case detector.Improved:
			c.Improved++
		case detector.Clear:
			c.Clear++
		default:
			c.Undecided++
		}
		if !v.Recovered.IsZero() {
			c.Recovered++
		}
	}
	c.Firing, _, err = s.o.Journal.Alerts(ctx, journal.AlertQuery{Upgrade: u.ID, State: detector.AlertFiring})
	return c, all, err
}

func (s *Server) overview(w http.ResponseWriter, r *http.Request) error {
	all, _, err := s.o.Journal.Upgrades(r.Context(), journal.Page{Limit: 20})
	if err != nil {
		return err
	}
	cards := make([]card, 0, len(all))
	for _, u := range all {
		c, _, err := s.card(r.Context(), u)
		if err != nil {
			return err
		}
		cards = append(cards, c)
	}
	return s.render(w, r, http.StatusOK, "overview.html", map[string]any{
		"Title": "Overview", "Cards": cards, "Watch": s.o.Loop.Status(), "Refresh": true,
	})
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
	var shifted, others []detector.Verdict
	for _, v := range all {
		if v.State == detector.Regressed || v.State == detector.Improved || !v.Recovered.IsZero() {
			shifted = append(shifted, v)
		} else {
			others = append(others, v)
		}
	}
	return s.render(w, r, http.StatusOK, "upgrade.html", map[string]any{
		"Title": u.ID, "Card": c, "Shifted": shifted, "Others": others, "Gates": s.gates(u), "Refresh": true,
	})
}

// gates are the flags that gate something in a binary of the upgrade.
func (s *Server) gates(u detector.Upgrade) []flags.View {
	var out []flags.View
	for _, v := range s.o.Switchboard.List() {
		for _, g := range v.Gates {
			for _, b := range u.Binaries {
				if g.Binary == b.Name {
					out = append(out, v)
				}
			}
		}
	}
	return out
}

func (s *Server) flagsPage(w http.ResponseWriter, r *http.Request) error {
	history, err := s.o.Journal.Toggles(r.Context(), "", 50)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, "flags.html", map[string]any{
		"Title": "Flags", "Flags": s.o.Switchboard.List(), "History": history,
	})
}

// toggleForm toggles a flag from a page: the plan first, then, confirmed, the
// act.
func (s *Server) toggleForm(w http.ResponseWriter, r *http.Request) error {
	if !s.signedIn(r) {
		return problem{http.StatusUnauthorized, "sign in with the token first, on the page of the flags"}
	}
	key := r.PathValue("key")
	in := flags.Request{
		Flag: key, Variant: r.PostFormValue("variant"), Reason: r.PostFormValue("reason"),
		Actor: "console", Upgrade: r.PostFormValue("upgrade"),
	}
	if name := r.PostFormValue("actor"); name != "" {
		in.Actor = name
	}
	if r.PostFormValue("confirmed") == "" {
		plan, err := s.o.Switchboard.Plan(in)
		if err != nil {
			return err
		}
		return s.render(w, r, http.StatusOK, "plan.html", map[string]any{"Title": "Toggle " + key, "Plan": plan, "Request": in})
	}
	t, err := s.o.Switchboard.Set(r.Context(), in)
	if err != nil && t.ID == "" {
		return err
	}
	return s.render(w, r, http.StatusOK, "toggled.html", map[string]any{"Title": "Toggled " + key, "Toggle": t})
}

// sessions are the signed-in browsers; they end with the daemon.
type sessions struct {
	mu    sync.Mutex
	until map[string]time.Time
	tries []time.Time
}

const (
	sessionCookie = "aftershock_session"
	sessionLength = 12 * time.Hour
	maxSessions   = 1000
	// maxTries bounds the attempts to sign in, in a minute.
	maxTries = 10
)

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	now := time.Now()
	recent := s.sessions.tries[:0]
	for _, t := range s.sessions.tries {
		if now.Sub(t) < time.Minute {
			recent = append(recent, t)
		}
	}
	s.sessions.tries = recent
	if len(recent) >= maxTries {
		return problem{http.StatusTooManyRequests, "too many attempts to sign in; try again in a minute"}
	}
	if !s.isToken(r.PostFormValue("token")) {
		s.sessions.tries = append(s.sessions.tries, now)
		return problem{http.StatusUnauthorized, "that is not the token: it stands in DATA/token of the daemon"}
	}
	for id, until := range s.sessions.until {
		if now.After(until) || len(s.sessions.until) >= maxSessions {
			delete(s.sessions.until, id)
		}
	}
	id := rand.Text()
	s.sessions.until[id] = now.Add(sessionLength)
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: id, Path: "/", HttpOnly: true, Secure: r.TLS != nil,
		SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLength.Seconds()),
	})
	http.Redirect(w, r, "/flags", http.StatusSeeOther)
	return nil
}

func (s *Server) signedIn(r *http.Request) bool {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return false
	}
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	return time.Now().Before(s.sessions.until[c.Value])
}
