package inbox

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// event is a CloudEvent 1.0, as far as it matters here.
type event struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject"`
	Time        string          `json:"time"`
	Data        json.RawMessage `json:"data"`
	Data64      string          `json:"data_base64"`
}

// cloudEventType is "event" or "batch" for the structured modes of the HTTP
// binding, "" for all else.
func cloudEventType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case err != nil:
		return ""
	case kind == "application/cloudevents+json":
		return "event"
	case kind == "application/cloudevents-batch+json":
		return "batch"
	}
	return ""
}

// readCloudEvents reads CloudEvents in binary mode, structured mode and batches,
// and CDEvents that come without an envelope.
func readCloudEvents(m Message) ([]told, error) {
	if m.Header.Get("Ce-Specversion") != "" {
		e, err := binaryEvent(m)
		if err != nil {
			return nil, err
		}
		return one(e)
	}
	if cloudEventType(m.Header) == "batch" {
		var all []event
		if err := decode(m.Body, &all); err != nil {
			return nil, err
		}
		if len(all) > maxEvents {
			return nil, fmt.Errorf("the batch has %d events, want at most %d", len(all), maxEvents)
		}
		var out []told
		for i, e := range all {
			t, err := one(e)
			if err != nil {
				return nil, fmt.Errorf("event %d of the batch: %w", i+1, err)
			}
			out = append(out, t...)
		}
		return out, nil
	}
	var keys map[string]json.RawMessage
	if err := decode(m.Body, &keys); err != nil {
		return nil, err
	}
	if keys["specversion"] == nil && keys["context"] != nil {
		return readCDEvent(m.Body, event{})
	}
	var e event
	if err := decode(m.Body, &e); err != nil {
		return nil, err
	}
	return one(e)
}

// binaryEvent is the event of the binary mode: attributes in the headers, data
// in the body.
func binaryEvent(m Message) (event, error) {
	var failed error
	attribute := func(name string) string {
		v := m.Header.Get("Ce-" + name)
		plain, err := url.PathUnescape(v)
		if err != nil && failed == nil {
			failed = fmt.Errorf("header ce-%s: %.40q isn't percent-encoded as CloudEvents want it", strings.ToLower(name), v)
		}
		return plain
	}
	e := event{
		SpecVersion: attribute("Specversion"), ID: attribute("Id"), Source: attribute("Source"),
		Type: attribute("Type"), Subject: attribute("Subject"), Time: attribute("Time"),
		Data: m.Body,
	}
	return e, failed
}

// one is what one event says.
func one(e event) ([]told, error) {
	if e.SpecVersion != "1.0" {
		return nil, fmt.Errorf("specversion: want 1.0, got %.20q", e.SpecVersion)
	}
	for _, a := range []struct{ name, value string }{{"id", e.ID}, {"source", e.Source}, {"type", e.Type}} {
		if a.value == "" {
			return nil, fmt.Errorf("%s is missing: a CloudEvent has id, source and type", a.name)
		}
	}
	if !strings.HasPrefix(e.Type, "dev.cdevents.service.") {
		return ignored("type %.100s is none of the dev.cdevents.service events", e.Type), nil
	}
	data := []byte(e.Data)
	if e.Data64 != "" {
		plain, err := base64.StdEncoding.DecodeString(e.Data64)
		if err != nil {
			return nil, errors.New("data_base64: isn't base64")
		}
		data = plain
	}
	// Data whose type isn't known to be JSON may come as a text.
	var text string
	if json.Unmarshal(data, &text) == nil && text != "" {
		data = []byte(text)
	}
	return readCDEvent(data, e)
}
