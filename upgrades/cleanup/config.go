package cleanup

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Config is the section cleanup of the configuration.
type Config struct {
	// Owner is whoever sees to chores of which nobody is named.
	Owner string `yaml:"owner"`
	// Due is how long after an upgrade its chores are to be done, where nothing else is
	// said; Remind is how often people are reminded of those that are overdue.
	Due    model.Duration `yaml:"due"`
	Remind model.Duration `yaml:"remind"`
	// Every is how often probes look.
	Every model.Duration `yaml:"every"`
	// URLs and Files are prefixes of what probes may ask and look at: chores come with
	// packages, which say nothing of what the daemon may reach. Left out: none.
	URLs  []string `yaml:"urls"`
	Files []string `yaml:"files"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	for d, v := range map[*model.Duration]time.Duration{&c.Due: 7 * day, &c.Remind: day, &c.Every: 10 * time.Minute} {
		if *d == 0 {
			*d = model.Duration(v)
		}
	}
}

const day = 24 * time.Hour

// Validate names every setting that can't be used, by its path.
func (c *Config) Validate(at string) (errs []error) {
	for name, d := range map[string]model.Duration{"due": c.Due, "remind": c.Remind} {
		if time.Duration(d) < time.Hour {
			errs = append(errs, fmt.Errorf("%s.%s: want an hour or more, got %s", at, name, d))
		}
	}
	if time.Duration(c.Every) < time.Minute {
		errs = append(errs, fmt.Errorf("%s.every: want a minute or more, got %s", at, c.Every))
	}
	for i, p := range c.URLs {
		if u, err := url.Parse(p); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || !strings.HasPrefix(u.Path, "/") {
			errs = append(errs, fmt.Errorf("%s.urls[%d]: want a prefix such as https://hooks.example.com/, with a host, a path and no credentials", at, i))
		}
	}
	for i, p := range c.Files {
		if !path.IsAbs(p) || path.Clean(p) != strings.TrimSuffix(p, "/") {
			errs = append(errs, fmt.Errorf("%s.files[%d]: want a clean absolute path such as /etc/dten/, got %.80q", at, i, p))
		}
	}
	return errs
}
