package web

import (
	"crypto/rand"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"aftershock/detector/words"
	"aftershock/web/access"
)

// sessions are the signed-in browsers; they end with the daemon.
type sessions struct {
	mu   sync.Mutex
	open map[string]session
	// tries are the failed attempts to sign in of the last minute, by address.
	tries map[string][]time.Time
	// secret makes the stamps of forms.
	secret []byte
}

// session is one of a browser: until when, and the key of who signed in.
type session struct {
	until time.Time
	key   string
}

func newSessions() sessions {
	return sessions{open: map[string]session{}, tries: map[string][]time.Time{}, secret: []byte(rand.Text())}
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

// begin makes a session, at the cost of the oldest where there are too many.
func (s *sessions) begin(key string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := ""
	for id, one := range s.open {
		if now.After(one.until) {
			delete(s.open, id)
		} else if oldest == "" || one.until.Before(s.open[oldest].until) {
			oldest = id
		}
	}
	if len(s.open) >= maxSessions {
		delete(s.open, oldest)
	}
	id := rand.Text()
	s.open[id] = session{now.Add(sessionLength), key}
	return id
}

// holder is the key of who signed in, if the session goes on.
func (s *sessions) holder(id string, now time.Time) (key string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.open[id]
	return one.key, now.Before(one.until)
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, id)
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

// address is where a request comes from.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func tooManyTries(w http.ResponseWriter) error {
	w.Header().Set("Retry-After", "60")
	return problem{http.StatusTooManyRequests, "too many attempts to sign in; try again in a minute"}
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	if !s.sessions.try(address(r), time.Now()) {
		return tooManyTries(w)
	}
	_, key, ok := s.bearer(strings.TrimSpace(r.PostForm.Get("token")))
	if !ok {
		detail := "that is not the token: it stands in the file token of the daemon's data directory"
		if s.o.Token == "" {
			detail = "that is nobody's token, or no more: an admin makes one with aftershock access add"
		}
		if hint := words.Line(s.o.Config.Access.Hint); hint != "" {
			detail = "that is not a token: " + hint
		}
		return problem{http.StatusUnauthorized, detail}
	}
	s.sessions.forgive(address(r))
	s.setCookie(w, r, s.sessions.begin(key, time.Now()), int(sessionLength.Seconds()))
	http.Redirect(w, r, local(r.PostForm.Get("next")), http.StatusSeeOther)
	return nil
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	if s.caller(r).Role != access.None {
		if err := s.stamped(r, r.PostForm); err != nil {
			return err
		}
	}
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
