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
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aftershock/alerts"
	"aftershock/flags"
	"aftershock/journal"
	"aftershock/rehearsal"
	"aftershock/reports"
	"aftershock/sources"
	"aftershock/upgrades"
	"aftershock/upgrades/cleanup"
	"aftershock/watch"
	"aftershock/web"
	"aftershock/web/channel"

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
	Web      web.Config      `yaml:"web"`
	Journal  journal.Config  `yaml:"journal"`
	Sources  sources.Config  `yaml:"sources"`
	Watch    watch.Config    `yaml:"watch"`
	Upgrades upgrades.Config `yaml:"upgrades"`
	Flags    flags.Config    `yaml:"flags"`
	Alerts   alerts.Config   `yaml:"alerts"`
	Reports  reports.Config  `yaml:"reports"`
	Status   channel.Config  `yaml:"status"`
	Cleanup  cleanup.Config  `yaml:"cleanup"`
	// Rehearsal is read by aftershock rehearse alone.
	Rehearsal rehearsal.Config `yaml:"rehearsal"`
}

// Log says how the daemon logs.
type Log struct {
	Level  string `yaml:"level"`  // a logrus level
	Format string `yaml:"format"` // text or json
}

// Load reads the configuration file. The error is a *Error when the file could
// be read but not used.
func Load(path string) (Config, error) { return load(path, needed) }

// Check reads the configuration file as Load does, and looks besides into what the
// daemon starts without but can't do its work without, as a person can mend it now.
func Check(path string) error {
	_, err := load(path, all)
	return err
}

// files says how far the files that the configuration names are looked into.
type files int

const (
	none   files = iota
	needed       // those without which the daemon doesn't start
	all
)

func load(path string, look files) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := parse(data, filepath.Dir(path), look)
	var e *Error
	if errors.As(err, &e) {
		e.File = path
	}
	return c, err
}

// Parse reads a configuration whose relative paths start at dir. It doesn't look
// whether the flags and secrets that it names are there; Load does.
func Parse(data []byte, dir string) (Config, error) { return parse(data, dir, none) }

func parse(data []byte, dir string, look files) (Config, error) {
	root, problem := tree(data)
	if problem != nil {
		return Config{}, &Error{Problems: []Problem{*problem}}
	}
	var c Config
	c.preset()
	d := decoder{root: root}
	d.strict(&c)
	// Sections look into the files that they name, so paths come first.
	c.resolve(dir)
	c.setDefaults()
	d.report(c.validate())
	if look >= needed {
		d.report(c.Flags.CheckFiles("flags"))
		d.report(c.Upgrades.CheckFiles("upgrades"))
	}
	if look >= all {
		d.report(c.Flags.Backends.CheckFiles("flags.backends"))
		d.report(c.Web.CheckFiles("web"))
	}
	if len(d.problems) > 0 {
		return Config{}, d.err()
	}
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
	case errors.Is(err, io.EOF):
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1}, nil
	case err != nil:
		return nil, &Problem{Text: "isn't YAML: " + strings.TrimPrefix(hideValues(err.Error()), "yaml: ")}
	}
	if err := dec.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, &Problem{Text: "holds more than one YAML document"}
	}
	return doc.Content[0], nil
}

// preset sets the defaults that must stand before the file is read over them,
// since their zero value is a setting of its own.
func (c *Config) preset() {
	c.Upgrades.SetDefaults()
	c.Log = Log{Level: "info", Format: "text"}
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
	c.Reports.SetDefaults()
	c.Status.SetDefaults()
	c.Cleanup.SetDefaults()
	c.Rehearsal.SetDefaults()
	c.Web.SetDefaults()
	c.Sources.SetDefaults()
	if c.Alerts.ExternalURL == "" && len(c.Web.Validate("web")) == 0 {
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
		c.Web.Validate("web"),
		c.Journal.Validate("journal"),
		c.Sources.Validate("sources"),
		c.Watch.Validate("watch"),
		c.Upgrades.Validate("upgrades"),
		c.Flags.Validate("flags"),
		c.Alerts.Validate("alerts"),
		c.Reports.Validate("reports"),
		c.Status.Validate("status"),
		c.Cleanup.Validate("cleanup"),
		c.Rehearsal.Validate("rehearsal"),
		c.together(),
	)
}

// together finds settings that don't go together.
func (c *Config) together() (errs []error) {
	if s := c.Sources.Scrape; s != nil && c.Watch.Step < time.Duration(s.Interval) {
		errs = append(errs, fmt.Errorf("watch.step: is %s, must be at least sources.scrape.interval (%s), or most steps see nothing", c.Watch.Step, s.Interval))
	}
	for i, name := range c.Reports.Weekly.Receivers {
		if err := c.Alerts.TakesReports(name); err != nil {
			errs = append(errs, fmt.Errorf("reports.weekly.receivers[%d]: %w", i, err))
		}
	}
	for i, name := range c.Status.Receivers {
		if err := c.Alerts.TakesReports(name); err != nil {
			errs = append(errs, fmt.Errorf("status.receivers[%d]: %w", i, err))
		}
	}
	return errs
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
