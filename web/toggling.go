package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
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
	history, err := s.o.Journal.Toggles(r.Context(), "", 50)
	if err != nil {
		return err
	}
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
	return s.render(w, r, http.StatusOK, "flags.html", map[string]any{
		"Title": "Flags", "Flags": all[:min(len(all), 100)], "More": max(len(all)-100, 0), "History": history,
		"Waiting": waiting[:min(len(waiting), 20)], "Freeze": freeze, "Blind": blind,
	})
}

// flagPage shows a flag, and, with a variant, the plan of a toggle to it: the
// effect is named before anybody confirms it.
func (s *Server) flagPage(w http.ResponseWriter, r *http.Request) error {
	v, err := s.o.Switchboard.Look(r.Context(), r.PathValue("key"))
	if err != nil {
		return err
	}
	q, err := query(r, "variant", "upgrade", "reason")
	if err != nil {
		return err
	}
	history, err := s.o.Switchboard.History(r.Context(), v.Key)
	if err != nil {
		return err
	}
	data := map[string]any{
		"Title": "Flag " + v.Key, "Flag": v, "History": history[:min(len(history), 30)],
		"Upgrade": q.Get("upgrade"), "Reason": q.Get("reason"), "Variant": q.Get("variant"),
	}
	if variant := q.Get("variant"); variant != "" {
		plan, err := s.o.Switchboard.Preview(r.Context(), flags.Request{Flag: v.Key, Variant: variant, Reason: "plan", Actor: "console"})
		switch {
		case errors.Is(err, flags.ErrUnchanged):
			data["Unchanged"] = true
		case err != nil:
			return err
		default:
			data["Plan"] = plan
		}
	}
	return s.render(w, r, http.StatusOK, "flag.html", data)
}

// form reads the form of somebody who is signed in.
func (s *Server) form(r *http.Request) (url.Values, error) {
	if !s.may(r, access.OnCall) {
		return nil, problem{http.StatusUnauthorized, "your session is over, or you may look alone: go back, sign in with a token of somebody on call, and do it again"}
	}
	if err := r.ParseForm(); err != nil {
		return nil, badForm(err)
	}
	return r.PostForm, nil
}

func (s *Server) who(r *http.Request, form url.Values) string {
	return cmp.Or(s.caller(r).Name, form.Get("actor"), "someone at the console")
}

// toggleForm does what was planned; where any flag has changed since, nothing.
func (s *Server) toggleForm(w http.ResponseWriter, r *http.Request) error {
	form, err := s.form(r)
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
	patient(w)
	t, err := s.o.Switchboard.Set(r.Context(), flags.Request{
		Flag: r.PathValue("key"), Variant: form.Get("variant"), Reason: form.Get("reason"), Actor: s.who(r, form),
		Incident: form.Get("incident"), Upgrade: form.Get("upgrade"), Revision: revision,
	})
	return s.goToToggle(w, r, t, err)
}

func (s *Server) undoForm(w http.ResponseWriter, r *http.Request) error {
	form, err := s.form(r)
	if err != nil {
		return err
	}
	patient(w)
	t, err := s.o.Switchboard.Undo(r.Context(), r.PathValue("key"), form.Get("reason"), s.who(r, form))
	return s.goToToggle(w, r, t, err)
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

// togglePage shows how far a toggle has come, and what was seen.
func (s *Server) togglePage(w http.ResponseWriter, r *http.Request) error {
	states, err := s.o.Journal.ToggleHistory(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	t := states[len(states)-1]
	data := map[string]any{"Title": t.Flag + ": " + t.Before + " → " + t.After, "Toggle": t, "States": states}
	switch t.State {
	case detector.TogglePlanned, detector.ToggleWaiting, detector.ToggleApproved, detector.ToggleApplied, detector.ToggleVerified:
		data["Refresh"] = 5
	case detector.ToggleFailed, detector.ToggleNoHelp, detector.ToggleReverted:
		data["Bad"] = true
	}
	return s.render(w, r, http.StatusOK, "toggle.html", data)
}
