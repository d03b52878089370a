package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/journal"
	"aftershock/web/access"
)

// maxAlerts bounds the alerts on an upgrade's page.
const maxAlerts = 12

// alertsOf are the last alerts of an upgrade, as its page shows them: those that people
// were told of or may soon be.
func (s *Server) alertsOf(ctx context.Context, upgrade string) ([]Alert, error) {
	var all []detector.Alert
	for _, q := range []journal.AlertQuery{{State: detector.AlertPending}, {Fired: true}} {
		q.Upgrade, q.Limit = upgrade, maxAlerts-len(all)
		if q.Limit == 0 {
			break
		}
		part, _, err := s.o.Journal.Alerts(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	return s.said(ctx, all)
}

// alertPage shows one alert, and takes what people say of it.
func (s *Server) alertPage(w http.ResponseWriter, r *http.Request) error {
	a, err := s.alert(r)
	if err != nil {
		return err
	}
	tally, err := s.o.Journal.Tally(r.Context())
	if err != nil {
		return err
	}
	var answer *advice // what to do while it isn't over
	if a.State == detector.AlertFiring {
		said, err := s.advise(r.Context(), a.Alert)
		if err != nil {
			return err
		}
		answer = &said[0]
	}
	acts, err := s.acts(r.Context(), a.Alert.Alert)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, "alert.html", map[string]any{
		"Title": words.Headline(a.Alert.Alert), "Detail": a, "Tally": words.Tally(tally), "Answer": answer, "Acts": acts,
	})
}

// maxActs bounds the toggles on an alert's page.
const maxActs = 10

// acts are the toggles of the alert's flags for its upgrade, the latest first.
func (s *Server) acts(ctx context.Context, a detector.Alert) (out []detector.Toggle, err error) {
	for _, flag := range a.Flags[:min(len(a.Flags), maxActs)] {
		all, err := s.o.Switchboard.History(ctx, flag)
		if err != nil {
			return nil, err
		}
		for _, t := range all {
			if t.Upgrade == a.Upgrade {
				out = append(out, t)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b detector.Toggle) int { return b.At.Compare(a.At) })
	return out[:min(len(out), maxActs)], nil
}

// Open says whether the alert isn't over.
func (a Alert) Open() bool { return open(a.Alert) }

// Hushed says in a line each who keeps the alert quiet.
func (a Alert) Hushed() (lines []string) {
	if k := a.Acknowledgement; k != nil && a.Open() {
		text := "Acknowledged by " + words.Name(k.Actor) + ", " + words.Time(k.At) + ": " + k.Reason
		if !a.Covered() {
			text = "More has come since it was a" + text[1:]
		}
		lines = append(lines, text)
	}
	for _, q := range a.Silences {
		lines = append(lines, "Silenced in Alertmanager by "+q.By+" until "+words.Time(q.EndsAt)+": "+q.Comment)
	}
	return lines
}

func (s *Server) markForm(w http.ResponseWriter, r *http.Request) error {
	form, err := s.form(r, access.OnCall)
	if err != nil {
		return err
	}
	m, err := s.mark(r, form.Get("mark"), said{form.Get("reason"), s.who(r, form)})
	if err != nil {
		return err
	}
	return toAlert(w, r, m.Alert)
}

func (s *Server) acknowledgeForm(w http.ResponseWriter, r *http.Request) error {
	form, err := s.form(r, access.OnCall)
	if err != nil {
		return err
	}
	k, err := s.acknowledge(r, said{form.Get("reason"), s.who(r, form)})
	if err != nil {
		return err
	}
	return toAlert(w, r, k.Alert)
}

// toAlert goes on to the alert's page.
func toAlert(w http.ResponseWriter, r *http.Request, key string) error {
	http.Redirect(w, r, "/alerts/"+url.PathEscape(key), http.StatusSeeOther)
	return nil
}
