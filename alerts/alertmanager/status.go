package alertmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sort"
	"time"

	"aftershock/alerts/notify"
	"aftershock/detector/words"
)

// Status is what an Alertmanager says of one alert.
type Status struct {
	// State is "active", "suppressed" or "unprocessed".
	State string `json:"state"`
	// Silences that cover the alert, in order of id.
	Silences []Silence `json:"silences,omitempty"`
	// InhibitedBy are the fingerprints of the alerts that hold it back.
	InhibitedBy []string `json:"inhibited_by,omitempty"`
}

// Silence is what a person asked for.
type Silence struct {
	ID      string    `json:"id"`
	By      string    `json:"by"`
	Comment string    `json:"comment"`
	EndsAt  time.Time `json:"ends_at"`
}

type gettableAlert struct {
	Labels map[string]string `json:"labels"`
	Status struct {
		State       string   `json:"state"`
		InhibitedBy []string `json:"inhibitedBy"`
	} `json:"status"`
}

type gettableSilence struct {
	ID        string    `json:"id"`
	CreatedBy string    `json:"createdBy"`
	Comment   string    `json:"comment"`
	EndsAt    time.Time `json:"endsAt"`
	Status    struct {
		State string `json:"state"`
	} `json:"status"`
	Matchers []matcher `json:"matchers"`
}

// maxRead bounds the alerts and silences that are looked at.
const maxRead = 10_000

// Report is what an Alertmanager said: what became of our alerts, by the label story,
// and the silences in force.
type Report struct {
	stories  map[string]Status
	silences []rule
}

// Of is what the Alertmanager says of an alert with these labels; known is false where it
// has heard nothing of it, and nothing covers it. Silences are over by their end.
func (r Report) Of(labels map[string]string, now time.Time) (s Status, known bool) {
	s, known = r.stories[labels["story"]]
	for _, silence := range r.silences {
		if silence.EndsAt.After(now) && silence.covers(labels) {
			s.Silences = append(s.Silences, silence.Silence)
		}
	}
	// One that comes to it now is held back from the first.
	if !known && len(s.Silences) > 0 {
		s.State, known = "suppressed", true
	}
	return s, known
}

// Read asks what became of our alerts, and for the silences. The first Alertmanager
// that answers is believed, since a cluster shares its silences.
func (n *Notifier) Read(ctx context.Context) (Report, error) {
	var errs []error
	for _, root := range n.conf.URLs {
		r, err := n.read(ctx, root)
		if err == nil {
			return r, nil
		}
		errs = append(errs, err)
	}
	return Report{}, errors.Join(errs...)
}

func (n *Notifier) read(ctx context.Context, root string) (Report, error) {
	filter := url.Values{"filter": {fmt.Sprintf("alertname=%q", notify.AlertName)}}
	var alerts []gettableAlert
	if err := n.get(ctx, api(root, "alerts")+"?"+filter.Encode(), &alerts); err != nil {
		return Report{}, err
	}
	var silences []gettableSilence
	if err := n.get(ctx, api(root, "silences"), &silences); err != nil {
		return Report{}, err
	}
	r := Report{stories: make(map[string]Status)}
	for _, a := range alerts[:min(len(alerts), maxRead)] {
		story := a.Labels["story"]
		if story == "" {
			continue
		}
		s := Status{State: words.Name(a.Status.State)}
		for _, id := range a.Status.InhibitedBy {
			s.InhibitedBy = append(s.InhibitedBy, words.Name(id))
		}
		r.stories[story] = s
	}
	for _, s := range silences {
		if s.Status.State != "active" || len(r.silences) == maxRead {
			continue
		}
		r.silences = append(r.silences, rule{s.Matchers, Silence{
			ID: words.Name(s.ID), By: words.Name(s.CreatedBy), Comment: words.Line(s.Comment), EndsAt: s.EndsAt.UTC(),
		}})
	}
	sort.Slice(r.silences, func(i, j int) bool { return r.silences[i].ID < r.silences[j].ID })
	return r, nil
}

func (n *Notifier) get(ctx context.Context, from string, into any) error {
	b, err := n.client.Get(ctx, from)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("parse the answer of %s: %w", notify.Host(from), err)
	}
	return nil
}

// InForce says whether the silence with the ID is in force.
func (r Report) InForce(id string) bool {
	for _, s := range r.silences {
		if s.ID == id {
			return true
		}
	}
	return false
}
