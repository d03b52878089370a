package backends

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"aftershock/flags/flagdfile"
	"aftershock/flags/httpcall"
	"aftershock/flags/kubernetes"
	"aftershock/flags/launchdarkly"
	"aftershock/flags/remote"
	"aftershock/flags/unleash"
)

// Config is the section flags.backends.
type Config []Entry

// Entry is one backend: where its flags are, and which they are.
type Entry struct {
	Name string `yaml:"name"`
	// Kind is flagd-file, kubernetes, unleash, launchdarkly or http; the section of
	// that name says the rest.
	Kind string `yaml:"kind"`
	// Flags are the names of the flags that live there, or globs (payments-*).
	Flags []string `yaml:"flags"`
	// VerifyTimeout bounds the verification of a toggle, 30 s if 0. Check is how
	// often a toggled flag is looked at, 10 s if 0; Refresh how often all are read
	// for the list, 1 min if 0.
	VerifyTimeout time.Duration `yaml:"verify_timeout"`
	Check         time.Duration `yaml:"check"`
	Refresh       time.Duration `yaml:"refresh"`
	// OFREP is where the backend's flags can be evaluated: flagd's, say.
	OFREP *Endpoint `yaml:"ofrep"`

	FlagdFile    *flagdfile.Config    `yaml:"flagd_file"`
	Kubernetes   *kubernetes.Config   `yaml:"kubernetes"`
	Unleash      *unleash.Config      `yaml:"unleash"`
	LaunchDarkly *launchdarkly.Config `yaml:"launchdarkly"`
	HTTP         *httpcall.Config     `yaml:"http"`
}

const maxBackends = 32

var backendName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

// section is what the kinds' sections have in common.
type section interface {
	SetDefaults()
	Validate(path string) []error
}

// sections lists those that are given, by their YAML key.
func (e *Entry) sections() map[string]section {
	m := map[string]section{}
	if e.FlagdFile != nil {
		m["flagd_file"] = e.FlagdFile
	}
	if e.Kubernetes != nil {
		m["kubernetes"] = e.Kubernetes
	}
	if e.Unleash != nil {
		m["unleash"] = e.Unleash
	}
	if e.LaunchDarkly != nil {
		m["launchdarkly"] = e.LaunchDarkly
	}
	if e.HTTP != nil {
		m["http"] = e.HTTP
	}
	return m
}

// kinds are the kinds of backends with the YAML keys of their sections.
func kinds() map[string]string {
	return map[string]string{
		"flagd-file": "flagd_file", "kubernetes": "kubernetes", "unleash": "unleash", "launchdarkly": "launchdarkly", "http": "http",
	}
}

// SetDefaults fills in what was left out.
func (c Config) SetDefaults() {
	for i := range c {
		e := &c[i]
		for _, d := range []struct {
			value  *time.Duration
			preset time.Duration
		}{{&e.VerifyTimeout, 30 * time.Second}, {&e.Check, 10 * time.Second}, {&e.Refresh, time.Minute}} {
			if *d.value == 0 {
				*d.value = d.preset
			}
		}
		if e.Kind == "kubernetes" && e.Kubernetes == nil {
			e.Kubernetes = &kubernetes.Config{}
		}
		for _, s := range e.sections() {
			s.SetDefaults()
		}
		if e.OFREP != nil {
			e.OFREP.SetDefaults()
		}
	}
}

// Validate names each problem with its path in the configuration. Whether a
// backend is there, only its use tells.
func (c Config) Validate(at string) []error {
	var errs []error
	if len(c) > maxBackends {
		errs = append(errs, fmt.Errorf("%s: has %d backends, at most %d can be looked after", at, len(c), maxBackends))
	}
	names, patterns := map[string]bool{}, map[string]bool{}
	for i := range c {
		e, at := &c[i], fmt.Sprintf("%s[%d]", at, i)
		switch {
		case !backendName.MatchString(e.Name):
			errs = append(errs, fmt.Errorf("%s.name: %q needs 1 to 64 of letters, digits, dot, dash and underscore", at, e.Name))
		case names[e.Name]:
			errs = append(errs, fmt.Errorf("%s.name: %q is used twice", at, e.Name))
		}
		names[e.Name] = true
		if len(e.Flags) == 0 {
			errs = append(errs, fmt.Errorf(`%s.flags: missing: name the flags that live there, or give globs ("*" for all)`, at))
		}
		for j, p := range e.Flags {
			_, err := path.Match(p, "")
			switch {
			case p == "" || err != nil:
				errs = append(errs, fmt.Errorf("%s.flags[%d]: %q is neither a name nor a glob", at, j, p))
			case patterns[p]:
				errs = append(errs, fmt.Errorf("%s.flags[%d]: %q was given before", at, j, p))
			}
			patterns[p] = true
		}
		errs = append(errs, e.validate(at)...)
	}
	return errs
}

func (e *Entry) validate(at string) []error {
	var errs []error
	given := e.sections()
	want, ok := kinds()[e.Kind]
	switch {
	case !ok:
		errs = append(errs, fmt.Errorf("%s.kind: %q is none of flagd-file, http, kubernetes, launchdarkly, unleash", at, e.Kind))
	case given[want] == nil:
		errs = append(errs, fmt.Errorf("%s.%s: missing: a backend of the kind %s needs this section", at, want, e.Kind))
	}
	for key, s := range given {
		if ok && key != want {
			errs = append(errs, fmt.Errorf("%s.%s: doesn't go with the kind %s", at, key, e.Kind))
		}
		errs = append(errs, s.Validate(at+"."+key)...)
	}
	for _, d := range []struct {
		name            string
		value, min, max time.Duration
	}{
		{"verify_timeout", e.VerifyTimeout, 100 * time.Millisecond, 4 * time.Minute},
		{"check", e.Check, 10 * time.Millisecond, time.Hour},
		{"refresh", e.Refresh, 10 * time.Millisecond, 24 * time.Hour},
	} {
		if d.value < d.min || d.value > d.max {
			errs = append(errs, fmt.Errorf("%s.%s: %s isn't between %s and %s", at, d.name, d.value, d.min, d.max))
		}
	}
	if e.OFREP != nil {
		errs = append(errs, e.OFREP.Validate(at+".ofrep")...)
		if e.Unleash != nil && e.Unleash.Frontend != nil {
			errs = append(errs, fmt.Errorf("%s.ofrep: doesn't go with unleash.frontend: toggles are verified by one of them", at))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// Of is the number of the backend that a flag lives in, -1 if in none.
func (c Config) Of(flag string) int {
	return slices.IndexFunc(c, func(e Entry) bool { return (&Backend{Patterns: e.Flags}).Has(flag) })
}

// Open makes the backends. It makes no request.
func (c Config) Open() ([]*Backend, error) {
	var all []*Backend
	var errs []error
	for i := range c {
		b, err := c[i].open()
		if err != nil {
			errs = append(errs, fmt.Errorf("open the backend %s: %w", c[i].Name, err))
			continue
		}
		all = append(all, b)
	}
	return all, errors.Join(errs...)
}

func (e *Entry) open() (*Backend, error) {
	b := &Backend{
		Name: e.Name, Kind: e.Kind, Patterns: e.Flags, VerifyTimeout: e.VerifyTimeout, Check: e.Check, Refresh: e.Refresh,
		Abilities: remote.Abilities{Variant: true},
	}
	var err error
	switch {
	case e.FlagdFile != nil:
		b.Client, err = flagdfile.New(*e.FlagdFile)
		b.Abilities = flagdfile.Abilities()
	case e.Kubernetes != nil:
		b.Client, err = kubernetes.New(*e.Kubernetes)
		b.Abilities = kubernetes.Abilities()
	case e.Unleash != nil:
		b.Client, err = unleash.New(*e.Unleash)
		b.Abilities = unleash.Abilities()
		if err == nil && e.Unleash.Frontend != nil {
			b.Provider, err = unleash.NewProvider(*e.Unleash.Frontend)
		}
	case e.LaunchDarkly != nil:
		b.Client, err = launchdarkly.New(*e.LaunchDarkly)
		b.Abilities = launchdarkly.Abilities()
	case e.HTTP != nil:
		b.Client, err = httpcall.New(*e.HTTP, b.Named())
		b.Abilities = e.HTTP.Abilities()
	}
	if err != nil {
		return nil, err
	}
	if e.OFREP != nil {
		b.Provider, err = e.OFREP.provider()
	}
	return b, err
}

// Files are the paths in the configuration, to be made absolute; those of HTTP
// clients aren't among them.
func (c Config) Files() []*string {
	var files []*string
	for i := range c {
		e := &c[i]
		if e.FlagdFile != nil {
			files = append(files, &e.FlagdFile.Path)
		}
		for _, h := range e.clients() {
			files = append(files, &h.TokenFile)
		}
	}
	return files
}

// clients are the settings of the entry's HTTP clients by their YAML path in it.
func (e *Entry) clients() map[string]*remote.HTTP {
	all := map[string]*remote.HTTP{}
	if e.OFREP != nil {
		all["ofrep"] = &e.OFREP.HTTP
	}
	if e.Kubernetes != nil {
		all["kubernetes"] = &e.Kubernetes.HTTP
	}
	if e.Unleash != nil {
		all["unleash"] = &e.Unleash.HTTP
		if e.Unleash.Frontend != nil {
			all["unleash.frontend"] = &e.Unleash.Frontend.HTTP
		}
	}
	if e.LaunchDarkly != nil {
		all["launchdarkly"] = &e.LaunchDarkly.HTTP
	}
	if e.HTTP != nil {
		all["http"] = &e.HTTP.HTTP
	}
	return all
}

// CheckFiles opens the files that the backends need and names those that can't be
// used, each with its path under at. It makes no request.
func (c Config) CheckFiles(at string) []error {
	var errs []error
	for i := range c {
		e, at := &c[i], fmt.Sprintf("%s[%d]", at, i)
		if e.FlagdFile != nil {
			f, err := flagdfile.New(*e.FlagdFile)
			if err == nil {
				err = f.Check((&Backend{Patterns: e.Flags}).Named())
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s.flagd_file.path: %w", at, err))
			}
		}
		if e.Kubernetes != nil && e.Kubernetes.Stray() {
			errs = append(errs, fmt.Errorf("%s.kubernetes: there is no service account here: run the daemon in the cluster, or give url and token_file", at))
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(e.clients())) {
			errs = append(errs, e.clients()[key].CheckFiles(at+"."+key)...)
		}
	}
	return errs
}
