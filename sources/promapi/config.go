package promapi

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// Way is how samples are read from the server.
type Way string

const (
	// RemoteRead streams the server's own chunks: everything that was stored,
	// at about 30 times the speed of JSON.
	RemoteRead Way = "remote-read"
	// Steps asks the server for the last sample of every step. Counts between
	// two of them are exact; frames need no more.
	Steps Way = "steps"
	// JSON asks for the raw samples, a piece of time after another.
	JSON Way = "json"
)

// ways is the order in which they are tried.
var ways = [...]Way{RemoteRead, Steps, JSON}

// Config says which server is read, and how much of it at once.
type Config struct {
	// URL is the server's base: what /api/v1 is appended to.
	URL string `yaml:"url"`
	// HTTPClient has TLS, credentials, headers and proxy.
	HTTPClient promconfig.HTTPClientConfig `yaml:"http_client,omitempty"`
	// Way reads in one certain way; empty: the fastest that the server knows.
	Way Way `yaml:"way,omitempty"`
	// Timeout is for one request, its whole answer included.
	Timeout model.Duration `yaml:"timeout,omitempty"`
	// Window is the longest time that one request asks for.
	Window model.Duration `yaml:"window,omitempty"`
	// Tries is how often a request is sent before its failure is reported.
	Tries int `yaml:"tries,omitempty"`
	// MaxSeries and MaxSamples bound what one window may hold.
	MaxSeries  int `yaml:"max_series,omitempty"`
	MaxSamples int `yaml:"max_samples,omitempty"`
}

// SetDefaults fills in what is left out.
func (c *Config) SetDefaults() {
	if reflect.ValueOf(c.HTTPClient).IsZero() {
		c.HTTPClient = promconfig.DefaultHTTPClientConfig
	}
	if c.Timeout == 0 {
		c.Timeout = model.Duration(2 * time.Minute)
	}
	if c.Window == 0 {
		c.Window = model.Duration(7 * 24 * time.Hour)
	}
	if c.Tries == 0 {
		c.Tries = 4
	}
	if c.MaxSeries == 0 {
		c.MaxSeries = 500_000
	}
	if c.MaxSamples == 0 {
		c.MaxSamples = 500_000_000
	}
}

// Validate returns every problem, each with its place in the YAML under path.
func (c *Config) Validate(path string) []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", path, field, fmt.Sprintf(format, args...)))
	}
	switch u, err := url.Parse(c.URL); {
	case c.URL == "":
		bad("url", "is missing: give the server's base, such as http://127.0.0.1:9090")
	case err != nil:
		bad("url", "isn't a URL: give the server's base, such as http://127.0.0.1:9090")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		bad("url", "got %q, want http://HOST:PORT or https://HOST:PORT", u.Redacted())
	case u.User != nil:
		bad("url", "has credentials in it: move them to http_client.basic_auth")
	case u.RawQuery != "" || u.Fragment != "":
		bad("url", "got %q, want a base without query or fragment", u.Redacted())
	}
	if err := c.HTTPClient.Validate(); err != nil {
		bad("http_client", "%v", err)
	}
	if c.Way != "" && !slices.Contains(ways[:], c.Way) {
		bad("way", "got %q, want one of %v, or nothing", c.Way, ways)
	}
	if d := time.Duration(c.Timeout); d < 100*time.Millisecond || d > time.Hour {
		bad("timeout", "got %s, want 100ms to 1h", c.Timeout)
	}
	if d := time.Duration(c.Window); d < time.Minute || d > 31*24*time.Hour {
		bad("window", "got %s, want 1m to 31d", c.Window)
	}
	if c.Tries < 1 || c.Tries > 20 {
		bad("tries", "got %d, want 1 to 20", c.Tries)
	}
	if c.MaxSeries < 1 {
		bad("max_series", "got %d, want at least 1", c.MaxSeries)
	}
	if c.MaxSamples < 1 {
		bad("max_samples", "got %d, want at least 1", c.MaxSamples)
	}
	return errs
}
