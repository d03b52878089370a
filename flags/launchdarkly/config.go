package launchdarkly

import (
	"fmt"
	"regexp"

	"aftershock/flags/remote"
)

// Config names a project and an environment of LaunchDarkly.
type Config struct {
	// URL is the API, https://app.launchdarkly.com if "".
	URL         string `yaml:"url"`
	Project     string `yaml:"project"`
	Environment string `yaml:"environment"`
	// HTTP has the access token, which must be allowed to update the flags'
	// targeting.
	remote.HTTP `yaml:",inline"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	c.HTTP.SetDefaults()
	if c.URL == "" {
		c.URL = "https://app.launchdarkly.com"
	}
}

var keyForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,255}$`)

// Validate names each problem with its path in the configuration.
func (c *Config) Validate(path string) []error {
	errs := c.HTTP.Validate(path)
	if err := remote.CheckURL(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("%s.url: %w", path, err))
	}
	for field, key := range map[string]string{"project": c.Project, "environment": c.Environment} {
		if !keyForm.MatchString(key) {
			errs = append(errs, fmt.Errorf("%s.%s: %q is no key of LaunchDarkly's", path, field, key))
		}
	}
	return errs
}

// Abilities is what LaunchDarkly can do.
func Abilities() remote.Abilities {
	return remote.Abilities{Variant: true, DryRun: true, Comment: true}
}
