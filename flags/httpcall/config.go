package httpcall

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"aftershock/flags/remote"
)

// Config is a flag service that is spoken to by templates (text/template). They
// know .Flag, .Variant, .Value, .Toggle and .Reason, and the functions json, query
// and path, which write text so that it is one JSON value, one part of a query or
// one part of a path.
type Config struct {
	// Server is the scheme and host that all requests go to.
	Server string `yaml:"server"`
	// Variants are what can be set, by name.
	Variants map[string]Variant `yaml:"variants"`
	// Write sets a variant, Read asks for what is set.
	Write Call `yaml:"write"`
	Read  Call `yaml:"read"`
	// Pointer is where in the answer of Read the value stands (RFC 6901), "" for the
	// whole answer.
	Pointer string `yaml:"pointer"`
	// IfMatch sends the ETag of the answer of Read as If-Match with the write: the
	// service then refuses to overwrite what it didn't say.
	IfMatch     bool `yaml:"if_match"`
	remote.HTTP `yaml:",inline"`
}

// Variant is one of the variants.
type Variant struct {
	// Value is what callers get, as JSON; the variant's name if "".
	Value string `yaml:"value"`
	// Reads is what Read's answer has where the variant is set, as JSON; Value if "".
	Reads string `yaml:"reads"`
	// Body replaces the one of Write.
	Body string `yaml:"body"`
}

// Call is one request.
type Call struct {
	Method string `yaml:"method"`
	// Path is appended to Server. It, Headers and Body are templates.
	Path    string            `yaml:"path"`
	Headers map[string]string `yaml:"headers"`
	Body    string            `yaml:"body"`
	// Status lists the answers that are good, 200 to 299 if empty.
	Status []int `yaml:"status"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	c.HTTP.SetDefaults()
	if c.Write.Method == "" {
		c.Write.Method = http.MethodPut
	}
	if c.Read.Method == "" {
		c.Read.Method = http.MethodGet
	}
	for name, v := range c.Variants {
		if v.Value == "" {
			b, err := json.Marshal(name)
			if err == nil { // a string can always be written
				v.Value = string(b)
			}
		}
		if v.Reads == "" {
			v.Reads = v.Value
		}
		c.Variants[name] = v
	}
}

// Validate names each problem with its path in the configuration. Templates are
// tried out.
func (c *Config) Validate(path string) []error {
	errs := c.HTTP.Validate(path)
	bad := func(field string, err error) { errs = append(errs, fmt.Errorf("%s.%s: %w", path, field, err)) }
	if err := remote.CheckURL(c.Server); err != nil {
		bad("server", err)
	}
	if len(c.Variants) < 2 || len(c.Variants) > 64 {
		bad("variants", fmt.Errorf("has %d, want 2 to 64: a toggle needs something to go to and to come from", len(c.Variants)))
	}
	reads := map[string]string{}
	for name, v := range c.Variants {
		at := "variants." + name
		if !json.Valid([]byte(v.Value)) || !json.Valid([]byte(v.Reads)) {
			bad(at, fmt.Errorf("its value and reads must be JSON: quote texts twice, as in '\"on\"'"))
			continue
		}
		key := string(remote.Canonical(json.RawMessage(v.Reads)))
		if other, ok := reads[key]; ok {
			bad(at, fmt.Errorf("reads the same as %s: they couldn't be told apart", other))
		}
		reads[key] = name
	}
	if c.Pointer != "" && c.Pointer[0] != '/' {
		bad("pointer", fmt.Errorf("%q is no JSON pointer: it starts with a slash", c.Pointer))
	}
	for field, call := range map[string]Call{"write": c.Write, "read": c.Read} {
		errs = append(errs, call.validate(path+"."+field)...)
	}
	if _, err := compile(*c); err != nil && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s: %w", path, err))
	}
	return errs
}

func (c Call) validate(path string) []error {
	var errs []error
	if !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, c.Method) {
		errs = append(errs, fmt.Errorf("%s.method: %q is none of GET, POST, PUT, PATCH, DELETE", path, c.Method))
	}
	if c.Path == "" || c.Path[0] != '/' {
		errs = append(errs, fmt.Errorf("%s.path: %q doesn't start with a slash", path, c.Path))
	}
	for i, s := range c.Status {
		if s < 200 || s > 299 {
			errs = append(errs, fmt.Errorf("%s.status[%d]: %d isn't between 200 and 299", path, i, s))
		}
	}
	return errs
}

// Abilities is what the configured service can do.
func (c *Config) Abilities() remote.Abilities {
	return remote.Abilities{Variant: true, CompareAndSwap: c.IfMatch}
}

// sample is what templates are tried with.
func sample() call {
	return call{Flag: "flag", Variant: "variant", Value: json.RawMessage(`true`), Toggle: time.Time{}.Format(time.RFC3339), Reason: "reason"}
}
