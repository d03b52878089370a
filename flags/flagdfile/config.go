package flagdfile

import (
	"fmt"
	"strings"

	"aftershock/flags/remote"
)

// Config names a file in flagd's JSON format.
type Config struct {
	Path string `yaml:"path"`
}

// SetDefaults has nothing to fill in.
func (c *Config) SetDefaults() {}

// Validate names each problem with its path in the configuration.
func (c *Config) Validate(path string) []error {
	switch {
	case c.Path == "":
		return []error{fmt.Errorf("%s.path: missing: name the file", path)}
	case strings.HasSuffix(c.Path, ".yaml"), strings.HasSuffix(c.Path, ".yml"):
		return []error{fmt.Errorf("%s.path: is YAML: only flagd's JSON form can be written without losing comments", path)}
	}
	return nil
}

// Abilities is what a file can do.
func Abilities() remote.Abilities {
	return remote.Abilities{Variant: true, Value: true, CompareAndSwap: true}
}
