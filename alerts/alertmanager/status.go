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
	// Silences that hold the alert back, in order of id.
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
		SilencedBy  []string `json:"silencedBy"`
		InhibitedBy []string `json:"inhibitedBy"`
	} `json:"status"`
}

type gettableSilence struct {
	ID        string    `json:"id"`
	CreatedBy string    `json:"createdBy"`
	Comment   string    `json:"comment"`
	EndsAt    time.Time `json:"endsAt"`
}

// maxRead bounds the alerts and silences that are looked at.
const maxRead = 10_000

// Read asks what became of our alerts, by the label story. The first
// Alertmanager that answers is believed, since a cluster shares its silences.
func (n *Notifier) Read(ctx context.Context) (map[string]Status, error) {
	var errs []error
	for _, root := range n.conf.URLs {
		statuses, err := n.read(ctx, root)
		if err == nil {
			return statuses, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (n *Notifier) read(ctx context.Context, root string) (map[string]Status, error) {
	filter := url.Values{"filter": {fmt.Sprintf("alertname=%q", notify.AlertName)}}
	var alerts []gettableAlert
	if err := n.get(ctx, api(root, "alerts")+"?"+filter.Encode(), &alerts); err != nil {
		return nil, err
	}
	silences, err := n.silences(ctx, root, alerts)
	if err != nil {
		return nil, err
	}
	statuses := make(map[string]Status)
	for k, a := range alerts {
		story := a.Labels["story"]
		if story == "" || k == maxRead {
			continue
		}
		s := Status{State: words.Name(a.Status.State)}
		for _, id := range a.Status.SilencedBy {
			if silence, ok := silences[id]; ok {
				s.Silences = append(s.Silences, silence)
			}
		}
		sort.Slice(s.Silences, func(i, j int) bool { return s.Silences[i].ID < s.Silences[j].ID })
		for _, id := range a.Status.InhibitedBy {
			s.InhibitedBy = append(s.InhibitedBy, words.Name(id))
		}
		statuses[story] = s
	}
	return statuses, nil
}

// silences reads the silences by id, but only when an alert names one.
func (n *Notifier) silences(ctx context.Context, root string, alerts []gettableAlert) (map[string]Silence, error) {
	silenced := false
	for _, a := range alerts {
		silenced = silenced || len(a.Status.SilencedBy) > 0
	}
	if !silenced {
		return nil, nil
	}
	var all []gettableSilence
	if err := n.get(ctx, api(root, "silences"), &all); err != nil {
		return nil, err
	}
	byID := make(map[string]Silence, min(len(all), maxRead))
	for k, s := range all {
		if k == maxRead {
			break
		}
		byID[s.ID] = Silence{
			ID: words.Name(s.ID), By: words.Name(s.CreatedBy), Comment: words.Line(s.Comment), EndsAt: s.EndsAt.UTC(),
		}
	}
	return byID, nil
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
