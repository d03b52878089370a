package inbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"aftershock/detector"
)

// Words of a summary that tell of a deployment, and of one that is taken back.
// A change event may be anything: a build, a merge, a ticket.
var (
	deploys   = regexp.MustCompile(`(?i)\b(re-?)?(deploy|releas|roll(ed|ing)?[ -]?(out|back)|upgrad|ship|promot|revert)`)
	rollsBack = regexp.MustCompile(`(?i)\b(roll(ed|ing|s)?[ -]?back|revert)`)
)

// readPagerDuty reads a change event of the Events API v2.
func readPagerDuty(m Message) ([]told, error) {
	var body struct {
		DedupKey string `json:"dedup_key"`
		Payload  *struct {
			Summary   string          `json:"summary"`
			Timestamp string          `json:"timestamp"`
			Source    string          `json:"source"`
			Details   json.RawMessage `json:"custom_details"`
		} `json:"payload"`
		Links []struct {
			Href string `json:"href"`
		} `json:"links"`
		EventAction string `json:"event_action"`
	}
	if err := decode(m.Body, &body); err != nil {
		return nil, err
	}
	switch p := body.Payload; {
	case p == nil:
		return nil, errors.New("payload is missing: want a change event of the Events API v2")
	case p.Summary == "":
		return nil, errors.New("payload.summary is missing")
	case len(p.Summary) > 1024: // PagerDuty's own bound
		return nil, fmt.Errorf("payload.summary has %d bytes, want at most 1024", len(p.Summary))
	case body.EventAction != "":
		return ignored("event_action %.40s is an alert, no change", body.EventAction), nil
	}
	p := body.Payload
	service, from, to := detailed(p.Details)
	if !deploys.MatchString(p.Summary) && (service == "" || to == "") {
		return ignored("the summary tells of no deployment, and custom_details have no service with a version"), nil
	}
	of, err := name("custom_details.service or payload.source", cmp.Or(service, p.Source))
	if err != nil {
		return nil, err
	}
	at, err := moment("payload.timestamp", p.Timestamp)
	if err != nil {
		return nil, err
	}
	t := told{
		key:      []string{p.Source, p.Summary, string(p.Details), p.Timestamp},
		words:    p.Summary,
		rollback: rollsBack.MatchString(p.Summary),
		binaries: []detector.Binary{{Name: of, From: from, To: to}},
		finished: at,
	}
	if body.DedupKey != "" {
		t.key = []string{body.DedupKey}
	}
	if at.IsZero() {
		t.finished = m.Now.UTC().Truncate(time.Second)
	}
	if len(body.Links) > 0 {
		t.link = body.Links[0].Href
	}
	t.environment = environmentOf(p.Details)
	return []told{t}, nil
}

// detailed gives the service and its versions from details, whose form is free.
func detailed(details json.RawMessage) (service, from, to string) {
	var all map[string]any
	if json.Unmarshal(details, &all) != nil {
		return "", "", ""
	}
	first := func(keys ...string) string {
		for _, k := range keys {
			if s, ok := all[k].(string); ok && s != "" {
				return s
			}
		}
		return ""
	}
	service = first("binary", "service", "service_name", "app", "application", "component")
	to = cmp.Or(version(first("version", "to", "new_version", "tag")), imageTag(first("image")))
	return service, version(first("previous_version", "from", "old_version")), to
}

func environmentOf(details json.RawMessage) string {
	var d struct {
		Environment string `json:"environment"`
		Env         string `json:"env"`
	}
	_ = json.Unmarshal(details, &d) // free in form
	return cmp.Or(d.Environment, d.Env)
}

func imageTag(ref string) string {
	_, tag := image(ref)
	return tag
}
