package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"aftershock/alerts/alertmanager"
	"aftershock/detector"
	"aftershock/journal"
)

// Alert is an alert with what people said of it last, and the silences that cover it.
type Alert struct {
	detector.Alert
	detector.Said
	Silences []alertmanager.Silence `json:"silences,omitempty"`
}

// Covered says whether the alert is acknowledged as it is now.
func (a Alert) Covered() bool {
	return a.Acknowledgement != nil && a.Acknowledgement.Covers(a.Alert)
}

// AlertDetail is an alert as it is told, with all that people said of it.
type AlertDetail struct {
	Alert
	// Text is what receivers are told.
	Text             string                     `json:"text,omitempty"`
	Marks            []detector.Mark            `json:"marks"`
	Acknowledgements []detector.Acknowledgement `json:"acknowledgements"`
}

// maxReason bounds what a person may say, in characters.
const maxReason = 2000

// said adds to alerts what people said of them, and to those that aren't over what
// silences them.
func (s *Server) said(ctx context.Context, all []detector.Alert) ([]Alert, error) {
	keys := make([]string, len(all))
	for n, a := range all {
		keys[n] = a.Key
	}
	said, err := s.o.Journal.Said(ctx, keys...)
	if err != nil {
		return nil, err
	}
	var standing []detector.Alert
	for _, a := range all {
		if open(a) {
			standing = append(standing, a)
		}
	}
	var silences map[string][]alertmanager.Silence
	if len(standing) > 0 && s.o.Silences != nil {
		silences = s.o.Silences(ctx, standing)
	}
	out := make([]Alert, len(all))
	for n, a := range all {
		out[n] = Alert{Alert: a, Said: said[a.Key], Silences: silences[a.Key]}
	}
	return out, nil
}

func (s *Server) listAlerts(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "upgrade", "state", "after", "limit")
	if err != nil {
		return err
	}
	p, err := page(q)
	if err != nil {
		return err
	}
	find := journal.AlertQuery{Upgrade: q.Get("upgrade"), Page: p}
	switch state := detector.AlertState(q.Get("state")); state {
	case "": // people were told of these
		find.Fired = true
	case "all":
	case detector.AlertInactive, detector.AlertPending, detector.AlertFiring, detector.AlertResolved:
		find.State = state
	default:
		return BadRequest(fmt.Sprintf("parameter state: %.40q is none of inactive, pending, firing, resolved, all", state))
	}
	all, next, err := s.o.Journal.Alerts(r.Context(), find)
	if err != nil {
		return err
	}
	out, err := s.said(r.Context(), all)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(out, next))
}

func (s *Server) showAlert(w http.ResponseWriter, r *http.Request) error {
	a, err := s.alert(r)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, a)
}

// alert is the alert of the request with all that is known of it.
func (s *Server) alert(r *http.Request) (out AlertDetail, err error) {
	a, err := s.o.Journal.Alert(r.Context(), r.PathValue("key"))
	if err != nil {
		return out, err
	}
	said, err := s.said(r.Context(), []detector.Alert{a})
	if err != nil {
		return out, err
	}
	out = AlertDetail{Alert: said[0], Marks: []detector.Mark{}, Acknowledgements: []detector.Acknowledgement{}}
	if s.o.Tell != nil {
		out.Text = s.o.Tell(r.Context(), a)
	}
	marks, err := s.o.Journal.Marks(r.Context(), a.Key)
	if err != nil {
		return out, err
	}
	acknowledged, err := s.o.Journal.Acknowledgements(r.Context(), a.Key)
	out.Marks, out.Acknowledgements = append(out.Marks, marks...), append(out.Acknowledgements, acknowledged...)
	return out, err
}

func (s *Server) tally(w http.ResponseWriter, r *http.Request) error {
	t, err := s.o.Journal.Tally(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, t)
}

func (s *Server) markAlert(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		said
		Mark string `json:"mark"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	m, err := s.mark(r, in.Mark, said{in.Reason, s.actor(r, in.Actor)})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, m)
}

// mark puts down whether the alert of the request was a false alarm.
func (s *Server) mark(r *http.Request, mark string, in said) (m detector.Mark, err error) {
	if mark != "false" && mark != "true" {
		return m, BadRequest(fmt.Sprintf("mark: %.40q is neither false, for a false alarm, nor true", mark))
	}
	if err := in.bounded(); err != nil {
		return m, err
	}
	a, err := s.o.Journal.Alert(r.Context(), r.PathValue("key"))
	if err != nil {
		return m, err
	}
	if !a.State.Fired() {
		return m, problem{http.StatusConflict, "alert " + a.Key + " is " + string(a.State) + ": nobody was told of it, so it was no alarm"}
	}
	m = detector.Mark{Alert: a.Key, False: mark == "false", Actor: in.Actor, Reason: in.Reason, At: time.Now().UTC()}
	return m, s.o.Journal.PutMark(r.Context(), m)
}

func (s *Server) acknowledgeAlert(w http.ResponseWriter, r *http.Request) error {
	var in said
	if err := decode(r, &in); err != nil {
		return err
	}
	k, err := s.acknowledge(r, said{in.Reason, s.actor(r, in.Actor)})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, k)
}

// acknowledge puts down that somebody looks after the alert of the request.
func (s *Server) acknowledge(r *http.Request, in said) (k detector.Acknowledgement, err error) {
	if strings.TrimSpace(in.Reason) == "" {
		return k, BadRequest("reason: missing; say what you are doing about it")
	}
	if err := in.bounded(); err != nil {
		return k, err
	}
	a, err := s.o.Journal.Alert(r.Context(), r.PathValue("key"))
	if err != nil {
		return k, err
	}
	if !open(a) {
		return k, problem{http.StatusConflict, "alert " + a.Key + " is " + string(a.State) + ": there is nothing left to look after"}
	}
	k = detector.Acknowledge(a, in.Actor, in.Reason, time.Now().UTC())
	return k, s.o.Journal.PutAcknowledgement(r.Context(), k)
}

// open says whether the alert isn't over.
func open(a detector.Alert) bool {
	return a.State == detector.AlertPending || a.State == detector.AlertFiring
}

func (in said) bounded() error {
	if utf8.RuneCountInString(in.Reason) > maxReason || utf8.RuneCountInString(in.Actor) > maxReason {
		return BadRequest(fmt.Sprintf("reason, actor: at most %d characters each", maxReason))
	}
	return nil
}
