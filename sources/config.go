package sources

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"aftershock/sources/openmetrics"
	"aftershock/sources/promapi"
	"aftershock/sources/scrape"
	"aftershock/sources/tsdbdir"
)

// Config names the one place that telemetry is read from.
type Config struct {
	Prometheus  *promapi.Config     `yaml:"prometheus,omitempty"`
	Scrape      *scrape.Config      `yaml:"scrape,omitempty"`
	TSDB        *tsdbdir.Config     `yaml:"tsdb,omitempty"`
	OpenMetrics *openmetrics.Config `yaml:"openmetrics,omitempty"`
}

// section is a part of Config.
type section interface {
	SetDefaults()
	Validate(path string) []error
}

// sections lists the parts that are given, by their YAML key.
func (c *Config) sections() map[string]section {
	m := make(map[string]section)
	if c.Prometheus != nil {
		m["prometheus"] = c.Prometheus
	}
	if c.Scrape != nil {
		m["scrape"] = c.Scrape
	}
	if c.TSDB != nil {
		m["tsdb"] = c.TSDB
	}
	if c.OpenMetrics != nil {
		m["openmetrics"] = c.OpenMetrics
	}
	return m
}

// SetDefaults fills in what is left out of the part that is given.
func (c *Config) SetDefaults() {
	for _, s := range c.sections() {
		s.SetDefaults()
	}
}

// Validate returns every problem, each with its place in the YAML under path.
func (c *Config) Validate(path string) []error {
	given := c.sections()
	if len(given) != 1 {
		return []error{fmt.Errorf("%s: give exactly one of prometheus, scrape, tsdb and openmetrics, not %d of them", path, len(given))}
	}
	var errs []error
	for key, s := range given {
		errs = append(errs, s.Validate(path+"."+key)...)
	}
	return errs
}

// At is the configuration that reads the URL of a server, a TSDB directory or
// a file with recorded telemetry.
func At(where string) (Config, error) {
	if strings.Contains(where, "://") {
		u, err := url.Parse(where)
		if err != nil {
			return Config{}, errors.New("read telemetry: the URL can't be parsed")
		}
		if u.Scheme != "http" && u.Scheme != "https" {
			return Config{}, fmt.Errorf("read telemetry from %s: want an http or https URL", u.Redacted())
		}
		return Config{Prometheus: &promapi.Config{URL: where}}, nil
	}
	info, err := os.Stat(where)
	if err != nil {
		return Config{}, fmt.Errorf("read telemetry: %w", err)
	}
	if info.IsDir() {
		return Config{TSDB: &tsdbdir.Config{Path: where}}, nil
	}
	return Config{OpenMetrics: &openmetrics.Config{Path: where}}, nil
}
