package web

import (
	"crypto/rand"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// sessions are the signed-in browsers; they end with the daemon.
type sessions struct {
	mu    sync.Mutex
	until map[string]time.Time
	// tries are the failed attempts to sign in of the last minute, by address.
	tries map[string][]time.Time
}

func newSessions() sessions {
	return sessions{until: map[string]time.Time{}, tries: map[string][]time.Time{}}
}

const (
	sessionCookie = "aftershock_session"
	sessionLength = 12 * time.Hour
	maxSessions   = 1000
	// maxTries bounds the failed attempts to sign in, an address and minute;
	// maxAddresses how many addresses are told apart.
	maxTries     = 10
	maxAddresses = 1000
)

// open makes a session, at the cost of the oldest where there are too many.
func (s *sessions) open(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := ""
	for id, until := range s.until {
		if now.After(until) {
			delete(s.until, id)
		} else if oldest == "" || until.Before(s.until[oldest]) {
			oldest = id
		}
	}
	if len(s.until) >= maxSessions {
		delete(s.until, oldest)
	}
	id := rand.Text()
	s.until[id] = now.Add(sessionLength)
	return id
}

func (s *sessions) holds(id string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.until[id])
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, id)
}

// try says whether the address may try once more, and counts the try until it
// is forgiven.
func (s *sessions) try(address string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, tries := range s.tries {
		if now.Sub(tries[len(tries)-1]) >= time.Minute {
			delete(s.tries, a)
		}
	}
	if len(s.tries) >= maxAddresses && s.tries[address] == nil {
		address = "" // those beyond share one allowance
	}
	var recent []time.Time
	for _, t := range s.tries[address] {
		if now.Sub(t) < time.Minute {
			recent = append(recent, t)
		}
	}
	if len(recent) >= maxTries {
		return false
	}
	s.tries[address] = append(recent, now)
	return true
}

func (s *sessions) forgive(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tries, address)
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	if !s.sessions.try(address, time.Now()) {
		w.Header().Set("Retry-After", "60")
		return problem{http.StatusTooManyRequests, "too many attempts to sign in; try again in a minute"}
	}
	if !s.isToken(strings.TrimSpace(r.PostForm.Get("token"))) {
		return problem{http.StatusUnauthorized, "that is not the token: it stands in the file token of the daemon's data directory"}
	}
	s.sessions.forgive(address)
	s.setCookie(w, r, s.sessions.open(time.Now()), int(sessionLength.Seconds()))
	http.Redirect(w, r, local(r.PostForm.Get("next")), http.StatusSeeOther)
	return nil
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	if c, err := r.Cookie(sessionCookie); err == nil {
		s.sessions.end(c.Value)
	}
	s.setCookie(w, r, "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", HttpOnly: true,
		Secure:   r.TLS != nil || strings.HasPrefix(s.o.Config.ExternalURL, "https://"+r.Host),
		SameSite: http.SameSiteStrictMode, MaxAge: age,
	})
}

// local is a path on this server to go on to, never another server's.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/flags"
	}
	return next
}

func (s *Server) signedIn(r *http.Request) bool {
	c, err := r.Cookie(sessionCookie)
	return err == nil && s.sessions.holds(c.Value, time.Now())
}
