package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/journal"
)

// list is the form of every list of the API.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

func listed[T any](items []T, next string) list[T] {
	if items == nil {
		items = []T{}
	}
	return list[T]{items, next}
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	return answer(w, http.StatusOK, map[string]any{
		"version": s.o.Version, "started_at": s.started.UTC(), "ready": s.ready.Load(),
		"watch": s.o.Loop.Status(), "flags_revision": s.o.Switchboard.Revision(),
	})
}

// page reads the parameters after and limit.
func page(r *http.Request) (journal.Page, error) {
	limit, err := number(r, "limit")
	return journal.Page{After: r.FormValue("after"), Limit: int(limit)}, err
}

func number(r *http.Request, name string) (int64, error) {
	text := r.FormValue(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, problem{http.StatusBadRequest, fmt.Sprintf("parameter %s: %.40q is no whole number from 0 on", name, text)}
	}
	return n, nil
}

func (s *Server) listUpgrades(w http.ResponseWriter, r *http.Request) error {
	p, err := page(r)
	if err != nil {
		return err
	}
	all, next, err := s.o.Journal.Upgrades(r.Context(), p)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(all, next))
}

func (s *Server) recordUpgrade(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	u, err := s.o.Parse(body)
	if err != nil {
		return problem{http.StatusBadRequest, err.Error()}
	}
	if u.StartedAt.After(time.Now().Add(5 * time.Minute)) {
		return problem{http.StatusBadRequest, "started_at lies in the future: record an upgrade when it begins"}
	}
	if u.Source == "" {
		u.Source = "record"
	}
	s.o.Loop.Record(u)
	return answer(w, http.StatusAccepted, u)
}

func (s *Server) showUpgrade(w http.ResponseWriter, r *http.Request) error {
	u, err := s.o.Journal.Upgrade(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, u)
}

func (s *Server) closeUpgrade(w http.ResponseWriter, r *http.Request) error {
	u, err := s.o.Journal.Upgrade(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if !u.ClosedAt.IsZero() {
		return problem{http.StatusBadRequest, "upgrade " + u.ID + " is closed already"}
	}
	s.o.Loop.CloseUpgrade(u.ID)
	return answer(w, http.StatusAccepted, u)
}

func (s *Server) listVerdicts(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.o.Journal.Upgrade(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	all, err := s.o.Journal.Verdicts(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(all, ""))
}

func (s *Server) report(w http.ResponseWriter, r *http.Request) error {
	format := r.FormValue("format")
	if format == "" {
		format = "html"
	}
	return s.o.Review(r.Context(), r.PathValue("id"), format, w)
}

// event is an event with its number.
type event struct {
	ID int64 `json:"id"`
	detector.Event
}

func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) error {
	after, err := number(r, "after")
	if err != nil {
		return err
	}
	limit, err := number(r, "limit")
	if err != nil {
		return err
	}
	all, more, err := s.o.Journal.Events(r.Context(), journal.EventQuery{Upgrade: r.FormValue("upgrade"), After: after, Limit: int(limit)})
	if err != nil {
		return err
	}
	out := make([]event, 0, len(all))
	for _, e := range all {
		out = append(out, event(e))
	}
	next := ""
	if more > 0 {
		next = strconv.FormatInt(more, 10)
	}
	return answer(w, http.StatusOK, listed(out, next))
}

func (s *Server) listAlerts(w http.ResponseWriter, r *http.Request) error {
	p, err := page(r)
	if err != nil {
		return err
	}
	q := journal.AlertQuery{Upgrade: r.FormValue("upgrade"), State: detector.AlertState(r.FormValue("state")), Page: p}
	all, next, err := s.o.Journal.Alerts(r.Context(), q)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(all, next))
}

func (s *Server) listFlags(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, listed(s.o.Switchboard.List(), ""))
}

func (s *Server) showFlag(w http.ResponseWriter, r *http.Request) error {
	v, err := s.o.Switchboard.Show(r.PathValue("key"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, v)
}

// toggleRequest is the body of a toggle.
type toggleRequest struct {
	Variant  string `json:"variant"`
	Reason   string `json:"reason"`
	Actor    string `json:"actor"`
	Incident string `json:"incident"`
	Upgrade  string `json:"upgrade"`
	Revision int64  `json:"revision"`
	DryRun   bool   `json:"dry_run"`
}

func (s *Server) setFlag(w http.ResponseWriter, r *http.Request) error {
	var in toggleRequest
	if err := decode(r, &in); err != nil {
		return err
	}
	t, err := s.o.Switchboard.Set(r.Context(), flags.Request{
		Flag: r.PathValue("key"), Variant: in.Variant, Reason: in.Reason, Actor: actor(in.Actor),
		Incident: in.Incident, Upgrade: in.Upgrade, Revision: in.Revision, DryRun: in.DryRun,
	})
	return toggled(w, t, err)
}

// toggled answers a toggle; one that was applied but not verified is told with
// its state.
func toggled(w http.ResponseWriter, t detector.Toggle, err error) error {
	if err != nil && !(errors.Is(err, flags.ErrNotVerified) && t.ID != "") {
		return err
	}
	return answer(w, http.StatusOK, t)
}

func actor(name string) string {
	if name == "" {
		return "someone with the token"
	}
	return name
}

func (s *Server) undoFlag(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Reason string `json:"reason"`
		Actor  string `json:"actor"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	t, err := s.o.Switchboard.Undo(r.Context(), r.PathValue("key"), in.Reason, actor(in.Actor))
	return toggled(w, t, err)
}

func (s *Server) flagHistory(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.o.Switchboard.Show(r.PathValue("key")); err != nil {
		return err
	}
	all, err := s.o.Switchboard.History(r.Context(), r.PathValue("key"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(all, ""))
}

func (s *Server) readiness(w http.ResponseWriter, r *http.Request) {
	if !s.ready.Load() {
		http.Error(w, "not ready: starting or stopping", http.StatusServiceUnavailable)
		return
	}
	if err := s.o.Journal.Ping(r.Context()); err != nil {
		http.Error(w, "not ready: the journal doesn't answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (s *Server) reload(w http.ResponseWriter, _ *http.Request) error {
	if err := s.o.Reload(); err != nil {
		return problem{http.StatusBadRequest, err.Error()}
	}
	return answer(w, http.StatusOK, map[string]string{"status": "reloaded"})
}
