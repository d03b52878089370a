// Package configs joins the packages' settings into the one configuration file
// of the daemon.
//
// It promises that a file is taken whole or not at all: unknown keys, wrong
// values and settings that don't go together are all reported at once, each
// with its path in the file and its line, and none with a secret in it. Nothing
// is taken from the environment. Paths in the file are relative to the file.
package configs

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftershock/alerts"
	"aftershock/flags"
	"aftershock/journal"
	"aftershock/sources/promapi"
	"aftershock/sources/scrape"
	"aftershock/upgrades"
	"aftershock/watch"

	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v3"
)

// MaxSize is the largest configuration file, in bytes.
const MaxSize = 1 << 20

// Config is the configuration of the daemon.
type Config struct {
	// Data is the state directory. Left out it is "data" in the working
	// directory.
	Data     string          `yaml:"data"`
	Log      Log             `yaml:"log"`
	Web      Web             `yaml:"web"`
	Journal  journal.Config  `yaml:"journal"`
	Sources  Sources         `yaml:"sources"`
	Watch    watch.Config    `yaml:"watch"`
	Upgrades upgrades.Config `yaml:"upgrades"`
	Flags    flags.Config    `yaml:"flags"`
	Alerts   alerts.Config   `yaml:"alerts"`
	Reports  Reports         `yaml:"reports"`
}

// Log says how the daemon logs.
type Log struct {
	Level  string `yaml:"level"`  // a logrus level
	Format string `yaml:"format"` // text or json
}

// Web says where the daemon listens.
type Web struct {
	// Listen is host:port; port 0 lets the kernel pick one.
	Listen string `yaml:"listen"`
	// ExternalURL is where people reach the console, for links; "" for none.
	ExternalURL string `yaml:"external_url"`
}

// Sources says where telemetry comes from: exactly one is set.
type Sources struct {
	Prometheus  *promapi.Config `yaml:"prometheus"`
	Scrape      *scrape.Config  `yaml:"scrape"`
	TSDB        *Path           `yaml:"tsdb"`
	OpenMetrics *Path           `yaml:"openmetrics"`
}

// Path is a source of telemetry on disk.
type Path struct {
	Path string `yaml:"path"`
}

// Reports says where reviews are written.
type Reports struct {
	// Dir is a directory; "" writes none by itself.
	Dir string `yaml:"dir"`
}

// Load reads the configuration file. The error is a *Error when the file could
// be read but not used.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := Parse(data, filepath.Dir(path))
	if e, ok := err.(*Error); ok {
		e.File = path
	}
	return c, err
}

// Parse reads a configuration whose relative paths start at dir.
func Parse(data []byte, dir string) (Config, error) {
	root, problem := tree(data)
	if problem != nil {
		return Config{}, &Error{Problems: []Problem{*problem}}
	}
	var c Config
	c.preset()
	d := decoder{root: root}
	d.strict(&c)
	given := c.Data != ""
	c.setDefaults()
	d.report(c.validate())
	if len(d.problems) > 0 {
		return Config{}, d.err()
	}
	c.resolve(dir, given)
	return c, nil
}

// tree gives the file's top mapping; nil for an empty file.
func tree(data []byte) (*yaml.Node, *Problem) {
	if len(data) > MaxSize {
		return nil, &Problem{Text: fmt.Sprintf("larger than %d bytes", MaxSize)}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	switch err := dec.Decode(&doc); {
	case err == io.EOF:
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1}, nil
	case err != nil:
		return nil, &Problem{Text: "isn't YAML: " + strings.TrimPrefix(hideValues(err.Error()), "yaml: ")}
	}
	if err := dec.Decode(&next); err != io.EOF {
		return nil, &Problem{Text: "holds more than one YAML document"}
	}
	return doc.Content[0], nil
}

// preset sets the defaults that must stand before the file is read over them,
// since their zero value is a setting of its own.
func (c *Config) preset() {
	c.Upgrades.SetDefaults()
	c.Log = Log{Level: "info", Format: "text"}
	c.Web = Web{Listen: "127.0.0.1:8787"}
}

// setDefaults fills in what the file left out, and what one section takes from
// another.
func (c *Config) setDefaults() {
	if c.Data == "" {
		c.Data = "data"
	}
	c.Journal.SetDefaults()
	c.Watch.SetDefaults()
	c.Flags.SetDefaults()
	c.Alerts.SetDefaults()
	if c.Sources.Prometheus != nil {
		c.Sources.Prometheus.SetDefaults()
	}
	if c.Sources.Scrape != nil {
		c.Sources.Scrape.SetDefaults()
	}
	if c.Alerts.ExternalURL == "" {
		c.Alerts.ExternalURL = c.Web.ExternalURL
	}
	c.Alerts.Safe = map[string]string{}
	for _, g := range c.Flags.Gates {
		if g.Safe != "" {
			c.Alerts.Safe[g.Flag] = g.Safe
		}
	}
}

func (c *Config) validate() []error {
	return slices.Concat(
		c.Log.validate("log"),
		c.Web.validate("web"),
		c.Journal.Validate("journal"),
		c.Sources.validate("sources"),
		c.Watch.Validate("watch"),
		c.Upgrades.Validate("upgrades"),
		c.Flags.Validate("flags"),
		c.Alerts.Validate("alerts"),
		c.together(),
	)
}

// together finds settings that don't go together.
func (c *Config) together() []error {
	if s := c.Sources.Scrape; s != nil && c.Watch.Step < time.Duration(s.Interval) {
		return []error{fmt.Errorf("watch.step: is %s, must be at least sources.scrape.interval (%s), or most steps see nothing", c.Watch.Step, s.Interval)}
	}
	return nil
}

func (l Log) validate(path string) []error {
	var errs []error
	if _, err := logrus.ParseLevel(l.Level); err != nil {
		errs = append(errs, fmt.Errorf("%s.level: want one of trace, debug, info, warning, error", path))
	}
	if l.Format != "text" && l.Format != "json" {
		errs = append(errs, fmt.Errorf("%s.format: want text or json", path))
	}
	return errs
}

func (w Web) validate(path string) []error {
	var errs []error
	_, port, err := net.SplitHostPort(w.Listen)
	if n, nerr := strconv.ParseUint(port, 10, 16); err != nil || nerr != nil || n > 65535 {
		errs = append(errs, fmt.Errorf("%s.listen: got %q, want HOST:PORT such as 127.0.0.1:8787", path, w.Listen))
	}
	if w.ExternalURL != "" {
		u, err := url.Parse(w.ExternalURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			errs = append(errs, fmt.Errorf("%s.external_url: want http://HOST or https://HOST, with a path if need be and without credentials", path))
		}
	}
	return errs
}

func (s *Sources) validate(path string) []error {
	var errs []error
	var set []string
	if s.Prometheus != nil {
		set = append(set, "prometheus")
		errs = append(errs, s.Prometheus.Validate(path+".prometheus")...)
	}
	if s.Scrape != nil {
		set = append(set, "scrape")
		errs = append(errs, s.Scrape.Validate(path+".scrape")...)
	}
	for _, p := range []struct {
		name string
		path *Path
	}{{"tsdb", s.TSDB}, {"openmetrics", s.OpenMetrics}} {
		if p.path == nil {
			continue
		}
		set = append(set, p.name)
		if p.path.Path == "" {
			errs = append(errs, fmt.Errorf("%s.%s.path: is missing", path, p.name))
		}
	}
	switch {
	case len(set) == 0:
		errs = append(errs, fmt.Errorf("%s: give one of prometheus, scrape, tsdb, openmetrics", path))
	case len(set) > 1:
		errs = append(errs, fmt.Errorf("%s: give one alone, got %s", path, strings.Join(set, " and ")))
	}
	return errs
}
