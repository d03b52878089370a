package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/flags"
	"aftershock/journal"
	"aftershock/web/access"
)

// limits are the fields of a toggle's body about whom it is for and for how long.
// What is given must say something: an empty list is not everyone.
type limits struct {
	Percent   *float64  `json:"percent"`
	Instances *[]string `json:"instances"`
	Region    *string   `json:"region"`
	// ExpiresIn is in seconds, 0 for never.
	ExpiresIn *float64 `json:"expires_in"`
	OnExpiry  string   `json:"on_expiry"`
	Emergency string   `json:"emergency"`
}

// put adds the limits to a request.
func (l limits) put(r *flags.Request) error {
	if l.Percent != nil {
		if *l.Percent == 0 {
			return BadRequest("percent: 0 reaches nobody; leave it out for everyone")
		}
		r.Scope.Percent = *l.Percent
	}
	if l.Instances != nil {
		if len(*l.Instances) == 0 {
			return BadRequest("instances: names none; leave it out for everyone")
		}
		r.Scope.Instances = *l.Instances
	}
	if l.Region != nil {
		if *l.Region == "" {
			return BadRequest("region: is empty; leave it out for everyone")
		}
		r.Scope.Region = *l.Region
	}
	r.OnExpiry, r.Emergency = l.OnExpiry, l.Emergency
	if l.ExpiresIn == nil {
		return nil
	}
	d, err := seconds(*l.ExpiresIn)
	r.Expires = &d
	return err
}

// seconds reads a duration of at most ten years.
func seconds(s float64) (time.Duration, error) {
	if !(s >= 0 && s <= 10*366*24*3600) {
		return 0, BadRequest(fmt.Sprintf("expires_in: %v is no number of seconds", s))
	}
	return time.Duration(s * float64(time.Second)), nil
}

// said is the body of a decision: who, and why.
type said struct {
	Reason string `json:"reason"`
	Actor  string `json:"actor"`
}

func (s *Server) extendFlag(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		said
		ExpiresIn *float64 `json:"expires_in"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.ExpiresIn == nil {
		return BadRequest("expires_in: missing; say for how many seconds from now, 0 for good")
	}
	d, err := seconds(*in.ExpiresIn)
	if err != nil {
		return err
	}
	t, err := s.o.Switchboard.Extend(r.Context(), r.PathValue("key"), d, in.Reason, s.actor(r, in.Actor))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, t)
}

func (s *Server) acknowledgeFlag(w http.ResponseWriter, r *http.Request) error {
	var in said
	if err := decode(r, &in); err != nil {
		return err
	}
	t, err := s.o.Switchboard.Acknowledge(r.Context(), r.PathValue("key"), in.Reason, s.actor(r, in.Actor))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, t)
}

// decision is what a page offers about a toggle that waits for approval.
type decision struct {
	Toggle detector.Toggle
	Who    access.Principal
}

// SignedIn says whether whoever looks may decide.
func (d decision) SignedIn() bool { return d.Who.Role.Covers(access.OnCall) }

// Own says whether whoever looks planned it, and so can't approve it.
func (d decision) Own() bool { return sameName(d.Who.Name, d.Toggle.Actor) }

// Gave says whether whoever looks approved it already.
func (d decision) Gave() bool { return approved(d.Toggle, d.Who.Name) }

// sameName compares names as people would; nobody's is like another.
func sameName(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	return a != "" && strings.EqualFold(a, b)
}

func approved(t detector.Toggle, name string) bool {
	return slices.ContainsFunc(t.Approvals, func(a detector.Approval) bool { return sameName(a.Actor, name) })
}

func rejected(t detector.Toggle, name string) bool {
	return t.State == detector.ToggleRejected && sameName(t.By, name)
}

func (s *Server) approveForm(w http.ResponseWriter, r *http.Request) error {
	patient(w)
	return s.decideForm(w, r, s.o.Switchboard.Approve, approved)
}

func (s *Server) rejectForm(w http.ResponseWriter, r *http.Request) error {
	return s.decideForm(w, r, s.o.Switchboard.Reject, rejected)
}

// decideForm decides on a plan. Who has decided so before, as with a second click, is
// led to how it stands; who can't is told why on its page.
func (s *Server) decideForm(w http.ResponseWriter, r *http.Request, decide decider, did func(t detector.Toggle, name string) bool) error {
	form, err := s.form(r, access.OnCall)
	if err != nil {
		return err
	}
	who := s.who(r, form)
	t, err := decide(r.Context(), r.PathValue("id"), form.Get("reason"), who)
	if err == nil || errors.Is(err, flags.ErrNotVerified) {
		return s.goToToggle(w, r, t, err)
	}
	status, detail := statusOf(err)
	if status == http.StatusInternalServerError || status == http.StatusNotFound {
		return err
	}
	now, look := s.toggle(r.Context(), r.PathValue("id"))
	if look != nil {
		return look
	}
	if did(now.Toggle, who) {
		return s.goToToggle(w, r, now.Toggle, nil)
	}
	return s.toggleAs(w, r, status, now, detail)
}

type decider func(ctx context.Context, id, reason, actor string) (detector.Toggle, error)

func (s *Server) listWaiting(w http.ResponseWriter, r *http.Request) error {
	all, err := s.o.Switchboard.Waiting(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(all, ""))
}

func (s *Server) approveToggle(w http.ResponseWriter, r *http.Request) error {
	var in said
	if err := decode(r, &in); err != nil {
		return err
	}
	patient(w)
	t, err := s.o.Switchboard.Approve(r.Context(), r.PathValue("id"), in.Reason, s.actor(r, in.Actor))
	return toggled(w, t, err)
}

func (s *Server) rejectToggle(w http.ResponseWriter, r *http.Request) error {
	var in said
	if err := decode(r, &in); err != nil {
		return err
	}
	t, err := s.o.Switchboard.Reject(r.Context(), r.PathValue("id"), in.Reason, s.actor(r, in.Actor))
	return toggled(w, t, err)
}

// automation says how the kill switch stands, and how it stood before.
func (s *Server) automation(w http.ResponseWriter, r *http.Request) error {
	f, err := s.o.Switchboard.Frozen(r.Context())
	if err != nil {
		return err
	}
	history, err := s.o.Journal.Freezes(r.Context(), 100)
	if err != nil {
		return err
	}
	if history == nil {
		history = []detector.Freeze{}
	}
	return answer(w, http.StatusOK, map[string]any{"freeze": f, "history": history})
}

func (s *Server) freeze(w http.ResponseWriter, r *http.Request) error {
	return s.putFreeze(w, r, s.o.Switchboard.Freeze)
}

func (s *Server) unfreeze(w http.ResponseWriter, r *http.Request) error {
	return s.putFreeze(w, r, s.o.Switchboard.Unfreeze)
}

type freezer func(ctx context.Context, reason, actor string) (detector.Freeze, error)

func (s *Server) putFreeze(w http.ResponseWriter, r *http.Request, put freezer) error {
	var in said
	if err := decode(r, &in); err != nil {
		return err
	}
	f, err := put(r.Context(), in.Reason, s.actor(r, in.Actor))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, f)
}

func (s *Server) freezeForm(w http.ResponseWriter, r *http.Request) error {
	return s.freezingForm(w, r, access.OnCall, s.o.Switchboard.Freeze)
}

func (s *Server) unfreezeForm(w http.ResponseWriter, r *http.Request) error {
	return s.freezingForm(w, r, access.Admin, s.o.Switchboard.Unfreeze)
}

// freezingForm puts the kill switch, and shows the flags again with how it stands.
func (s *Server) freezingForm(w http.ResponseWriter, r *http.Request, role access.Role, put freezer) error {
	form, err := s.form(r, role)
	if err != nil {
		return err
	}
	reason := strings.TrimSpace(form.Get("reason"))
	if reason == "" {
		err = BadRequest("say why: others will want to know it")
	} else {
		_, err = put(r.Context(), reason, s.who(r, form))
	}
	if err == nil {
		http.Redirect(w, r, "/flags", http.StatusSeeOther)
		return nil
	}
	status, detail := statusOf(err)
	if status == http.StatusInternalServerError {
		return err
	}
	return s.flagsAs(w, r, status, freezing{words.Line(reason), words.Line(form.Get("actor")), detail})
}

// audit lists every state of every toggle, in the order in which they were put
// down.
func (s *Server) audit(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "flag", "since", "after", "limit")
	if err != nil {
		return err
	}
	after, err := number(q, "after")
	if err != nil {
		return err
	}
	limit, err := number(q, "limit")
	if err != nil {
		return err
	}
	since := time.Time{}
	if text := q.Get("since"); text != "" {
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			return BadRequest(fmt.Sprintf("parameter since: %.40q is no RFC 3339 time", text))
		}
	}
	all, more, err := s.o.Journal.Audit(r.Context(), journal.AuditQuery{Flag: q.Get("flag"), Since: since, After: after, Limit: int(min(limit, 1000))})
	if err != nil {
		return err
	}
	next := ""
	if more > 0 {
		next = strconv.FormatInt(more, 10)
	}
	return answer(w, http.StatusOK, listed(all, next))
}
