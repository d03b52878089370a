package web

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/flags"
	"aftershock/web/access"
)

func badForm(err error) error {
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return err
	}
	return BadRequest("read the form: " + err.Error())
}

func (s *Server) flagsPage(w http.ResponseWriter, r *http.Request) error {
	return s.flagsAs(w, r, http.StatusOK, freezing{})
}

// freezing is the form of the kill switch, with why it wasn't put.
type freezing struct{ Reason, Name, Error string }

func (s *Server) flagsAs(w http.ResponseWriter, r *http.Request, status int, f freezing) error {
	history, err := s.o.Journal.Toggles(r.Context(), "", 50)
	if err != nil {
		return err
	}
	history = s.o.Switchboard.Replaced(history...)
	waiting, err := s.o.Switchboard.Waiting(r.Context())
	if err != nil {
		return err
	}
	blind := ""
	freeze, err := s.o.Switchboard.Frozen(r.Context())
	if err != nil {
		blind = "its kill switch can't be read"
	}
	all := s.o.Switchboard.List()
	// Those that gate something come first.
	slices.SortStableFunc(all, func(a, b flags.View) int { return cmp.Compare(min(len(b.Gates), 1), min(len(a.Gates), 1)) })
	return s.render(w, r, status, "flags.html", map[string]any{
		"Title": "Flags", "Flags": all[:min(len(all), 100)], "More": max(len(all)-100, 0), "History": history,
		"Waiting": waiting[:min(len(waiting), 20)], "Freeze": freeze, "Blind": blind, "Freezing": f, "Admin": s.may(r, access.Admin),
	})
}

// flagPage shows a flag, and, with a variant, the plan of a toggle to it: the
// effect is named before anybody confirms it.
func (s *Server) flagPage(w http.ResponseWriter, r *http.Request) error {
	v, err := s.o.Switchboard.Look(r.Context(), r.PathValue("key"))
	if err != nil {
		return err
	}
	q, err := query(r, wishes...)
	if err != nil {
		return err
	}
	p, err := s.plan(r.Context(), v, wishOf(q))
	status := http.StatusOK
	if err != nil {
		if status, err = p.blame(err); err != nil {
			return err
		}
	}
	return s.flagAs(w, r, status, v, p, undoing{})
}

// undoing is the form of an undo, with why it wasn't done.
type undoing struct{ Reason, Name, Error string }

func (s *Server) flagAs(w http.ResponseWriter, r *http.Request, status int, v flags.View, p planning, u undoing) error {
	history, err := s.o.Switchboard.History(r.Context(), v.Key)
	if err != nil {
		return err
	}
	data := map[string]any{
		"Title": "Flag " + v.Key, "Flag": v, "History": history[:min(len(history), 30)], "Planning": p, "Undoing": u,
	}
	if n := len(v.Standing); n > 0 {
		data["Last"] = v.Standing[n-1]
	}
	if one, ok := s.tuned.get(v.Key); ok {
		data["Tuning"], data["TunedAt"] = template.HTML(TuningChart(one.Result)), one.at //nolint:gosec // every text in it went through esc
	}
	return s.render(w, r, status, "flag.html", data)
}

// form reads the form of somebody who may do what a role may.
func (s *Server) form(r *http.Request, role access.Role) (url.Values, error) {
	p := s.caller(r)
	if !p.Role.Covers(access.OnCall) {
		return nil, problem{http.StatusUnauthorized, "your session is over, or you may look alone: go back, sign in with a token of somebody on call, and do it again"}
	}
	if !p.Role.Covers(role) {
		return nil, beyond(p, role)
	}
	if err := r.ParseForm(); err != nil {
		return nil, badForm(err)
	}
	return r.PostForm, s.stamped(r, r.PostForm)
}

func (s *Server) who(r *http.Request, form url.Values) string {
	return cmp.Or(s.caller(r).Name, form.Get("actor"), "someone at the console")
}

// toggleForm does what was planned; where any flag has changed since, nothing.
func (s *Server) toggleForm(w http.ResponseWriter, r *http.Request) error {
	form, err := s.form(r, access.OnCall)
	if err != nil {
		return err
	}
	revision, err := number(form, "revision")
	if err != nil {
		return err
	}
	if revision == 0 {
		return BadRequest("the form lacks the revision that was planned on; go back and plan again")
	}
	v, err := s.o.Switchboard.Look(r.Context(), r.PathValue("key"))
	if err != nil {
		return err
	}
	patient(w)
	wish := wishOf(form)
	request, err := wish.request(v)
	t := detector.Toggle{}
	if err == nil && wish.Reason == "" {
		err = slip{"reason", "say why: the reason stands in the audit"}
	}
	if err == nil {
		request.Actor, request.Incident, request.Revision = s.who(r, form), form.Get("incident"), revision
		t, err = s.o.Switchboard.Set(r.Context(), request)
	}
	if t.ID != "" {
		return s.goToToggle(w, r, t, err)
	}
	return s.toggleAgain(w, r, v, form, err)
}

// toggleAgain shows the form with why nothing was done. What somebody else changed
// meanwhile is to be planned anew.
func (s *Server) toggleAgain(w http.ResponseWriter, r *http.Request, v flags.View, form url.Values, why error) error {
	p := planning{wish: wishOf(form)}
	if !errors.Is(why, flags.ErrConflict) {
		// That it can't be planned, if so, is why.
		p, _ = s.plan(r.Context(), v, p.wish)
	}
	p.Name, p.Incident = words.Line(form.Get("actor")), words.Line(form.Get("incident"))
	status, err := p.blame(why)
	if err != nil {
		return err
	}
	return s.flagAs(w, r, status, v, p, undoing{})
}

func (s *Server) undoForm(w http.ResponseWriter, r *http.Request) error {
	form, err := s.form(r, access.OnCall)
	if err != nil {
		return err
	}
	patient(w)
	t, err := s.o.Switchboard.UndoOnly(r.Context(), r.PathValue("key"), form.Get("toggle"), form.Get("reason"), s.who(r, form))
	if t.ID != "" {
		return s.goToToggle(w, r, t, err)
	}
	status, detail := statusOf(err)
	v, look := s.o.Switchboard.Look(r.Context(), r.PathValue("key"))
	if look != nil || status == http.StatusInternalServerError {
		return err
	}
	p, look := s.plan(r.Context(), v, wish{})
	if look != nil {
		return look
	}
	return s.flagAs(w, r, status, v, p, undoing{words.Line(form.Get("reason")), words.Line(form.Get("actor")), detail})
}

// goToToggle leads to the page of what was audited, which says how it went.
func (s *Server) goToToggle(w http.ResponseWriter, r *http.Request, t detector.Toggle, err error) error {
	if t.ID == "" {
		return err
	}
	if err != nil {
		s.o.Log.WithError(err).WithFields(logrus.Fields{"toggle": t.ID, "flag": t.Flag}).Warn("a toggle from the console went wrong")
	}
	http.Redirect(w, r, "/toggles/"+url.PathEscape(t.ID), http.StatusSeeOther)
	return nil
}

// inForce says whether undo would take the toggle back.
func (s *Server) inForce(t detector.Toggle) bool {
	v, err := s.o.Switchboard.Show(t.Flag)
	if err != nil {
		return false
	}
	if v.Backend != nil {
		return v.Toggles > 0 && t.State.InForce()
	}
	n := len(v.Standing)
	return n > 0 && v.Standing[n-1].Toggle == t.ID
}
