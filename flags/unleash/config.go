package unleash

import (
	"fmt"

	"aftershock/flags/remote"
)

// Config names a project and an environment of an Unleash server.
type Config struct {
	// URL is the server, without /api.
	URL string `yaml:"url"`
	// Project is "default" if "", Environment "production".
	Project     string `yaml:"project"`
	Environment string `yaml:"environment"`
	// HTTP has the token of the admin API.
	remote.HTTP `yaml:",inline"`
	// Frontend is where toggles are verified: Unleash's frontend API, or Edge.
	Frontend *Frontend `yaml:"frontend"`
}

// Frontend is Unleash's frontend API, whose token belongs to the environment.
type Frontend struct {
	// URL is the backend's if "".
	URL         string `yaml:"url"`
	remote.HTTP `yaml:",inline"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	c.HTTP.SetDefaults()
	if c.Project == "" {
		c.Project = "default"
	}
	if c.Environment == "" {
		c.Environment = "production"
	}
	if c.Frontend != nil {
		c.Frontend.SetDefaults()
		if c.Frontend.URL == "" {
			c.Frontend.URL = c.URL
		}
	}
}

// Validate names each problem with its path in the configuration.
func (c *Config) Validate(path string) []error {
	errs := c.HTTP.Validate(path)
	if err := remote.CheckURL(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("%s.url: %w", path, err))
	}
	for field, name := range map[string]string{"project": c.Project, "environment": c.Environment} {
		if len(name) > 100 {
			errs = append(errs, fmt.Errorf("%s.%s: has more than 100 bytes", path, field))
		}
	}
	if c.Frontend != nil {
		errs = append(errs, c.Frontend.Validate(path+".frontend")...)
		if err := remote.CheckURL(c.Frontend.URL); err != nil && c.Frontend.URL != c.URL {
			errs = append(errs, fmt.Errorf("%s.frontend.url: %w", path, err))
		}
	}
	return errs
}

// Abilities is what Unleash can do.
func Abilities() remote.Abilities { return remote.Abilities{Variant: true} }
