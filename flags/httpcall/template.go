package httpcall

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"unicode"

	"aftershock/flags/remote"
)

// maxText bounds what a template may write, in bytes.
const maxText = 1 << 20

// call is what templates know.
type call struct {
	Flag, Variant string
	// Value is the variant's, as JSON.
	Value          json.RawMessage
	Toggle, Reason string
}

// compiled are the templates of the configuration.
type compiled struct {
	write, read request
	bodies      map[string]*template.Template // by variant
}

type request struct {
	method  string
	path    *template.Template
	headers map[string]*template.Template
	body    *template.Template
	status  []int
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")

// functions of the templates.
func functions() template.FuncMap {
	return template.FuncMap{
		"json": func(v any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
		"query": func(v any) string { return url.QueryEscape(text(v)) },
		"path":  func(v any) string { return url.PathEscape(text(v)) },
	}
}

func text(v any) string {
	if raw, ok := v.(json.RawMessage); ok {
		return string(raw)
	}
	return fmt.Sprint(v)
}

func parse(name, source string) (*template.Template, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(functions()).Parse(source)
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	// A field that there isn't is found now, and not in the night.
	if _, err := render(t, sample()); err != nil {
		return nil, err
	}
	return t, nil
}

// bounded is a writer that refuses too much.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxText {
		return 0, fmt.Errorf("it writes more than %d bytes", maxText)
	}
	return b.Builder.Write(p)
}

func render(t *template.Template, c call) (string, error) {
	var b bounded
	// RawMessage would print as a list of numbers.
	err := t.Execute(&b, map[string]any{
		"Flag": c.Flag, "Variant": c.Variant, "Value": value(c.Value), "Toggle": c.Toggle, "Reason": c.Reason,
	})
	if err != nil {
		return "", fmt.Errorf("fill in the template: %w", err)
	}
	return b.String(), nil
}

// value prints as JSON and is written as JSON.
type value json.RawMessage

func (v value) String() string               { return string(v) }
func (v value) MarshalJSON() ([]byte, error) { return v, nil }

func compile(c Config) (compiled, error) {
	out := compiled{bodies: map[string]*template.Template{}}
	var errs []error
	var err error
	if out.write, err = c.Write.compile("write"); err != nil {
		errs = append(errs, err)
	}
	if out.read, err = c.Read.compile("read"); err != nil {
		errs = append(errs, err)
	}
	for name, v := range c.Variants {
		if v.Body == "" {
			continue
		}
		if out.bodies[name], err = parse("variants."+name+".body", v.Body); err != nil {
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

func (c Call) compile(name string) (request, error) {
	r := request{method: c.Method, headers: map[string]*template.Template{}, status: c.Status}
	var errs []error
	var err error
	if r.path, err = parse(name+".path", c.Path); err != nil {
		errs = append(errs, err)
	}
	if r.body, err = parse(name+".body", c.Body); err != nil {
		errs = append(errs, err)
	}
	for header, source := range c.Headers {
		if !headerName.MatchString(header) {
			errs = append(errs, fmt.Errorf("%s.headers: %q is no name of a header", name, header))
		}
		if r.headers[header], err = parse(name+".headers."+header, source); err != nil {
			errs = append(errs, err)
		}
	}
	return r, errors.Join(errs...)
}

// fill makes the request; body, if not nil, is the variant's own.
func (r request) fill(server string, c call, body *template.Template) (remote.Request, error) {
	if body == nil {
		body = r.body
	}
	path, err := render(r.path, c)
	if err != nil {
		return remote.Request{}, err
	}
	content, err := render(body, c)
	if err != nil {
		return remote.Request{}, err
	}
	out := remote.Request{Method: r.method, URL: strings.TrimRight(server, "/") + path, Status: r.status, Header: map[string]string{}}
	if content != "" {
		out.Body, out.Header["Content-Type"] = []byte(content), "application/json"
	}
	for name, t := range r.headers {
		v, err := render(t, c)
		if err != nil {
			return remote.Request{}, err
		}
		if strings.ContainsFunc(v, unicode.IsControl) {
			return remote.Request{}, fmt.Errorf("%w: header %s would hold what no header may", remote.ErrReadOnly, http.CanonicalHeaderKey(name))
		}
		out.Header[name] = v
	}
	return out, nil
}

// find follows a JSON pointer (RFC 6901).
func find(document []byte, pointer string) (json.RawMessage, error) {
	at := json.RawMessage(document)
	if !json.Valid(document) {
		return nil, errors.New("the answer is no JSON")
	}
	if pointer == "" {
		return at, nil
	}
	for _, part := range strings.Split(pointer, "/")[1:] {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		var object map[string]json.RawMessage
		var list []json.RawMessage
		switch {
		case json.Unmarshal(at, &object) == nil && object != nil:
			next, ok := object[part]
			if !ok {
				return nil, fmt.Errorf("the answer has nothing at %s", pointer)
			}
			at = next
		case json.Unmarshal(at, &list) == nil && list != nil:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(list) || strconv.Itoa(i) != part {
				return nil, fmt.Errorf("the answer has nothing at %s", pointer)
			}
			at = list[i]
		default:
			return nil, fmt.Errorf("the answer has nothing at %s", pointer)
		}
	}
	return at, nil
}
