package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"aftershock/detector"
	"aftershock/journal"
)

// Alert is an alert with what people said of it last.
type Alert struct {
	detector.Alert
	detector.Said
}

// AlertDetail is an alert with all that people said of it.
type AlertDetail struct {
	Alert
	Marks            []detector.Mark            `json:"marks"`
	Acknowledgements []detector.Acknowledgement `json:"acknowledgements"`
}

// maxReason bounds what a person may say, in characters.
const maxReason = 2000

// said adds to alerts what people said of them.
func (s *Server) said(ctx context.Context, all []detector.Alert) ([]Alert, error) {
	keys := make([]string, len(all))
	for n, a := range all {
		keys[n] = a.Key
	}
	said, err := s.o.Journal.Said(ctx, keys...)
	if err != nil {
		return nil, err
	}
	out := make([]Alert, len(all))
	for n, a := range all {
		out[n] = Alert{Alert: a, Said: said[a.Key]}
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
	a, err := s.o.Journal.Alert(r.Context(), r.PathValue("key"))
	if err != nil {
		return err
	}
	said, err := s.said(r.Context(), []detector.Alert{a})
	if err != nil {
		return err
	}
	out := AlertDetail{Alert: said[0], Marks: []detector.Mark{}, Acknowledgements: []detector.Acknowledgement{}}
	marks, err := s.o.Journal.Marks(r.Context(), a.Key)
	if err != nil {
		return err
	}
	acknowledged, err := s.o.Journal.Acknowledgements(r.Context(), a.Key)
	if err != nil {
		return err
	}
	out.Marks, out.Acknowledgements = append(out.Marks, marks...), append(out.Acknowledgements, acknowledged...)
	return answer(w, http.StatusOK, out)
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
	if in.Mark != "false" && in.Mark != "true" {
		return BadRequest(fmt.Sprintf("mark: %.40q is neither false, for a false alarm, nor true", in.Mark))
	}
	if err := in.bounded(); err != nil {
		return err
	}
	a, err := s.o.Journal.Alert(r.Context(), r.PathValue("key"))
	if err != nil {
		return err
	}
	if !a.State.Fired() {
		return problem{http.StatusConflict, "alert " + a.Key + " is " + string(a.State) + ": nobody was told of it, so it was no alarm"}
	}
	m := detector.Mark{Alert: a.Key, False: in.Mark == "false", Actor: s.actor(r, in.Actor), Reason: in.Reason, At: time.Now().UTC()}
	if err := s.o.Journal.PutMark(r.Context(), m); err != nil {
		return err
	}
	return answer(w, http.StatusOK, m)
}

func (s *Server) acknowledgeAlert(w http.ResponseWriter, r *http.Request) error {
	var in said
	if err := decode(r, &in); err != nil {
		return err
	}
	k, err := s.acknowledge(r, in)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, k)
}

// acknowledge puts down that somebody looks after the alert of the request.
func (s *Server) acknowledge(r *http.Request, in said) (detector.Acknowledgement, error) {
	if strings.TrimSpace(in.Reason) == "" {
		return detector.Acknowledgement{}, BadRequest("reason: missing; say what you are doing about it")
	}
	if err := in.bounded(); err != nil {
		return detector.Acknowledgement{}, err
	}
	a, err := s.o.Journal.Alert(r.Context(), r.PathValue("key"))
	if err != nil {
		return detector.Acknowledgement{}, err
	}
	if a.State != detector.AlertPending && a.State != detector.AlertFiring {
		return detector.Acknowledgement{}, problem{http.StatusConflict, "alert " + a.Key + " is " + string(a.State) + ": there is nothing left to look after"}
	}
	k := detector.Acknowledge(a, s.actor(r, in.Actor), in.Reason, time.Now().UTC())
	return k, s.o.Journal.PutAcknowledgement(r.Context(), k)
}

func (in said) bounded() error {
	if utf8.RuneCountInString(in.Reason) > maxReason || utf8.RuneCountInString(in.Actor) > maxReason {
		return BadRequest(fmt.Sprintf("reason, actor: at most %d characters each", maxReason))
	}
	return nil
}
