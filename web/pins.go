package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/upgrades/preflight/signature"
)

// maxPinText bounds the texts of a pin, in bytes.
const maxPinText = 256

func (s *Server) listPins(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "publisher")
	if err != nil {
		return err
	}
	publisher := q.Get("publisher")
	if publisher == "" || len(publisher) > maxPinText {
		return BadRequest("parameter publisher: name whose keys are asked for")
	}
	all, err := s.o.Journal.Pinned(r.Context(), publisher)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(all, ""))
}

func (s *Server) pin(w http.ResponseWriter, r *http.Request) error {
	var p detector.Pin
	if err := decode(r, &p); err != nil {
		return err
	}
	if err := pinnable(p); err != nil {
		return err
	}
	if p.FirstSeen.IsZero() {
		p.FirstSeen = time.Now().UTC()
	}
	if err := s.o.Journal.Pin(r.Context(), p); err != nil {
		return err
	}
	return answer(w, http.StatusCreated, p)
}

func pinnable(p detector.Pin) error {
	for name, text := range map[string]string{"publisher": p.Publisher, "kind": p.Kind, "fingerprint": p.Fingerprint} {
		if text == "" || len(text) > maxPinText || text != words.Clean(text, maxPinText) {
			return BadRequest(fmt.Sprintf("%s: want a text of 1 to %d bytes without control characters", name, maxPinText))
		}
	}
	if len(p.Issuer) > 4*maxPinText || len(p.Subject) > 4*maxPinText {
		return BadRequest(fmt.Sprintf("issuer, subject: at most %d bytes each", 4*maxPinText))
	}
	return nil
}

// unexpectedKey tells people of a key that signed a package and that nobody expected.
func (s *Server) unexpectedKey(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		signature.Unexpected
		Package string `json:"package"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if err := pinnable(detector.Pin{Publisher: in.Publisher, Kind: in.Kind, Fingerprint: in.Fingerprint, Issuer: in.Issuer, Subject: in.Subject}); err != nil {
		return err
	}
	if s.o.Escalate == nil {
		return problem{http.StatusServiceUnavailable, "nobody can be told: the daemon has no receivers"}
	}
	if err := s.o.Escalate(r.Context(), "pin/"+in.Publisher+"/"+in.Fingerprint, unexpectedText(in.Package, in.Unexpected)); err != nil {
		return err
	}
	return answer(w, http.StatusAccepted, map[string]bool{"told": true})
}

// unexpectedText is what people are told, with the steps to validate the key.
func unexpectedText(file string, u signature.Unexpected) string {
	const most = 5
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s is signed by a key that nobody expected: %s, issued by %s.", words.Name(file), words.Name(u.Publisher), words.Name(u.Fingerprint), words.Name(u.Issuer))
	for _, p := range u.Expected[:min(len(u.Expected), most)] {
		fmt.Fprintf(&b, " Expected: %s of %s.", words.Name(p.Fingerprint), words.Name(p.Issuer))
	}
	for n, step := range u.Steps[:min(len(u.Steps), most)] {
		fmt.Fprintf(&b, " %d. %s", n+1, words.Line(step))
	}
	return b.String()
}
