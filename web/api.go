package web

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
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
func page(q url.Values) (journal.Page, error) {
	limit, err := number(q, "limit")
	return journal.Page{After: q.Get("after"), Limit: int(min(limit, 1000))}, err
}

func number(q url.Values, name string) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, BadRequest(fmt.Sprintf("parameter %s: %.40q is no whole number from 0 on", name, text))
	}
	return n, nil
}

func (s *Server) listUpgrades(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "after", "limit")
	if err != nil {
		return err
	}
	p, err := page(q)
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
		return badBody(err)
	}
	u, err := s.o.Parse(body)
	if err != nil {
		return BadRequest(err.Error())
	}
	if u.StartedAt.After(time.Now().Add(5 * time.Minute)) {
		return BadRequest("started_at lies in the future: record an upgrade when it begins, and with planned_start before that")
	}
	if u.Source == "" {
		u.Source = "record"
	}
	s.o.Loop.Record(u)
	w.Header().Set("Location", "/api/v1/upgrades/"+url.PathEscape(u.ID))
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
		return problem{http.StatusConflict, "upgrade " + u.ID + " is closed already"}
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
	out := make([]identified, 0, len(all))
	for _, v := range all {
		out = append(out, identified{v.Indicator.ID(), v})
	}
	return answer(w, http.StatusOK, listed(out, ""))
}

// identified is a verdict with the ID of its indicator, by which it is asked for alone.
type identified struct {
	ID string `json:"id"`
	detector.Verdict
}

// report answers the review of an upgrade.
func (s *Server) report(w http.ResponseWriter, r *http.Request) error {
	// What is wrong besides, the review says.
	if u, err := s.o.Journal.Upgrade(r.Context(), r.PathValue("id")); err == nil && !u.Begun() {
		return problem{http.StatusConflict, "upgrade " + u.ID + " is only planned: there is nothing to review"}
	}
	return s.review(w, r, []string{"html", "md", "json"}, func(ctx context.Context, format string, w http.ResponseWriter) error {
		return s.o.Review(ctx, r.PathValue("id"), format, w)
	})
}

// week answers the review of a week.
func (s *Server) week(w http.ResponseWriter, r *http.Request) error {
	return s.review(w, r, []string{"html", "md", "json", "pdf"}, func(ctx context.Context, format string, w http.ResponseWriter) error {
		return s.o.Week(ctx, r.PathValue("week"), format, w)
	})
}

// review answers a review in one of the known formats, the first of them by default:
// whole, or an error in its place.
func (s *Server) review(w http.ResponseWriter, r *http.Request, known []string, write func(context.Context, string, http.ResponseWriter) error) error {
	q, err := query(r, "format")
	if err != nil {
		return err
	}
	format := cmp.Or(q.Get("format"), known[0])
	if !slices.Contains(known, format) {
		return BadRequest(fmt.Sprintf("parameter format: %.20q is none of %s", format, strings.Join(known, ", ")))
	}
	whole := buffer(w)
	if err := write(r.Context(), format, whole); err != nil {
		return err
	}
	maps.Copy(w.Header(), whole.header)
	w.Header().Set("Content-Security-Policy", reviewPolicy)
	page := whole.body.Bytes()
	if format == "html" && !strings.HasPrefix(r.URL.Path, "/api/") {
		page = bytes.Replace(page, []byte("<body>\n"), []byte("<body>\n"+wayBack(r)), 1)
	}
	_, _ = w.Write(page)
	return nil
}

// wayBack leads from a review in the console to where it came from: the document itself
// stands alone, and knows of no console.
func wayBack(r *http.Request) string {
	back := ""
	if id := r.PathValue("id"); id != "" {
		back = `<a href="/upgrades/` + esc(url.PathEscape(id)) + `">The upgrade</a> · `
	}
	return `<nav aria-label="Console"><p>` + back + `<a href="/">All upgrades</a> · <a href="/reports">All reports</a></p></nav>` + "\n"
}

// event is an event with its number.
type event struct {
	ID int64 `json:"id"`
	detector.Event
}

func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "upgrade", "after", "limit")
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
	all, more, err := s.o.Journal.Events(r.Context(), journal.EventQuery{Upgrade: q.Get("upgrade"), After: after, Limit: int(min(limit, 1000))})
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

func (s *Server) listFlags(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, listed(s.o.Switchboard.List(), ""))
}

func (s *Server) showFlag(w http.ResponseWriter, r *http.Request) error {
	v, err := s.o.Switchboard.Look(r.Context(), r.PathValue("key"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, v)
}

// toggleRequest is the body of a toggle.
type toggleRequest struct {
	Variant string `json:"variant"`
	// Value is the variant's value while the toggle stands.
	Value json.RawMessage `json:"value"`
	// Accepts is the longer tail that is taken as the price, as a ratio.
	Accepts  float64 `json:"accepts"`
	Reason   string  `json:"reason"`
	Actor    string  `json:"actor"`
	Incident string  `json:"incident"`
	Upgrade  string  `json:"upgrade"`
	Revision int64   `json:"revision"`
	DryRun   bool    `json:"dry_run"`
	limits
}

func (s *Server) setFlag(w http.ResponseWriter, r *http.Request) error {
	var in toggleRequest
	if err := decode(r, &in); err != nil {
		return err
	}
	// Without the flag there is nothing here; without the variant the body is wrong.
	if _, err := s.o.Switchboard.Look(r.Context(), r.PathValue("key")); err != nil {
		return err
	}
	request := flags.Request{
		Flag: r.PathValue("key"), Variant: in.Variant, Value: in.Value, Reason: in.Reason, Actor: s.actor(r, in.Actor),
		Accepts: in.Accepts, Incident: in.Incident, Upgrade: in.Upgrade, Revision: in.Revision, DryRun: in.DryRun,
	}
	if err := in.put(&request); err != nil {
		return err
	}
	patient(w)
	t, err := s.o.Switchboard.Set(r.Context(), request)
	if errors.Is(err, flags.ErrUnknown) {
		return BadRequest(err.Error())
	}
	return toggled(w, t, err)
}

// toggled answers a toggle; one that was applied but not verified is told with
// its state, and one that waits for approval as accepted.
func toggled(w http.ResponseWriter, t detector.Toggle, err error) error {
	if err != nil && !(errors.Is(err, flags.ErrNotVerified) && t.ID != "") {
		return err
	}
	if t.State == detector.ToggleWaiting {
		return answer(w, http.StatusAccepted, t)
	}
	return answer(w, http.StatusOK, t)
}

func (s *Server) undoFlag(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		said
		Toggle string `json:"toggle"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	patient(w)
	t, err := s.o.Switchboard.UndoOnly(r.Context(), r.PathValue("key"), in.Toggle, in.Reason, s.actor(r, in.Actor))
	return toggled(w, t, err)
}

func (s *Server) flagHistory(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.o.Switchboard.Look(r.Context(), r.PathValue("key")); err != nil {
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
		return BadRequest(err.Error())
	}
	return answer(w, http.StatusOK, map[string]string{"status": "reloaded"})
}

//go:embed openapi.yaml
var openapiFile []byte

func openapi(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openapiFile)
	return nil
}
