package web

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"sync"
	"time"
)

// once is a code that signs one browser in, for the first minutes of a daemon that
// nobody has a token of their own for.
type once struct {
	mu    sync.Mutex
	code  string // "" once it was used
	until time.Time
}

// signInPattern is the link's route.
const signInPattern = "GET /sign-in/{code}"

// onceLength is for how long the code may be used.
const onceLength = time.Hour

// SignInOnce makes a link that signs one browser in, "" where people have tokens of
// their own or others than those on this machine can reach the listener. A link that was
// made before is void.
func (s *Server) SignInOnce(now time.Time) string {
	host, _, err := net.SplitHostPort(s.Addr())
	if ip := net.ParseIP(host); err != nil || s.o.Token == "" || s.o.Config.ConfigFile != "" || ip == nil || !ip.IsLoopback() {
		return ""
	}
	s.once.mu.Lock()
	defer s.once.mu.Unlock()
	s.once.code, s.once.until = rand.Text(), now.Add(onceLength)
	return "http://" + s.Addr() + "/sign-in/" + s.once.code
}

// makeSignIn makes a link for whoever holds the daemon's own token, which signs one browser
// in as that would. It takes no key: the link isn't to be put down as an answer.
func (s *Server) makeSignIn(w http.ResponseWriter, r *http.Request) error {
	if !s.isToken(bearerOf(r)) {
		return problem{http.StatusForbidden, "a link that signs in is made for the daemon's own token alone"}
	}
	link := s.SignInOnce(time.Now())
	if link == "" {
		return problem{http.StatusConflict, "no link signs in here: the listener is reached from elsewhere, or people have names; sign in with a token"}
	}
	return answer(w, http.StatusOK, map[string]string{"link": link})
}

// use says whether it is the code, which is void from then on.
func (o *once) use(code string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.code == "" || !now.Before(o.until) || subtle.ConstantTimeCompare([]byte(code), []byte(o.code)) != 1 {
		return false
	}
	o.code = ""
	return true
}

// signInOnce signs in who follows the link.
func (s *Server) signInOnce(w http.ResponseWriter, r *http.Request) error {
	if !s.sessions.try(address(r), time.Now()) {
		return tooManyTries(w)
	}
	if s.o.Token == "" || !s.once.use(r.PathValue("code"), time.Now()) {
		return problem{http.StatusUnauthorized, "that link was used or is too old: sign in with the token in the file token of the daemon's data directory"}
	}
	s.sessions.forgive(address(r))
	s.setCookie(w, r, s.sessions.begin(ownKey, time.Now()), int(sessionLength.Seconds()))
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}
