package web

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
)

// shown is how the YAML reader shows values: any may be a secret.
var shown = regexp.MustCompile("(?s) ?`.*`")

// CheckFiles reads the web configuration and says what is wrong with it: a file that
// can't be used, a user with a role whose password it hasn't. path is where the
// section stands in the configuration.
func (c *Config) CheckFiles(path string) []error {
	if c.ConfigFile == "" {
		return nil
	}
	b, err := os.ReadFile(c.ConfigFile)
	if err != nil {
		return []error{fmt.Errorf("%s.config_file: %w; make it, or leave config_file out", path, err)}
	}
	var passwords struct {
		Users map[string]string `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(b, &passwords); err != nil {
		return []error{fmt.Errorf("%s.config_file: %s is no web configuration in YAML; see the documentation of exporter-toolkit", path, c.ConfigFile)}
	}
	var errs []error
	if err := toolkit.Validate(c.ConfigFile); err != nil {
		errs = append(errs, fmt.Errorf("%s.config_file: %s: %s; the listener couldn't serve with it", path, c.ConfigFile, shown.ReplaceAllString(err.Error(), "")))
	}
	for _, user := range slices.Sorted(maps.Keys(c.Access.Users)) {
		if _, ok := passwords.Users[user]; !ok {
			errs = append(errs, fmt.Errorf("%s.access.users.%s: has no password: add the name to basic_auth_users of %s", path, user, c.ConfigFile))
		}
	}
	return errs
}
