package recordings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// harEntry is what is read of an entry of a HAR file (version 1.2); answers are passed
// over.
type harEntry struct {
	Request struct {
		Method   string    `json:"method"`
		URL      string    `json:"url"`
		Headers  []harPair `json:"headers"`
		PostData *struct {
			MimeType string    `json:"mimeType"`
			Text     string    `json:"text"`
			Params   []harPair `json:"params"`
			Encoding string    `json:"encoding"`
		} `json:"postData"`
	} `json:"request"`
}

type harPair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// har reads the entries one by one, so that the answers in them take no memory.
func (r *Recording) har(data []byte, secrets bool) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if err := enter(d, "log"); err != nil {
		return err
	}
	if err := enter(d, "entries"); err != nil {
		return err
	}
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errors.New("log.entries is no list")
	}
	for d.More() {
		var e harEntry
		if err := d.Decode(&e); err != nil {
			if type_ := new(json.UnmarshalTypeError); errors.As(err, &type_) {
				r.Skipped++ // the rest of the file can be read
				continue
			}
			return fmt.Errorf("log.entries[%d]: %w", len(r.Requests)+r.Skipped, err)
		}
		r.entry(&e, secrets)
	}
	return nil
}

// enter moves on to the value of a key of the object that comes next.
func enter(d *json.Decoder, key string) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("isn't a HAR file: want an object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return fmt.Errorf("isn't a HAR file: %w", err)
		}
		if name == key {
			return nil
		}
		if err := pass(d); err != nil {
			return fmt.Errorf("isn't a HAR file: %w", err)
		}
	}
	return fmt.Errorf("isn't a HAR file: it has no %s", key)
}

// pass passes over a value.
func pass(d *json.Decoder) error {
	depth := 0
	for {
		t, err := d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func (r *Recording) entry(e *harEntry, secrets bool) {
	q := &e.Request
	headers := map[string]string{}
	for _, h := range q.Headers {
		kept, secret := keep(h.Name, secrets)
		if secret {
			r.Dropped++
		}
		if kept && len(headers) < maxHeaders && httpguts.ValidHeaderFieldName(h.Name) && httpguts.ValidHeaderFieldValue(h.Value) && len(h.Name)+len(h.Value) <= maxTarget {
			headers[h.Name] = h.Value
		}
	}
	body := ""
	if p := q.PostData; p != nil {
		body = p.Text
		if body == "" && strings.HasPrefix(p.MimeType, "application/x-www-form-urlencoded") {
			body = form(p.Params)
		}
		if p.Encoding != "" || body == "" && len(p.Params) > 0 {
			r.Skipped++ // a multipart form or an encoded body isn't what was sent
			return
		}
		if p.MimeType != "" && !hasName(headers, "Content-Type") && httpguts.ValidHeaderFieldValue(p.MimeType) && len(p.MimeType) < 256 {
			headers["Content-Type"] = p.MimeType
		}
	}
	r.add(strings.ToUpper(q.Method), q.URL, body, headers, secrets)
}

func hasName(headers map[string]string, name string) bool {
	for n := range headers {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// form is the body of a form; HAR has its parameters as they were sent.
func form(params []harPair) string {
	parts := make([]string, 0, len(params))
	for _, p := range params {
		parts = append(parts, p.Name+"="+p.Value)
	}
	return strings.Join(parts, "&")
}
