package web

import (
	"cmp"
	"crypto/subtle"
	"net/http"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"aftershock/web/access"
)

// ownKey is the key of sessions that were opened with the daemon's own token.
const ownKey = "own"

// bearer is who holds a token, and the key that its sessions go by.
func (s *Server) bearer(token string) (p access.Principal, key string, ok bool) {
	if token == "" {
		return access.Principal{}, "", false
	}
	if s.isToken(token) {
		return access.Principal{Role: access.Admin}, ownKey, true
	}
	if s.tokens == nil {
		return access.Principal{}, "", false
	}
	return s.tokens.Find(token, time.Now())
}

// isToken says whether it is the daemon's own token, which holds while nobody has one
// of their own.
func (s *Server) isToken(got string) bool {
	return s.o.Token != "" && subtle.ConstantTimeCompare([]byte(got), []byte(s.o.Token)) == 1
}

// onCall says whether a token is of somebody who may record.
func (s *Server) onCall(token string) bool {
	p, _, ok := s.bearer(token)
	return ok && p.Role.Covers(access.OnCall)
}

// caller is who makes a request: by a token, a password or a session.
func (s *Server) caller(r *http.Request) access.Principal {
	if p, _, ok := s.bearer(bearerOf(r)); ok {
		return p
	}
	if user, _, ok := r.BasicAuth(); ok && s.checked(user) {
		return s.o.Config.Access.User(user)
	}
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return access.Principal{}
	}
	key, ok := s.sessions.holder(c.Value, time.Now())
	switch {
	case !ok:
	case key == ownKey:
		return access.Principal{Role: access.Admin}
	case s.tokens != nil:
		if p, ok := s.tokens.Holder(key, time.Now()); ok {
			return p
		}
	}
	return access.Principal{}
}

// checked says whether exporter-toolkit has held the user's password against its file by
// the time a request comes here: it does so where the file has any users.
func (s *Server) checked(user string) bool {
	if s.o.Config.ConfigFile == "" {
		return false
	}
	data, err := os.ReadFile(s.o.Config.ConfigFile)
	if err != nil {
		return false
	}
	var file struct {
		Users map[string]string `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return false
	}
	return file.Users[user] != ""
}

func (s *Server) may(r *http.Request, role access.Role) bool { return s.caller(r).Role.Covers(role) }

// need is h for those who may do what a role may.
func (s *Server) need(role access.Role, h handler) handler {
	// A browser sends a password that it knows by itself, for other sites, too.
	guard := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := guard.Check(r); err != nil {
			return problem{http.StatusForbidden, "that came from another site"}
		}
		if err := s.admit(w, r, role); err != nil {
			return err
		}
		return h(w, r)
	}
}

// admit refuses those who may not do what a role may.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, role access.Role) error {
	p := s.caller(r)
	switch {
	case p.Role.Covers(role):
		return nil
	case p.Role != access.None:
		return beyond(p, role)
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="aftershock"`)
	if s.tokens != nil && s.tokens.Err() != nil {
		return problem{http.StatusUnauthorized, "nobody can be let in: the file of tokens can't be read; the daemon's log says why"}
	}
	where := "set AFTERSHOCK_TOKEN to what DATA/token of the daemon holds"
	if s.o.Token == "" {
		where = "set AFTERSHOCK_TOKEN to your own, which an admin makes with aftershock access add"
	}
	if bearerOf(r) != "" {
		return problem{http.StatusUnauthorized, "the token was refused: " + where}
	}
	what := "writing"
	if role == access.Viewer {
		what = "reading"
	}
	return problem{http.StatusUnauthorized, what + " needs a token: " + where}
}

// beyond tells somebody whose role is known that it isn't enough.
func beyond(p access.Principal, role access.Role) error {
	return problem{http.StatusForbidden, cmp.Or(p.Name, "your token") + " is " + string(p.Role) + " here, and this takes " + string(role) + ": ask an admin"}
}

// reader is h for those who may read: anyone, unless it is said otherwise. Writing
// says for itself what it needs.
func (s *Server) reader(pattern string, h handler) handler {
	if !s.o.Config.Access.Restricted() || !strings.HasPrefix(pattern, "GET ") || pattern == signInPattern {
		return h
	}
	if s.o.OpenStatus && strings.HasPrefix(pattern, "GET /status/") {
		return h
	}
	return s.need(access.Viewer, h)
}

// actor is whose act a request is: those who have a name act under it.
func (s *Server) actor(r *http.Request, claimed string) string {
	return cmp.Or(s.caller(r).Name, strings.TrimSpace(claimed), "someone with the token")
}
