package alerts

import (
	"fmt"
	"regexp"

	"aftershock/alerts/notify"
	"aftershock/detector"
)

// Config is the section alerts of the config file.
type Config struct {
	// Receivers get every alert; without any, alerts are kept in the journal
	// alone.
	Receivers []Receiver `yaml:"receivers"`
	// ExternalURL is where people reach the daemon; empty: no links. RunbookURL
	// is put into every alert where it is set, with {service} and the like filled in.
	ExternalURL string `yaml:"external_url"`
	RunbookURL  string `yaml:"runbook_url"`
	// Severity is the label severity by kind of indicator.
	Severity map[detector.Kind]string `yaml:"severity"`
	// HeedSilences is whether a silence of an Alertmanager among the receivers holds for
	// the others, too; left out, it is.
	HeedSilences *bool `yaml:"heed_silences"`
	// Templates replace the built-in text, unless a receiver has its own.
	Templates notify.Files `yaml:"templates"`
	// Safe holds the safe variant of each flag; it comes from the section flags.
	Safe map[string]string `yaml:"-"`
}

const maxReceivers = 64

var receiverName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	severity := map[detector.Kind]string{
		detector.Latency: "critical", detector.Error: "critical", detector.Retry: "warning",
	}
	for kind, s := range c.Severity {
		severity[kind] = s
	}
	c.Severity = severity
	for _, r := range c.Receivers {
		for _, k := range r.kinds() {
			k.conf.SetDefaults()
		}
	}
}

// Files are the paths in the section, to be made absolute.
func (c *Config) Files() []*string {
	files := c.Templates.Paths()
	for n := range c.Receivers {
		r := &c.Receivers[n]
		files = append(files, r.Templates.Paths()...)
		for _, k := range r.kinds() {
			files = append(files, k.conf.Files()...)
		}
	}
	return files
}

// Validate names each problem with its path in the config file.
func (c *Config) Validate(path string) []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %w", path, field, fmt.Errorf(format, args...)))
	}
	for _, u := range []struct {
		field, value string
		check        func(string) error
	}{{"external_url", c.ExternalURL, notify.CheckURL}, {"runbook_url", c.RunbookURL, notify.CheckRunbook}} {
		if u.value == "" {
			continue
		}
		if err := u.check(u.value); err != nil {
			bad(u.field, "%w", err)
		}
	}
	for kind, s := range c.Severity {
		switch {
		case kind != detector.Latency && kind != detector.Retry && kind != detector.Error:
			bad("severity", "%q is none of latency, retry, error", kind)
		case !receiverName.MatchString(s):
			bad("severity."+string(kind), "%q is no short word", s)
		}
	}
	if len(c.Receivers) > maxReceivers {
		bad("receivers", "has %d receivers, at most %d can be served", len(c.Receivers), maxReceivers)
	}
	seen := make(map[string]bool)
	for n, r := range c.Receivers {
		at := fmt.Sprintf("%s.receivers[%d]", path, n)
		switch {
		case !receiverName.MatchString(r.Name):
			errs = append(errs, fmt.Errorf("%s.name: %q needs 1 to 64 of letters, digits, dot, dash and underscore", at, r.Name))
		case seen[r.Name]:
			errs = append(errs, fmt.Errorf("%s.name: %q is used twice", at, r.Name))
		}
		seen[r.Name] = true
		errs = append(errs, r.validate(at)...)
		if _, err := notify.LoadTemplates(r.Templates); err != nil {
			errs = append(errs, fmt.Errorf("%s.templates: %w", at, err))
		}
	}
	if _, err := notify.LoadTemplates(c.Templates); err != nil {
		bad("templates", "%w", err)
	}
	return errs
}
