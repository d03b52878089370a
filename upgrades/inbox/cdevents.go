package inbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
)

// cdevent is a CDEvent about a service: github.com/cdevents/spec,
// continuous-deployment.md.
type cdevent struct {
	Context struct {
		ID        string `json:"id"`
		Source    string `json:"source"`
		Type      string `json:"type"`
		Timestamp string `json:"timestamp"`
	} `json:"context"`
	Subject struct {
		ID      string `json:"id"`
		Source  string `json:"source"`
		Content struct {
			Environment struct {
				ID   string `json:"id"`
				Name string `json:"name"`
			} `json:"environment"`
			ArtifactID string `json:"artifactId"`
		} `json:"content"`
	} `json:"subject"`
	// CustomData is whatever the sender likes; a version is looked for in it.
	CustomData json.RawMessage `json:"customData"`
}

// readCDEvent reads a CDEvent; e is its envelope, empty without one.
func readCDEvent(data []byte, e event) ([]told, error) {
	var c cdevent
	if err := decode(data, &c); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	kind, predicate, err := cdeventType(cmp.Or(c.Context.Type, e.Type))
	if err != nil {
		return nil, err
	}
	if kind != "service" || !slices.Contains([]string{"deployed", "upgraded", "rolledback", "published"}, predicate) {
		return ignored("%s.%s replaces no binary", kind, predicate), nil
	}
	subject := cmp.Or(c.Subject.ID, e.Subject)
	service, err := name("subject.id", subject[strings.LastIndexByte(strings.TrimRight(subject, "/"), '/')+1:])
	if err != nil {
		return nil, err
	}
	at, err := moment("context.timestamp", cmp.Or(c.Context.Timestamp, e.Time))
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		return nil, fmt.Errorf("context.timestamp is missing: want the time of the %s", predicate)
	}
	var custom struct {
		Version         string `json:"version"`
		PreviousVersion string `json:"previousVersion"`
		URL             string `json:"url"`
	}
	// What isn't of this form is somebody else's.
	_ = json.Unmarshal(c.CustomData, &custom)
	_, to := purl(c.Subject.Content.ArtifactID)
	place := cmp.Or(c.Subject.Content.Environment.Name, lastPart(c.Subject.Content.Environment.ID))
	t := told{
		// Source and ID are what makes an event one, by both specifications.
		key:         []string{cmp.Or(c.Context.Source, e.Source), cmp.Or(c.Context.ID, e.ID), at.Format(time.RFC3339Nano)},
		environment: place, link: custom.URL,
		words:    strings.TrimSpace("service " + predicate + " " + c.Subject.Content.ArtifactID),
		binaries: []detector.Binary{{Name: strings.TrimSuffix(service, "/"), From: version(custom.PreviousVersion), To: cmp.Or(to, version(custom.Version))}},
		finished: at, rollback: predicate == "rolledback",
		// A service is published once it was deployed: by itself that replaces nothing.
		update: predicate == "published",
	}
	return []told{t}, nil
}

func lastPart(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// cdeventType splits dev.cdevents.service.deployed.0.2.0, in any version of 0.x
// and with or without one.
func cdeventType(s string) (subject, predicate string, err error) {
	rest, ok := strings.CutPrefix(s, "dev.cdevents.")
	parts := strings.SplitN(rest, ".", 3)
	if !ok || len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return "", "", fmt.Errorf("context.type: want one such as dev.cdevents.service.deployed.0.2.0, got %.60q", s)
	}
	if len(parts) == 3 && parts[2] != "draft" && !strings.HasPrefix(parts[2], "0.") {
		return "", "", fmt.Errorf("context.type: version %.20q of dev.cdevents.%.40s isn't known here: 0.1 to 0.3 are", parts[2], parts[0]+"."+parts[1])
	}
	return parts[0], parts[1], nil
}
