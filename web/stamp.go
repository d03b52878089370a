package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// stampField is the field of a form that only our own pages can have filled in.
const stampField = "stamp"

// stampOf is what the forms carry that are shown to whoever makes the request: bound to
// the session, or to the user, that a browser sends by itself. It is "" where it sends
// neither, or the caller has named itself by a token.
func (s *Server) stampOf(r *http.Request) string {
	if _, _, ok := s.bearer(bearerOf(r)); ok {
		return ""
	}
	of := ""
	if user, _, ok := r.BasicAuth(); ok && s.checked(user) {
		of = "user " + user
	} else if c, err := r.Cookie(sessionCookie); err == nil {
		if _, ok := s.sessions.holder(c.Value, time.Now()); ok {
			of = "session " + c.Value
		}
	}
	if of == "" {
		return ""
	}
	h := hmac.New(sha256.New, s.sessions.secret)
	h.Write([]byte(of))
	return hex.EncodeToString(h.Sum(nil))
}

// stamped refuses a form that isn't of a page that was shown to whoever sends it.
func (s *Server) stamped(r *http.Request, form url.Values) error {
	if !hmac.Equal([]byte(form.Get(stampField)), []byte(s.stampOf(r))) {
		return problem{http.StatusForbidden, "that form is not of a page that was shown to you since you signed in: go back, load the page again, and do it there"}
	}
	return nil
}

// posting is how a form begins that changes something. What comes from outside can't
// look like it: templates escape it.
var posting = regexp.MustCompile(`<form[^>]* method="post"[^>]*>`)

// stamp puts the stamp into every form of a page, so that none is forgotten.
func (s *Server) stamp(r *http.Request, page []byte) []byte {
	stamp := s.stampOf(r)
	if stamp == "" {
		return page
	}
	return posting.ReplaceAll(page, []byte(`$0<input type="hidden" name="`+stampField+`" value="`+stamp+`">`))
}
